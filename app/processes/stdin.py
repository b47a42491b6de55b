"""What a command is given to read: written at once where it takes it, else kept, bounded, until it does."""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque
from collections.abc import Callable

from app.errors import Conflict
from app.processes.pump import Pump

ROOM = 256 * 1024
PIECE = 64 * 1024


class Stdin:
    """One command's input; `changed` is the command's own, and guards it. `shut` closes the descriptor's owner."""

    def __init__(self, fd: int, pump: Pump, changed: threading.Condition, shut: Callable[[], None]) -> None:
        self._fd = fd
        self._pump = pump
        self._changed = changed
        self._shut = shut
        self._queue: deque[memoryview] = deque()
        self._waiting = 0
        self._is_closing = False
        self._is_closed = False
        os.set_blocking(fd, False)

    @property
    def is_open(self) -> bool:
        """Whether it takes more."""
        return not (self._is_closing or self._is_closed)

    def write(self, data: bytes, wait: float) -> bool:
        """Give it more, waiting up to `wait` seconds for room; False if it is closed. Raises Conflict without room."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting < ROOM or not self.is_open, wait)
            if not self.is_open:
                return False
            if self._waiting >= ROOM:
                raise Conflict("The command does not read its input.")
            rest = memoryview(data)
            if not self._queue:
                rest = self._try(rest)
            if rest:
                self._queue.append(rest)
                self._waiting += len(rest)
                self._pump.ask(self._watch)
        return True

    def finish(self) -> None:
        """Close it after what was written."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._pump.ask(self._watch)

    # What follows is called in the pump's thread.

    def close(self) -> None:
        """Close it at once; what waits is lost."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._pump.watch(self._fd, 0, self._flush)
            self._queue.clear()
            self._waiting = 0
            self._shut()
            self._changed.notify_all()

    def _watch(self) -> None:
        with self._changed:
            if self._is_closed:
                return
            self._pump.watch(self._fd, selectors.EVENT_WRITE if self._queue else 0, self._flush)
            if not self._queue and self._is_closing:
                self.close()

    def _flush(self) -> None:
        with self._changed:
            while self._queue:
                first = self._queue[0]
                rest = self._try(first)
                self._waiting -= len(first) - len(rest)
                if rest:
                    self._queue[0] = rest
                    break
                self._queue.popleft()
            self._changed.notify_all()
        self._watch()

    def _try(self, data: memoryview) -> memoryview:
        """What is left of the data after a try; nothing when nobody reads it any more."""
        try:
            return data[os.write(self._fd, data[:PIECE]) :]
        except BlockingIOError:
            return data
        except OSError:
            return data[:0]
