"""The rows of asks: finding them, settling one once, and showing them as their sessions are now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from app.accounts import service as accounts
from app.actor import Actor, Scope
from app.approvals import models
from app.approvals.things import Ask, Call
from app.errors import NotFound
from app.sessions import service as sessions
from app.sessions.service import Label, Session

ASKS = models.asks
_PAST = (
    *(ASKS.c.id, ASKS.c.session_id, ASKS.c.tool, ASKS.c.input, ASKS.c.title, ASKS.c.parts, ASKS.c.mode, ASKS.c.owner),
    *(ASKS.c.project, ASKS.c.state, ASKS.c.reply, ASKS.c.word, ASKS.c.answered_name, ASKS.c.created, ASKS.c.answered),
)


@dataclass(frozen=True)
class Standing:
    """What little must be known of every ask that waits: its id, the scope it has for somebody, its words."""

    id: str
    scope: Scope
    words: str


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


def latest_answered(connection: sa.Connection, *which: sa.ColumnElement[bool], limit: int) -> list[Ask]:
    """Asks, those first that were answered last."""
    query = sa.select(ASKS).where(*which).order_by(ASKS.c.answered.desc(), ASKS.c.id).limit(limit)
    return [Ask(**row._asdict()) for row in connection.execute(query)]


def past(connection: sa.Connection, *which: sa.ColumnElement[bool], limit: int) -> list[sa.Row[Any]]:
    """Asks of calls, the newest first, without what people see beside a call, which may be long."""
    query = sa.select(*_PAST).where(ASKS.c.kind == "approval", *which)
    return list(connection.execute(query.order_by(ASKS.c.created.desc(), ASKS.c.id.desc()).limit(limit)))


def standing(connection: sa.Connection, actor: Actor) -> list[Standing]:
    """Every ask that waits, the oldest first."""
    columns = (ASKS.c.id, ASKS.c.session_id, ASKS.c.owner, ASKS.c.project, ASKS.c.title)
    query = sa.select(*columns).where(ASKS.c.state == "waiting").order_by(ASKS.c.created, ASKS.c.id)
    found = connection.execute(query).all()
    known = sessions.labels(actor, list({row.session_id for row in found}))
    standing = []
    for row in found:
        label = known.get(row.session_id)
        words = f"{row.title} {label.title if label else ''}"
        standing.append(Standing(row.id, _scope(row.owner, row.project, label), words))
    return standing


def lock_waiting(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Keep others from settling these asks until this transaction ends (SQLite has one writer anyway)."""
    waits = sa.select(ASKS.c.id).where(which, ASKS.c.state == "waiting")
    connection.execute(waits.order_by(ASKS.c.id).with_for_update()).all()


def follow(connection: sa.Connection, session: Session) -> None:
    """Keep what a session asked in step with who may see it."""
    scope = {"owner": session.owner, "visibility": session.visibility}
    connection.execute(ASKS.update().where(ASKS.c.session_id == session.id).values(scope))


def remove(connection: sa.Connection, session_id: str) -> None:
    """Forget whatever a session ever asked."""
    connection.execute(ASKS.delete().where(ASKS.c.session_id == session_id))


def readable(actor: Actor, found: Iterable[Ask]) -> list[Ask]:
    """Those that the actor may read, with title and visibility as their session has them now."""
    found = list(found)
    known = sessions.labels(actor, list({each.session_id for each in found})) if found else {}
    shown = []
    for each in found:
        label = known.get(each.session_id)
        scope = _scope(each.owner, each.project, label)
        if accounts.may(actor, "approvals:read", scope):
            title = label.title if label else ""
            shown.append(replace(each, session_title=title, visibility=scope.visibility))
    return shown


def readable_past(actor: Actor, found: list[sa.Row[Any]]) -> list[tuple[sa.Row[Any], str]]:
    """Those of such rows that the actor may read, each with the directory in which its session works."""
    known = sessions.labels(actor, list({row.session_id for row in found}))
    shown = ((row, known[row.session_id]) for row in found if row.session_id in known)
    return [
        (row, label.directory)
        for row, label in shown
        if accounts.may(actor, "approvals:read", Scope(row.owner, row.project, label.visibility))
    ]


def _scope(owner: str, project: str, label: Label | None) -> Scope:
    """An ask is seen by those who see its session; where that is gone or hidden, by its owner alone."""
    return Scope(owner, project, label.visibility if label else "private")
