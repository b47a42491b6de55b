"""OpenCode's session routes: sessions, prompts and messages."""

from app.sessions.opencode import routes, shapes

__all__ = ["routes", "shapes"]
