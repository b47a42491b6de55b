"""Pieces of a transcript, however long it is: a page of messages, and what came just before a call."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from app import db
from app.accounts import service as accounts
from app.actor import Actor
from app.sessions.service import rows
from app.sessions.service.rows import MESSAGES, PARTS
from app.sessions.things import Message, Part, Session, part_of

FEW = 500  # so many ids go into one statement


def window(
    actor: Actor, session_id: str, *, before: str = "", at: str = "", limit: int = 100
) -> tuple[list[Message], bool]:
    """The newest messages with their parts, in order, and whether there are earlier ones.

    `before` is the id of the message in front of which the window ends, `at` one that stands in its middle.
    """
    with db.read() as connection:
        accounts.require(actor, "sessions:read", rows.session(connection, session_id))
        before = before or (_end_around(connection, session_id, at, limit) if at else "")
        where = [MESSAGES.c.session_id == session_id, *([MESSAGES.c.id < before] if before else [])]
        newest = sa.select(MESSAGES.c.id).where(*where).order_by(MESSAGES.c.id.desc()).limit(limit + 1)
        ids = list(connection.scalars(newest))
        shown = ids[:limit]
        if not shown:
            return [], False
        return rows.messages(connection, session_id, MESSAGES.c.id.between(shown[-1], shown[0])), len(ids) > limit


def tail(actor: Actor, session: Session, limit: int) -> tuple[list[Message], bool]:
    """The window at the very end of a session that was read a moment ago, without reading it again."""
    accounts.require(actor, "sessions:read", session)
    with db.read() as connection:
        # One more than is shown tells that there are earlier ones.
        found = rows.newest_messages(connection, session.id, limit + 1)
    return found[-limit:], len(found) > limit


def outline(actor: Actor, session_id: str, only: Collection[str] | None = None) -> list[Message]:
    """All messages in order, with nothing but whose answers they are and which parts they have.

    For who needs no words: a long transcript costs a tenth of what it costs whole. `only` are the ids of the messages
    that matter, if not all do; where they are many, others may come with them.
    """
    parent = MESSAGES.c.data["parentID"].as_string().label("parent")
    about = sa.select(MESSAGES.c.id, MESSAGES.c.role, MESSAGES.c.created, MESSAGES.c.completed, parent)
    about = about.where(MESSAGES.c.session_id == session_id)
    places = sa.select(PARTS.c.id, PARTS.c.message_id, PARTS.c.type).where(PARTS.c.session_id == session_id)
    if only is not None and len(only) <= FEW:
        about, places = about.where(MESSAGES.c.id.in_(only)), places.where(PARTS.c.message_id.in_(only))
    with db.read() as connection:
        accounts.require(actor, "sessions:read", rows.session(connection, session_id))
        if only is not None and not only:
            return []
        # Whole results: a row at a time each would be fetched by a call of its own, and there are thousands.
        messages = connection.execute(about.order_by(MESSAGES.c.id)).all()
        parts = connection.execute(places.order_by(PARTS.c.message_id, PARTS.c.id)).all()
    found = {
        message_id: Message(message_id, session_id, role, {"parentID": above} if above else {}, created, completed)
        for message_id, role, created, completed, above in messages
    }
    for part_id, message_id, kind in parts:
        found[message_id].parts.append(Part(part_id, message_id, session_id, kind, {}))
    return list(found.values())


def parts_before(actor: Actor, session_id: str, message_id: str, part_id: str, limit: int = 30) -> list[Part]:
    """The last parts of a session in front of one of them, in order."""
    place = sa.tuple_(PARTS.c.message_id, PARTS.c.id)
    this = (PARTS.c.session_id == session_id, place < sa.tuple_(sa.literal(message_id), sa.literal(part_id)))
    query = sa.select(PARTS).where(*this).order_by(PARTS.c.message_id.desc(), PARTS.c.id.desc()).limit(limit)
    with db.read() as connection:
        accounts.require(actor, "sessions:read", rows.session(connection, session_id))
        return [part_of(row) for row in connection.execute(query)][::-1]


def _end_around(connection: sa.Connection, session_id: str, at: str, limit: int) -> str:
    """The message before which a window ends that has this one in its middle; "" where that is the newest one."""
    this = (MESSAGES.c.session_id == session_id, MESSAGES.c.id >= at)
    ids = list(connection.scalars(sa.select(MESSAGES.c.id).where(*this).order_by(MESSAGES.c.id).limit(limit // 2 + 1)))
    return ids[-1] if ids and ids[0] == at and len(ids) > limit // 2 else ""
