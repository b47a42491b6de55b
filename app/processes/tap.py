"""A reader of what a command prints: first what is kept, then what comes, at the reader's own pace.

A reader is handed no more than its window before it says that it has taken some of it. The command waits a little
for a reader that is behind, but not for ever: what such a reader misses is told to it as a number of bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from app.processes.live import Live

FRAME = 64 * 1024
WINDOW = 128 * 1024
Stream = Literal["stdout", "stderr", "pty"]


@dataclass(frozen=True)
class Output:
    """Bytes that a command printed on one of its streams, and the offset of the first of them.

    They begin and end between characters and between escape sequences.
    """

    stream: Stream
    data: bytes
    offset: int

    @property
    def end(self) -> int:
        """The offset to come back with."""
        return self.offset + len(self.data)


@dataclass(frozen=True)
class Dropped:
    """So many bytes before `offset` are kept no more."""

    count: int
    offset: int

    @property
    def marker(self) -> bytes:
        """What to show in their place."""
        return f"[… {self.count} bytes dropped]\r\n".encode()


@dataclass(frozen=True)
class Ended:
    """How a command ended, and when (unix ms): after signal n, `exit_code` is 128 + n and `signal` its name.

    `why` is a sentence of ours where the command itself cannot know, else "".
    """

    exit_code: int
    signal: str | None
    at: int
    why: str = ""


Word = Output | Dropped | Ended


class Tap:
    """One reader (a `streams.Source`): yields Output and Dropped, then Ended, after which it is over.

    With `is_acked` nothing counts as taken until the reader calls `taken`. Otherwise what `replay` and `facts` give
    is taken when the next is asked for; who pours calls `taken` in any case.
    """

    resync = False

    def __init__(self, live: Live, at: int, window: int, is_acked: bool, principals: tuple[str | None, ...]) -> None:
        self.principals = principals
        self.is_lagging = False  # the command does not wait for it any more
        self._live = live
        self._at = at
        self._window = window
        self._is_acked = is_acked
        self._untaken = 0
        self._taken = 0
        self._is_over = False
        self._sink: Callable[[Sequence[Word]], None] | None = None
        self._when_over: Callable[[], None] | None = None

    @property
    def untaken(self) -> int:
        """Bytes that were handed to the reader and that it has not taken yet."""
        return self._untaken

    @property
    def taken_in_all(self) -> int:
        """Bytes that the reader has taken since it came."""
        return self._taken

    @property
    def behind(self) -> int:
        """Bytes that wait in the ring for this reader."""
        return self._live.ring.end - self._at

    def replay(self) -> Iterator[Word]:
        """What is kept by now; first of all."""
        with self._live.changed:
            until = self._live.ring.end
        while self._at < until:
            word = self._next(ignore_window=True)
            if word is None or isinstance(word, Ended):
                return
            yield word
            self._count(word)

    def facts(self, heartbeat: float | None, deadline: float | None = None) -> Iterator[Word | None]:
        """All of it, for a thread that waits: None when nothing came for `heartbeat` seconds.

        Ends after Ended, when closed, or at the deadline (monotonic seconds).
        """
        while True:
            beat = None if heartbeat is None else time.monotonic() + heartbeat
            times = [when for when in (beat, deadline) if when is not None]
            word = self._wait(min(times) if times else None)
            if word is not None:
                yield word
                self._count(word)
            elif self._is_over or (deadline is not None and time.monotonic() >= deadline):
                return
            else:
                yield None

    def pour(self, sink: Callable[[Sequence[Word]], None], over: Callable[[], None]) -> None:
        """Hand on what comes from now on, in the pump's thread; `over` at the end."""
        self._sink, self._when_over = sink, over
        self._live.pump.ask(self.push)

    def taken(self, count: int) -> None:
        """The reader has dealt with so many bytes more."""
        with self._live.changed:
            self._untaken = max(0, self._untaken - count)
            self._taken += count
        if not self._live.pump.is_here:
            self._live.pump.ask(self._go_on)

    def took(self, word: Word) -> None:
        """The reader has dealt with this."""
        if isinstance(word, Output):
            self.taken(len(word.data))

    def close(self) -> None:
        """Read no more."""
        self._live.leave(self)
        self.end()

    def end(self) -> None:
        """Close it from our side: who waits or pours is told that it is over."""
        with self._live.changed:
            self._is_over = True
            self._live.changed.notify_all()
        self._live.pump.ask(self.push)

    # What follows is called in the pump's thread.

    def push(self) -> None:
        """Hand on what there is, if somebody pours."""
        sink = self._sink
        if sink is None:
            return
        while not self._is_over and (word := self._next()) is not None:
            sink((word,))
        if self._is_over and self._when_over is not None:
            over, self._when_over, self._sink = self._when_over, None, None
            self._live.leave(self)
            over()

    def _go_on(self) -> None:
        self.push()
        self._live.look()

    # Any thread.

    def _next(self, *, ignore_window: bool = False) -> Word | None:
        with self._live.changed:
            ring = self._live.ring
            if self._untaken >= self._window and not ignore_window:
                return None
            if self._at < ring.start:
                count, self._at = ring.opening - self._at, ring.opening
                return Dropped(count, self._at)
            stream, data = ring.read(self._at, FRAME)
            if data:
                word = Output(stream, data, self._at)  # type: ignore[arg-type]
                self._at += len(data)
                self._untaken += len(data)
                return word
            if self._live.ended is not None and not self._is_over:
                self._is_over = True
                return self._live.ended
            return None

    def _wait(self, until: float | None) -> Word | None:
        with self._live.changed:
            while not self._is_over:
                if (word := self._next()) is not None:
                    return word
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._live.changed.wait(left)
            return None

    def _count(self, word: Word) -> None:
        if not self._is_acked:
            self.took(word)
