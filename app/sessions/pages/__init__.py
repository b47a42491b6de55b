"""Pages of sessions: the list, one session and its live transcript, its changes, the forms that steer it."""

from app.sessions.pages import routes, rows, session, stream

__all__ = ["routes", "rows", "session", "stream"]
