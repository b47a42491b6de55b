"""Subagents: sessions of their own that a run begins and waits for, without any thread.

A subagent's session, its prompt, its run and the call that names it are one transaction: whoever takes the parent's
run over finds the subagent again, or finds that it was never begun.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from app import db, ids
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import NotFound
from app.sessions.service import journal, presets, rows, runs, transcript
from app.sessions.service.rows import MESSAGES, PARTS, RUNS, SESSIONS
from app.sessions.things import Hold, Message, Part, Run, Session, run_of

DEEPEST = 16


def _below() -> sa.CTE:
    """The ids and costs of all sessions below the session `above`."""
    first = sa.select(SESSIONS.c.id, SESSIONS.c.cost).where(SESSIONS.c.parent_id == sa.bindparam("above"))
    below = first.cte("below", recursive=True)
    further = sa.select(SESSIONS.c.id, SESSIONS.c.cost).join(below, SESSIONS.c.parent_id == below.c.id)
    return below.union(further)


# Built once: every page of a session asks this, and building it costs more than its answer.
_BELOW = _below()
_COST_BELOW = sa.select(sa.func.coalesce(sa.func.sum(_BELOW.c.cost), 0.0))
_IDS_BELOW = sa.select(_BELOW.c.id)


@dataclass(frozen=True)
class Errand:
    """What a subagent is to do: in which mode, with which model and tools; `session_id` goes on with an earlier one.

    One that `is_alone` may do what its mode may, whoever waits for it.
    """

    title: str
    text: str
    mode: str
    provider: str
    model: str
    tools: dict[str, bool] | None = None
    session_id: str = ""
    is_alone: bool = False


@dataclass(frozen=True)
class Subagent:
    """A subagent as its parent's page shows it: its session, and the end of what it said last."""

    session: Session
    words: str


@dataclass(frozen=True)
class _Project:
    id: str


@dataclass(frozen=True)
class _Place:
    project: _Project
    directory: str


def begin_subagent(hold: Hold, part: Part, errand: Errand) -> Part:
    """Queue the first run of a subagent, its session noted in the part as metadata.sessionId; both or neither.

    Raises NotFound if the session to go on with is no subagent of this one.
    """
    with db.transaction() as connection:
        hold.check(connection)
        hold.raise_if_cancelled()
        child = _child(connection, hold, errand)
        data = {
            "agent": errand.mode,
            "model": {"providerID": errand.provider, "modelID": errand.model},
            "by": hold.actor.name,
            **({"tools": errand.tools} if errand.tools else {}),
            **({"alone": True} if errand.is_alone else {}),
        }
        prompt = Message(ids.ascending("msg"), child.id, "user", data, ids.now(), None)
        prompt.parts.append(Part(ids.ascending("prt"), prompt.id, child.id, "text", {"text": errand.text}))
        rows.insert_message(connection, prompt, child)
        chosen = {"mode": errand.mode, "provider": errand.provider, "model": errand.model}
        runs.queue(connection, child, prompt, **chosen, parent_run=hold.run_id)
        state = child.state if child.is_busy else "queued"
        rows.change(connection, child, touch=True, state=state, **chosen)
        call = part.data["state"]
        call = {**call, "metadata": {**call.get("metadata", {}), "sessionId": child.id}}
        begun = Part(part.id, part.message_id, part.session_id, part.type, {**part.data, "state": call})
        return journal.save_part(hold, begun, act=f"subagent: {errand.title}")


def ended_run(hold: Hold, session_id: str) -> Run | None:
    """The run of a subagent that this run waits for, None while it goes on; NotFound once it is deleted."""
    query = sa.select(RUNS).where(RUNS.c.parent_run == hold.run_id, RUNS.c.session_id == session_id)
    with db.read() as connection:
        row = connection.execute(query.order_by(RUNS.c.id.desc()).limit(1)).first()
    if row is None:
        raise NotFound("session", session_id)
    return run_of(row) if row.state in runs.ENDED else None


