"""One session grows to 100 turns: resident memory after it, and what its last turns cost."""

from __future__ import annotations

import time

from bench import tree
from bench.conversation import Conversation
from bench.figure import Deadline, Figure, Goal

AFTER = Goal("RSS after a 100-turn session", "MB", 220)
LATE = Goal("CPU per turn, turns 71 to 100", "ms", None)
TURNS = 100
LAST = 30
REST = 2.0


def measure(talk: Conversation, limit: float) -> list[Figure]:
    """Take what is missing to 100 turns; the note says so if time did not allow them all."""
    deadline = Deadline(limit - REST)
    pid = talk.target.pid
    talk.take(max(0, TURNS - LAST - talk.turns), deadline)
    before = tree.cpu_seconds(pid)
    late = talk.take(TURNS - talk.turns, deadline)
    time.sleep(REST)
    spent = tree.cpu_seconds(pid) - before
    after = Figure(AFTER, tree.rss_megabytes(pid), "" if talk.turns >= TURNS else f"{talk.turns} turns only")
    if talk.turns < TURNS or not late:
        return [after]
    return [after, Figure(LATE, spent / len(late) * 1000)]
