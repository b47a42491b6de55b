"""Watching where the kernel has no inotify: by watchfiles, a thread for each watch.

It is coarser: what happens to a name within a few hundredths of a second is told as one change, a rename as a removal
and a creation, a change of mode as a write, and who asks for what has happened by now gets what was noticed by now.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import watchfiles

from app.files.watch import Gone, Kind, Resync, Watch

KINDS: dict[watchfiles.Change, Kind] = {
    watchfiles.Change.added: "create",
    watchfiles.Change.modified: "write",
    watchfiles.Change.deleted: "remove",
}
GATHER = 50  # ms
FIRST = 10  # ms


class CoarseWatcher:
    """Tells every watch what happens; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[Watch, threading.Event] = {}

    def start(self) -> None:
        """Nothing to do before the first watch."""

    def stop(self) -> None:
        """End every watch."""
        with self._lock:
            watches = list(self._ends)
        for watch in watches:
            watch.close()

    def __len__(self) -> int:
        """How many watches there are."""
        return len(self._ends)

    def attach(self, watch: Watch) -> None:
        """Begin a watch; raises OSError if its directory is gone."""
        Path(watch.path).stat()
        ending = threading.Event()
        with self._lock:
            self._ends[watch] = ending
        threading.Thread(target=self._follow, args=(watch, ending), name="coarse-watcher", daemon=True).start()

    def extend(self, watch: Watch, names: Iterable[str]) -> None:
        """Nothing to do: everything below is watched already."""

    def narrow(self, watch: Watch) -> None:
        """Nothing to do: it costs no more."""

    def detach(self, watch: Watch) -> None:
        """End a watch; one that has ended is fine."""
        with self._lock:
            ending = self._ends.pop(watch, None)
        if ending is not None:
            ending.set()

    def drain(self) -> None:
        """Nothing can be asked for: what was noticed has been told."""

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something short in so many seconds."""
        timer = threading.Timer(seconds, work)
        timer.daemon = True
        timer.start()

    def _follow(self, watch: Watch, ending: threading.Event) -> None:
        top = Path(watch.path)
        try:
            for changes in watchfiles.watch(
                top, watch_filter=None, debounce=GATHER, step=FIRST, stop_event=ending, recursive=watch.recursive,
                raise_interrupt=False, ignore_permission_denied=True,
            ):  # fmt: skip
                for change, path in sorted(changes, key=lambda one: (one[1], one[0])):
                    found = Path(path)
                    if found == top and change is watchfiles.Change.deleted:
                        self._end(watch)
                        return
                    if found != top and found.is_relative_to(top):
                        watch.tell(
                            KINDS[change], str(found.relative_to(top)), found.is_dir() and not found.is_symlink()
                        )
        except (OSError, RuntimeError) as error:
            watch.put(Resync(f"This directory can be watched no more: {error}."))
            watch.end()

    def _end(self, watch: Watch) -> None:
        watch.put(Gone())
        watch.end()
        self.detach(watch)
