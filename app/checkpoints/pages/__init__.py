"""Pages of checkpoints: what a session's pages show of them, and the page of their own."""

from app.checkpoints.pages import routes, session

__all__ = ["routes", "session"]
