"""What waits for a human and what was answered: only what the actor may read."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from app import db, ids
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import rows
from app.approvals.rows import ASKS
from app.approvals.things import Ask
from app.errors import NotFound

DAY = 86_400_000
LATEST = 400  # of the answered ones, so many are looked at


def waiting(actor: Actor | None, session_id: str | None = None) -> list[Ask]:
    """What waits for a human and the actor may read, oldest first; of one session with its subagents."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        below = ASKS.c.above.contains(f"/{session_id}/", autoescape=True)
        family = sa.or_(ASKS.c.session_id == session_id, below)
        found = rows.many(connection, ASKS.c.state == "waiting", *([family] if session_id else []))
        return rows.readable(actor, found)


def waiting_in(actor: Actor | None, session_ids: list[str]) -> list[Ask]:
    """What waits in these sessions, their subagents aside, and the actor may read, oldest first."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        this = (ASKS.c.state == "waiting", ASKS.c.session_id.in_(session_ids))
        return rows.readable(actor, rows.many(connection, *this))


def waiting_ids_of(actor: Actor | None, session_id: str) -> list[str]:
    """The ids of what waits in a session, for the page of somebody who sees it no more: nothing else of it."""
    accounts.require(actor, "approvals:read")
    query = sa.select(ASKS.c.id).where(ASKS.c.session_id == session_id, ASKS.c.state == "waiting")
    with db.read() as connection:
        return list(connection.scalars(query))


def of_session(actor: Actor | None, session_id: str, messages: Sequence[str] | None = None) -> list[Ask]:
    """The asks of a session, answered ones too, oldest first: of these of its messages, or of all, and then what its
    subagents wait for too.
    """
    actor = accounts.require(actor, "approvals:read")
    own = ASKS.c.session_id == session_id
    below = sa.and_(ASKS.c.above.contains(f"/{session_id}/", autoescape=True), ASKS.c.state == "waiting")
    this = sa.or_(own, below) if messages is None else sa.and_(own, ASKS.c.message_id.in_(messages))
    with db.read() as connection:
        return rows.readable(actor, rows.many(connection, this))


def waiting_ids(actor: Actor | None) -> tuple[list[str], list[str]]:
    """The ids of what waits for this actor, and of what waits for others alone; each the oldest first."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        found = rows.standing(connection, actor)
    mine: list[str] = []
    others: list[str] = []
    for one in found:
        if accounts.may(actor, "approvals:read", one.scope):
            (mine if accounts.may(actor, "approvals:answer", one.scope) else others).append(one.id)
    return mine, others


def find_waiting(actor: Actor | None, words: str, limit: int) -> list[Ask]:
    """What waits for the actor and has all these words in its own title or its session's, the oldest first."""
    actor = accounts.require(actor, "approvals:answer")
    wanted = words.lower().split()
    with db.read() as connection:
        fits = (one for one in rows.standing(connection, actor) if all(word in one.words.lower() for word in wanted))
        needs = ("approvals:read", "approvals:answer")
        mine = [one.id for one in fits if all(accounts.may(actor, key, one.scope) for key in needs)]
        return rows.readable(actor, rows.many(connection, ASKS.c.id.in_(mine[:limit])))


def count_waiting(actor: Actor | None) -> int:
    """How many asks wait that the actor may answer."""
    return len(waiting_ids(actor)[0])


def get_many(actor: Actor | None, ask_ids: list[str]) -> list[Ask]:
    """Those of the asks that the actor may read, whatever their state, the oldest first."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        return rows.readable(actor, rows.many(connection, ASKS.c.id.in_(ask_ids)))


def answered_today(actor: Actor | None, limit: int = 20) -> list[Ask]:
    """What was answered within a day, the latest first."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        this = (ASKS.c.state == "answered", ASKS.c.answered > ids.now() - DAY)
        found = rows.readable(actor, rows.latest_answered(connection, *this, limit=LATEST))
    return found[:limit]


def get(actor: Actor | None, ask_id: str) -> Ask:
    """One ask, whatever its state."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        readable = rows.readable(actor, [rows.one(connection, ask_id)])
    if not readable:
        raise NotFound("ask", ask_id)
    return readable[0]
