"""In which directory of a place a command starts, by the name that people and commands have for it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from app import config
from app.errors import Denied, Invalid
from app.processes.sandbox import HOME_ALIAS, Place
from app.processes.toolchains import SCRATCH_ALIAS

LONGEST = 4096


def directory(place: Place, start: Path, name: str | None) -> Path:
    """The directory as commands see it: `start` without a name; a relative name is below it.

    `~` and `/home/user` are the workspace, `/tmp` its scratch directory, and its own path is taken as it is.
    Raises Invalid for what is no directory, Denied for what lies outside or leads there.
    """
    if not name:
        return start
    place.prepare()
    if len(name) > LONGEST or not name.isprintable() or (name.startswith("~") and name[:2] not in ("~", "~/")):
        raise Invalid("This is no name of a directory.", "cwd")
    found = Path(os.path.normpath(_on_this_machine(place, start, name)))
    roots = (*place.roots, place.home, place.scratch)
    if not any(found.is_relative_to(root) and found.resolve().is_relative_to(root) for root in roots):
        raise Denied(f"{name} is outside the workspace.")
    if not found.is_dir():
        raise Invalid(f"There is no directory {name}.", "cwd")
    if found.is_relative_to(place.scratch):  # commands know it by no other name
        return SCRATCH_ALIAS / found.relative_to(place.scratch)
    return found


def _on_this_machine(place: Place, start: Path, name: str) -> Path:
    if name.startswith("~"):
        return place.workspace / name[2:]
    path = Path(name)
    for alias, root in ((HOME_ALIAS, place.workspace), (SCRATCH_ALIAS, place.scratch)):
        if path.is_relative_to(alias) and not any(path.is_relative_to(own) for own in place.roots):
            return root / path.relative_to(alias)
    return start / path


def is_elsewhere(name: str, roots: Iterable[Path]) -> bool:
    """Whether a name is an absolute path of this machine, not one that every place has; a root in /tmp goes first."""
    path = Path(os.path.normpath(name))
    if not path.is_absolute() or path.is_relative_to(HOME_ALIAS):
        return False
    ours = (*roots, config.current().data_dir.resolve())
    return not path.is_relative_to(SCRATCH_ALIAS) or any(path.is_relative_to(root) for root in ours)
