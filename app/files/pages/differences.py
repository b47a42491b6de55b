"""What differs from the last commit, as the pages draw it: files with patches, the first of them open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.actor import Actor
from app.files import service
from app.files.pages.places import Opened
from app.files.service import FileDiff, Hunk

CONTEXT = 3
FOLDED = 500
DRAWN = 1_500  # changed lines that are drawn at once; what comes after them opens by itself


@dataclass(frozen=True)
class Difference:
    """One file's difference: `note` says why it begins folded; `later` is where its lines come from when it opens."""

    path: str
    href: str
    status: str
    additions: int
    deletions: int
    patch: str = ""
    note: str = ""
    later: str = ""


def of(actor: Actor, opened: Opened, path: str) -> dict[str, Any]:
    """The files that differ at or beneath a path, with their lines in all."""
    found = service.diff(actor, opened.place, "git", CONTEXT, path)
    files = [_one(opened, file) for file in found] if len(found) == 1 else list(_several(opened, found))
    added, removed = sum(file.additions for file in found), sum(file.deletions for file in found)
    return {"part": "changes", "files": files, "added": added, "removed": removed}


def patch_of(hunks: Iterable[Hunk]) -> str:
    """Spell the hunks as a patch."""
    lines: list[str] = []
    for hunk in hunks:
        lines.append(f"@@ -{hunk.old_start},{hunk.old_lines} +{hunk.new_start},{hunk.new_lines} @@")
        lines += hunk.lines
    return "\n".join(lines)


def _several(opened: Opened, found: list[FileDiff]) -> Iterable[Difference]:
    room = DRAWN
    for file in found:
        lines = file.additions + file.deletions
        if lines > FOLDED:
            yield _later(opened, file, f"over {FOLDED} lines, folded")
        elif lines > room:
            yield _later(opened, file, "folded")
        else:
            room -= lines
            yield _one(opened, file)


def _one(opened: Opened, file: FileDiff) -> Difference:
    note = "" if file.hunks else "binary, empty or too large to compare"
    return Difference(*_facts(opened, file), patch=patch_of(file.hunks), note=note)


def _later(opened: Opened, file: FileDiff, note: str) -> Difference:
    return Difference(*_facts(opened, file), note=note, later=opened.url(file.path, view="changes", only="1"))


def _facts(opened: Opened, file: FileDiff) -> tuple[str, str, str, int, int]:
    href = opened.url(file.path, view="changes" if file.status == "deleted" else None)
    return file.path, href, file.status, file.additions, file.deletions
