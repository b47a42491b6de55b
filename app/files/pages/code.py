"""A file's lines as coloured pieces, made as far as somebody has looked, and the signs beside those that changed."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from app import web_code
from app.files.service import Hunk, Sight

PART = 300
COLOURED = 400_000
AHEAD = 400  # lines that are coloured to get at those which are asked for; beyond it a place near them must do
BACK = 200
INNER = " \t}])\"'#*/<`"  # with which no line begins where a statement does
LONGEST = 2_000
KEPT = 1_500_000  # characters of the texts that are remembered
BIDI = re.compile("([\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])")
# Control characters are shown by their pictures; they would do nothing, or hide something.
PICTURES = {code: 0x2400 + code for code in range(32) if code not in (9, 10)} | {0x7F: 0x2421}
PICTURES |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)

Pieces = list[tuple[str, str]]


@dataclass(frozen=True)
class Row:
    """One line: its number, its sign against the last commit ("" for none), and its pieces."""

    number: int
    sign: str
    pieces: Pieces


@dataclass(frozen=True)
class Part:
    """The rows that are shown at once, of so many lines."""

    rows: list[Row]
    first: int
    lines: int

    @property
    def last(self) -> int:
        """The number of the last row."""
        return self.first + len(self.rows) - 1


@dataclass
class Coloured:
    """A text that is coloured from its beginning on, as far as it is asked for."""

    text: str
    name: str
    rows: list[Pieces] = field(default_factory=lambda: [[]])
    is_whole: bool = False

    def __post_init__(self) -> None:
        self.lines = lines_of(self.text)
        self._lock = threading.Lock()
        self._tokens = self._begin()

    def upto(self, last: int) -> list[Pieces]:
        """The rows so far, at least up to this line if there are so many."""
        with self._lock:
            while not self.is_whole and len(self.rows) <= last:
                self._go_on()
            return self.rows

    def is_near(self, last: int) -> bool:
        """Whether little has to be coloured before this line."""
        return self.is_whole or last <= len(self.rows) + AHEAD

    def _begin(self) -> Iterator[tuple[str, str]]:
        if len(self.text) > COLOURED or max(map(len, self.lines), default=0) > LONGEST:
            return iter([("", self.text)])
        return web_code.tokens(self.text, self.name)

    def _go_on(self) -> None:
        token = next(self._tokens, None)
        if token is None:
            self.is_whole = True
            return
        name, text = token
        first, *rest = text.split("\n")
        _join(self.rows[-1], name, first)
        self.rows.extend([(name, part)] if part else [] for part in rest)


_known: OrderedDict[tuple[str, str], Coloured] = OrderedDict()
_lock = threading.Lock()


def part_of(sight: Sight, hunks: Iterable[Hunk], at: int) -> Part:
    """The part of a file that holds this line; the first where there is no such line."""
    coloured = _coloured(sight)
    lines = len(coloured.lines)
    first = 1 + (at - 1) // PART * PART if 1 <= at <= lines else 1
    last = min(lines, first + PART - 1)
    signs = signs_of(hunks)
    pieces = coloured.upto(last)[first - 1 : last] if coloured.is_near(last) else _from_near(coloured, first, last)
    is_odd = BIDI.search(sight.text) is not None
    rows = [
        Row(number, signs.get(number, ""), list(_shown(one)) if is_odd else one)
        for number, one in enumerate(pieces, first)
    ]
    return Part(rows, first, lines)


def _from_near(coloured: Coloured, first: int, last: int) -> list[Pieces]:
    """The rows, coloured from the last line before them at which a statement seems to begin."""
    starts = range(first - 1, max(0, first - 1 - BACK), -1)
    start = next((at for at in starts if coloured.lines[at][:1] not in INNER), first - 1)
    near = Coloured("\n".join(coloured.lines[start:last]), coloured.name)
    return near.upto(last - start)[first - 1 - start :]


def lines_of(text: str) -> list[str]:
    """Cut a text at its line feeds; what follows the last one counts only if there is something."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def signs_of(hunks: Iterable[Hunk]) -> dict[int, str]:
    """The sign of each line that is new or changed, or below which lines went."""
    signs: dict[int, str] = {}
    for hunk in hunks:
        number, gone = hunk.new_start, 0
        for line in hunk.lines:
            if line[0] == "-":
                gone += 1
            elif line[0] == "+":
                signs[number] = "~" if gone else "+"
                gone = max(0, gone - 1)
                number += 1
            elif line[0] == " ":
                if gone:
                    signs.setdefault(max(1, number - 1), "\N{MINUS SIGN}")
                number, gone = number + 1, 0
        if gone:
            signs.setdefault(max(1, number - 1), "\N{MINUS SIGN}")
    return signs


def _coloured(sight: Sight) -> Coloured:
    """The text of a file, coloured as far as it was looked at before."""
    text = sight.text.removeprefix("\ufeff").replace("\r\n", "\n").translate(PICTURES)
    name = PurePosixPath(sight.path).name
    key = (sight.stamp, name)
    if not sight.stamp:
        return Coloured(text, name)
    with _lock:
        found = _known.pop(key, None) or Coloured(text, name)
        _known[key] = found
        while len(_known) > 1 and sum(len(one.text) for one in _known.values()) > KEPT:
            _known.popitem(last=False)
    return found


def _join(row: Pieces, name: str, text: str) -> None:
    if row and row[-1][0] == name:
        row[-1] = (name, row[-1][1] + text)
    elif text:
        row.append((name, text))


def _shown(pieces: Pieces) -> Iterator[tuple[str, str]]:
    """What turns the direction of a text is shown by its name, so that it hides nothing."""
    for name, text in pieces:
        for odd, piece in enumerate(BIDI.split(text)):
            if piece:
                yield ("ctl", f"U+{ord(piece):04X}") if odd % 2 else (name, piece)
