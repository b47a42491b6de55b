"""What a person sees of a place: how each name stands in git, a file's text as far as it goes, what goes with it."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app import git
from app.lately import Lately

FRESH = 2.0
SHOWN = 1024 * 1024
LINES_OF_LARGE = 2_000
MARKS = "DA?M"  # what a folder shows of what it holds: the last of these that is there


@dataclass(frozen=True)
class Sight:
    """A file as it is shown: its text, cut after SHOWN bytes or 2,000 lines if it has more; none when it is binary.

    `stamp` is a digest of its bytes, "" when it is cut; `mtime` in unix ms; `ends` is what its lines end in: "lf",
    "crlf" or "mixed".
    """

    path: str
    size: int
    mtime: int
    mime: str
    text: str = ""
    is_binary: bool = False
    is_cut: bool = False
    stamp: str = ""
    ends: str = "lf"


@dataclass(frozen=True)
class Standing:
    """How a place stands in git: its branch ("" when none), and the letter of each path that differs from HEAD.

    M changed, A added, ? untracked, D deleted; folders have the letter of what they hold.
    """

    branch: str = ""
    letters: dict[str, str] | None = None

    @property
    def changed(self) -> int:
        """How many files differ that HEAD has."""
        return self._count("MD")

    @property
    def new(self) -> int:
        """How many files HEAD does not have."""
        return self._count("A?")

    def letter(self, path: str) -> str:
        """The letter of a path, "" when it does not differ."""
        return (self.letters or {}).get(path, "")

    def _count(self, wanted: str) -> int:
        return sum(letter in wanted for path, letter in (self.letters or {}).items() if not path.endswith("/"))


@dataclass(frozen=True)
class Loss:
    """What goes with a file or folder: how many files of how many bytes, and how many of them git can't bring back."""

    is_dir: bool
    files: int
    octets: int
    only_here: int
    has_git: bool

    @property
    def words(self) -> str:
        """The same in a sentence."""
        files = f"{self.files:,} {'file' if self.files == 1 else 'files'}"
        if not self.files:
            return "It is empty; nothing is lost with it."
        if not self.has_git:
            return f"There is no git here: {'it is' if not self.is_dir else files + ' are'} gone for good."
        if not self.only_here:
            what = "It is" if not self.is_dir else f"{files} are"
            return f"{what} as in the last commit, from which git brings {'it' if not self.is_dir else 'them'} back."
        if not self.is_dir:
            return "What it holds is not in the last commit, so it is gone for good."
        if self.files == 1:
            return "The one file in it is not in the last commit as it is here, and gone for good."
        lost = f"All {files}" if self.only_here == self.files else f"{self.only_here:,} of {files}"
        return f"{lost} are not in the last commit as they are here, and gone for good."


_known: Lately[Path, Standing] = Lately(FRESH, 200)


def standing(directory: Path) -> Standing:
    """Return how a directory stands, at most FRESH seconds old."""
    return _known.get(directory, lambda: _look(directory))


def forget(directory: Path) -> None:
    """Look anew the next time: something was written here."""
    _known.forget(directory)


def _look(directory: Path) -> Standing:
    top = git.find_toplevel(directory)
    if top is None:
        return Standing()
    try:
        found = git.status(top)
    except git.GitFailed:
        return Standing(git.read_branch(top))
    below = "" if top == directory else f"{directory.relative_to(top).as_posix()}/"
    return Standing(git.read_branch(top), letters_of(found, below))


def letters_of(found: Iterable[git.Change], below: str) -> dict[str, str]:
    """Return the letters of files and, with a slash at their end, of the folders that hold them."""
    letters: dict[str, str] = {}
    for change in found:
        if change.path.startswith(below):
            path, letter = change.path[len(below) :], _letter(change.code)
            letters[path] = letter
            for folder in _folders(path):
                letters[folder] = max(letter, letters.get(folder, letter), key=MARKS.index)
    return letters


def _letter(code: str) -> str:
    if code == "??":
        return "?"
    if "D" in code:
        return "D"
    return "A" if any(letter in code for letter in "ARC") else "M"


def _folders(path: str) -> Iterable[str]:
    end = path.rfind("/")
    while end > 0:
        yield path[: end + 1]
        end = path.rfind("/", 0, end)


def see(file: BinaryIO, path: str, stamp_of: Callable[[bytes], str]) -> Sight:
    """Return an open file as it is shown."""
    about = os.fstat(file.fileno())
    data = file.read(SHOWN + 1)
    mime = mimetypes.guess_type(path, strict=False)[0] or ""
    is_cut = len(data) > SHOWN
    text = _text(data[: data.rfind(b"\n", 0, SHOWN) + 1 or SHOWN] if is_cut else data, is_cut=is_cut)
    facts = (path, about.st_size, about.st_mtime_ns // 1_000_000)
    if text is None:
        return Sight(*facts, mime or "application/octet-stream", is_binary=True)
    if is_cut:
        text = "\n".join(text.split("\n")[:LINES_OF_LARGE])
    stamp = "" if is_cut else stamp_of(data)
    return Sight(*facts, mime or "text/plain", text, is_cut=is_cut, stamp=stamp, ends=ends_of(text))


def _text(data: bytes, *, is_cut: bool) -> str | None:
    try:
        text = data.decode(errors="replace" if is_cut and b"\n" not in data else "strict")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def ends_of(text: str) -> str:
    """Tell what a text's lines end in: lf, crlf or mixed."""
    crlf, lf = text.count("\r\n"), text.count("\n")
    if "\r" in text.replace("\r\n", ""):
        return "mixed"
    return "lf" if not crlf else "crlf" if crlf == lf else "mixed"


def loss_of(directory: Path, below: Iterable[tuple[str, int]], *, is_dir: bool) -> Loss:
    """Return what goes with a path; `below` are the files at or beneath it with their sizes."""
    files = dict(below)
    top = git.find_toplevel(directory)
    if top is None:
        return Loss(is_dir, len(files), sum(files.values()), len(files), has_git=False)
    letters = _look(directory).letters or {}
    tracked = set(git.ls_files(directory, untracked=False))
    lost = [one for one in files if one not in tracked or one in letters]
    return Loss(is_dir, len(files), sum(files.values()), len(lost), has_git=True)
