"""A trial of a language server: it is started, asked for the symbols of one file, and what came is told in words."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import ids, redact
from app.actor import Actor
from app.errors import Limited
from app.files import service as files
from app.languages import running
from app.languages.client import Client, Failed
from app.languages.running import Entry
from app.languages.servers import Server, root_of
from app.projects.service import Place

BEGIN_WAIT, ASK_WAIT = 20.0, 10.0  # seconds
MOST_AT_ONCE = 2  # each holds a thread of the web
MOST_LOOKED = 200
MOST_NAMES = 8
LARGEST = 1 << 20  # bytes of a file that is looked at
FULL = f"{running.MOST} language servers are kept already. Stop one first."
_places = threading.BoundedSemaphore(MOST_AT_ONCE)
_last: dict[tuple[Path, str, Path], Trial] = {}


@dataclass(frozen=True)
class Trial:
    """What a trial showed: the file that was asked about, how many symbols it has and the first names among them.

    `begin_ms` is how long the server took to begin, 0 if it ran; `ms` how long its answer took; `why` a sentence where
    nothing came; `at` in unix ms.
    """

    at: int
    file: str = ""
    count: int = 0
    names: tuple[str, ...] = ()
    begin_ms: int = 0
    ms: int = 0
    why: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether it answered."""
        return not self.why


def run(actor: Actor, place: Place, server: Server, root: Path) -> Trial:
    """Start a server of a root if it does not run, and ask it; kept as its last trial. Raises Limited."""
    if not _places.acquire(blocking=False):
        raise Limited("Other tests are under way. Try again in a moment.", 5)
    try:
        found = _asked(actor, place, server, root)
    finally:
        _places.release()
    _last[place.directory, server.id, root] = found
    return found


def last(place: Place, server: str, root: Path) -> Trial | None:
    """What the last trial in this process showed."""
    return _last.get((place.directory, server, root))


def _asked(actor: Actor, place: Place, server: Server, root: Path) -> Trial:
    name = _a_file(actor, place, server, root)
    if not name:
        return Trial(ids.now(), why=f"There is no file here that it serves ({', '.join(server.languages)}).")
    entry = running.entry(place, server, root)
    if entry is None:
        return Trial(ids.now(), why=FULL)
    begun = time.monotonic()
    was_running = entry.is_connected
    if not was_running:
        entry.begin_now()
    client = entry.ready(BEGIN_WAIT)
    begin_ms = 0 if was_running else _since(begun)
    if client is None:
        why = redact.text(entry.why) or f"It did not begin within {BEGIN_WAIT:g} s."
        return Trial(ids.now(), name, begin_ms=begin_ms, why=why)
    return _told(entry, client, files.read(actor, place, name, LARGEST, compare=False).text, name, begin_ms)


def _told(entry: Entry, client: Client, text: str, name: str, begin_ms: int) -> Trial:
    path = entry.place.directory / name
    begun = time.monotonic()
    try:
        symbols = client.file_symbols(str(path), text, entry.server.languages[path.suffix.lower()], ASK_WAIT)
    except Failed as failed:
        entry.note(answered=False)
        return Trial(ids.now(), name, begin_ms=begin_ms, ms=_since(begun), why=redact.text(str(failed)))
    ms = _since(begun)
    entry.note(answered=True)
    names = tuple(one["name"] for one in symbols if isinstance(one.get("name"), str))
    return Trial(ids.now(), name, _count(symbols), names[:MOST_NAMES], begin_ms, ms)


def _a_file(actor: Actor, place: Place, server: Server, root: Path) -> str:
    """A file below a root that the server serves there, the one with the shortest path."""
    fitting = [name for ending in server.languages for name in _named(actor, place, ending)]
    below = [
        name
        for name in fitting
        if Path(name).suffix.lower() in server.languages
        and root_of(server, place.directory / name, place.directory) == root
    ]
    return min(below, key=lambda name: (name.count("/"), len(name), name), default="")


def _named(actor: Actor, place: Place, ending: str) -> list[str]:
    return files.find_files(actor, place, ending, kind="file", limit=MOST_LOOKED, hidden=False)


def _count(symbols: Iterable[Any]) -> int:
    """How many there are with all that is inside them."""
    return sum(1 + _count(one.get("children") or ()) for one in symbols if isinstance(one, dict))


def _since(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)
