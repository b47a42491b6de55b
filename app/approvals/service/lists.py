"""What waits for a human and what was answered: only what the actor may read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

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
        return list(rows.readable(connection, actor, ASKS.c.state == "waiting", *([family] if session_id else [])))


def waiting_in(actor: Actor | None, session_ids: list[str]) -> list[Ask]:
    """What waits in these sessions, their subagents aside, and the actor may read, oldest first."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        this = (ASKS.c.state == "waiting", ASKS.c.session_id.in_(session_ids))
        return list(rows.readable(connection, actor, *this))


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
        return list(rows.readable(connection, actor, this))


def waiting_ids(actor: Actor | None) -> tuple[list[str], list[str]]:
    """The ids of what waits for this actor, and of what waits for others alone; each the oldest first."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        found = rows.standing(connection, actor)
    reads, answers = rows.judge(actor, "approvals:read"), rows.judge(actor, "approvals:answer")
    mine: list[str] = []
    others: list[str] = []
    for ask_id, *scope, _title, _session_title in found:
        if reads(*scope):
            (mine if answers(*scope) else others).append(ask_id)
    return mine, others


def find_waiting(actor: Actor | None, words: str, limit: int) -> list[Ask]:
    """What waits for the actor and has all these words in its own title or its session's, the oldest first."""
    actor = accounts.require(actor, "approvals:answer")
    wanted = words.lower().split()
    reads, answers = rows.judge(actor, "approvals:read"), rows.judge(actor, "approvals:answer")
    with db.read() as connection:
        mine = (
            ask_id
            for ask_id, *scope, title, session_title in rows.standing(connection, actor)
            if all(word in f"{title} {session_title}".lower() for word in wanted) and reads(*scope) and answers(*scope)
        )
        first = list(islice(mine, limit))
        return list(rows.readable(connection, actor, ASKS.c.id.in_(first))) if first else []


def count_waiting(actor: Actor | None) -> int:
    """How many asks wait that the actor may answer."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        found = rows.count_standing(connection, actor)
    needs = ("approvals:read", "approvals:answer")
    return sum(number for number, scope in found if all(accounts.may(actor, key, scope) for key in needs))


def get_many(actor: Actor | None, ask_ids: list[str]) -> list[Ask]:
    """Those of the asks that the actor may read, whatever their state, the oldest first."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        return list(rows.readable(connection, actor, ASKS.c.id.in_(ask_ids)))


def answered_today(actor: Actor | None, limit: int = 20) -> list[Ask]:
    """What was answered within a day, the latest first."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        this = (ASKS.c.state == "answered", ASKS.c.answered > ids.now() - DAY)
        return list(islice(rows.readable(connection, actor, *this, latest=LATEST), limit))


def get(actor: Actor | None, ask_id: str) -> Ask:
    """One ask, whatever its state."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        readable = next(rows.readable(connection, actor, ASKS.c.id == ask_id), None)
    if readable is None:
        raise NotFound("ask", ask_id)
    return readable
