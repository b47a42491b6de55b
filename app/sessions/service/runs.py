"""Runs are rows: queued, leased with a fence, waiting without any thread, ended once.

A waiting run holds nothing; the answer puts it back into the queue. A lease that expires, or whose process is
gone, puts its run back as well; its fence counter rises, so that a process which comes back from the dead finds
itself locked out of the transcript.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from app import config, db, dispatch, ids, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict
from app.sessions import events
from app.sessions.service import owners, rows
from app.sessions.service.rows import MESSAGES, RUNS, SESSIONS
from app.sessions.things import Hold, Message, Run, Session, run_of

LEASE = 8_000
MAX_TAKEOVERS = 3
AGENT = ("sessions:*", "events:read", "files:*", "projects:read", "tool:*", "settings:read", "mcp:read")
ENDED = ("completed", "failed", "aborted", "interrupted")
ABORTED = {"name": "MessageAbortedError", "data": {"message": "The run was stopped."}}
INTERRUPTED: dict[str, Any] = {
    "name": "UnknownError",
    "data": {"message": "The run was interrupted three times at the same step. The work is kept."},
}
COUNTING = 0x5CAB  # the advisory lock of PostgreSQL under which runs are counted
_crowded = threading.Event()


def check_owner(session: Session, asking: str) -> None:
    """Raise Conflict where somebody else asks, and the project is closed to the owner, for whom the agent acts."""
    if asking == session.owner:
        return
    owner = accounts.acting_for(session.owner, "system")
    if owner is not None and not accounts.is_open(owner, session.project):
        raise Conflict(f"{owner.name}, whose session this is, is not in the project any more. Fork it to go on.")


def queue(
    connection: sa.Connection,
    session: Session,
    message: Message,
    mode: str,
    provider: str,
    model: str,
    parent_run: str | None = None,
) -> str:
    """Store a queued run for a prompt and wake an engine once that is committed; `parent_run` waits for its end."""
    run = Run(
        id=ids.ascending("run"),
        session_id=session.id,
        message_id=message.id,
        state="queued",
        mode=mode,
        provider=provider,
        model=model,
        lease_owner=None,
        lease_until=None,
        fence=0,
        takeovers=0,
        abort=False,
        error=None,
        created=ids.now(),
        started=None,
        ended=None,
        parent_run=parent_run,
    )
    connection.execute(RUNS.insert().inline(), run.__dict__)
    dispatch.wake("agent.advance", run.id)
    return run.id


def queued() -> list[str]:
    """The runs that could start now: the oldest queued one of each session without a live one, oldest first, and of
    each person, and of all together, only as many as there is room for.
    """
    live = sa.select(RUNS.c.session_id).where(RUNS.c.state.in_(("running", "waiting")))
    first = sa.func.min(RUNS.c.id)
    query = (
        sa.select(first, SESSIONS.c.owner)
        .join(SESSIONS, SESSIONS.c.id == RUNS.c.session_id)
        .where(RUNS.c.state == "queued", RUNS.c.session_id.not_in(live))
        .group_by(RUNS.c.session_id, SESSIONS.c.owner)
        .order_by(first)
    )
    with db.read() as connection:
        running, waiting = _running(connection), connection.execute(query).all()
    startable = []
    for run_id, owner in waiting:
        if _has_room(running, owner):
            running[owner] += 1
            startable.append(run_id)
    return startable


def take(run_id: str) -> Hold | None:
    """Take the lease of a queued run whose turn it is; None if it isn't, somebody else was first, or its person (or
    all together) have as many runs at work as they may.
    """
    with db.transaction() as connection:
        run = rows.run(connection, run_id, lock=True)
        if run is None or run.state != "queued":
            return None
        session = rows.session(connection, run.session_id, lock=True)
        if _is_behind(connection, run):
            return None
        if run.abort:
            _end_open(connection, session, run, "aborted", ABORTED, "Tool execution aborted")
            return None
        if not _has_room(_running(connection, lock=True), session.owner):
            _crowded.set()
            return None
        values: dict[str, Any] = {
            "state": "running",
            "lease_owner": owners.name(),
            "lease_until": ids.now() + LEASE,
            "fence": run.fence + 1,
            "started": run.started or ids.now(),
        }
        connection.execute(RUNS.update().where(RUNS.c.id == run_id).values(**values))
        session = rows.change(connection, session, state="running")
        record.event(connection, events.SessionBusy(session.id), session)
    return Hold(replace(run, **values), session, _agent(session))


def beat(hold: Hold) -> bool:
    """Prolong the lease; False if it is lost. Tells the hold to stop if a person asked for it."""
    with db.transaction() as connection:
        beaten = connection.execute(
            RUNS.update()
            .where(RUNS.c.id == hold.run_id, RUNS.c.fence == hold.fence, RUNS.c.state == "running")
            .values(lease_until=ids.now() + LEASE)
        )
        abort = connection.scalar(sa.select(RUNS.c.abort).where(RUNS.c.id == hold.run_id))
    if abort or beaten.rowcount != 1:
        hold.cancel()
    return beaten.rowcount == 1


def wait(hold: Hold, is_unanswered: Callable[[sa.Connection], bool]) -> bool:
    """Give the lease up until an answer comes or a subagent ends; False if there is nothing to wait for any more.

    While nobody is asked, only a subagent works for it: then its session counts as running. Raises Aborted if a
    person stopped the run meanwhile: only its engine can end it then.
    """
    with db.transaction() as connection:
        hold.check(connection)
        hold.raise_if_cancelled()
        is_asked = is_unanswered(connection)
        if not is_asked and not _has_child(connection, hold.run_id):
            return False
        _leave(connection, hold.run_id, "waiting")
        state = "waiting" if is_asked else "running"
        rows.change(connection, rows.session(connection, hold.session.id, lock=True), state=state)
        return True


def release(hold: Hold) -> None:
    """Put a held run back into the queue: the server drains, another start goes on. Raises Aborted if stopped."""
    with db.transaction() as connection:
        hold.check(connection)
        hold.raise_if_cancelled()
        _leave(connection, hold.run_id, "queued")
        rows.change(connection, rows.session(connection, hold.session.id, lock=True), state="queued")


def requeue(connection: sa.Connection, run_id: str) -> bool:
    """What a waiting run waited for came: it goes on. Part of an answer's own transaction."""
    run = rows.run(connection, run_id, lock=True)
    if run is None or run.state != "waiting":
        return False
    connection.execute(RUNS.update().where(RUNS.c.id == run_id).values(state="queued"))
    rows.change(connection, rows.session(connection, run.session_id, lock=True), state="queued")
    dispatch.wake("agent.advance", run_id)
    return True


