"""Reading and announcing rows inside an open transaction; what the verbs share."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from app import db, ids, record
from app.errors import NotFound
from app.sessions import events, models
from app.sessions.things import Message, Part, Run, Session, message_of, part_of, run_of, session_of

SESSIONS, MESSAGES, PARTS, RUNS = models.sessions, models.messages, models.parts, models.runs
_session_by_id = sa.select(SESSIONS).where(SESSIONS.c.id == sa.bindparam("id"))
_session_locked = _session_by_id.with_for_update(key_share=True)
_run_by_id = sa.select(RUNS).where(RUNS.c.id == sa.bindparam("id"))
_run_locked = _run_by_id.with_for_update()


def session(connection: sa.Connection, session_id: str, *, lock: bool = False) -> Session:
    """The session, or NotFound; `lock` keeps other transactions from changing it until this one ends.

    SQLite has one writer and needs no locks. Whoever locks a run and its session locks the run first.
    """
    row = connection.execute(_session_locked if lock else _session_by_id, {"id": session_id}).first()
    if row is None:
        raise NotFound("session", session_id)
    return session_of(row)


def run(connection: sa.Connection, run_id: str, *, lock: bool = False) -> Run | None:
    """The run, or None; `lock` as for a session."""
    row = connection.execute(_run_locked if lock else _run_by_id, {"id": run_id}).first()
    return run_of(row) if row else None


def messages(connection: sa.Connection, session_id: str, *where: sa.ColumnElement[bool]) -> list[Message]:
    """The session's messages with their parts, in order of their ids: two queries."""
    rows = connection.execute(
        sa.select(MESSAGES).where(MESSAGES.c.session_id == session_id, *where).order_by(MESSAGES.c.id)
    ).all()
    parts: dict[str, list[Part]] = defaultdict(list)
    query = sa.select(PARTS).where(PARTS.c.session_id == session_id)
    if where:
        query = query.where(PARTS.c.message_id.in_([row.id for row in rows]))
    for row in connection.execute(query.order_by(PARTS.c.message_id, PARTS.c.id)):
        parts[row.message_id].append(part_of(row))
    return [message_of(row, parts.get(row.id, [])) for row in rows]


def change(connection: sa.Connection, was: Session, *, touch: bool = True, **values: Any) -> Session:
    """Write columns of a session, read and locked in this transaction, and announce it."""
    if touch:
        values["updated"] = max(ids.now(), was.updated)
    connection.execute(SESSIONS.update().where(SESSIONS.c.id == was.id).values(**values))
    now = replace(was, **values)
    record.event(connection, events.SessionUpdated(was.id, now.plain()), now)
    return now


def insert_message(connection: sa.Connection, new: Message, scope: Session) -> None:
    """Write a message with its parts and announce each."""
    connection.execute(MESSAGES.insert().inline(), new.plain())
    record.event(connection, events.MessageUpdated(scope.id, new.plain()), scope)
    for part in new.parts:
        insert_part(connection, part, scope)


def insert_part(connection: sa.Connection, part: Part, scope: Session) -> None:
    """Write a part and announce it."""
    connection.execute(PARTS.insert().inline(), {**part.plain(), **_columns(part)})
    record.event(connection, events.PartUpdated(scope.id, part.plain()), scope)


def update_part(connection: sa.Connection, part: Part, scope: Session) -> None:
    """Write a part anew and announce it."""
    connection.execute(PARTS.update().where(PARTS.c.id == part.id).values(**_columns(part)))
    record.event(connection, events.PartUpdated(scope.id, part.plain()), scope)


def update_message(connection: sa.Connection, message: Message, scope: Session) -> None:
    """Write a message's data and completion and announce it."""
    connection.execute(
        MESSAGES.update().where(MESSAGES.c.id == message.id).values(data=message.data, completed=message.completed)
    )
    record.event(connection, events.MessageUpdated(scope.id, message.plain()), scope)


def _columns(part: Part) -> dict[str, Any]:
    """Growing text has a column of its own, so that a delta never rewrites the JSON."""
    if part.type not in ("text", "reasoning"):
        return {"data": part.data, "text": None}
    data = {key: value for key, value in part.data.items() if key != "text"}
    return {"data": data, "text": db.storable(part.data.get("text", ""))}
