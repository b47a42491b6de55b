"""Summing a session up: what asks for it, what came of it, and whether the model goes on from it.

A person's message with a `compaction` part asks, an assistant's message with `summary` answers. The part's data says
since when the summary is there (`done`), that there will be none (`failed`), whether it was put aside (`undone`), from
which message on the transcript is told to the model as it is (`tail_start_id`), and which prompts before that are too
(`beside`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from app import db, ids, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Busy, Conflict, NotFound
from app.sessions import events
from app.sessions.service import rows, runs
from app.sessions.service.rows import MESSAGES, RUNS
from app.sessions.service.transcript import drop_reverted, message
from app.sessions.things import Hold, Message, Part, Session

PART = "compaction"


def summarize(
    actor: Actor, session_id: str, provider: str = "", model: str = "", *, auto: bool = False
) -> tuple[Message, str]:
    """Ask for a summary of the session so far, by its own model if none is named; the message and the run's id.

    Raises Conflict where nothing was said yet. While a run is busy it waits its turn.
    """
    with db.transaction() as connection:
        session = rows.session(connection, session_id, lock=True)
        accounts.require(actor, "sessions:run", session)
        runs.check_owner(session, actor.user)
        session = drop_reverted(connection, session)
        if connection.scalar(sa.select(MESSAGES.c.id).where(MESSAGES.c.session_id == session_id).limit(1)) is None:
            raise Conflict("Nothing was said yet, so there is nothing to sum up.")
        provider, model = provider or session.provider, model or session.model
        new = _asked(session, provider, model, session.mode, {"auto": auto}, by=actor.name)
        rows.insert_message(connection, new, session)
        run_id = runs.queue(connection, session, new, session.mode, provider, model)
        rows.change(connection, session, state=session.state if session.is_busy else "queued")
    return new, run_id


def ask_summary(hold: Hold, *, overflow: bool) -> Message:
    """The same in the middle of a run, because the model's window is full; `overflow`: its server said so."""
    run = hold.run
    told = {"auto": True, **({"overflow": True} if overflow else {})}
    new = _asked(hold.session, run.provider, run.model, run.mode, told)
    new = replace(new, data={**new.data, "for": run.message_id})
    with db.transaction() as connection:
        hold.check(connection)
        rows.insert_message(connection, new, hold.session)
    return new


def begin_summary(hold: Hold, asked: Message, data: dict[str, Any]) -> tuple[Message, list[str]]:
    """Begin the message that answers: with it, the prompts that wait their turn and stay out of the summary."""
    data = {**data, "parentID": asked.id, "for": hold.run.message_id, "summary": True}
    new = Message(ids.ascending("msg"), hold.session.id, "assistant", data, ids.now(), None)
    waits = (RUNS.c.session_id == hold.session.id, RUNS.c.state == "queued")
    with db.transaction() as connection:
        hold.check(connection)
        session = rows.session(connection, hold.session.id, lock=True)
        rows.change(connection, session, compacting=ids.now())
        rows.insert_message(connection, new, hold.session)
        waiting = list(connection.scalars(sa.select(RUNS.c.message_id).where(*waits)))
    return new, waiting


def end_summary(hold: Hold, asked: Message, summary: Message, context: int, **told: Any) -> Message:
    """The summary is whole: from now on the model goes on from it, with a window filled by `context` tokens.

    `told` are the further fields of the part that asked.
    """
    summary = replace(summary, completed=ids.now())
    part = _part(asked)
    if part is None:
        raise NotFound("summary", asked.id)
    with db.transaction() as connection:
        hold.check(connection)
        rows.update_message(connection, summary, hold.session)
        rows.update_part(connection, replace(part, data={**part.data, **told, "done": ids.now()}), hold.session)
        record.event(connection, events.SessionCompacted(hold.session.id), hold.session)
        # The older clients hear of the whole message after that, the newer ones before it.
        record.event(connection, events.MessageUpdated(hold.session.id, summary.plain()), hold.session)
        session = rows.session(connection, hold.session.id, lock=True)
        rows.change(connection, session, compacting=None, tokens={**session.tokens, "context": context})
    return summary


def give_up_summary(hold: Hold, asked: Message, error: dict[str, Any]) -> None:
    """What was asked in the middle of a run came to nothing: the summary says why, the model goes on as before."""
    part = _part(asked)
    with db.transaction() as connection:
        hold.check(connection)
        for message in rows.messages(connection, hold.session.id, MESSAGES.c.completed.is_(None)):
            if message.data.get("parentID") == asked.id:
                runs.close_message(connection, hold.session, message, error, "Not run.")
        if part is not None:
            rows.update_part(connection, replace(part, data={**part.data, "failed": ids.now()}), hold.session)
        rows.change(connection, rows.session(connection, hold.session.id, lock=True), compacting=None)


def is_summed_up(actor: Actor, session_id: str, message_id: str) -> bool:
    """Whether the summary that a message asked for is there and was not put aside."""
    part = _part(message(actor, session_id, message_id))
    return part is not None and bool(part.data.get("done")) and not part.data.get("undone")


def put_summary_aside(actor: Actor, session_id: str, message_id: str, *, aside: bool = True) -> Part:
    """Let the model see what a summary stands for again, or (not `aside`) the summary again; the session is idle.

    Raises NotFound for a message that is no finished summary, Conflict while the session is busy.
    """
    with db.transaction() as connection:
        session = rows.session(connection, session_id, lock=True)
        accounts.require(actor, "sessions:write", session)
        found = rows.messages(connection, session_id, MESSAGES.c.id == message_id)
        part = _part(found[0]) if found else None
        if part is None or not part.data.get("done"):
            raise NotFound("summary", message_id)
        if session.is_busy:
            raise Busy(session_id)
        data = {name: value for name, value in part.data.items() if name != "undone"}
        part = replace(part, data={**data, "undone": ids.now()} if aside else data)
        rows.update_part(connection, part, session)
        rows.change(connection, session)
    return part


def _part(asked: Message) -> Part | None:
    return next((part for part in asked.parts if part.type == PART), None)


def _asked(session: Session, provider: str, model: str, mode: str, told: dict[str, Any], by: str = "") -> Message:
    data = {"agent": mode, "model": {"providerID": provider, "modelID": model}, **({"by": by} if by else {})}
    new = Message(ids.ascending("msg"), session.id, "user", data, ids.now(), None)
    return replace(new, parts=[Part(ids.ascending("prt"), new.id, session.id, PART, told)])
