"""Scratch projects: directories that the server itself makes for somebody, and removes with all that is in them.

Their maker is another room, which has asked whether its actor may; they are private to their owner.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from app import clearing, config, db
from app.errors import NoSpace
from app.projects import rows
from app.projects.models import project as table
from app.projects.rows import Project

_logger = logging.getLogger(__name__)


def above() -> Path:
    """Return the directory that holds all scratch directories."""
    return Path(os.path.realpath(config.current().data_dir)) / "sandboxes"


def is_scratch(project: Project) -> bool:
    """Tell whether a project is one of these."""
    return Path(project.root).parent == above()


def open_scratch(owner: str, name: str) -> Project:
    """Make an empty directory of this name and register it for its owner; raises NoSpace."""
    directory = above() / name
    try:
        directory.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise NoSpace(f"No directory could be made for it: {error.strerror}.") from error
    with db.transaction() as conn:
        return rows.insert(conn, rows.fresh(f"sandbox {name}", directory, owner, visibility="private"))


def close_scratch(project_id: str) -> None:
    """Take a scratch project off the list and remove its directory, its HOME and its /tmp; once is enough."""
    with db.transaction() as conn:
        found = rows.select(conn, table.c.id == project_id)
        if not found or not is_scratch(found[0]):
            return
        if found[0].state != "removed":
            rows.remove(conn, found[0])
    for directory in (found[0].path, config.current().data_dir / "private" / project_id):
        clear(directory)


def clear(directory: Path) -> None:
    """Remove a directory that commands may have filled with what even its owner may not enter."""
    if not directory.is_dir() or directory.is_symlink():
        return
    try:
        clearing.remove(directory, forced=True)
    except OSError as problem:
        _logger.warning("%s is left where it was: %s", directory, problem)
