"""A session to take away: read a batch at a time, so that a long transcript is never in memory whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import sqlalchemy as sa

from app import db, redact
from app.accounts import service as accounts
from app.actor import Actor
from app.sessions.service import rows
from app.sessions.service.rows import MESSAGES
from app.sessions.things import Message, Session

BATCH = 100


def export(actor: Actor, session_id: str) -> tuple[Session, Iterator[Message]]:
    """The session and all its messages with their parts, in order, without secrets or a public address."""
    with db.read() as connection:
        session = rows.session(connection, session_id)
    accounts.require(actor, "sessions:read", session)
    told = {name: redact.data(getattr(session, name)) for name in ("title", "directory", "todos", "last_act")}
    return replace(session, **told, share_slug=None, share=None), _messages(session_id)


def _messages(session_id: str) -> Iterator[Message]:
    """Each batch is a read of its own: a slow reader holds no snapshot open."""
    last = ""
    while found := _batch(session_id, last):
        yield from (_without_secrets(message) for message in found)
        last = found[-1].id


def _batch(session_id: str, after: str) -> list[Message]:
    this = (MESSAGES.c.session_id == session_id, MESSAGES.c.id > after)
    ids = sa.select(MESSAGES.c.id).where(*this).order_by(MESSAGES.c.id).limit(BATCH)
    with db.read() as connection:
        wanted = list(connection.scalars(ids))
        if not wanted:
            return []
        return rows.messages(connection, session_id, MESSAGES.c.id.between(wanted[0], wanted[-1]))


def _without_secrets(message: Message) -> Message:
    parts = [replace(part, data=redact.data(part.data)) for part in message.parts]
    return replace(message, data=redact.data(message.data), parts=parts)
