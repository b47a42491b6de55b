"""The one thread that reads what living commands print, writes what they are to read, and hears of their ends.

It starts with the first command of a process and is gone in a fork. What takes longer than a few system calls, such
as looking for what a command left behind, is done aside.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

REAPERS = 2
Work = Callable[[], None]
_logger = logging.getLogger(__name__)


class Timer:
    """Something to be done later, unless it is cancelled."""

    def __init__(self, work: Work) -> None:
        self._work: Work | None = work

    def cancel(self) -> None:
        """Do it no more."""
        self._work = None

    def fire(self) -> None:
        """Do it."""
        work, self._work = self._work, None
        if work is not None:
            work()


class Pump:
    """A thread around a selector: descriptors with what to do when they are ready, timers, and work asked for."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._selector.register(self._ear, selectors.EVENT_READ, self._drain)
        self._asked: deque[Work] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._stopping = False
        self._reapers = ThreadPoolExecutor(REAPERS, thread_name_prefix="reaper")
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after what was asked for."""
        self.ask(self._halt)
        self._thread.join(timeout=5)
        self._reapers.shutdown(wait=True)
        self._ear.close()
        self._mouth.close()

    @property
    def is_here(self) -> bool:
        """Whether this is the pump's own thread."""
        return threading.get_ident() == self._thread.ident

    def ask(self, work: Work) -> None:
        """Have something done in the pump's thread, in the order of asking."""
        self._asked.append(work)
        try:
            self._mouth.send(b"!")
        except OSError:
            return  # full of calls already; or stopped, when there is nothing left to do

    def aside(self, work: Work) -> None:
        """Have something done that may take its time."""
        self._reapers.submit(_do, work)

    # What follows is called in the pump's thread.

    def watch(self, fd: int, mask: int, ready: Work) -> None:
        """Call `ready` whenever the descriptor is; with a mask of 0 no more."""
        is_known = fd in self._selector.get_map()
        if not mask:
            if is_known:
                self._selector.unregister(fd)
        elif is_known:
            self._selector.modify(fd, mask, ready)
        else:
            self._selector.register(fd, mask, ready)

    def later(self, seconds: float, work: Work) -> Timer:
        """Do it in so many seconds."""
        timer = Timer(work)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), timer))
        return timer

    def _run(self) -> None:
        while not self._stopping:
            for key, _mask in self._selector.select(self._rest()):
                _do(key.data)
            while self._asked:
                _do(self._asked.popleft())
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                _do(heapq.heappop(self._timers)[2].fire)
        self._selector.close()

    def _rest(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _drain(self) -> None:
        try:
            while self._ear.recv(4096):
                continue
        except BlockingIOError:
            return

    def _halt(self) -> None:
        self._stopping = True


def _do(work: Work) -> None:
    try:
        work()
    except Exception:
        _logger.exception("a command could not be served")


_lock = threading.Lock()
_pump: Pump | None = None


def running() -> Pump:
    """The pump of this process; begins it."""
    global _pump
    with _lock:
        if _pump is None:
            _pump = Pump()
            _pump.start()
        return _pump


def stop() -> None:
    """End the pump of this process, if it runs."""
    global _pump
    with _lock:
        found, _pump = _pump, None
    if found is not None:
        found.stop()


def _after_fork() -> None:
    global _lock, _pump
    _lock, _pump = threading.Lock(), None


os.register_at_fork(after_in_child=_after_fork)
