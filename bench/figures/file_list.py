"""fs/list of 200 entries over 8 connections."""

from __future__ import annotations

from bench import load
from bench.conversation import Conversation
from bench.figure import Deadline, Failed, Figure, Goal

RATE = Goal("fs/list, 200 entries, 8 connections", "req/s", 1000, "more")
CPU = Goal("CPU per fs/list", "ms", None)
ENTRIES = 200
CONNECTIONS = 8
FOLDER = "bench-list"
PATH = "/api/v1/fs/list"


def measure(talk: Conversation, limit: float) -> list[Figure]:
    """Put the files there, then ask for them."""
    _fill(talk, Deadline(limit / 2))
    seen, cpu = load.get_counted(talk.target, PATH, CONNECTIONS, limit / 5, {"path": FOLDER})
    rate = Figure(RATE, seen.rate, seen.note or f"p95 {seen.p95:.0f} ms")
    return [rate] + ([Figure(CPU, cpu)] if cpu else [])


def _fill(talk: Conversation, deadline: Deadline) -> None:
    kept = talk.target.connect()
    try:
        for number in range(ENTRIES):
            name = f"{FOLDER}/file_{number:03}.txt"
            talk.target.call(kept, "POST", f"/api/v1/files/upload?path={name}", [0] * number)
            if deadline.passed:
                raise Failed("the files could not be put there in time")
    finally:
        kept.close()