def go_on(run_id: str) -> bool:
    """A subagent ended: whoever waits for it goes on; False if it does not wait any more.

    Not part of the end's own transaction: a run is locked before those it waits for, never after them.
    """
    with db.transaction() as connection:
        return requeue(connection, run_id)


def requeue_left(asked: Callable[[sa.Connection], set[str]]) -> int:
    """Put back runs that wait for nothing any more, because a wake-up was lost; returns how many.

    `asked` gives the runs whose question still waits for an answer.
    """
    # Children first, which are few: a lookup per waiting run would read the whole table for each wherever the
    # statistics say that nearly all runs have the same parent, none.
    children = sa.select(RUNS.c.parent_run, RUNS.c.state).where(RUNS.c.parent_run > "")
    with db.read() as connection:
        waiting = connection.scalars(sa.select(RUNS.c.id).where(RUNS.c.state == "waiting")).all()
        if not waiting:
            return 0
        below = connection.execute(children).all()
        busy = asked(connection) | {row.parent_run for row in below}
    told = {row.parent_run for row in below if row.state in ENDED}
    return sum(go_on(run_id) for run_id in waiting if run_id in told or run_id not in busy)


def finish(hold: Hold, state: str, error: dict[str, Any] | None = None) -> None:
    """End a held run; the next queued one of the session starts, or the session is idle."""
    with db.transaction() as connection:
        hold.check(connection)
        _end(connection, hold.run, state, error)


def end_lost_leases() -> int:
    """Put runs whose lease ran out back into the queue; returns how many."""
    expired = sa.and_(RUNS.c.state == "running", RUNS.c.lease_until < ids.now())
    return _take_back(expired)


def end_dead_leases() -> int:
    """At start: take back at once what processes of this host held that are gone."""
    here = f"{owners.host()}|"
    with db.read() as connection:
        held = connection.scalars(
            sa.select(RUNS.c.lease_owner).where(RUNS.c.state == "running", RUNS.c.lease_owner.is_not(None)).distinct()
        ).all()
    dead = [owner for owner in held if owner.startswith(here) and not owners.is_alive(owner)]
    return _take_back(sa.and_(RUNS.c.state == "running", RUNS.c.lease_owner.in_(dead))) if dead else 0


