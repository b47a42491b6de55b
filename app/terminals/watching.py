"""A seat that only reads, as a stream wants its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from app.processes.service import Output, Tap, Word


class Watching:
    """A tap (`streams.Source`) whose reader stands up when it is closed."""

    def __init__(self, tap: Tap, leave: Callable[[], None]) -> None:
        self._tap = tap
        self._leave = leave

    def replay(self) -> Iterator[Word]:
        """What is kept by now; first of all."""
        return self._tap.replay()

    def facts(self, heartbeat: float | None, deadline: float | None = None) -> Iterator[Word | None]:
        """All of it, for a thread that waits."""
        return self._tap.facts(heartbeat, deadline)

    def pour(self, sink: Callable[[Sequence[Word]], None], over: Callable[[], None]) -> None:
        """Hand on what comes from now on."""
        self._tap.pour(sink, over)

    def taken(self, word: Word) -> None:
        """The reader has dealt with it."""
        if isinstance(word, Output):
            self._tap.taken(len(word.data))

    def close(self) -> None:
        """Read no more."""
        self._tap.close()
        self._leave()
