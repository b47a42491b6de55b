"""GET /session with 200 rows over 8 connections."""

from __future__ import annotations

from bench import load
from bench.conversation import Conversation
from bench.figure import Deadline, Figure, Goal

RATE = Goal("GET /session, 200 rows, 8 connections", "req/s", 800, "more")
CPU = Goal("CPU per GET /session", "ms", None)
ROWS = 200
CONNECTIONS = 8
PATH = f"/session?limit={ROWS}"


def measure(talk: Conversation, limit: float) -> list[Figure]:
    """Create the rows that are missing, then ask."""
    rows = _fill(talk, Deadline(limit / 2))
    seen, cpu = load.get_counted(talk.target, PATH, CONNECTIONS, limit / 5)
    rate = Figure(RATE, seen.rate, seen.note or f"{rows} rows, p95 {seen.p95:.0f} ms")
    return [rate] + ([Figure(CPU, cpu)] if cpu else [])


def _fill(talk: Conversation, deadline: Deadline) -> int:
    kept = talk.target.connect()
    try:
        missing = ROWS - len(talk.target.call(kept, "GET", PATH))
        while missing > 0 and not deadline.passed:
            talk.target.call(kept, "POST", "/session", {})
            missing -= 1
        return len(talk.target.call(kept, "GET", PATH))
    finally:
        kept.close()