def abort_all(connection: sa.Connection, session: Session) -> bool:
    """Stop every run of a session, and the subagents they wait for."""
    query = (
        sa.select(RUNS).where(RUNS.c.session_id == session.id, RUNS.c.state.not_in(ENDED)).order_by(RUNS.c.id.desc())
    )
    live = [run_of(row) for row in connection.execute(query.with_for_update())]
    for run in live:
        _stop(connection, session, run)
    return bool(live)


def wake_parents(connection: sa.Connection, session_id: str) -> None:
    """A session is about to be deleted: whoever waits for one of its runs waits no longer."""
    query = sa.select(RUNS.c.parent_run).where(RUNS.c.session_id == session_id, RUNS.c.parent_run.is_not(None))
    for run_id in connection.scalars(query.distinct()).all():
        dispatch.wake("agent.go_on", run_id)


def _stop(connection: sa.Connection, session: Session, run: Run) -> None:
    """Stop one run: a held one is told, another ends here and now; its subagents' runs are stopped with it."""
    if run.state == "running":
        connection.execute(RUNS.update().where(RUNS.c.id == run.id).values(abort=True))
        record.event(connection, events.AbortAsked(session.id, run.id), session)
        _stop_children(connection, run.id)
    else:
        _end_open(connection, session, run, "aborted", ABORTED, "Tool execution aborted")


def _stop_children(connection: sa.Connection, run_id: str) -> None:
    query = sa.select(RUNS).where(RUNS.c.parent_run == run_id, RUNS.c.state.not_in(ENDED)).order_by(RUNS.c.id.desc())
    for child in [run_of(row) for row in connection.execute(query.with_for_update())]:
        _stop(connection, rows.session(connection, child.session_id), child)


def _has_child(connection: sa.Connection, run_id: str) -> bool:
    """Whether a subagent of this run goes on."""
    query = sa.select(RUNS.c.id).where(RUNS.c.parent_run == run_id, RUNS.c.state.not_in(ENDED)).limit(1)
    return connection.scalar(query) is not None


def _end(connection: sa.Connection, run: Run, state: str, error: dict[str, Any] | None) -> None:
    connection.execute(
        RUNS.update()
        .where(RUNS.c.id == run.id)
        .values(state=state, error=error, ended=ids.now(), lease_owner=None, lease_until=None)
    )
    session = rows.session(connection, run.session_id, lock=True)
    others = connection.execute(
        sa.select(RUNS.c.id, RUNS.c.state)
        .where(RUNS.c.session_id == session.id, RUNS.c.state.not_in(ENDED))
        .order_by(RUNS.c.id)
    ).all()
    live = next((other.state for other in others if other.state != "queued"), None)
    if error and live is None:
        record.event(connection, events.SessionFailed(session.id, error), session)
    rest = "failed" if state in ("failed", "interrupted") else "idle"
    session = rows.change(connection, session, state=live or ("queued" if others else rest), compacting=None)
    answer = _last_answer(connection, run)
    record.event(connection, events.RunEnded(session.id, run.id, state, run.message_id, answer), session)
    if live is None and others:
        dispatch.wake("agent.advance", others[0].id)
    elif live is None:
        record.event(connection, events.SessionIdle(session.id), session)
    if state != "completed":
        _stop_children(connection, run.id)
    if run.parent_run:
        dispatch.wake("agent.go_on", run.parent_run)
    _make_room()


def _last_answer(connection: sa.Connection, run: Run) -> str:
    """The id of the last message that answers a run's prompt, "" if none does."""
    query = sa.select(MESSAGES.c.id, MESSAGES.c.data).where(
        MESSAGES.c.session_id == run.session_id, MESSAGES.c.role == "assistant"
    )
    last = connection.execute(query.order_by(MESSAGES.c.id.desc()).limit(1)).first()
    return last.id if last and last.data.get("parentID") == run.message_id else ""


def _take_back(which: sa.ColumnElement[bool]) -> int:
    with db.read() as connection:
        lost = list(connection.scalars(sa.select(RUNS.c.id).where(which)))
    return sum(_take_one_back(run_id, which) for run_id in lost)


