"""Taking messages and parts out of a transcript, and setting parts right; only while nothing of the session runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from app import db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Busy, Denied, Invalid, NotFound
from app.sessions import events
from app.sessions.service import index, rows
from app.sessions.service.rows import MESSAGES, PARTS
from app.sessions.things import Message, Part, Session

# Fields of a part that clients do not see. A signature is the model's over its own words, so it goes with them.
OURS = ("ready", "redacted", "signature")
SIGNED = ("text", "state")


def remove_message(actor: Actor, session_id: str, message_id: str) -> None:
    """Take a message with its parts out of the transcript; Conflict while the session is busy."""
    with db.transaction() as connection:
        session = _at_rest(connection, actor, session_id)
        gone = _message(connection, session, message_id)
        connection.execute(PARTS.delete().where(PARTS.c.message_id == message_id))
        connection.execute(MESSAGES.delete().where(MESSAGES.c.id == message_id))
        record.event(connection, events.MessageRemoved(session_id, message_id), session)
        record.audit(connection, actor, "message.delete", message_id, {"session": session_id, "role": gone.role})
        if session.revert and session.revert["messageID"] == message_id:
            rows.change(connection, session, revert=_mark_behind(connection, session, message_id))


def remove_part(actor: Actor, session_id: str, message_id: str, part_id: str) -> None:
    """Take one part out of a message, which stays; Conflict while the session is busy."""
    with db.transaction() as connection:
        session = _at_rest(connection, actor, session_id)
        message = _message(connection, session, message_id)
        gone = _part(message, part_id)
        rows.mark_changed(connection, message_id)
        connection.execute(PARTS.delete().where(PARTS.c.id == part_id))
        record.event(connection, events.PartRemoved(session_id, message_id, part_id), session)
        record.audit(connection, actor, "part.delete", part_id, {"session": session_id, "type": gone.type})
        if session.revert and session.revert.get("partID") == part_id:
            later = next((part.id for part in message.parts if part.id > part_id), None)
            moved = {**session.revert, "partID": later} if later else _mark_behind(connection, session, message_id)
            rows.change(connection, session, revert=moved)


def change_part(actor: Actor, session_id: str, message_id: str, part_id: str, type: str, data: dict[str, Any]) -> Part:
    """Write a part's data anew; it stays of its type, and a call the same call. Conflict while the session is busy.

    Raises Invalid for a part that would not be finished: nothing goes on with it.
    """
    with db.transaction() as connection:
        session = _at_rest(connection, actor, session_id)
        was = _part(_message(connection, session, message_id), part_id)
        if type != was.type:
            raise Invalid(f"This part is of type {was.type}, and stays that.", "type")
        for name in ("callID", "tool"):
            if data.get(name) != was.data.get(name):
                raise Invalid(f"A call keeps its {name}.", name)
        now = replace(was, data=_mended(was.data, data))
        if not index.is_settled(now):
            raise Invalid(
                "Nothing runs here, so a part has ended: give it an end.", "state" if type == "tool" else "time"
            )
        rows.update_part(connection, now, session)
        record.audit(connection, actor, "part.change", part_id, {"session": session_id, "type": type})
    return now


def _at_rest(connection: sa.Connection, actor: Actor, session_id: str) -> Session:
    """The session, locked, if this actor may change what was said in it now."""
    session = rows.session(connection, session_id, lock=True)
    accounts.require(actor, "sessions:write", session)
    if actor.kind == "agent":
        raise Denied("An agent never changes what was said.")
    if session.is_busy:
        raise Busy(session_id)
    return session


def _message(connection: sa.Connection, session: Session, message_id: str) -> Message:
    found = rows.messages(connection, session.id, MESSAGES.c.id == message_id)
    if not found:
        raise NotFound("message", message_id)
    return found[0]


def _part(message: Message, part_id: str) -> Part:
    found = message.part(part_id)
    if found is None:
        raise NotFound("part", part_id)
    return found


def _mark_behind(connection: sa.Connection, session: Session, message_id: str) -> dict[str, Any] | None:
    """Where a revert begins once its message is gone: at the next one; nowhere if that was the last."""
    later = sa.select(sa.func.min(MESSAGES.c.id)).where(MESSAGES.c.session_id == session.id, MESSAGES.c.id > message_id)
    first = connection.scalar(later)
    mark = {name: value for name, value in (session.revert or {}).items() if name != "partID"}
    return {**mark, "messageID": first} if first else None


def _mended(was: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """The new data with what the part keeps of its own fields."""
    is_same = all(data.get(name) == was.get(name) for name in SIGNED)
    kept = {name: was[name] for name in OURS if name in was and (is_same or name != "signature")}
    return {**{name: value for name, value in data.items() if name not in OURS}, **kept}
