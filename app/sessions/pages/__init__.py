"""Pages of sessions: the list, one session with its live transcript, what it changed, and the forms to steer it."""

from app.sessions.pages import routes, rows, session, stream

__all__ = ["routes", "rows", "session", "stream"]
