"""Removing directories that commands have filled: however deep they are, and never through a link."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

DEEPEST = 100  # levels that are held open; what lies deeper is first moved to the top, where a name is short again
MOVED = ".signalcabin-"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(path: Path, *, forced: bool = False) -> None:
    """Remove a directory and all in it (see `remove_from`)."""
    above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_from(above, path.name, forced=forced)
    finally:
        os.close(above)


def remove_from(folder: int, name: str, *, forced: bool = False) -> None:
    """Remove the directory of this name in an open one, and all in it.

    `forced` opens what is closed even to us, its owner. What can't be removed is left, and the first OSError raised.
    """
    problems: list[OSError] = []
    left = [name]
    while left:
        try:
            _remove(folder, left.pop(), forced, left, problems)
        except OSError as problem:
            problems.append(problem)
    if problems:
        raise problems[0]


def _remove(folder: int, name: str, forced: bool, left: list[str], problems: list[OSError]) -> None:
    """Remove a directory; what lies too deep in it is moved into `folder`, under names that `left` tells."""
    way, names = [_enter(folder, name, forced)], [name]
    try:
        inside = [os.listdir(way[-1])]  # noqa: PTH208 - of a descriptor
        while way:
            here = way[-1]
            try:
                if not inside[-1]:
                    inside.pop()
                    os.close(way.pop())
                    os.rmdir(names.pop(), dir_fd=way[-1] if way else folder)
                elif not _is_folder(one := inside[-1].pop(), here):
                    os.unlink(one, dir_fd=here)
                elif len(way) == DEEPEST:
                    os.close(_enter(here, one, forced))  # who moves a directory must be able to write in it
                    moved = MOVED + secrets.token_hex(12)
                    os.rename(one, moved, src_dir_fd=here, dst_dir_fd=folder)
                    left.append(moved)
                else:
                    way.append(_enter(here, one, forced))
                    names.append(one)
                    inside.append([])
                    inside[-1] = os.listdir(way[-1])  # noqa: PTH208
            except FileNotFoundError:
                continue  # removed by somebody else meanwhile
            except OSError as problem:
                problems.append(problem)
    finally:
        for fd in way:
            os.close(fd)


def _is_folder(name: str, folder: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _enter(folder: int, name: str, forced: bool) -> int:
    """Open a directory, but no link to one."""
    try:
        fd = os.open(name, FOLDER, dir_fd=folder)
    except PermissionError:
        if not forced:
            raise
        _open_up(folder, name)
        return os.open(name, FOLDER, dir_fd=folder)
    if forced:
        with contextlib.suppress(PermissionError):
            os.fchmod(fd, stat.S_IRWXU)
    return fd


def _open_up(folder: int, name: str) -> None:
    """Let us in; a link that takes the directory's place is not followed."""
    if not hasattr(os, "O_PATH"):
        os.chmod(name, stat.S_IRWXU, dir_fd=folder, follow_symlinks=False)
        return
    fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        Path(f"/proc/self/fd/{fd}").chmod(stat.S_IRWXU)
    finally:
        os.close(fd)
