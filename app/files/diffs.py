"""What differs in a working tree from a commit, with patches: its last one, or the one where its branch began."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app import git
from app.errors import Problem, Unavailable
from app.files import changes
from app.files.changes import LARGEST, TOTAL, Hunk, Status
from app.files.paths import Root

MOST = 400
Mode = Literal["git", "branch"]


@dataclass(frozen=True)
class FileDiff:
    """A file that differs, relative to the place; without hunks it is binary, or too large to compare."""

    path: str
    status: Status
    additions: int
    deletions: int
    hunks: tuple[Hunk, ...]


def diff(directory: Path, mode: Mode, context: int, is_shown: Callable[[str], bool]) -> list[FileDiff]:
    """Return the files beneath a directory that differ, at most MOST, by path; none without git.

    `git` compares with the last commit, `branch` with where the branch left the default one; `is_shown` is asked for
    each path. Raises Unavailable.
    """
    top = git.find_toplevel(directory)
    if top is None:
        return []
    try:
        base = "HEAD" if mode == "git" else git.merge_base(top)
        names = changes.names_since(top, directory, base)
        paths = [path for path in names if is_shown(path)][:MOST]
        blobs = changes.blobs(directory, base, paths)
        room, small = TOTAL, {}
        for path, (name, size) in blobs.items():
            if size <= min(LARGEST, room):
                small[path], room = (name, size), room - size
        before = changes.contents(directory, small)
    except git.GitFailed as failure:
        raise Unavailable(f"git can't tell what changed: {failure.reason}") from None
    root = Root(directory)
    found = (_file(root, path, path in blobs, before.get(path), context) for path in paths)
    return [one for one in found if one is not None]


def _file(root: Root, path: str, was: bool, before: bytes | None, context: int) -> FileDiff | None:
    """One file's difference; None where there is none, as after a change that was taken back."""
    here = _is_file(root, path)
    if not (was or here):
        return None
    status: Status = "modified" if was and here else "deleted" if was else "added"
    shown = changes.shown(path)
    old = before if was else b""
    new = _content(root, path) if here else b""
    if old is None or new is None or b"\0" in old or b"\0" in new:
        return FileDiff(shown, status, 0, 0, ())
    if old == new and was and here:
        return None
    hunks = tuple(changes.compare(old.decode("utf-8", "replace"), new.decode("utf-8", "replace"), context))
    lines = [line[0] for hunk in hunks for line in hunk.lines]
    return FileDiff(shown, status, lines.count("+"), lines.count("-"), hunks)


def _is_file(root: Root, path: str) -> bool:
    try:
        return root.exists(path) and not root.stat(path).is_dir
    except Problem:
        return False


def _content(root: Root, path: str) -> bytes | None:
    """A file as it is now; None for what is large or cannot be read."""
    try:
        return root.read_bytes(path, LARGEST)
    except Problem:
        return None
