"""One reader of what changes in a directory: a bounded queue between the watcher's thread and whoever reads."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from app.errors import Problem
from app.files.entry import Entry
from app.files.paths import TEMPORARY, Root

QUEUE = 1_000
Kind = Literal["create", "write", "remove", "rename", "chmod"]


@dataclass(frozen=True)
class Change:
    """What happened to a name, relative to the watched directory; a rename is told as `rename` of the old name, then
    `create` of the new one.

    `entry` is what lay there when it was noticed, for watches that look; None for what is gone.
    """

    kind: Kind
    name: str
    is_dir: bool = False
    entry: Entry | None = None


@dataclass(frozen=True)
class Resync:
    """Changes were lost, or from now on some may be (then `why` is a sentence): look at everything anew."""

    why: str = ""


@dataclass(frozen=True)
class Gone:
    """The watched directory itself was removed or moved away; nothing follows."""


Fact = Change | Resync | Gone


class Watcher(Protocol):
    """What tells the watches of this process."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End every watch."""

    def attach(self, watch: Watch) -> None:
        """Begin a watch; raises Unavailable at the system's limits, OSError if its directory is gone."""

    def extend(self, watch: Watch, names: Iterable[str]) -> None:
        """Enter the directories at these names, and those below, that a recursive watch enters by now."""

    def narrow(self, watch: Watch) -> None:
        """Leave the directories that a recursive watch enters no more."""

    def detach(self, watch: Watch) -> None:
        """End a watch."""

    def drain(self) -> None:
        """Tell what has happened by now."""

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something short in so many seconds."""

    def __len__(self) -> int:
        """How much is watched."""


class Watch:
    """A watched directory (a `streams.Source`): yields Change, Resync where some were lost, and at its end Gone.

    With `only` it is a single name in the directory. `hidden` names (relative) and what is below them are neither
    entered nor told; `enters` says further which directories a recursive watch goes into. A watch that `looks` tells
    the entries too.
    """

    resync = False

    def __init__(
        self,
        watcher: Watcher,
        path: str,
        *,
        recursive: bool = False,
        only: str = "",
        hidden: tuple[str, ...] = (),
        enters: Callable[[str], bool] | None = None,
        looks: bool = False,
        queue: int = QUEUE,
        principals: tuple[str | None, ...] = (),
    ) -> None:
        """Path is trusted: an absolute directory that holds no link below its workspace."""
        self.path = path
        self.recursive = recursive
        self.principals = principals
        self._watcher = watcher
        self._only = only
        self._hidden = hidden
        self._enters = enters
        self._root = Root(path) if looks else None
        self._most = queue
        self._facts: deque[Fact] = deque()
        self._changed = threading.Condition()
        self._is_over = False
        self._sink: Callable[[Sequence[Fact]], None] | None = None
        self._when_over: Callable[[], None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing comes any more, apart from what waits."""
        return self._is_over

    def enters(self, name: str) -> bool:
        """Whether a recursive watch goes into this directory."""
        return self.recursive and not self._is_hidden(name) and (self._enters is None or self._enters(name))

    def replay(self) -> Iterator[Fact]:
        """Nothing: what waits already is poured, or comes first of the facts."""
        return iter(())

    def facts(self, heartbeat: float | None, deadline: float | None = None) -> Iterator[Fact | None]:
        """All of it, for a thread that waits: None when nothing came for `heartbeat` seconds.

        Ends at the end of the watch, or at the deadline (monotonic seconds).
        """
        while True:
            beat = None if heartbeat is None else time.monotonic() + heartbeat
            times = [when for when in (beat, deadline) if when is not None]
            fact = self._wait(min(times) if times else None)
            if fact is not None:
                yield fact
            elif self._is_over or (deadline is not None and time.monotonic() >= deadline):
                return
            else:
                yield None

    def pour(self, sink: Callable[[Sequence[Fact]], None], over: Callable[[], None]) -> None:
        """Hand on every fact from now on, first those that wait, in the watcher's thread; `over` at the end."""
        with self._changed:
            if self._facts:
                sink(tuple(self._facts))
                self._facts.clear()
            self._sink, self._when_over = sink, over
            is_over = self._is_over
        if is_over:
            over()

    def drain(self) -> list[Fact]:
        """All that has happened by now."""
        self._watcher.drain()
        with self._changed:
            found = list(self._facts)
            self._facts.clear()
        return found

    def close(self) -> None:
        """Watch no more."""
        self.end()
        self._watcher.detach(self)

    def end_in(self, seconds: float) -> None:
        """Close it from our side in so many seconds; it is not kept for that."""
        known = weakref.ref(self)

        def end() -> None:
            watch = known()
            if watch is not None:
                watch.end()

        self._watcher.later(seconds, end)

    def end(self) -> None:
        """Close it from our side: who waits or pours is told that it is over, after what waits."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
            over, self._when_over, self._sink = self._when_over, None, None
        if over is not None:
            over()

    # What follows is called by the watcher.

    def tell(self, kind: Kind, name: str, is_dir: bool) -> None:
        """Take a change; drafts of ours and hidden names are passed over."""
        if (self._only and name != self._only) or self._is_hidden(name):
            return
        name = name if name.isascii() else name.encode("utf-8", "replace").decode()
        self.put(Change(kind, name, is_dir, self._look(kind, name)))

    def put(self, fact: Fact) -> None:
        """Take a fact; a full queue is dropped, and the reader told to look at everything."""
        with self._changed:
            if self._is_over:
                return
            if self._sink is not None:
                self._sink((fact,))
                return
            if len(self._facts) >= self._most:
                self._facts.clear()
                fact = Resync()
            if isinstance(fact, Resync) and self._facts and self._facts[-1] == fact:
                return
            self._facts.append(fact)
            self._changed.notify_all()

    def _look(self, kind: Kind, name: str) -> Entry | None:
        if self._root is None or kind in ("remove", "rename"):
            return None
        try:
            return self._root.lstat(name)
        except Problem:
            return None  # gone again, which is told next

    def _is_hidden(self, name: str) -> bool:
        if TEMPORARY in name and name.rpartition("/")[2].startswith(TEMPORARY):
            return True
        return any(name == hidden or name.startswith(f"{hidden}/") for hidden in self._hidden)

    def _wait(self, until: float | None) -> Fact | None:
        with self._changed:
            while not self._facts and not self._is_over:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            return self._facts.popleft() if self._facts else None
