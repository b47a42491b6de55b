"""Pages of files: folders and files of a project or worktree, changing them, and finding in them."""

from app.files.pages import find, forms, show

__all__ = ["find", "forms", "show"]
