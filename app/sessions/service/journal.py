"""What the engine writes while it holds a run: every write checks the fence first."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from app import db, ids, record
from app.sessions import events
from app.sessions.service import rows, runs
from app.sessions.service.rows import PARTS, RUNS, SESSIONS
from app.sessions.things import Fenced, Hold, Message, Part

_grow = (
    PARTS.update()
    .where(PARTS.c.id == sa.bindparam("part"))
    .values(text=PARTS.c.text + sa.bindparam("delta", type_=sa.Text))
)


def transcript_of(hold: Hold) -> list[Message]:
    """The transcript as this run's engine sees it: without prompts whose own run is still queued.

    Raises Fenced once the session is deleted.
    """
    waiting = sa.select(RUNS.c.message_id).where(
        RUNS.c.session_id == hold.session.id, RUNS.c.state == "queued", RUNS.c.id != hold.run_id
    )
    with db.read() as connection:
        held_back = set(connection.scalars(waiting))
        messages = rows.messages(connection, hold.session.id)
    if all(message.id != hold.run.message_id for message in messages):
        raise Fenced(hold.run_id)
    return [message for message in messages if message.id not in held_back]


def refresh(hold: Hold, message: Message) -> Message:
    """A message as it is stored now, with its parts; raises Fenced once it is deleted with its session."""
    with db.read() as connection:
        found = rows.messages(connection, hold.session.id, rows.MESSAGES.c.id == message.id)
    if not found:
        raise Fenced(hold.run_id)
    return found[0]


def add_message(hold: Hold, data: dict[str, Any]) -> Message:
    """Begin an assistant message."""
    message = Message(ids.ascending("msg"), hold.session.id, "assistant", data, ids.now(), None)
    with db.transaction() as connection:
        hold.check(connection)
        rows.insert_message(connection, message, hold.session)
    return message


def save_message(hold: Hold, message: Message, *, completed: bool = False, **data: Any) -> Message:
    """Write fields into a message's data; `completed` closes it, which ends a step."""
    done = ids.now() if completed else message.completed
    message = replace(message, data={**message.data, **data}, completed=done)
    with db.transaction() as connection:
        hold.check(connection)
        rows.update_message(connection, message, hold.session)
        if completed and hold.run.takeovers:
            # Only take-overs of one and the same step count.
            hold.run = replace(hold.run, takeovers=0)
            connection.execute(RUNS.update().where(RUNS.c.id == hold.run_id).values(takeovers=0))
    return message


def close_message(hold: Hold, message: Message, error: dict[str, Any] | None, word: str) -> None:
    """Close a message that will not go on: open texts end, unfinished calls become errors that say `word`."""
    with db.transaction() as connection:
        hold.check(connection)
        fresh = rows.messages(connection, hold.session.id, rows.MESSAGES.c.id == message.id)[0]
        runs.close_message(connection, hold.session, fresh, error, word)


def add_part(hold: Hold, message_id: str, type: str, data: dict[str, Any]) -> Part:
    """Add a part to a message."""
    part = Part(ids.ascending("prt"), message_id, hold.session.id, type, data)
    with db.transaction() as connection:
        hold.check(connection)
        rows.insert_part(connection, part, hold.session)
    return part


def save_part(hold: Hold, part: Part, *, act: str = "") -> Part:
    """Write a part anew; `act` is the line that lists show as the session's last act."""
    with db.transaction() as connection:
        hold.check(connection)
        rows.update_part(connection, part, hold.session)
        if act:
            line = db.storable(act)[:200]
            connection.execute(SESSIONS.update().where(SESSIONS.c.id == hold.session.id).values(last_act=line))
    return part


def append_text(hold: Hold, part: Part, delta: str, end: int) -> Future[None]:
    """Let a text or reasoning part grow to `end` characters; the future says when it is stored.

    Many are written in one transaction. `delta` must be storable (see db).
    """
    fact = events.PartDelta(
        hold.session.id, part.message_id, part.id, part.type, delta, end, part.data["time"]["start"]
    )

    def write(connection: sa.Connection) -> None:
        hold.check(connection)
        connection.execute(_grow, {"part": part.id, "delta": delta})
        record.event(connection, fact, hold.session)

    return db.append(write)


def set_todos(hold: Hold, todos: list[dict[str, Any]]) -> None:
    """Replace the session's todo list."""
    with db.transaction() as connection:
        hold.check(connection)
        connection.execute(SESSIONS.update().where(SESSIONS.c.id == hold.session.id).values(todos=todos))
        record.event(connection, events.TodosUpdated(hold.session.id, todos), hold.session)


def change_mode(hold: Hold, mode: str, provider: str, model: str) -> None:
    """From its next step on the run is in another mode, with this model, and its session with it."""
    chosen: dict[str, Any] = {"mode": mode, "provider": provider, "model": model}
    with db.transaction() as connection:
        hold.check(connection)
        connection.execute(RUNS.update().where(RUNS.c.id == hold.run_id).values(**chosen))
        changed = rows.change(connection, rows.session(connection, hold.session.id, lock=True), **chosen)
    hold.run, hold.session = replace(hold.run, **chosen), changed


def add_usage(hold: Hold, cost: float, tokens: dict[str, Any]) -> None:
    """Add a step's cost (dollars) and tokens to the session's totals."""
    with db.transaction() as connection:
        hold.check(connection)
        session = rows.session(connection, hold.session.id, lock=True)
        cache = tokens.get("cache", {})
        was = session.tokens
        total = {**was, **{key: was.get(key, 0) + tokens.get(key, 0) for key in ("input", "output", "reasoning")}}
        total["cache"] = {key: was.get("cache", {}).get(key, 0) + cache.get(key, 0) for key in ("read", "write")}
        total["context"] = tokens.get("input", 0) + cache.get("read", 0) + tokens.get("output", 0)
        rows.change(connection, session, cost=session.cost + cost, tokens=total)


def drop_message(hold: Hold, message: Message) -> None:
    """Take a message of this run away again: what it was begun for was never said."""
    with db.transaction() as connection:
        hold.check(connection)
        connection.execute(PARTS.delete().where(PARTS.c.message_id == message.id))
        connection.execute(rows.MESSAGES.delete().where(rows.MESSAGES.c.id == message.id))
        record.event(connection, events.MessageRemoved(hold.session.id, message.id), hold.session)


def say_retrying(hold: Hold, attempt: int, message: str, at: int) -> None:
    """Announce that a try failed and when (unix ms) the next one is."""
    with db.transaction() as connection:
        hold.check(connection)
        record.event(connection, events.SessionRetrying(hold.session.id, attempt, message, at), hold.session)


def say_busy(hold: Hold) -> None:
    """Announce the next step, or the next try of one."""
    with db.transaction() as connection:
        hold.check(connection)
        record.event(connection, events.SessionBusy(hold.session.id), hold.session)