def note_told(hold: Hold, run: Run) -> None:
    """The end of a subagent's run is in the transcript of whoever waited for it: part of that transaction."""
    with db.transaction() as connection:
        hold.check(connection)
        connection.execute(RUNS.update().where(RUNS.c.id == run.id).values(parent_run=None))


def depth_of(hold: Hold) -> int:
    """How many sessions stand above this run's, 0 for one that a person began."""
    with db.read() as connection:
        return len(above(connection, hold.session))


def above(connection: sa.Connection, session: Session) -> list[str]:
    """The ids of the sessions above a subagent's, its parent's first."""
    found: list[str] = []
    parent = session.parent_id
    while parent and parent not in found and len(found) < DEEPEST:
        found.append(parent)
        parent = connection.scalar(sa.select(SESSIONS.c.parent_id).where(SESSIONS.c.id == parent))
    return found


def modes_above(hold: Hold) -> list[str]:
    """The modes of the runs that wait for this one, the nearest first; up to one that may do what its mode may."""
    found: list[str] = []
    run: Run | None = hold.run
    with db.read() as connection:
        while run and run.parent_run and len(found) < DEEPEST and not _is_alone(connection, run):
            run = rows.run(connection, run.parent_run)
            found += [run.mode] if run else []
    return found


def subagents(actor: Actor, session_id: str) -> dict[str, Subagent]:
    """The sessions below a session that the actor may read, by id, each with the last text it said."""
    found = {child.id: child for child in transcript.children(actor, session_id)}
    with db.read() as connection:
        return {child.id: Subagent(child, _last_text(connection, child.id)) for child in found.values()}


def cost_below(actor: Actor, session_id: str) -> float:
    """What all subagents below a session cost, in dollars; a session's own cost leaves them out."""
    with db.read() as connection:
        session = rows.session(connection, session_id)
        accounts.require(actor, "sessions:read", session)
        return float(connection.scalar(_COST_BELOW, {"above": session_id}) or 0.0)


def ids_below(actor: Actor, session_id: str) -> list[str]:
    """The ids of all sessions below a session, those of its subagents' subagents too, whoever may read them."""
    with db.read() as connection:
        accounts.require(actor, "sessions:read", rows.session(connection, session_id))
        return list(connection.scalars(_IDS_BELOW, {"above": session_id}))


def _is_alone(connection: sa.Connection, run: Run) -> bool:
    prompt = connection.scalar(sa.select(MESSAGES.c.data).where(MESSAGES.c.id == run.message_id))
    return bool(prompt and prompt.get("alone"))


def _last_text(connection: sa.Connection, session_id: str) -> str:
    query = (
        sa.select(PARTS.c.text)
        .join(MESSAGES, MESSAGES.c.id == PARTS.c.message_id)
        .where(PARTS.c.session_id == session_id, PARTS.c.type == "text", MESSAGES.c.role == "assistant")
        .order_by(PARTS.c.message_id.desc(), PARTS.c.id.desc())
        .limit(1)
    )
    return str(connection.scalar(query) or "")


def _child(connection: sa.Connection, hold: Hold, errand: Errand) -> Session:
    """The session to work in: an earlier subagent's of this session, or a new one that may do what its parent may."""
    if errand.session_id:
        earlier = rows.session(connection, errand.session_id, lock=True)
        if earlier.parent_id != hold.session.id:
            raise NotFound("session", errand.session_id)
        return earlier
    parent = rows.session(connection, hold.session.id)
    return transcript.create(
        hold.actor,
        _Place(_Project(parent.project), parent.directory),
        title=errand.title,
        parent_id=parent.id,
        mode=errand.mode,
        provider=errand.provider,
        model=errand.model,
        preset=presets.lowered(parent.preset),
        visibility="private" if parent.visibility == "private" else "team",
    )
