"""What `.rooignore` keeps from agents: paths by patterns as in .gitignore, which no rule and no preset opens.

Read with care for whoever wrote it: matching takes time in proportion to pattern and path, and a pattern of too many
stars is none. A class of characters hides as any one character would; capitals make no difference to what is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path

from app.approvals import patterns
from app.approvals.patterns import Atom
from app.errors import Problem
from app.files.paths import Root

NAME = ".rooignore"
LARGEST = 64 * 1024
MOST = 1_000
LONGEST = 500
STARS = 16
# Steps that looking at one path may take, about half a second; one that would take more is hidden, unread.
MOST_STEPS = 50_000_000
TOLD = f"""\
{NAME} keeps these paths from you, as patterns of .gitignore: reading or changing one is refused, so do not try.
"""
Hides = Callable[[str], bool]
_TOKEN = re.compile(r"\\.|\*\*+|\[[!^]?\]?[^\]]*\]|.", re.DOTALL)


@dataclass(frozen=True)
class _Line:
    """One pattern; anchored ones speak of whole paths, others of a name in any folder."""

    globs: tuple[tuple[Atom, ...], ...]
    hides: bool
    anchored: bool
    folders_only: bool

    def fits(self, path: str, *, is_folder: bool) -> bool:
        """Whether it speaks of this path, of nothing above it or in it."""
        if self.folders_only and not is_folder:
            return False
        text = path if self.anchored else path.rpartition("/")[2]
        text = text.casefold() if self.hides else text
        return any(patterns.fits(glob, text) for glob in self.globs)


@dataclass(frozen=True, eq=False)
class _List:
    """All patterns of a file, in their order."""

    lines: tuple[_Line, ...]

    @cached_property
    def weight(self) -> int:
        """How long the patterns are that speak of whole paths, in each way that they can be read."""
        return sum(len(glob) for line in self.lines if line.anchored for glob in line.globs)

    def hides(self, path: str) -> bool:
        """Whether it hides a path; what lies in a hidden folder is, whatever further patterns say of it."""
        names = [part for part in path.split("/") if part not in ("", ".")]
        if self.weight * len(names) * len(path) > MOST_STEPS:
            return True
        if any(_hides_folder(self, above) for above in accumulate(names[:-1], "{}/{}".format)):
            return True
        return bool(names) and self.speaks_of("/".join(names), is_folder=path.endswith("/"))

    def speaks_of(self, path: str, *, is_folder: bool) -> bool:
        """Whether the last pattern that speaks of this very path hides it."""
        return next((line.hides for line in reversed(self.lines) if line.fits(path, is_folder=is_folder)), False)


@lru_cache(maxsize=4096)
def _hides_folder(found: _List, folder: str) -> bool:
    return found.speaks_of(folder, is_folder=True)


def hides_in(directory: str | Path) -> Hides:
    """Tell of paths relative to a workspace whether its file hides them; that of a folder ends in "/"."""
    found = _parsed(_text_in(directory))
    return found.hides if found.lines else _hides_nothing


def told(text: str) -> str:
    """What a model is told of such a file."""
    return f"{TOLD}\n{text}"


def _hides_nothing(_path: str) -> bool:
    return False


def _text_in(directory: str | Path) -> str:
    try:
        with Root(directory).open_read(NAME) as file:
            return file.read(LARGEST).decode("utf-8", "replace")
    except Problem:
        return ""


@lru_cache(maxsize=256)
def _parsed(text: str) -> _List:
    lines = (line.rstrip("\r") for line in text.removeprefix("\ufeff").split("\n")[:MOST])
    return _List(tuple(found for line in lines if (found := _line(line)) is not None))


def _line(text: str) -> _Line | None:
    text = re.sub(r"(?<!\\)[ \t]+$", "", text)
    if not text or text.startswith("#") or len(text) > LONGEST or text.count("*") > STARS:
        return None
    hides = not text.startswith("!")
    text = text if hides else text[1:]
    folders_only, text = text.endswith("/"), text.rstrip("/")
    anchored, text = "/" in text, text.removeprefix("/")
    if not text:
        return None
    globs = tuple(tuple(_atoms(one, hides)) for one in _variants(text.casefold() if hides else text))
    return _Line(globs, hides, anchored, folders_only)


def _variants(text: str) -> Iterator[str]:
    """A pattern with each `**/` left out and kept: it stands for no folder, too."""
    at = next((found.start() for found in re.finditer(r"(?:(?<=/)|^)\*\*/", text)), None)
    if at is None or text.count("**/") > 4:
        yield text
        return
    for rest in _variants(text[at + 3 :]):
        yield text[:at] + rest
        yield f"{text[:at]}**/{rest}"


def _atoms(text: str, hides: bool) -> Iterator[Atom]:
    for piece in _TOKEN.findall(text):
        if piece[0] == "*":
            yield Atom(kind="any" if len(piece) > 1 else "some")
        elif piece == "?" or (len(piece) > 1 and piece[0] == "[" and hides):
            yield Atom(kind="one")
        elif piece[0] == "\\":
            yield Atom(piece[-1])
        else:
            yield from (Atom(char) for char in piece)
