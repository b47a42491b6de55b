"""In which directory each session works, which never changes: asked once, then remembered for the latest ones."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import sqlalchemy as sa

from app import db

KEPT = 2000
Find = Callable[[sa.Connection, str], str | None]


class Directories:
    """The directories of at most `KEPT` sessions; `find` reads one that is not remembered."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._known: OrderedDict[str, str] = OrderedDict()

    def of(self, session_id: str) -> str | None:
        """The directory of a session; None for one that is gone or was none."""
        with self._lock:
            if session_id in self._known:
                self._known.move_to_end(session_id)
                return self._known[session_id]
        with db.read() as connection:
            found = self._find(connection, session_id)
        if found is not None:
            self._remember(session_id, found)
        return found

    def _remember(self, session_id: str, directory: str) -> None:
        with self._lock:
            self._known[session_id] = directory
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
