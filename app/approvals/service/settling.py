"""Settling an ask: one answer counts, it is stored with the ask, and it puts the waiting run back into the queue.

Whoever answers locks all waiting asks of the session first, in one order, and then the run. So of two answers at
the same time the second one sees what the first has done, and neither waits for the other in a ring.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from app import ids, record
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import events, rows
from app.approvals.rows import ASKS
from app.approvals.service.asking import is_waiting
from app.approvals.things import Ask
from app.errors import Conflict, Denied, NotFound
from app.sessions import service as sessions

SAID = {"once": "allowed", "always": "allowed from now on", "reject": "rejected", "answer": "answered"}


def to_answer(actor: Actor | None, connection: sa.Connection, ask_id: str, kind: str) -> tuple[Actor, Ask]:
    """The ask, locked with the others of its session, if the actor may answer it and nobody has.

    Raises NotFound for one the actor may not read or of another kind, Denied, or Conflict once it is settled.
    """
    actor = accounts.require(actor, "approvals:read")
    rows.lock_waiting(connection, ASKS.c.session_id == rows.one(connection, ask_id).session_id)
    found = next(rows.readable(connection, actor, ASKS.c.id == ask_id), None)
    if found is None or found.kind != kind:
        raise NotFound("ask", ask_id)
    if actor.kind == "agent":
        raise Denied("An agent never answers for people.")
    accounts.require(actor, "approvals:answer", found)
    if found.state != "waiting":
        raise Conflict(_too_late(found))
    return actor, found


def settle(connection: sa.Connection, actor: Actor, found: Ask, reply: str, **values: Any) -> Ask:
    """Store an answer unless somebody was faster (Conflict), and announce it."""
    stored = {
        "state": "answered",
        "reply": reply,
        "answered_by": actor.id,
        "answered_name": actor.name,
        "answered": ids.now(),
        **values,
    }
    if not rows.change(connection, found.id, stored):
        raise Conflict(_too_late(rows.one(connection, found.id)))
    answered = rows.one(connection, found.id)
    record.event(connection, events.Answered(answered.session_id, answered.plain()), found)
    return answered


def go_on(connection: sa.Connection, run_ids: Iterable[str]) -> None:
    """Put back into the queue those of the runs that wait for nothing any more."""
    for run_id in run_ids:
        if not is_waiting(connection, run_id):
            sessions.requeue(connection, run_id)


def _too_late(found: Ask) -> str:
    if found.state == "withdrawn":
        why = "the command has ended" if found.tool == "network" else "the run was stopped"
        return f"Nobody needs to answer this any more: {why}."
    seconds = max(0, (ids.now() - (found.answered or 0)) // 1000)
    return f"Answered by {found.answered_name} {seconds} s before you: {SAID.get(found.reply, found.reply)}."
