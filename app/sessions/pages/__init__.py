"""Pages of sessions: the list, one session and its live transcript, its changes and export, sharing it, its forms."""

from app.sessions.pages import export, public, routes, rows, session, sharing, stream

__all__ = ["export", "public", "routes", "rows", "session", "sharing", "stream"]
