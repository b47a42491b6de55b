"""Resident memory of the whole process tree, a few seconds after the start and without any work."""

from __future__ import annotations

import time

from bench import tree
from bench.conversation import Conversation
from bench.figure import Figure, Goal

IDLE = Goal("RSS idle", "MB", 120)
SHARED_ONCE = Goal("PSS idle (shared pages once)", "MB", None)
REST = 3.0


def measure(talk: Conversation, limit: float) -> list[Figure]:
    """RSS after a rest."""
    time.sleep(min(REST, limit))
    pid = talk.target.pid
    return [Figure(IDLE, tree.rss_megabytes(pid)), Figure(SHARED_ONCE, tree.pss_megabytes(pid))]