def _take_one_back(run_id: str, which: sa.ColumnElement[bool]) -> bool:
    """Put one lost run back, or end it; False if it isn't lost any more."""
    with db.transaction() as connection:
        row = connection.execute(sa.select(RUNS).where(RUNS.c.id == run_id, which).with_for_update()).first()
        if row is None:
            return False
        run = run_of(row)
        session = rows.session(connection, run.session_id, lock=True)
        if run.abort:
            _end_open(connection, session, run, "aborted", ABORTED, "Tool execution aborted")
        elif run.takeovers + 1 >= MAX_TAKEOVERS:
            _end_open(connection, session, run, "interrupted", INTERRUPTED, INTERRUPTED["data"]["message"])
        else:
            _leave(connection, run.id, "queued", takeovers=run.takeovers + 1, fence=run.fence + 1)
            rows.change(connection, session, state="queued")
            dispatch.wake("agent.advance", run.id)
    return True


def _leave(connection: sa.Connection, run_id: str, state: str, **values: Any) -> None:
    connection.execute(
        RUNS.update().where(RUNS.c.id == run_id).values(state=state, lease_owner=None, lease_until=None, **values)
    )
    _make_room()


def _running(connection: sa.Connection, *, lock: bool = False) -> Counter[str]:
    """How many runs of each person are at work; who wants to add one locks out the others who count."""
    if lock and connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(COUNTING)))
    query = (
        sa.select(SESSIONS.c.owner, sa.func.count().label("at_work"))
        .join(RUNS, RUNS.c.session_id == SESSIONS.c.id)
        .where(RUNS.c.state == "running")
        .group_by(SESSIONS.c.owner)
    )
    return Counter({row.owner: row.at_work for row in connection.execute(query)})


def _has_room(running: Counter[str], owner: str) -> bool:
    limits = config.current().limits
    return running[owner] < limits.runs_per_user and running.total() < limits.runs


def _make_room() -> None:
    """A run has left its place: those who found none in this process are woken (the sweep finds all others)."""
    if _crowded.is_set():
        _crowded.clear()
        for run_id in queued():
            dispatch.wake("agent.advance", run_id)


def _is_behind(connection: sa.Connection, run: Run) -> bool:
    """Whether another run of the session is live, or was queued earlier."""
    earlier = sa.or_(RUNS.c.state.in_(("running", "waiting")), sa.and_(RUNS.c.state == "queued", RUNS.c.id < run.id))
    query = sa.select(RUNS.c.id).where(RUNS.c.session_id == run.session_id, RUNS.c.id != run.id, earlier).limit(1)
    return connection.scalar(query) is not None


def _end_open(
    connection: sa.Connection, session: Session, run: Run, state: str, error: dict[str, Any], word: str
) -> None:
    """End a run that nobody holds: its unfinished calls and its open message say so."""
    where = (MESSAGES.c.role == "assistant", MESSAGES.c.completed.is_(None))
    for message in rows.messages(connection, session.id, *where):
        if message.answers(run.message_id):
            close_message(connection, session, message, error, word)
    _end(connection, run, state, error)


def close_message(
    connection: sa.Connection, session: Session, message: Message, error: dict[str, Any] | None, word: str
) -> None:
    """Close a message as it stands: open texts end, unfinished calls become errors that say `word`."""
    now = ids.now()
    for part in message.parts:
        closed = _closed(part.type, part.data, word, now)
        if closed is not None:
            rows.update_part(
                connection, type(part)(part.id, part.message_id, part.session_id, part.type, closed), session
            )
    data = {**message.data, "error": error} if error else message.data
    rows.update_message(
        connection, Message(message.id, message.session_id, message.role, data, message.created, now), session
    )


def _closed(kind: str, data: dict[str, Any], word: str, now: int) -> dict[str, Any] | None:
    if kind in ("text", "reasoning") and "end" not in data.get("time", {"end": 0}):
        return {**data, "time": {**data["time"], "end": now}}
    if kind == "tool" and data["state"]["status"] in ("pending", "running"):
        state = data["state"]
        time = {"start": state.get("time", {}).get("start", now), "end": now}
        known = {"input": state.get("input", {}), "metadata": state.get("metadata", {}), "time": time}
        return {**data, "state": {"status": "error", "error": word, **known}}
    return None


def _agent(session: Session) -> Actor:
    """The agent acts for the session's owner with no more than they hold, and never approves or configures."""
    found = accounts.acting_for(
        session.owner, "agent", project=session.project, name="Agent", via=session.via, scopes=AGENT
    ) or Actor("", "agent", session.owner, "Agent", (), project=session.project, via=session.via)
    return replace(found, id=f"agent:{session.id}")
