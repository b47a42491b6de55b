"""OpenCode's patch format: sections of files with hunks, which are found by their lines instead of by numbers.

Pure. Whatever is not quite of the form is refused: a patch may change only the files that its decision named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.agent.tools.tool import ToolError

BEGIN, END = "*** Begin Patch", "*** End Patch"
ADD, UPDATE, DELETE, MOVE = "*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: "
END_OF_FILE = "*** End of File"
NUMBERS = re.compile(r"@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@.*")
Kind = Literal["add", "update", "delete"]


@dataclass(frozen=True)
class Hunk:
    """One place of a file: lines with their sign (blank, - or +), and lines above it, in order, as anchors.

    `at_end`: its lines are the last of the file.
    """

    lines: tuple[tuple[str, str], ...]
    anchors: tuple[str, ...] = ()
    at_end: bool = False

    @property
    def old(self) -> list[str]:
        """The lines that must be there."""
        return [text for sign, text in self.lines if sign != "+"]


@dataclass(frozen=True)
class Section:
    """What a patch does to one file: its text if it is added, its hunks and new path if it is updated."""

    kind: Kind
    path: str
    text: str = ""
    to: str = ""
    hunks: tuple[Hunk, ...] = ()


def parse(patch: str) -> list[Section]:
    """The sections of a patch; ToolError names the line that is not of the form."""
    lines = [line.removesuffix("\r") for line in patch.strip().split("\n")]
    if lines[0].strip() != BEGIN or lines[-1].strip() != END or len(lines) < 2:
        raise ToolError(f"A patch begins with the line {BEGIN!r} and ends with the line {END!r}.")
    return _Reader(lines[1:-1]).sections()


def apply(path: str, text: str, hunks: Sequence[Hunk]) -> str:
    """The text with every hunk applied, in order; ToolError for one that does not fit, or fits more than once."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines = [line for line in re.split(r"(?<=\n)", text) if line]
    result: list[str] = []
    at = 0
    for number, hunk in enumerate(hunks, 1):
        start = _find(lines, at, hunk, f"Hunk {number} of {path}")
        result += lines[at:start]
        at = start
        for sign, line in hunk.lines:
            if sign == "+":
                result.append(line + end)
            else:
                result += lines[at : at + 1] if sign == " " else []
                at += 1
    return _joined([*result, *lines[at:]], end, is_open=bool(text) and not text.endswith("\n"))


def _joined(lines: list[str], end: str, *, is_open: bool) -> str:
    """The lines as a text that ends as the file did: with a line end, or open."""
    closed = "".join(line if line.endswith("\n") else line + end for line in lines)
    return closed.removesuffix(end) if is_open else closed


def _find(lines: list[str], start: int, hunk: Hunk, name: str) -> int:
    """Where the hunk's old lines stand, from a line on; blanks at the ends of lines count only if they can."""
    bare = [line.rstrip() for line in lines]
    for anchor in hunk.anchors:
        start = _below(bare, start, anchor, name)
    old = hunk.old
    if not old:
        return start if hunk.anchors else len(lines)
    if hunk.anchors and old[0].strip() == hunk.anchors[-1]:
        start -= 1  # the hunk repeats its anchor
    if hunk.at_end:
        start = max(start, len(lines) - len(old))
    exact = _places([line.rstrip("\r\n") for line in lines], start, old)
    found = exact or _places(bare, start, [line.rstrip() for line in old])
    if not found:
        raise ToolError(f"{name} does not fit: its lines are not there.{_near(bare, old)}")
    if len(found) > 1 and not hunk.anchors:
        places = ", ".join(str(place + 1) for place in found[:5])
        raise ToolError(
            f"{name} fits at {len(found)} places (lines {places}). Give more lines around it, or an @@ line."
        )
    return found[0]


def _below(bare: list[str], start: int, anchor: str, name: str) -> int:
    for place in range(start, len(bare)):
        if bare[place].strip() == anchor:
            return place + 1
    raise ToolError(f"{name} does not fit: there is no line {anchor!r} for its @@.")


def _places(lines: list[str], start: int, old: list[str]) -> list[int]:
    last = len(lines) - len(old)
    return [place for place in range(start, last + 1) if lines[place : place + len(old)] == old]


def _near(bare: list[str], old: list[str]) -> str:
    wanted, lines = [line.strip() for line in old], [line.strip() for line in bare]
    for place in _places(lines, 0, wanted)[:1]:
        return (
            f" The same words stand at line {place + 1}, with other blanks or above the hunk before; copy them exactly."
        )
    return ""


class _Reader:
    """Reads the lines between a patch's first and last."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0

    def sections(self) -> list[Section]:
        found = []
        while self._at < len(self._lines):
            found.append(self._section())
        if not found:
            raise ToolError("The patch names no file.")
        return found

    def _section(self) -> Section:
        line = self._next()
        if line.startswith(ADD):
            return Section("add", _path(line, ADD), text=self._added())
        if line.startswith(DELETE):
            return Section("delete", _path(line, DELETE))
        if line.startswith(UPDATE):
            return self._updated(_path(line, UPDATE))
        raise self._wrong(line, "a line that begins with *** Add File: , *** Update File: or *** Delete File: ")

    def _added(self) -> str:
        lines = []
        while not self._is_header():
            line = self._next()
            if not line.startswith("+"):
                raise self._wrong(line, "a line of the new file, beginning with +")
            lines.append(line[1:])
        return "".join(f"{line}\n" for line in lines)

    def _updated(self, path: str) -> Section:
        to = _path(self._next(), MOVE) if self._peek().startswith(MOVE) else ""
        hunks = []
        while not self._is_header():
            hunks.append(self._hunk())
        if not hunks and not to:
            raise ToolError(f"The patch says nothing of what to change in {path}.")
        return Section("update", path, to=to, hunks=tuple(hunks))

    def _hunk(self) -> Hunk:
        anchors = []
        while self._peek().startswith("@@"):
            line = self._next()
            anchors += [] if NUMBERS.fullmatch(line) or not line[2:].strip() else [line[2:].strip()]
        lines: list[tuple[str, str]] = []
        at_end = False
        blanks = 0  # empty lines at the end part hunks and sections; they are no context
        while not self._is_header() and not self._peek().startswith("@@") and not at_end:
            line = self._next()
            blanks = blanks + 1 if line == "" else 0
            if line.strip() == END_OF_FILE:
                at_end = True
            elif line[:1] in (" ", "-", "+"):
                lines.append((line[0], line[1:]))
            elif line == "":
                lines.append((" ", ""))
            else:
                raise self._wrong(line, "a line that begins with a blank, - or +")
        lines = lines[: len(lines) - blanks]
        if all(sign == " " for sign, _text in lines):
            raise self._wrong("".join(self._lines[self._at - 1 : self._at]), "a hunk that adds or removes lines")
        return Hunk(tuple(lines), tuple(anchors), at_end)

    def _is_header(self) -> bool:
        return self._at >= len(self._lines) or self._peek().startswith((ADD, UPDATE, DELETE))

    def _peek(self) -> str:
        return self._lines[self._at] if self._at < len(self._lines) else ""

    def _next(self) -> str:
        self._at += 1
        return self._lines[self._at - 1]

    def _wrong(self, line: str, wanted: str) -> ToolError:
        shown = line if len(line) <= 80 else f"{line[:80]}…"
        return ToolError(f"Line {self._at + 1} of the patch is {shown!r}; wanted is {wanted}.")


def _path(line: str, header: str) -> str:
    path = line.removeprefix(header).strip()
    if not path:
        raise ToolError(f"There is no path after {header.strip()!r}.")
    return path
