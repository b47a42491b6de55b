"""What `.rooignore` keeps from agents: paths by patterns as in .gitignore, which no rule and no preset opens.

Read with care for whoever wrote it: matching takes time in proportion to pattern and path, a class of characters hides
as any one character would, and capitals make no difference to what is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app.approvals import patterns
from app.approvals.patterns import Atom
from app.errors import Problem
from app.files.paths import Root

NAME = ".rooignore"
LARGEST = 64 * 1024
MOST = 1_000
LONGEST = 500
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


def hides_in(directory: str | Path) -> Hides:
    """Tell of paths relative to a workspace whether its file hides them; that of a folder ends in "/"."""
    lines = _parsed(_text_in(directory))
    return (lambda path: _hides(lines, path)) if lines else _hides_nothing


def told(text: str) -> str:
    """What a model is told of such a file."""
    return f"{TOLD}\n{text}"


def _hides_nothing(_path: str) -> bool:
    return False


def _text_in(directory: str | Path) -> str:
    try:
        return Root(directory).read_text(NAME, LARGEST)
    except Problem:
        return ""


def _hides(lines: Sequence[_Line], path: str) -> bool:
    """What lies in a hidden folder is hidden, whatever further patterns say of it."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    for depth in range(1, len(parts) + 1):
        is_folder = depth < len(parts) or path.endswith("/")
        said = [line for line in lines if line.fits("/".join(parts[:depth]), is_folder=is_folder)]
        if said and said[-1].hides:
            return True
    return False


@lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[_Line, ...]:
    lines = (line.rstrip("\r") for line in text.removeprefix("\ufeff").split("\n")[:MOST])
    return tuple(found for line in lines if (found := _line(line)) is not None)


def _line(text: str) -> _Line | None:
    text = re.sub(r"(?<!\\)[ \t]+$", "", text)
    if not text or text.startswith("#") or len(text) > LONGEST:
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
