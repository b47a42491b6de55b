"""The rows of asks: finding them, settling one once, and showing them as their sessions are now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from app.accounts import service as accounts
from app.actor import Actor, Scope
from app.approvals import models
from app.approvals.things import Ask, Call
from app.errors import NotFound
from app.sessions import service as sessions
from app.sessions.service import Session

ASKS = models.asks


def change(connection: sa.Connection, ask_id: str, values: dict[str, Any]) -> bool:
    """Change an ask that still waits; False if it does no more."""
    waits = (ASKS.c.id == ask_id, ASKS.c.state == "waiting")
    return connection.execute(ASKS.update().where(*waits).values(**values)).rowcount == 1


def latest(connection: sa.Connection, session: Session, call: Call) -> Ask | None:
    """The last ask of exactly this call."""
    which = (ASKS.c.session_id == session.id, ASKS.c.call_hash == call.hash(session.id))
    query = sa.select(ASKS).where(*which).order_by(ASKS.c.created.desc(), ASKS.c.id.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return Ask(**row._asdict()) if row else None


def one(connection: sa.Connection, ask_id: str) -> Ask:
    """One ask, with the scope it was asked under."""
    row = connection.execute(sa.select(ASKS).where(ASKS.c.id == ask_id)).one_or_none()
    if row is None:
        raise NotFound("ask", ask_id)
    return Ask(**row._asdict())


def many(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[Ask]:
    """Asks, oldest first."""
    query = sa.select(ASKS).where(*which).order_by(ASKS.c.created, ASKS.c.id)
    return [Ask(**row._asdict()) for row in connection.execute(query)]


def lock_waiting(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Keep others from settling these asks until this transaction ends (SQLite has one writer anyway)."""
    waits = sa.select(ASKS.c.id).where(which, ASKS.c.state == "waiting")
    connection.execute(waits.order_by(ASKS.c.id).with_for_update()).all()


def remove(connection: sa.Connection, session_id: str) -> None:
    """Forget whatever a session ever asked."""
    connection.execute(ASKS.delete().where(ASKS.c.session_id == session_id))


def readable(actor: Actor, found: Iterable[Ask]) -> list[Ask]:
    """Those that the actor may read, with title and visibility as their session has them now."""
    found = list(found)
    known = sessions.get_many(actor, list({each.session_id for each in found}))
    shown = [
        Ask(**{**each.__dict__, "session_title": session.title, "visibility": session.visibility})
        if (session := known.get(each.session_id))
        else Ask(**{**each.__dict__, "visibility": "private"})
        for each in found
    ]
    return [
        each
        for each in shown
        if accounts.may(actor, "approvals:read", Scope(each.owner, each.project, each.visibility))
    ]
