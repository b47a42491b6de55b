"""What is left of commands that ran without a sandbox: found by a mark in their environment, and killed.

A process can leave its group and its session, but it keeps its environment. In the sandbox the end of the
PID namespace does this work.

A server that is killed can't look for them. So beside the first such command goes a watch, a shell that waits on a
pipe which only the server holds open: when it closes, whatever is in the server's groups or bears its mark is killed.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from app import config
from app.processes import cgroups

VARIABLE = "SIGNALCABIN_CHILD"
LOOKS, UNCLEAR_LOOKS = 100, 3
LOOK = 0.005  # seconds between two looks
LISTS = 10
ENDED = ("Z", "X")  # states of a process in /proc: zombie, dead
# What a process starts while they are killed is found in the next round.
_WATCH = """
read -r _
groups=$2 n=0
while [ $n -lt 500 ] && pids=$(for one in $groups; do cat "$one/cgroup.procs"; done 2>/dev/null) && [ -n "$pids" ]; do
    kill -9 $pids 2>/dev/null; n=$((n+1))
done
[ -z "$groups" ] || rmdir $groups 2>/dev/null
while pids=$(grep -lszE "^$1" /proc/[0-9]*/environ | cut -d/ -f3) && [ -n "$pids" ]; do
    kill -9 $pids 2>/dev/null || break
done
"""
_watches: dict[int, int] = {}
_numbers = itertools.count(1)


def mark() -> str:
    """A new mark: this installation, this server process, and a number."""
    return f"{_own()}.{next(_numbers)}"


def watch() -> None:
    """Make sure that what bears our marks is killed when this process ends, however it ends."""
    if os.getpid() in _watches or not Path("/proc/self/environ").exists():
        return
    mark = re.escape(f"{VARIABLE}={_own()}.")
    ours, theirs = os.pipe()
    watch = subprocess.Popen(
        ["/bin/sh", "-c", _WATCH, "signalcabin-watch", mark, cgroups.pattern(server())],
        cwd="/",
        env={"PATH": os.defpath},
        stdin=ours,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(ours)
    watch.returncode = 0  # it outlives us: nobody here waits for it
    _watches[os.getpid()] = theirs


def server() -> str:
    """Name this server process, in a name that is never given twice: number and start."""
    return _name(os.getpid())


def is_gone(server: str) -> bool:
    """Whether the server process of that name has ended."""
    pid, _, started = server.partition(".")
    return not pid.isdecimal() or _started(int(pid)) != started


def kill(mark: str) -> int:
    """Kill every process that bears the mark, and what it starts meanwhile; returns how many.

    One look is not enough: what is killed may have started another process meanwhile, and of a process that is becoming
    another program nothing can be read.
    """
    killed: set[int] = set()
    for look in range(LOOKS):
        is_clear, found = True, []
        for pid, borne in _marks():
            is_clear = is_clear and borne is not None
            if borne == mark:
                found.append(pid)
        _kill(found)
        killed.update(found)
        if not found and (is_clear or look >= UNCLEAR_LOOKS):
            break
        time.sleep(LOOK)
    return len(killed)


def sweep() -> int:
    """At start-up: kill what earlier servers of this data directory left behind; returns how many."""
    cgroups.sweep(is_gone)
    ours = [(pid, found.split(".")) for pid, found in _marks() if found and found.startswith(_installation() + ".")]
    return _kill([pid for pid, parts in ours if is_gone(f"{parts[1]}.{parts[2]}")])


def _kill(pids: list[int]) -> int:
    killed = 0
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed += 1
    return killed


def _marks() -> Iterator[tuple[int, str | None]]:
    """The mark that each process bears, "" for none; None where that can't be told at this moment.

    What a process had started before it died is in a list that is made later: so lists are made until one names nobody
    new.
    """
    seen: set[int] = set()
    for _ in range(LISTS):
        fresh = {int(one.name) for one in Path("/proc").glob("[0-9]*")} - seen
        if not fresh:
            return
        for pid in fresh:
            yield pid, _mark_of(pid)
        seen |= fresh


def _mark_of(pid: int) -> str | None:
    """Its mark; "" also for one that is dead, not ours, or a thread of the kernel."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return ""
    return _mark_in(environ) if environ or not _has_program(pid) else None


def _mark_in(environ: bytes) -> str:
    start = VARIABLE.encode() + b"="
    found = next((word for word in environ.split(b"\0") if word.startswith(start)), start)
    return os.fsdecode(found[len(start) :])


def _has_program(pid: int) -> bool:
    """Whether it is neither a thread of the kernel nor dead: then it has an environment, or soon will."""
    try:
        return bool(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return False


def _own() -> str:
    return f"{_installation()}.{server()}"


def _installation() -> str:
    return _digest(config.current().data_dir)


@lru_cache(maxsize=8)
def _digest(data_dir: Path) -> str:
    return hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]


@lru_cache(maxsize=8)
def _name(pid: int) -> str:
    """The name of the process that asks; a fork asks for another number."""
    return f"{pid}.{_started(pid)}"


def _started(pid: int) -> str:
    """The process's start in clock ticks since boot: with the number, a name that is never given twice.

    Empty for one that has ended, also while its parent has not collected it yet.
    """
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if words[0] in ENDED else words[19]
