"""A terminal of this process: a running command, what it is called, and who sits at it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from app import ids, redact
from app.processes import service as processes
from app.projects.service import Place
from app.terminals import front
from app.terminals.front import Front
from app.terminals.seats import Seats

TITLE = 100
KEPT = 600_000  # ms for which an ended one can be read
_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~]?)"
)
# The screen shows a line as it was last drawn; these are the controls that draw nothing, and the marks that would
# turn the direction of what follows.
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Look:
    """What a terminal is called, where it is, and whether something runs in it beside its shell."""

    words: str
    cwd: str
    is_busy: bool


class Terminal:
    """One terminal; rights are asked about it. `created` and `active` are unix ms."""

    def __init__(self, live: processes.Live, place: Place, title: str, owner_name: str) -> None:
        self.id = ids.ascending("pty")
        self.live = live
        self.owner, self.owner_name = live.owner, owner_name
        self.project, self.project_name = live.project, place.project.name
        # The team watches, but not in what is somebody's own affair, such as a sandbox.
        self.visibility = "private" if place.project.visibility == "private" else "team"
        self.directory = str(place.directory)
        self.root = str(place.root)
        self.title = title
        self.created = self.active = ids.now()
        self.seats = Seats()
        self.is_deleted = False

    @property
    def shell(self) -> str:
        """The name of the command that was started."""
        return PurePath(self.live.argv[0]).name

    @property
    def ended(self) -> processes.Ended | None:
        """How its command ended; None while it runs."""
        return self.live.ended

    @property
    def kept_until(self) -> int | None:
        """Until when an ended one can be read (unix ms)."""
        return self.ended.at + KEPT if self.ended is not None else None

    @property
    def size(self) -> processes.Size:
        """Its columns and rows."""
        assert self.live.size is not None
        return self.live.size

    def front(self) -> Front:
        """What runs in it now, and where."""
        found = front.look(self.live.pid) if self.ended is None else None
        cwd = (found.cwd if found is not None else "") or str(self.live.cwd)
        return Front(cwd, found.words if found else (), found.is_shell if found else True)

    def look(self) -> Look:
        """What it is called and where it is, as people read it: the project's directory by its name alone."""
        front = self.front()
        words = self.title or (" ".join(front.words) if front.words and not front.is_shell else self.shell)
        cwd, root = front.cwd, self.root
        short = root.rpartition("/")[2] + cwd[len(root) :] if f"{cwd}/".startswith(f"{root}/") else cwd
        return Look(cleaned(words), cleaned(short), not front.is_shell)

    def shape(self) -> dict[str, Any]:
        """Its facts as events carry them: plain JSON, without secrets that are known."""
        return {
            "id": self.id,
            "title": redact.text(self.title),
            "command": [redact.text(word) for word in self.live.argv],
            "cwd": redact.text(str(self.live.cwd)),
            "pid": self.live.pid,
            "cols": self.size.cols,
            "rows": self.size.rows,
            "exit_code": self.ended.exit_code if self.ended is not None else None,
        }

    def lines(self, count: int) -> list[str]:
        """The last lines as text, without what only a terminal understands."""
        with self.live.changed:
            ring = self.live.ring
            data, at = b"", ring.settle(ring.end - count * 4 * self.size.cols)
            while at < ring.end:
                piece = ring.read(at, 1 << 16)[1]
                data, at = data + piece, at + len(piece)
        text = _SEQUENCE.sub("", data.decode("utf-8", "replace")).replace("\r\n", "\n")
        drawn = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
        return [_UNSEEN.sub("", _erased(line)) for line in drawn[-count:]]


def _erased(line: str) -> str:
    """A line after its backspaces."""
    if "\b" not in line:
        return line
    kept: list[str] = []
    for character in line:
        if character != "\b":
            kept.append(character)
        elif kept:
            kept.pop()
    return "".join(kept)


def cleaned(title: str) -> str:
    """A title as it is kept: one line of what can be seen."""
    return " ".join(_UNSEEN.sub(" ", title).split())[:TITLE]
