"""Pages of sessions: the list, one session and its live transcript, its changes, its export, its forms."""

from app.sessions.pages import export, routes, rows, session, stream

__all__ = ["export", "routes", "rows", "session", "stream"]
