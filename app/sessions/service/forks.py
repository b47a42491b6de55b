"""Forks: a new session that begins with what another one said so far."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from app import db, ids, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import NotFound
from app.sessions import events
from app.sessions.service import rows, visibility
from app.sessions.service.rows import SESSIONS
from app.sessions.service.transcript import Place, require_place
from app.sessions.things import Message, Part, Session

_FORKED = re.compile(r"(.*) \(fork #(\d{1,9})\)", re.DOTALL)


def fork(actor: Actor, place: Place, session_id: str, before: str | None = None) -> Session:
    """Begin a session with copies of another's messages, up to one of them, and of its todos.

    `place` is where that session works. What is reverted, or is still being written, stays behind; so do approvals,
    rules and checkpoints. It is seen as any new one of the actor's; of a private one by them alone. Raises NotFound for
    a message that is not there.
    """
    with db.read() as connection:
        source = rows.session(connection, session_id)
        accounts.require(actor, "sessions:read", source)
        messages = rows.messages(connection, session_id)
    require_place(actor, place.project)
    if before is not None and all(message.id != before for message in messages):
        raise NotFound("message", before)
    new = _begun(actor, source)
    # Made before the write begins, which others wait for.
    copies = _copies(new, _standing(source, messages, before))
    with db.transaction() as connection:
        source = rows.session(connection, session_id)
        accounts.require(actor, "sessions:read", source)
        if source.visibility == "private":  # perhaps only by now
            new = replace(new, visibility="private")
        connection.execute(SESSIONS.insert().inline(), new.plain())
        record.event(connection, events.SessionCreated(new.id, new.plain()), new)
        record.event(connection, events.SessionUpdated(new.id, new.plain()), new)
        rows.insert_messages(connection, copies, new)
    return new


def _begun(actor: Actor, source: Session) -> Session:
    """The session that a fork starts as. Whose preset was not theirs to choose begins with the careful one."""
    now = ids.now()
    is_own = actor.kind != "agent" and actor.user == source.owner
    return replace(
        source,
        id=ids.descending("ses"),
        parent_id=None,
        title=_title(source.title),
        preset=source.preset if is_own else "ask",
        owner=actor.user,
        visibility="private" if source.visibility == "private" else visibility.default(actor.user),
        via=actor.via,
        state="idle",
        cost=0.0,
        tokens={},
        additions=0,
        deletions=0,
        files=0,
        revert=None,
        last_act="",
        created=now,
        updated=now,
        archived=None,
        version=1,
        share_slug=None,
        share=None,
        share_until=None,
    )


def _title(title: str) -> str:
    forked = _FORKED.fullmatch(title)
    return f"{forked[1]} (fork #{int(forked[2]) + 1})" if forked else f"{title} (fork #1)"


def _standing(source: Session, messages: list[Message], before: str | None) -> list[Message]:
    """Those messages that count: before the given one, not reverted, and whole."""
    mark = source.revert or {}
    first, part_id = mark.get("messageID"), mark.get("partID")
    found = []
    for message in messages:
        if message.id == before:
            break
        is_first = message.id == first
        if first and (message.id > first or (is_first and not part_id)):
            break
        if message.role == "assistant" and not message.completed:
            continue
        kept = [part for part in message.parts if part.id < part_id] if is_first and part_id else message.parts
        found.append(replace(message, parts=kept))
    return found


def _copies(new: Session, messages: list[Message]) -> list[Message]:
    """The same messages under ids of their own, in the same order; answers point to the copies of their prompts."""
    named = {message.id: ids.ascending("msg") for message in messages}

    def part(one: Part) -> Part:
        data = _pointing(one.data, named) if one.type == "compaction" else one.data
        return replace(one, id=ids.ascending("prt"), message_id=named[one.message_id], session_id=new.id, data=data)

    return [
        replace(
            message,
            id=named[message.id],
            session_id=new.id,
            data=_pointing(message.data, named),
            parts=[part(one) for one in message.parts],
        )
        for message in messages
    ]


def _pointing(data: dict[str, Any], named: dict[str, str]) -> dict[str, Any]:
    """What names other messages: whose answer it is, for which prompt, and from where on a summary leaves them be."""
    found = {key: named.get(data[key], data[key]) for key in ("parentID", "for", "tail_start_id") if data.get(key)}
    if data.get("beside"):
        found["beside"] = [named[one] for one in data["beside"] if one in named]
    return {**data, **found}
