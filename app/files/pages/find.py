"""Finding in a place: files by the letters of their names, and lines by their words."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from flask import Response, request

from app import web
from app.actor import Actor
from app.errors import Invalid
from app.files import bp, service
from app.files.pages import places, show
from app.files.pages.places import Opened
from app.files.service import Match

NAMES = 50
AT_ONCE = 12  # names in the list under the field
LINES = 300
LONGEST = 200
AROUND = 160

Marked = list[tuple[str, bool]]


@dataclass(frozen=True)
class Name:
    """A path that the letters may mean, with those letters marked."""

    path: str
    href: str
    folder: Marked
    name: Marked
    letter: str


@dataclass(frozen=True)
class Line:
    """A line that matches: its number, where it is, and its text with the hits marked."""

    number: int
    href: str
    text: Marked


@dataclass(frozen=True)
class Found:
    """The lines of one file."""

    path: str
    href: str
    lines: list[Line]


@bp.get("/browse/find/<key>")
def find(key: str) -> Response:
    """What the words mean in this place: file names, or lines of text."""
    actor = web.actor()
    opened = places.find(actor, key)
    words = request.args.get("q", "").strip()[:LONGEST]
    where = "text" if request.args.get("in") == "text" else "name"
    context: dict[str, Any] = {
        "opened": opened,
        "asked": words,
        "where": where,
        "is_regex": bool(request.args.get("regex")),
        "problem": "",
        "names": [],
        "matched": [],
        "hits": 0,
        "spent": 0.0,
    }
    began = time.perf_counter()
    if words and where == "name":
        context["names"] = _names(actor, opened, words, AT_ONCE if web.is_htmx() else NAMES)
    elif words:
        context |= _text(actor, opened, words, is_regex=context["is_regex"])
    context["spent"] = 1000 * (time.perf_counter() - began)
    if web.is_htmx():
        return web.page("files/_hits.html", **context)
    standing = service.standing(actor, opened.place)
    context |= {"part": "find", "view": "find", "is_dir": True, **show.around(actor, opened, "", standing)}
    tree = show.tree_to(actor, opened, standing)
    return web.page("files/index.html", **context, tree=tree, ignored=show.dimmed(actor, opened, tree))


def _names(actor: Actor, opened: Opened, words: str, limit: int) -> list[Name]:
    standing = service.standing(actor, opened.place)
    return [
        _name(opened, path, words, standing.letter(path))
        for path in service.find_files(actor, opened.place, words, kind="file", limit=limit)
    ]


def _name(opened: Opened, path: str, words: str, letter: str) -> Name:
    marks = letters(path, words)
    cut = path.rfind("/") + 1
    folder = pieces(path[:cut], {at for at in marks if at < cut})
    return Name(path, opened.url(path), folder, pieces(path[cut:], {at - cut for at in marks if at >= cut}), letter)


def _text(actor: Actor, opened: Opened, words: str, *, is_regex: bool) -> dict[str, Any]:
    try:
        found = service.find_text(actor, opened.place, words, LINES, is_literal=not is_regex)
    except Invalid as problem:
        return {"problem": problem.message}
    by_file = [
        Found(path, opened.url(path), [_line(opened, match) for match in matches])
        for path, matches in groupby(found, key=lambda match: match.path)
    ]
    return {"matched": by_file, "hits": len(found), "is_cut": len(found) >= LINES}


def _line(opened: Opened, match: Match) -> Line:
    href = f"{opened.url(match.path, at=match.line_number)}#L{match.line_number}"
    return Line(match.line_number, href, spans(match))


def spans(match: Match) -> Marked:
    """The line with what matched marked, without the space before it; a long one begins near its first hit."""
    raw = match.line.rstrip("\r\n").encode()
    cut = len(raw) - len(raw.lstrip())
    first = match.spans[0][1] if match.spans else 0
    begin = cut if first - cut < AROUND else first - AROUND // 2
    out: Marked = [("…", False)] if begin > cut else []
    at, end = begin, min(len(raw), begin + 2 * AROUND)
    for _text, left, right in match.spans:
        if begin <= left < end:
            out += [(_decode(raw[at:left]), False), (_decode(raw[left : min(right, end)]), True)]
            at = min(right, end)
    out.append((_decode(raw[at:end]) + ("…" if end < len(raw) else ""), False))
    return [piece for piece in out if piece[0]]


def letters(path: str, words: str) -> set[int]:
    """Which letters of a path are those of the words: together in its name, else anywhere, else one after the other."""
    wanted, low = "".join(words.lower().split()), path.lower()
    at = low.rfind(wanted) if low.rfind(wanted) > low.rfind("/") else low.find(wanted)
    if at >= 0:
        return set(range(at, at + len(wanted)))
    in_name = _scattered(low, wanted, low.rfind("/") + 1)
    return in_name or _scattered(low, wanted, 0)


def pieces(text: str, marks: Iterable[int]) -> Marked:
    """The text cut where marked letters begin and end."""
    marked = set(marks)
    return [
        ("".join(letter for _at, letter in group), is_marked)
        for is_marked, group in groupby(enumerate(text), key=lambda one: one[0] in marked)
    ]


def _scattered(text: str, wanted: str, begin: int) -> set[int]:
    found = list(_each(text, wanted, begin))
    return set(found) if len(found) == len(wanted) else set()


def _each(text: str, wanted: str, begin: int) -> Iterator[int]:
    at = begin - 1
    for letter in wanted:
        at = text.find(letter, at + 1)
        if at < 0:
            return
        yield at


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
