"""The language servers of this process: begun when first wanted, kept while used, ended with it."""

from __future__ import annotations

import logging
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app import db, record
from app.errors import Problem
from app.languages.client import Client, Failed
from app.languages.events import Diagnosed, ServersChanged
from app.languages.servers import Server, binary
from app.processes import service as processes
from app.processes import spawn
from app.projects import service as projects
from app.projects.service import Place
from app.record import Event

MOST = 8  # servers of this process
IDLE = 600.0  # seconds without a question after which one ends
PAUSE, LONGEST_PAUSE = 5.0, 600.0  # seconds before a failed one is tried again; doubled each time
MOST_MISSED = 3  # questions in a row that it leaves without an answer before it counts as hung
_logger = logging.getLogger(__name__)
Key = tuple[Path, str, Path]


@dataclass(frozen=True)
class Serving:
    """How a server stands: `why` is a sentence if it failed, and empty while it is well."""

    server: str
    root: Path
    why: str


class Entry:
    """A server of a directory: begins aside, and is begun again after a pause when it failed.

    `why` is a sentence and `lines` what it wrote last, if it failed.
    """

    def __init__(self, place: Place, server: Server, root: Path) -> None:
        self.place, self.server, self.root = place, server, root
        self.why = self.lines = ""
        self.client: Client | None = None
        self.used = time.monotonic()
        self._is_ready = threading.Event()
        self._failures = self._missed = 0
        self._retry = 0.0
        self._lock = threading.Lock()
        self._is_beginning = self._is_dropped = False

    @property
    def is_connected(self) -> bool:
        """Whether it can be asked."""
        return self.client is not None and not self.client.is_over and self._is_ready.is_set()

    @property
    def is_beginning(self) -> bool:
        """Whether it was started and cannot be asked yet."""
        return self._is_beginning

    @property
    def is_shown(self) -> bool:
        """Whether there is something to say of it: it runs, or it failed."""
        return self.is_connected or bool(self.why)

    def ready(self, wait: float) -> Client | None:
        """The server once it can be asked, None if not within so many seconds; begins it where it may be."""
        self.used = time.monotonic()
        with self._lock:
            if not self.is_connected and not self._is_beginning:
                if time.monotonic() < self._retry or _is_stopping or self._is_dropped:
                    return None
                self._is_beginning = True
                self._is_ready.clear()
                threading.Thread(target=self._begin, name="language-begin", daemon=True).start()
        self._is_ready.wait(wait)
        return self.client if self.is_connected else None

    def begin_now(self) -> None:
        """Begin it aside, also one that failed a moment ago."""
        with self._lock:
            self._retry, self._failures = 0.0, 0
        self.ready(0)

    def note(self, *, answered: bool) -> None:
        """Say whether a question was answered in time: one that answers nothing any more is ended as failed."""
        with self._lock:
            self._missed = 0 if answered else self._missed + 1
            if answered:
                self._failures = 0
            is_hung = self._missed >= MOST_MISSED
        if is_hung and self.client is not None:
            self._missed = 0
            self.client.give_up(f"It left {MOST_MISSED} questions in a row unanswered.")

    def end(self, *, at_once: bool = False) -> None:
        """End it, if it runs; it is begun again when wanted."""
        if (client := self.client) is not None:
            client.kill() if at_once else client.end()

    def drop(self) -> None:
        """End it for good, also if it is just beginning: whoever still holds it cannot begin it again."""
        self._is_dropped = True
        self.end()

    def _begin(self) -> None:
        why = lines = ""
        try:
            self.client = client = Client(self._child(), self.root, self._found, self._over, _settings())
            if _is_stopping or self._is_dropped:
                client.kill()
            client.begin()
        except (Failed, Problem, OSError) as failure:
            why = str(failure) or type(failure).__name__
            if self.client is not None:
                lines = "\n".join(self.client.last_lines)
                self.client.kill()
        with self._lock:
            self._is_beginning = False
            self.why, self.lines = why, lines
            if why:
                self._put_off()
            self._is_ready.set()
        if why:
            _logger.warning("the language server %s did not begin: %s", self.server.id, why)
        _announce(ServersChanged(str(self.place.directory)), self.place)

    def _child(self) -> spawn.Child:
        """Start the command: sandboxed, without any network, and with nothing of our own environment."""
        found = binary(self.server, self.place.root)
        if found is None:
            raise Failed(f"{self.server.command[0]} is not installed.")
        processes.check_walls()
        beside = projects.beside(str(self.place.directory))
        return spawn.start(
            [str(found), *self.server.command[1:]],
            cwd=self.root,
            workspace=self.place.directory,
            private=projects.private_of(self.place.project),
            also=beside.also,
            keep=beside.keep,
            stdin=True,
        )

    def _put_off(self) -> None:
        self._retry = time.monotonic() + min(LONGEST_PAUSE, PAUSE * 2**self._failures)
        self._failures += 1

    def _found(self, path: str) -> None:
        _announce(Diagnosed(str(self.place.directory), self.server.id, path), self.place)

    def _over(self) -> None:
        """It ended: by us, which is well, or by itself, which is told and not tried again at once."""
        with self._lock:
            if self._is_beginning or self.client is None:
                return
            if self.client.was_stopped:
                self.client = None
            else:
                self.why, self.lines = self.client.why, "\n".join(self.client.last_lines)
                self._put_off()
        _announce(ServersChanged(str(self.place.directory)), self.place)


