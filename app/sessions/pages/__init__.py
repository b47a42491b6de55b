"""Pages of sessions: the list, one session and its live transcript, its changes and export, sharing it, its forms."""

from app.sessions.pages import defaults, export, public, routes, rows, session, sharing, stream, table

__all__ = ["defaults", "export", "public", "routes", "rows", "session", "sharing", "stream", "table"]
