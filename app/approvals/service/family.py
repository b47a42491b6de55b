"""What a session asks, for who has read the session a moment ago and shows the end of its transcript often."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from app import db
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals.rows import ASKS
from app.approvals.things import Ask
from app.sessions import service as sessions
from app.sessions.service import Label, Session

_waits = ASKS.c.state == "waiting"
# Built once: that costs more than to run it.
_asked_since = (
    sa.select(ASKS)
    .where(
        sa.or_(
            sa.and_(ASKS.c.session_id == sa.bindparam("session"), ASKS.c.message_id >= sa.bindparam("first")),
            sa.and_(ASKS.c.session_id == sa.bindparam("session"), _waits),
            sa.and_(ASKS.c.above.like(sa.bindparam("below"), escape="\\"), _waits),
        )
    )
    .order_by(ASKS.c.created, ASKS.c.id)
)


def asked_since(actor: Actor | None, session: Session, first: str = "") -> list[Ask]:
    """The asks of a session that the actor may read, oldest first: of its messages from this one on, answered ones
    too, and whatever it and its subagents wait for.
    """
    actor = accounts.require(actor, "approvals:read")
    accounts.require(actor, "sessions:read", session)
    below = "%/" + session.id.replace("_", "\\_") + "/%"
    with db.read() as connection:
        found = connection.execute(_asked_since, {"session": session.id, "first": first, "below": below}).all()
        others = {row.session_id for row in found} - {session.id}
        known: dict[str, Label | Session] = {session.id: session, **sessions.labels(actor, list(others))}
    shown = (_as_seen(Ask(*row), known.get(row.session_id)) for row in found)
    return [ask for ask in shown if accounts.may(actor, "approvals:read", ask)]


def _as_seen(ask: Ask, by: Label | Session | None) -> Ask:
    """An ask as its session is now; where that is out of sight, it is its owner's alone."""
    if by is None:
        return replace(ask, session_title="", visibility="private")
    return replace(ask, session_title=by.title, visibility=by.visibility)