def _settings() -> dict[str, Any]:
    """What servers are told: the interpreter that is asked where libraries lie, which else would be the project's own,
    and whoever may edit could have it run anything.
    """
    return {"python": {"pythonPath": sys.executable}}


def entry(place: Place, server: Server, root: Path) -> Entry | None:
    """The server of a root, not begun yet if it is new; None when too many run or the process is stopping."""
    key = (place.directory, server.id, root)
    with _lock:
        if _is_stopping:
            return None
        if key not in _entries:
            if len(_entries) >= MOST:
                return None
            _entries[key] = Entry(place, server, root)
            if len(_entries) == 1:
                _later(IDLE)
        return _entries[key]


def within(place: Place) -> list[Entry]:
    """The servers of a place."""
    with _lock:
        return [one for (directory, _id, _root), one in sorted(_entries.items()) if directory == place.directory]


def take_out(place: Place, server: Server, root: Path) -> Entry | None:
    """The server of a root, which the caller ends; the next that wants one gets a new one."""
    with _lock:
        return _entries.pop((place.directory, server.id, root), None)


def start_background() -> None:
    """At start: begin servers when they are wanted."""
    global _is_stopping
    _is_stopping = False


def stop() -> None:
    """End every server of this process; none begins any more."""
    global _is_stopping, _timer
    with _lock:
        _is_stopping = True
        found = list(_entries.values())
        _entries.clear()
        timer, _timer = _timer, None
    if timer is not None:
        timer.cancel()
    for one in found:
        one.end(at_once=True)


def _later(seconds: float) -> None:
    global _timer
    _timer = threading.Timer(seconds, _end_idle)
    _timer.daemon = True
    _timer.start()


def _end_idle() -> None:
    """End those that nobody asked for too long, and look again when the next one may be so."""
    with _lock:
        if _is_stopping:
            return
        latest = time.monotonic() - IDLE
        old = {key: one for key, one in _entries.items() if one.used <= latest}
        for key in old:
            del _entries[key]
        if _entries:
            _later(max(0.1, min(one.used for one in _entries.values()) - latest))
    for one in old.values():
        one.end()


def _announce(fact: Event, place: Place) -> None:
    if _is_stopping:
        return
    try:
        with db.transaction() as connection:
            record.event(connection, fact, place.project)
    except sa.exc.SQLAlchemyError:
        _logger.exception("what a language server told could not be announced")


_lock = threading.Lock()
_entries: dict[Key, Entry] = {}
_timer: threading.Timer | None = None
_is_stopping = False
