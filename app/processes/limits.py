"""Which limits of a command and a run hold on this machine, and how: for the doctor and the log."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass

from app import config
from app.processes import cgroups, child
from app.processes.sandbox import sandbox_state

BESIDE_STREAMS = 500  # descriptors that the server needs for other things than streams


@dataclass(frozen=True)
class Limit:
    """One limit: what is wanted, whether it holds here, and how it is held or why it is not."""

    name: str
    wanted: str
    holds: bool
    how: str


def report() -> list[Limit]:
    """Every limit, for people to read."""
    wanted = config.current().limits
    return [
        Limit("time", f"{wanted.seconds} s for a command", True, "the server ends it"),
        _processes(wanted.processes),
        _memory(wanted.memory),
        Limit("open files", f"{wanted.files} for a process", child.has_prlimit(), _by_prlimit()),
        Limit("disk", f"{wanted.disk} MiB more for a run", True, "looked at after each call; the run stops over it"),
        Limit("processor", "2 cores for a command", False, "not limited"),
        Limit("runs", f"{wanted.runs_per_user} of a person, {wanted.runs} in all", True, "further ones wait"),
        _streams(),
    ]


def _processes(most: int) -> Limit:
    name, wanted = "processes", f"{most} for a command"
    if cgroups.parents_of(cgroups.ROOT):
        return Limit(name, wanted, True, "by a control group")
    if not child.counts_by_namespace():
        return Limit(name, wanted, False, "needs a control group, or prlimit and Linux 5.14")
    if not sandbox_state().on:
        return Limit(name, wanted, False, "without the sandbox only a control group could count them")
    if os.geteuid() == 0:
        return Limit(name, wanted, False, "Linux exempts what root starts; run the server as a plain user")
    return Limit(name, wanted, True, "by RLIMIT_NPROC in the sandbox")


def _memory(most: int) -> Limit:
    name, wanted = "memory", f"{most} MiB for a command"
    if cgroups.parents_of(cgroups.ROOT):
        return Limit(name, wanted, True, "by a control group")
    if child.has_prlimit():
        return Limit(name, wanted, False, "each process by itself (RLIMIT_DATA), not all of a command together")
    return Limit(name, wanted, False, _by_prlimit())


def _streams() -> Limit:
    most = config.current().streams_per_server
    granted = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    holds = granted == resource.RLIM_INFINITY or granted >= most + BESIDE_STREAMS
    return Limit("streams", f"{most} in all", holds, f"{granted} descriptors (ulimit -n)")


def _by_prlimit() -> str:
    return "by prlimit" if child.has_prlimit() else "prlimit of util-linux is not in /usr"


def lacking() -> str:
    """The limits that do not hold here, in one line; empty when all do."""
    return "; ".join(f"{one.name} ({one.wanted}): {one.how}" for one in report() if not one.holds)
