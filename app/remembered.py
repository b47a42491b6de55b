"""What was read of the database lately, until somebody changes it: a page or a turn asks once and not ten times.

Whoever changes it forgets at the commit; other processes forget when they hear of the change, or after a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from app import db

T = TypeVar("T")
SECONDS = 1.0
CAPACITY = 4096


class Remembered(Generic[T]):
    """The last second's answers of one database by key, None not among them; `forget` also voids what is being
    looked up.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, T]] = {}
        self._generation = 0
        self._database: db.Database | None = None

    def forget(self) -> None:
        """Look everything up anew."""
        with self._lock:
            self._known.clear()
            self._generation += 1

    def get(self, key: str, look_up: Callable[[str], T | None]) -> T | None:
        """The answer for a key, looked up if it is not known; within a transaction always."""
        database = db.current()
        if database.is_writing:
            return look_up(key)
        if self._database is not database:
            self.forget()
            self._database = database
        with self._lock:
            generation = self._generation
            until, known = self._known.get(key, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known
        found = look_up(key)
        with self._lock:
            if found is not None and generation == self._generation:
                if len(self._known) >= CAPACITY:
                    self._known.clear()
                self._known[key] = (time.monotonic() + SECONDS, found)
        return found
