"""Which language servers there are: for which files, by which command, and where their roots begin.

Only commands of this machine are taken, and only such as run nothing of what they read: many servers load a project's
own tools, macros or build scripts, and an agent that may edit but not run commands could run some by writing them.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from app.processes.spawn import search_path


@dataclass(frozen=True)
class Server:
    """A language server: its id, the languages of the endings of files it knows, its command, the marks of a root.

    `install` is the command that brings it to a machine.
    """

    id: str
    languages: dict[str, str]
    command: tuple[str, ...]
    marks: tuple[str, ...]
    install: str = ""


_PYTHON = {".py": "python", ".pyi": "python"}
_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "pyrightconfig.json")
SERVERS = (Server("basedpyright", _PYTHON, ("basedpyright-langserver", "--stdio"), _MARKS, "pip install basedpyright"),)


def serving(path: str, top: Path) -> Server | None:
    """The first server that knows this kind of file and is installed outside of the project at `top`."""
    ending = Path(path).suffix.lower()
    known = (server for server in SERVERS if ending in server.languages)
    return next((server for server in known if binary(server, top) is not None), None)


def binary(server: Server, top: Path) -> Path | None:
    """Where a server's command lies; None if nowhere, or only in the project."""
    return installed(server.command[0], top)


def installed(command: str, *tops: Path) -> Path | None:
    """Where a command lies; None if nowhere, or only in one of these directories of a project."""
    named = shutil.which(command, path=search_path())
    if named is None:
        return None
    found = Path(named)
    places = {*found.parents, *found.resolve().parents}
    return None if places.intersection(tops) else found


def missing(server: Server, top: Path) -> str:
    """Why a server cannot begin for the project at `top`, in a sentence; nothing if its command is there."""
    if binary(server, top) is not None:
        return ""
    if shutil.which(server.command[0], path=search_path()) is None:
        return f"{server.command[0]} is not installed on this server."
    return f"{server.command[0]} lies in the project itself, which is never run: whoever edits could change it."


def root_of(server: Server, path: Path, top: Path) -> Path:
    """The nearest directory above a file that bears a mark, within the project; else the project's own."""
    for directory in path.parents:
        if not directory.is_relative_to(top):
            break
        if any((directory / mark).is_file() for mark in server.marks):
            return directory
    return top
