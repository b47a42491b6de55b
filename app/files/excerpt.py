"""Lines of a text with their numbers, as models read files."""

from __future__ import annotations

from dataclasses import dataclass

LINES = 2_000
BYTES = 50_000
LONGEST_LINE = 2_000


@dataclass(frozen=True)
class Excerpt:
    """The numbered lines `first` to `last` of a text of so many; `last` is `first - 1` for none."""

    text: str
    first: int
    last: int
    lines: int

    @property
    def is_cut(self) -> bool:
        """Whether more lines follow."""
        return self.last < self.lines


def excerpt(text: str, first: int = 1, limit: int = LINES) -> Excerpt:
    """As many lines from the first wanted on as are wanted and fit, with a word on what follows."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    shown: list[str] = []
    size = 0
    for number, line in enumerate(lines[first - 1 : first - 1 + min(limit, LINES)], first):
        row = f"{number:>5}| {_cut(line)}"
        size += len(row.encode()) + 1
        if size > BYTES and shown:
            break
        shown.append(row)
    last = first + len(shown) - 1
    told = "\n".join(["<file>", *shown, _end(len(lines), last), "</file>"])
    return Excerpt(told, first, last, len(lines))


def _cut(line: str) -> str:
    line = line.removesuffix("\r")
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} [... cut]"


def _end(lines: int, last: int) -> str:
    if last < lines:
        return f"\n(The file has {lines} lines. Read on with offset {last + 1}.)"
    return f"\n(End of file, {lines} lines)" if lines else "(The file is empty)"
