"""Links (and pipes) in what git writes for all worktrees: git makes none, and would write where they lead."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

PLACES = ("logs", "refs")
DEEPEST, MOST = 32, 200_000
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_logger = logging.getLogger(__name__)


def remove_within(top: Path) -> None:
    """Remove the links in a repository's logs and refs.

    A command can put one there that leads out of its sandbox, to where the next git outside would append to a file.
    """
    left = MOST
    for place in PLACES:
        try:
            fd = os.open(top / place, FOLDER)
        except OSError:
            continue  # somebody's own arrangement; no command can have made it
        try:
            left = _remove(fd, DEEPEST, left)
        except OSError as error:
            _logger.warning("the links in %s are left as they are: %s", top / place, error)
        finally:
            os.close(fd)


def _remove(folder: int, levels: int, left: int) -> int:
    """Remove those in an open directory and below; returns how many more names are looked at."""
    with os.scandir(folder) as entries:
        found = [
            (one.name, one.is_dir(follow_symlinks=False)) for one in entries if not one.is_file(follow_symlinks=False)
        ]
    found.sort(key=lambda one: one[1])  # what is near goes before what may be too deep or too much
    for name, is_folder in found:
        if left <= 0 or levels <= 0:
            raise OSError("there is too much in it")
        left -= 1
        if is_folder:
            left = _below(folder, name, levels - 1, left)
        else:
            _unlink(folder, name)
    return left


def _below(folder: int, name: str, levels: int, left: int) -> int:
    try:
        fd = os.open(name, FOLDER, dir_fd=folder)
    except OSError:
        return left  # it is gone, as branches go
    try:
        return _remove(fd, levels, left)
    finally:
        os.close(fd)


def _unlink(folder: int, name: str) -> None:
    """Remove a link, but for one that is a ref which stands for another, as git once wrote them; pipes and such too."""
    try:
        leads = os.readlink(name, dir_fd=folder)
    except OSError:
        leads = ""  # no link
    if not leads.startswith("refs/") or ".." in leads:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
            _logger.warning("a command left %r in a git directory, which leads to %r; it is removed", name, leads)
