"""GET /session/{id}/message of a session with 200 messages: those of its 100 turns."""

from __future__ import annotations

from bench import load
from bench.conversation import Conversation
from bench.figure import Deadline, Figure, Goal

RATE = Goal("message list, 200 messages, 8 connections", "req/s", 200, "more")
P50 = Goal("message list, 1 connection, p50", "ms", 8)
CPU = Goal("CPU per message list", "ms", None)
MESSAGES = 200
CONNECTIONS = 8


def measure(talk: Conversation, limit: float) -> list[Figure]:
    """The rate over several connections, and the time of one answer at a time."""
    there = talk.fill(MESSAGES, Deadline(limit / 2))
    path = f"/session/{talk.session_id}/message"
    alone = load.get(talk.target, path, 1, limit / 10)
    many, cpu = load.get_counted(talk.target, path, CONNECTIONS, limit / 5)
    figures = [
        Figure(RATE, many.rate, many.note or f"{there} messages, {talk.turns} turns"),
        Figure(P50, alone.p50, f"p95 {alone.p95:.1f} ms"),
    ]
    return figures + ([Figure(CPU, cpu)] if cpu else [])
