"""Control groups: a command and all that it starts, counted and ended as one, where the system lets us make groups.

As root, or in a service with `Delegate=yes` and `DelegateSubgroup=server`, we may. Elsewhere the limits of single
processes must do (see limits).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app import config

ROOT = Path("/sys/fs/cgroup")
NEEDED = ("memory", "pids")
PREFIX = "signalcabin-"
GONE, LOOK = 1.0, 0.01
PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02)
# Joins the groups and becomes the command, so that nothing of it is ever outside. The shell would pass PWD on.
_JOIN = """
n=$1; shift
while [ $n -gt 0 ]; do echo $$ > "$1/cgroup.procs" || exit 126; shift; n=$((n-1)); done
"""
_BECOME = """
unset PWD; exec "$@"
"""
_numbers = itertools.count(1)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Group:
    """A command's own group: one directory, or in the first version of control groups one for each controller."""

    directories: tuple[Path, ...]

    @property
    def prefix(self) -> list[str]:
        """What to put before a command line so that it runs in here."""
        return join(self.directories)

    def ran_out(self) -> bool:
        """Whether something in here was killed because the memory was used up."""
        told = [_read(directory / name) for directory in self.directories for name in _EVENTS]
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for text in told for line in text.splitlines())

    def end(self) -> None:
        """Kill whatever is still in here, and remove the group; one that is not empty yet goes with the next."""
        for pause in PAUSES:
            if not self._kill():
                break
            time.sleep(pause)
        if not self.remove():
            with _lock:
                _leftover.append(self)

    def _kill(self) -> bool:
        """Kill who is in here; whether there was anybody. What they start meanwhile is found the next time."""
        found = {int(pid) for directory in self.directories for pid in _read(directory / "cgroup.procs").split()}
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(found)

    def remove(self) -> bool:
        """Remove the group; False while somebody is in it."""
        for directory in self.directories:
            try:
                directory.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
        return True


_EVENTS = ("memory.events", "memory.oom_control")
_leftover: list[Group] = []
_lock = threading.Lock()


def join(directories: Sequence[Path], before: str = "", then: str = _BECOME) -> list[str]:
    """What to put before a command line so that it joins the groups, runs `before` in the shell, and becomes itself.

    `then` is another end of that script, whose arguments are what follows.
    """
    script = f"{_JOIN}{before}{then}"
    return ["/bin/sh", "-c", script, "signalcabin", str(len(directories)), *map(str, directories)]


def make(server: str) -> Group | None:
    """A new group with the limits of a command, named for the server process; None where we may not."""
    parents = parents_of(ROOT)
    if not parents:
        return None
    _tidy()
    name = f"{PREFIX}{server}-{next(_numbers)}"
    group = Group(tuple(parent / name for parent in parents))
    limits = config.current().limits
    memory = str(limits.memory << 20)
    wanted = {"pids.max": str(limits.processes), "memory.max": memory, "memory.limit_in_bytes": memory}
    # Where swap is counted, none of it: else a command could use as much again.
    wanted |= {"memory.swap.max": "0", "memory.memsw.limit_in_bytes": memory}
    try:
        for directory in group.directories:
            directory.mkdir()
            for file, value in wanted.items():
                if (directory / file).exists():
                    (directory / file).write_text(value)
    except OSError as error:
        _logger.warning("no control group for a command: %s", error)
        group.end()
        return None
    return group


def finish() -> None:
    """When the server stops: remove the groups of what was killed, as soon as it is gone; waits for `GONE` seconds."""
    deadline = time.monotonic() + GONE
    while _tidy() and time.monotonic() < deadline:
        time.sleep(LOOK)


def _tidy() -> int:
    """Remove those that have become empty; how many are left."""
    with _lock:
        _leftover[:] = [group for group in _leftover if not group.remove()]
        return len(_leftover)


def pattern(server: str) -> str:
    """The names of the directories of a server's groups, as a shell's pattern; empty where we may not make any."""
    return " ".join(f"{parent}/{PREFIX}{server}-*" for parent in parents_of(ROOT))


def sweep(is_gone: Callable[[str], bool]) -> None:
    """At start-up: end the groups of servers that are gone."""
    for parent in parents_of(ROOT):
        for directory in parent.glob(f"{PREFIX}*"):
            server = directory.name.removeprefix(PREFIX).rpartition("-")[0]
            if is_gone(server):
                Group((directory,)).end()


@functools.cache
def parents_of(root: Path) -> tuple[Path, ...]:
    """The directories in which we may make groups; none where we may not."""
    own = dict(_own())
    if all(name in own for name in NEEDED):
        found = tuple(_place(root / name, own[name]) for name in NEEDED)
    else:
        here = _place(root, own.get("", "/"))
        found = tuple(place for place in (here, here.parent) if _hands_on(place))[:1]
    return found if found and all(map(_is_ours, found)) else ()


def _own() -> Iterator[tuple[str, str]]:
    """Our own group by controller; "" is the second version's."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            yield name, path


def _place(root: Path, path: str) -> Path:
    """Where a group lies; in a container the names are often those of the world outside."""
    place = root / path.lstrip("/")
    return place if place.is_dir() else root


def _hands_on(place: Path) -> bool:
    """Whether groups below this one may be limited."""
    return set(NEEDED) <= set(_read(place / "cgroup.subtree_control").split())


def _is_ours(parent: Path) -> bool:
    probe = parent / f"{PREFIX}{os.getpid()}-probe"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
