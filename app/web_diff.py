"""A unified diff as rows to draw: numbers, sign, coloured pieces and word marks; no markup is made here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from app import web_code

HEAD = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)")
WORDS = re.compile(r"\w+|\s+|[^\w\s]")
LONG_LINE = 2_000
LIKE = 0.4  # below this share of equal words two lines are not one line changed
PAIR_LIMIT = 400
MARK_LIMIT = 400  # tokens per line; beyond it word marks cost more than they tell


@dataclass(frozen=True)
class Piece:
    """A run of one line's text with its colour class ("" is ink) and whether its words changed."""

    text: str
    kind: str = ""
    marked: bool = False


@dataclass
class Row:
    """One line of a hunk: sign is " ", "+" or "-"; a side without the line has no number."""

    sign: str
    old: int | None
    new: int | None
    text: str
    pieces: list[Piece] = field(default_factory=list)


@dataclass
class Hunk:
    """A hunk with its head line and the function or class it stands in."""

    head: str
    place: str
    rows: list[Row] = field(default_factory=list)


def hunks(patch: str | None, path: str = "") -> list[Hunk]:
    """The hunks of one file's unified diff, coloured by the path's language and with word marks."""
    found = _parse(patch or "")
    for hunk in found:
        _colour(hunk, path)
    return found


def _parse(patch: str) -> list[Hunk]:
    found: list[Hunk] = []
    old = new = 0
    for line in patch.split("\n"):
        if match := HEAD.match(line):
            old, new = int(match[1]), int(match[2])
            found.append(Hunk(line.split(" @@", 1)[0] + " @@", match[3]))
        elif found and line[:1] in (" ", "+", "-"):
            sign = line[0]
            found[-1].rows.append(
                Row(sign, None if sign == "+" else old, None if sign == "-" else new, line[1:].rstrip("\r"))
            )
            old += sign != "+"
            new += sign != "-"
    return found


def _colour(hunk: Hunk, path: str) -> None:
    marks = _marks(hunk.rows)
    for side in ("-", "+"):
        rows = [row for row in hunk.rows if row.sign in (" ", side)]
        coloured = web_code.line_pieces("\n".join(row.text for row in rows), web_code.lexer_for(path))
        for row, pieces in zip(rows, coloured, strict=False):
            long = len(row.text) >= LONG_LINE
            row.pieces = [Piece(row.text)] if long else _cut(pieces, marks.get(id(row), []))


def _marks(rows: list[Row]) -> dict[int, list[tuple[int, int]]]:
    """Changed character ranges by row, for runs of removed lines followed by as many added ones or not."""
    marks: dict[int, list[tuple[int, int]]] = {}
    for removed, added in _runs(rows):
        for before, after in _pairs(removed, added):
            marks[id(before)], marks[id(after)] = _changed(before.text, after.text)
    return marks


def _runs(rows: list[Row]) -> list[tuple[list[Row], list[Row]]]:
    runs: list[tuple[list[Row], list[Row]]] = [([], [])]
    for row in rows:
        if row.sign == " " or (row.sign == "-" and runs[-1][1]):
            runs.append(([], []))
        if row.sign != " ":
            runs[-1][row.sign == "+"].append(row)
    return [run for run in runs if run[0] and run[1]]


def _pairs(removed: list[Row], added: list[Row]) -> list[tuple[Row, Row]]:
    """Which removed line became which added one: the likest pairs that do not cross."""
    if len(removed) * len(added) > PAIR_LIMIT:
        return list(zip(removed, added, strict=False))
    best: dict[tuple[int, int], tuple[float, list[tuple[Row, Row]]]] = {}
    for i in range(len(removed), -1, -1):
        for j in range(len(added), -1, -1):
            if i == len(removed) or j == len(added):
                best[i, j] = (0.0, [])
                continue
            likeness, tail = _likeness(removed[i].text, added[j].text), best[i + 1, j + 1]
            paired = (likeness + tail[0], [(removed[i], added[j]), *tail[1]])
            taken = paired if likeness >= LIKE else (0.0, [])
            best[i, j] = max(taken, best[i + 1, j], best[i, j + 1], key=lambda found: found[0])
    return best[0, 0][1]


def _likeness(before: str, after: str) -> float:
    match = SequenceMatcher(None, WORDS.findall(before.strip()), WORDS.findall(after.strip()), autojunk=False)
    return match.ratio() if match.quick_ratio() >= LIKE else 0.0


def _changed(before: str, after: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    old, new = WORDS.findall(before), WORDS.findall(after)
    if max(len(old), len(new)) > MARK_LIMIT:
        return [], []
    match = SequenceMatcher(None, old, new, autojunk=False)
    left: list[tuple[int, int]] = []
    right: list[tuple[int, int]] = []
    for kind, a, b, c, d in match.get_opcodes():
        if kind != "equal":
            left += _span(old, a, b)
            right += _span(new, c, d)
    return left, right


def _span(words: list[str], start: int, end: int) -> list[tuple[int, int]]:
    left = sum(map(len, words[:start]))
    return [(left, left + sum(map(len, words[start:end])))] if end > start else []


def _cut(pieces: list[tuple[str, str]], marks: list[tuple[int, int]]) -> list[Piece]:
    """Cut the coloured pieces at the edges of the marks."""
    edges = sorted({edge for mark in marks for edge in mark})
    out: list[Piece] = []
    at = 0
    for kind, text in pieces:
        inner = [edge - at for edge in edges if at < edge < at + len(text)]
        for start, end in zip([0, *inner], [*inner, len(text)], strict=True):
            marked = any(left <= at + start < right for left, right in marks)
            out.append(Piece(text[start:end], kind, marked))
        at += len(text)
    return out
