"""Reading and announcing rows inside an open transaction; what the verbs share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from app import db, ids, once, record
from app.errors import NotFound
from app.sessions import events, models
from app.sessions.service import index
from app.sessions.things import Message, Part, Run, Session, message_of, part_of, run_of, session_of

SESSIONS, MESSAGES, PARTS, RUNS = models.sessions, models.messages, models.parts, models.runs
_session_by_id = sa.select(SESSIONS).where(SESSIONS.c.id == sa.bindparam("id"))
_session_locked = _session_by_id.with_for_update(key_share=True)
_run_by_id = sa.select(RUNS).where(RUNS.c.id == sa.bindparam("id"))
_run_locked = _run_by_id.with_for_update()
SESSION_KEY = (SESSIONS.c.id + "@").concat(sa.cast(SESSIONS.c.version, sa.Text))
_is_settled = sa.or_(MESSAGES.c.role == "user", MESSAGES.c.completed.is_not(None))
_message_key = (MESSAGES.c.id + "@").concat(sa.case((_is_settled, sa.cast(MESSAGES.c.version, sa.Text)), else_=""))
_message_keys = sa.select(_message_key).where(MESSAGES.c.session_id == sa.bindparam("session")).order_by(MESSAGES.c.id)
_message_keys_before = _message_keys.where(MESSAGES.c.id < sa.bindparam("before"))
_newest = sa.select(MESSAGES).where(MESSAGES.c.session_id == sa.bindparam("session")).order_by(MESSAGES.c.id.desc())
_newest = _newest.limit(sa.bindparam("limit", type_=sa.Integer))
_parts_between = (
    sa.select(PARTS)
    .where(
        PARTS.c.session_id == sa.bindparam("session"),
        PARTS.c.message_id.between(sa.bindparam("first"), sa.bindparam("last")),
    )
    .order_by(PARTS.c.message_id, PARTS.c.id)
)
_changed = MESSAGES.update().where(MESSAGES.c.id == sa.bindparam("changed")).values(version=MESSAGES.c.version + 1)


def session(connection: sa.Connection, session_id: str, *, lock: bool = False) -> Session:
    """The session, or NotFound; `lock` keeps other transactions from changing it until this one ends.

    SQLite has one writer and needs no locks. Whoever locks a run and its session locks the run first.
    """
    if not lock:
        return once.read(("session", session_id), lambda: _session(connection, session_id, _session_by_id))
    return _session(connection, session_id, _session_locked)


def _session(connection: sa.Connection, session_id: str, query: sa.Select[Any]) -> Session:
    row = connection.execute(query, {"id": session_id}).first()
    if row is None:
        raise NotFound("session", session_id)
    return session_of(row)


def sessions(connection: sa.Connection, session_ids: list[str]) -> Iterator[tuple[str, Session]]:
    """Those of the sessions that exist, each with its id."""
    for row in connection.execute(sa.select(SESSIONS).where(SESSIONS.c.id.in_(session_ids))):
        yield row.id, session_of(row)


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
    if where and rows:
        query = query.where(PARTS.c.message_id.between(rows[0].id, rows[-1].id))
    # The whole result: a row at a time each would be fetched by a call of its own.
    for row in connection.execute(query.order_by(PARTS.c.message_id, PARTS.c.id)).all():
        parts[row.message_id].append(part_of(row))
    return [message_of(row, parts.get(row.id, [])) for row in rows]


def newest_messages(connection: sa.Connection, session_id: str, limit: int) -> list[Message]:
    """The last messages of a session with their parts, in order."""
    rows = connection.execute(_newest, {"session": session_id, "limit": limit}).all()[::-1]
    parts: dict[str, list[Part]] = defaultdict(list)
    if rows:
        bounds = {"session": session_id, "first": rows[0].id, "last": rows[-1].id}
        for row in connection.execute(_parts_between, bounds).all():
            parts[row.message_id].append(part_of(row))
    return [message_of(row, parts.get(row.id, [])) for row in rows]


def message_keys(connection: sa.Connection, session_id: str, before: str = "") -> list[str]:
    """The keys (see Spelling) of the session's messages in order; without a version while text may still grow."""
    query = _message_keys_before if before else _message_keys
    return db.fetch_words(connection, query, {"session": session_id, "before": before})


def mark_changed(connection: sa.Connection, message_id: str) -> None:
    """Let a message's version rise: its parts change."""
    connection.execute(_changed, {"changed": message_id})


def change(connection: sa.Connection, was: Session, *, touch: bool = True, **values: Any) -> Session:
    """Write columns of a session, read and locked in this transaction, and announce it."""
    if touch:
        values["updated"] = max(ids.now(), was.updated)
    connection.execute(SESSIONS.update().where(SESSIONS.c.id == was.id).values(**values))
    now = replace(was, **values, version=was.version + 1)
    record.event(connection, events.SessionUpdated(was.id, now.plain()), now)
    return now


def insert_message(connection: sa.Connection, new: Message, scope: Session) -> None:
    """Write a message with its parts and announce each."""
    connection.execute(MESSAGES.insert().inline(), new.plain())
    record.event(connection, events.MessageUpdated(scope.id, new.plain()), scope)
    for part in new.parts:
        _insert_part(connection, part, scope)


def insert_messages(connection: sa.Connection, new: list[Message], scope: Session) -> None:
    """Write many whole messages at once and announce each with its parts."""
    parts = [part for message in new for part in message.parts]
    if new:
        connection.execute(MESSAGES.insert().inline(), [message.plain() for message in new])
    if parts:
        connection.execute(PARTS.insert().inline(), [{**part.plain(), **_columns(part)} for part in parts])
        index.put_new(connection, parts)
    facts: list[record.Event] = []
    for message in new:
        facts.append(events.MessageUpdated(scope.id, message.plain()))
        facts += [events.PartUpdated(scope.id, part.plain()) for part in message.parts]
    record.event_list(connection, facts, scope)


def insert_part(connection: sa.Connection, part: Part, scope: Session) -> None:
    """Write a part of a message that is stored already, and announce it."""
    mark_changed(connection, part.message_id)
    _insert_part(connection, part, scope)


def _insert_part(connection: sa.Connection, part: Part, scope: Session) -> None:
    connection.execute(PARTS.insert().inline(), {**part.plain(), **_columns(part)})
    index.put(connection, part)
    record.event(connection, events.PartUpdated(scope.id, part.plain()), scope)


def update_part(connection: sa.Connection, part: Part, scope: Session) -> None:
    """Write a part anew and announce it."""
    mark_changed(connection, part.message_id)
    connection.execute(PARTS.update().where(PARTS.c.id == part.id).values(**_columns(part)))
    index.put(connection, part)
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
