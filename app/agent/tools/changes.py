"""What changes in one file, as a unified diff with its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

WHOLE_LIMIT = 200_000
CONTEXT = 3


@dataclass(frozen=True)
class Change:
    """A change of one file: its path relative to the root, its text before and after (None: no file), the diff.

    `to` is the path it is moved to, if it is. `note` is what a formatter did to the text after, or why it did not.
    """

    path: str
    before: str | None
    after: str | None
    diff: str
    additions: int
    deletions: int
    to: str = ""
    note: str = ""

    @property
    def kind(self) -> str:
        """What happens to the file: add, update, delete or move."""
        if self.before is None or self.after is None:
            return "add" if self.before is None else "delete"
        return "move" if self.to else "update"

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths that it touches."""
        return (self.path, self.to) if self.to else (self.path,)

    def metadata(self) -> dict[str, Any]:
        """The change in OpenCode's form; the whole texts only while they are small."""
        before, after = self.before or "", self.after or ""
        filediff: dict[str, Any] = {"file": self.path, "additions": self.additions, "deletions": self.deletions}
        if len(before) + len(after) <= WHOLE_LIMIT:
            filediff |= {"before": before, "after": after}
        return {"diff": self.diff, "filediff": filediff, "diagnostics": {}}


def change(path: str, before: str | None, after: str | None, to: str = "", note: str = "") -> Change:
    """Compare two texts of a file."""
    names = f"a/{path}", f"b/{to or path}"
    lines = list(unified_diff(_lines(before or ""), _lines(after or ""), *names, n=CONTEXT, lineterm="\n"))
    body = lines[2:]
    additions = sum(line.startswith("+") for line in body)
    deletions = sum(line.startswith("-") for line in body)
    shown = "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    return Change(path, before, after, shown, additions, deletions, to, note)


def figures(changes: Sequence[Change]) -> tuple[int, int]:
    """The lines that all of them add and remove."""
    return sum(one.additions for one in changes), sum(one.deletions for one in changes)


def _lines(text: str) -> list[str]:
    """Split at line feeds only, as diffs do; other line ends stay in their lines."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
