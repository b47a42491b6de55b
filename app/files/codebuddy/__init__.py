"""CodeBuddy's routes of files: looking and changing, and watching and searching."""

from app.files.codebuddy import routes, watching

__all__ = ["routes", "watching"]
