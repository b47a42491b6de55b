"""What was looked up lately: kept for a few seconds, so that many who ask at once cost one look."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lately(Generic[K, V]):
    """Keeps at most so many values, each for so many seconds; safe to use from any thread."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._lock = threading.Lock()
        self._known: dict[K, tuple[float, V]] = {}

    def get(self, key: K, look: Callable[[], V], *, anew: bool = False) -> V:
        """The value of a key, looked up if it is not known, or too old, or if it is to be looked up anew."""
        with self._lock:
            known = self._known.get(key)
        if known and known[0] > time.monotonic() and not anew:
            return known[1]
        found = look()
        with self._lock:
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[key] = (time.monotonic() + self._seconds, found)
        return found

    def forget(self, key: K) -> None:
        """Look it up the next time."""
        with self._lock:
            self._known.pop(key, None)
