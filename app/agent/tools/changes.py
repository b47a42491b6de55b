"""What changes in one file, as a unified diff with its figures."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

WHOLE_LIMIT = 200_000
CONTEXT = 3


@dataclass(frozen=True)
class Change:
    """A change of one file; `path` is relative."""

    path: str
    before: str
    after: str
    diff: str
    additions: int
    deletions: int

    def metadata(self) -> dict[str, Any]:
        """The change in OpenCode's form; the whole texts only while they are small."""
        filediff: dict[str, Any] = {
            "file": self.path,
            "additions": self.additions,
            "deletions": self.deletions,
        }
        if len(self.before) + len(self.after) <= WHOLE_LIMIT:
            filediff |= {"before": self.before, "after": self.after}
        return {"diff": self.diff, "filediff": filediff, "diagnostics": {}}


def change(path: str, before: str, after: str) -> Change:
    """Compare two texts of a file."""
    lines = list(unified_diff(_lines(before), _lines(after), f"a/{path}", f"b/{path}", n=CONTEXT, lineterm="\n"))
    body = lines[2:]
    additions = sum(line.startswith("+") for line in body)
    deletions = sum(line.startswith("-") for line in body)
    shown = "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    return Change(path, before, after, shown, additions, deletions)


def _lines(text: str) -> list[str]:
    """Split at line feeds only, as diffs do; other line ends stay in their lines."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
