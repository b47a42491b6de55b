"""Text turns with an instant model, one after the other: CPU of the process tree, and POST to the answer."""

from __future__ import annotations

import statistics
import time

from bench import tree
from bench.conversation import Conversation
from bench.figure import Deadline, Failed, Figure, Goal

CPU = Goal("CPU per text turn", "ms", 40)
WALL = Goal("POST to answer, p50", "ms", 40)
WARM_UP = 5
TURNS = 30
REST = 1.0  # what goes on after the answer (titles, sealing, snapshots) is part of the turn


def measure(talk: Conversation, limit: float) -> list[Figure]:
    """Both figures of one series."""
    deadline = Deadline(limit - REST)
    talk.take(WARM_UP, deadline)
    time.sleep(REST)
    try:
        pid = talk.target.pid
    except Failed as why:
        return [_wall(talk.take(TURNS, deadline), str(why))]
    before = tree.cpu_seconds(pid)
    seconds = talk.take(TURNS, deadline)
    time.sleep(REST)
    spent = tree.cpu_seconds(pid) - before
    wall = _wall(seconds, f"{len(seconds)} turns")
    return [Figure(CPU, spent / len(seconds) * 1000, wall.note), wall]


def _wall(seconds: list[float], note: str) -> Figure:
    if not seconds:
        raise Failed("no turn ended in time")
    return Figure(WALL, statistics.median(seconds) * 1000, note)
