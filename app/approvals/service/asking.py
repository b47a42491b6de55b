"""What an agent asks with its hold: bound to one exact call, kept until it is answered or withdrawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from app import db, ids, record
from app.approvals import events, rows, titles
from app.approvals.rows import ASKS
from app.approvals.rules import Decision
from app.approvals.things import Ask, Call, plain_part, plain_rule
from app.sessions import service as sessions
from app.sessions.service import Hold


def ask(hold: Hold, call: Call, decision: Decision) -> Ask:
    """Ask a human about a call; the same call asks only once."""
    return store(
        hold,
        call,
        {
            "kind": "approval",
            "id": ids.ascending("per"),
            "title": titles.title(call),
            "why": decision.why,
            "metadata": titles.metadata(call, decision),
            "patterns": titles.patterns(call, decision),
            "parts": [plain_part(part) for part in decision.parts],
            "always": [plain_rule(rule) for rule in decision.always],
        },
    )


def verdict(hold: Hold, call: Call) -> Ask | None:
    """The ask of exactly this call with its answer, if there is one; None if it never asked."""
    with db.read() as connection:
        return rows.latest(connection, hold.session, call)


def last_allowed(hold: Hold, tool: str) -> Ask | None:
    """The last ask of a tool in the run's session that somebody allowed."""
    which = (ASKS.c.session_id == hold.session.id, ASKS.c.tool == tool, ASKS.c.state == "answered")
    with db.read() as connection:
        found = rows.latest_answered(connection, *which, ASKS.c.reply != "reject", limit=1)
    return found[0] if found else None


def is_unanswered(hold: Hold) -> Callable[[sa.Connection], bool]:
    """Whether an ask of this run still waits, as `sessions.wait` wants to know it."""
    return lambda connection: is_waiting(connection, hold.run_id)


def is_waiting(connection: sa.Connection, run_id: str) -> bool:
    """Whether an ask of this run still waits for its answer."""
    query = sa.select(ASKS.c.id).where(ASKS.c.run_id == run_id, ASKS.c.state == "waiting").limit(1)
    return connection.scalar(query) is not None


def asked_runs(connection: sa.Connection) -> set[str]:
    """The runs of which an ask still waits for its answer."""
    return set(connection.scalars(sa.select(ASKS.c.run_id).where(ASKS.c.state == "waiting").distinct()))


def withdraw(connection: sa.Connection, *, session_id: str = "", run_id: str = "", part_id: str = "") -> int:
    """Nobody needs to answer any more what a session, a run or one call asked; returns how many asks that were.

    The fact names the ask and says nothing of what was asked, because it may outlive a deleted session.
    """
    whose = (ASKS.c.part_id, part_id) if part_id else (ASKS.c.run_id, run_id) if run_id else None
    column, value = whose or (ASKS.c.session_id, session_id)
    which = column == value
    rows.lock_waiting(connection, which)
    found = rows.many(connection, which, ASKS.c.state == "waiting")
    for each in found:
        rows.change(connection, each.id, {"state": "withdrawn", "answered": ids.now()})
        gone = rows.one(connection, each.id)
        record.event(connection, events.Withdrawn(gone.session_id, gone.erased().plain()), gone)
    return len(found)


def store(hold: Hold, call: Call, values: dict[str, Any]) -> Ask:
    """Keep what is asked about a call, once, and announce it; Fenced without the lease."""
    above = _above(hold)
    with db.transaction() as connection:
        hold.check(connection)
        session = hold.session  # as the check has found it: whoever may see it by now is told
        earlier = rows.latest(connection, session, call)
        if earlier is not None and earlier.state == "waiting":
            return earlier
        row = {**_blank(hold, call), "above": above, **values}
        connection.execute(ASKS.insert().inline(), row)
        new = rows.one(connection, row["id"])
        record.event(connection, events.Asked(session.id, new.plain()), session)
    return new


def _blank(hold: Hold, call: Call) -> dict[str, Any]:
    """The row of an ask about a call that says nothing yet."""
    session = hold.session
    return {
        "session_id": session.id,
        "run_id": hold.run_id,
        "message_id": call.message_id,
        "part_id": call.part_id,
        "call_id": call.call_id,
        "call_hash": call.hash(session.id),
        "tool": call.tool,
        "input": call.input,
        "metadata": {},
        "patterns": [],
        "parts": [],
        "always": [],
        "questions": [],
        "mode": hold.run.mode,
        "owner": session.owner,
        "project": session.project,
        "visibility": session.visibility,
        "state": "waiting",
        "reply": "",
        "word": "",
        "answers": [],
        "added": [],
        "answered_by": "",
        "answered_name": "",
        "created": ids.now(),
        "answered": None,
    }


def _above(hold: Hold) -> str:
    """The sessions above a subagent's, so that its asks show there too."""
    with db.read() as connection:
        found = sessions.above(connection, hold.session)
    return "".join(f"/{each}" for each in found) + "/"
