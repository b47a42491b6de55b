"""The rows of asks: finding them, settling one once, and showing them as their sessions are now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
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
_PAST = (
    *(ASKS.c.id, ASKS.c.session_id, ASKS.c.tool, ASKS.c.input, ASKS.c.title, ASKS.c.parts, ASKS.c.mode, ASKS.c.owner),
    *(ASKS.c.project, ASKS.c.state, ASKS.c.reply, ASKS.c.word, ASKS.c.answered_name, ASKS.c.created, ASKS.c.answered),
)
# All of it but what follows its session.
_LASTING = [column for column in ASKS.c if column.name not in ("owner", "project", "visibility")]
_PRIVATE: sa.ColumnElement[str] = sa.literal_column("'private'")  # no parameter: it is grouped by
AT_ONCE = 50


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


def past(connection: sa.Connection, actor: Actor, *which: sa.ColumnElement[bool], limit: int) -> tuple[list[Any], bool]:
    """Asks of calls, the newest first, without what people see beside a call, which may be long; each with the
    `directory` in which its session works. Of so many those that the actor may read, and whether there are more.
    """
    seen = sessions.seen(actor)
    query = sa.select(*_PAST, seen.c.directory, seen.c.visibility).outerjoin(seen, seen.c.id == ASKS.c.session_id)
    query = query.where(ASKS.c.kind == "approval", *which).order_by(ASKS.c.created.desc(), ASKS.c.id.desc())
    found = connection.execute(query.limit(limit + 1)).all()
    reads = judge(actor, "approvals:read")
    readable = (row for row in found[:limit] if row.visibility is not None)
    return [row for row in readable if reads(row.owner, row.project, row.visibility)], len(found) > limit


def standing(connection: sa.Connection, actor: Actor) -> Sequence[Any]:
    """Of every ask that waits what little must be known, the oldest first: id, owner, project and visibility as the
    actor sees them, its title and the `session_title`.
    """
    seen = sessions.seen(actor)
    titles = (ASKS.c.title, sa.func.coalesce(seen.c.title, "").label("session_title"))
    query = sa.select(ASKS.c.id, *_scope_in(seen), *titles).outerjoin(seen, seen.c.id == ASKS.c.session_id)
    this = query.where(ASKS.c.state == "waiting").order_by(ASKS.c.created, ASKS.c.id)
    return connection.execute(this).all()


def count_standing(connection: sa.Connection, actor: Actor) -> list[tuple[int, Scope]]:
    """How many asks wait in each scope that they have for the actor."""
    seen = sessions.seen(actor)
    scope = _scope_in(seen)
    query = sa.select(sa.func.count(), *scope).outerjoin(seen, seen.c.id == ASKS.c.session_id)
    found = connection.execute(query.where(ASKS.c.state == "waiting").group_by(*scope))
    return [(number, Scope(*where)) for number, *where in found]


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


def readable(
    connection: sa.Connection, actor: Actor, *which: sa.ColumnElement[bool], latest: int | None = None
) -> Iterator[Ask]:
    """Asks that the actor may read, with title and visibility as their session has them now; the oldest first, or
    with `latest` of so many those first that were answered last.
    """
    seen = sessions.seen(actor)
    now = (*_scope_in(seen), sa.func.coalesce(seen.c.title, "").label("session_title"))
    query = sa.select(*_LASTING, *now).outerjoin(seen, seen.c.id == ASKS.c.session_id).where(*which)
    if latest is None:
        query = query.order_by(ASKS.c.created, ASKS.c.id)
    else:
        query = query.order_by(ASKS.c.answered.desc(), ASKS.c.id).limit(latest)
    reads = judge(actor, "approvals:read")
    # Some at a time: who wants a few of many leaves the rest unread.
    for some in connection.execute(query).partitions(AT_ONCE):
        yield from (Ask(**row._asdict()) for row in some if reads(row.owner, row.project, row.visibility))


def judge(actor: Actor, key: str) -> Callable[[str, str, str], bool]:
    """Whether the actor may use the key on what has an owner, a project, a visibility: asked once for each of the few
    that hundreds of asks have.
    """
    return cache(lambda *scope: accounts.may(actor, key, Scope(*scope)))


def _scope_in(seen: sa.Subquery) -> list[sa.ColumnElement[str]]:
    """The scope of an ask, as columns: it is seen by those who see its session; where that is gone or hidden, by its
    owner alone.
    """
    return [ASKS.c.owner, ASKS.c.project, sa.func.coalesce(seen.c.visibility, _PRIVATE).label("visibility")]
