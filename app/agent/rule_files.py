"""Roo's rule files of a mode, and those of all modes: folders of them, or the older single files.

Whatever lies in such a folder counts, however deep and whatever it is called, but for what programs leave behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from app.agent import instruction_files
from app.agent.instruction_files import Found, join, scan
from app.files.paths import Root

MODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
OLDER = (".roorules", ".clinerules")
DEEPEST = 8
LINKS = 5
LOOKED_AT = 2_000
MOST = 50
_LEFT_BEHIND = frozenset(
    (
        ".bak", ".cache", ".crdownload", ".db", ".dmp", ".dump", ".eslintcache", ".lock", ".log", ".old", ".orig",
        ".part", ".partial", ".pyc", ".pyo", ".rej", ".sqlite", ".stackdump", ".swo", ".swp", ".temp", ".tmp",
    )
)  # fmt: skip
_NO_RULES = frozenset((".ds_store", "thumbs.db", "desktop.ini"))


def of_mode(project: Root, folders: Sequence[str], mode: str) -> list[Found]:
    """The rules of one mode in the folders from a project's root down to where an agent works."""
    return _of(project, folders, f"-{mode}") if MODE.fullmatch(mode) else []


def of_all(project: Root, folders: Sequence[str]) -> list[Found]:
    """The rules of all modes, from the same places."""
    return _of(project, folders, "")


def _of(project: Root, folders: Sequence[str], kind: str) -> list[Found]:
    """Those of who runs the server first; a single file counts only where there is no folder that says something."""
    found = list(_in_folder(Root(Path.home()), f".roo/rules{kind}", own=True))
    is_there = bool(found)
    for folder in folders:
        own = list(_in_folder(project, join(folder, f".roo/rules{kind}")))
        found += own if own or is_there else _older(project, folder, kind)
    return found


def _older(project: Root, folder: str, kind: str) -> list[Found]:
    files = (Found(project, join(folder, name + kind)) for name in OLDER)
    return next(([file] for file in files if instruction_files.read(file)), [])


def _in_folder(place: Root, folder: str, *, own: bool = False) -> Iterator[Found]:
    """The rules of a folder and all below it, by name."""
    paths = sorted(_files(place, folder), key=lambda path: (PurePosixPath(path).name.casefold(), path))
    files = (Found(place, path, own) for path in paths)
    found = (file for file in files if instruction_files.read(file) and instruction_files.is_text(file))
    return islice(found, MOST)


def _files(place: Root, folder: str) -> Iterator[str]:
    """The files that may be rules; links are followed inside the root, few of them one after another."""
    left = [LOOKED_AT]

    def walk(at: str, depth: int, links: int) -> Iterator[str]:
        for entry in scan(place, at):
            left[0] -= 1
            hops = links + entry.is_link
            if left[0] < 0 or hops > LINKS:
                return
            if not entry.is_dir and _is_rule(entry.name):
                yield entry.path
            elif entry.is_dir and depth < DEEPEST:
                yield from walk(entry.path, depth + 1, hops)

    return walk(folder, 1, 0)


def _is_rule(name: str) -> bool:
    folded = name.casefold()
    return (
        folded not in _NO_RULES
        and PurePosixPath(folded).suffix not in _LEFT_BEHIND
        and folded not in _LEFT_BEHIND
        and not folded.endswith("~")
    )
