"""Runs are rows: queued, leased with a fence, waiting without any thread, ended once.

A waiting run holds nothing; the answer puts it back into the queue. A lease that expires, or whose process is
gone, puts its run back as well; its fence counter rises, so that a process which comes back from the dead finds
itself locked out of the transcript.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from typing import Any

import psutil
import sqlalchemy as sa

from app import db, dispatch, ids, record
from app.actor import Actor
from app.sessions import events
from app.sessions.service import rows
from app.sessions.service.rows import MESSAGES, RUNS
from app.sessions.things import Hold, Message, Run, Session, run_of

LEASE = 8_000
MAX_TAKEOVERS = 3
ENDED = ("completed", "failed", "aborted", "interrupted")
ABORTED = {"name": "MessageAbortedError", "data": {"message": "The run was stopped."}}
INTERRUPTED = {
    "name": "UnknownError",
    "data": {"message": "The run was interrupted three times at the same step. The work is kept."},
}
_this_start = secrets.token_hex(4)


def owner_name() -> str:
    """This process's name in leases: host, pid, start time, and a random word."""
    pid = os.getpid()
    return f"{socket.gethostname()}|{pid}|{int(psutil.Process(pid).create_time())}|{_this_start}"


def queue(
    connection: sa.Connection, session: Session, message: Message, mode: str, provider: str, model: str
) -> str:
    """Store a queued run for a prompt and wake an engine once that is committed."""
    run = Run(
        id=ids.ascending("run"), session_id=session.id, message_id=message.id, state="queued", mode=mode,
        provider=provider, model=model, lease_owner=None, lease_until=None, fence=0, takeovers=0, abort=False,
        error=None, created=ids.now(), started=None, ended=None,
    )
    connection.execute(RUNS.insert().inline(), run.__dict__)
    dispatch.wake("agent.advance", run.id)
    return run.id


def queued() -> list[str]:
    """The runs that could start now: the oldest queued one of each session without a live one."""
    live = sa.select(RUNS.c.session_id).where(RUNS.c.state.in_(("running", "waiting")))
    query = (
        sa.select(sa.func.min(RUNS.c.id))
        .where(RUNS.c.state == "queued", RUNS.c.session_id.not_in(live))
        .group_by(RUNS.c.session_id)
    )
    with db.read() as connection:
        return list(connection.scalars(query))


def take(run_id: str) -> Hold | None:
    """Take the lease of a queued run whose turn it is; None if it isn't, or somebody else was first."""
    with db.transaction() as connection:
        run = rows.run(connection, run_id)
        if run is None or run.state != "queued" or _is_behind(connection, run):
            return None
        values = {
            "state": "running", "lease_owner": owner_name(), "lease_until": ids.now() + LEASE,
            "fence": run.fence + 1, "started": run.started or ids.now(),
        }
        taken = connection.execute(
            RUNS.update().where(RUNS.c.id == run_id, RUNS.c.state == "queued", RUNS.c.fence == run.fence)
            .values(**values)
        )
        if taken.rowcount != 1:
            return None
        session = rows.session(connection, run.session_id)
        session = rows.change(connection, session, state="running")
        record.event(connection, events.SessionBusy(session.id), session)
        held = rows.run(connection, run_id)
    assert held is not None
    return Hold(held, session, _agent(session), taken_over=run.fence > 0)


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
    """Give the lease up until an answer comes; False if everything was answered or the run stopped meanwhile."""
    with db.transaction() as connection:
        hold.check(connection)
        is_stopped = bool(connection.scalar(sa.select(RUNS.c.abort).where(RUNS.c.id == hold.run_id)))
        if is_stopped:
            # Whoever asked to stop saw a running run, so only its engine can end it.
            db.after_commit(hold.cancel)
            return False
        if not is_unanswered(connection):
            return False
        _leave(connection, hold.run_id, "waiting")
        rows.change(connection, rows.session(connection, hold.session.id), state="waiting")
        return True


def release(hold: Hold) -> None:
    """Put a held run back into the queue: the server drains, another start will go on."""
    with db.transaction() as connection:
        hold.check(connection)
        _leave(connection, hold.run_id, "queued")
        rows.change(connection, rows.session(connection, hold.session.id), state="queued")


def requeue(connection: sa.Connection, run_id: str) -> bool:
    """An answer came: a waiting run goes on. Part of the answer's own transaction."""
    requeued = connection.execute(
        RUNS.update().where(RUNS.c.id == run_id, RUNS.c.state == "waiting").values(state="queued")
    )
    if requeued.rowcount != 1:
        return False
    run = rows.run(connection, run_id)
    assert run is not None
    rows.change(connection, rows.session(connection, run.session_id), state="queued")
    dispatch.wake("agent.advance", run_id)
    return True


def finish(hold: Hold, state: str, error: dict[str, Any] | None = None) -> None:
    """End a held run; the next queued one of the session starts, or the session is idle."""
    with db.transaction() as connection:
        hold.check(connection)
        run = rows.run(connection, hold.run_id)
        assert run is not None
        _end(connection, run, state, error)


def end_lost_leases() -> int:
    """Put runs whose lease ran out back into the queue; returns how many."""
    expired = sa.and_(RUNS.c.state == "running", RUNS.c.lease_until < ids.now())
    return _take_back(expired)


def end_dead_leases() -> int:
    """At start: take back at once what processes of this host held that are gone."""
    host = socket.gethostname()
    with db.read() as connection:
        owners = connection.scalars(
            sa.select(RUNS.c.lease_owner).where(RUNS.c.state == "running", RUNS.c.lease_owner.is_not(None)).distinct()
        ).all()
    dead = [owner for owner in owners if owner.startswith(f"{host}|") and not _is_alive(owner)]
    return _take_back(sa.and_(RUNS.c.state == "running", RUNS.c.lease_owner.in_(dead))) if dead else 0


def abort_all(connection: sa.Connection, session: Session) -> bool:
    """Stop every run of a session: a held one is told, the others end here and now."""
    query = sa.select(RUNS).where(RUNS.c.session_id == session.id, RUNS.c.state.not_in(ENDED)).order_by(RUNS.c.id.desc())
    live = [run_of(row) for row in connection.execute(query)]
    for run in live:
        if run.state == "running":
            connection.execute(RUNS.update().where(RUNS.c.id == run.id).values(abort=True))
            record.event(connection, events.AbortAsked(session.id, run.id), session)
        else:
            _close_open_message(connection, session, run)
            _end(connection, run, "aborted", ABORTED)
    return bool(live)


def waiting_runs_gone(connection: sa.Connection, run_id: str) -> bool:
    """Whether a run no longer waits for anybody."""
    run = rows.run(connection, run_id)
    return run is None or run.state in ENDED


def _end(connection: sa.Connection, run: Run, state: str, error: dict[str, Any] | None) -> None:
    connection.execute(
        RUNS.update().where(RUNS.c.id == run.id)
        .values(state=state, error=error, ended=ids.now(), lease_owner=None, lease_until=None)
    )
    session = rows.session(connection, run.session_id)
    answer = connection.scalar(
        sa.select(sa.func.max(MESSAGES.c.id)).where(MESSAGES.c.session_id == session.id, MESSAGES.c.role == "assistant")
    )
    if error:
        record.event(connection, events.SessionFailed(session.id, error), session)
    following = connection.scalar(
        sa.select(sa.func.min(RUNS.c.id)).where(RUNS.c.session_id == session.id, RUNS.c.state == "queued")
    )
    rest = "failed" if state in ("failed", "interrupted") else "idle"
    session = rows.change(connection, session, state="queued" if following else rest)
    record.event(connection, events.RunEnded(session.id, run.id, state, run.message_id, answer or ""), session)
    if following:
        dispatch.wake("agent.advance", following)
    else:
        record.event(connection, events.SessionIdle(session.id), session)


def _take_back(which: sa.ColumnElement[bool]) -> int:
    with db.transaction() as connection:
        lost = [run_of(row) for row in connection.execute(sa.select(RUNS).where(which))]
        for run in lost:
            if run.abort:
                session = rows.session(connection, run.session_id)
                _close_open_message(connection, session, run)
                _end(connection, run, "aborted", ABORTED)
            elif run.takeovers + 1 >= MAX_TAKEOVERS:
                _end(connection, run, "interrupted", INTERRUPTED)
            else:
                _leave(connection, run.id, "queued", takeovers=run.takeovers + 1, fence=run.fence + 1)
                rows.change(connection, rows.session(connection, run.session_id), state="queued")
                dispatch.wake("agent.advance", run.id)
    return len(lost)


def _leave(connection: sa.Connection, run_id: str, state: str, **values: Any) -> None:
    connection.execute(
        RUNS.update().where(RUNS.c.id == run_id).values(state=state, lease_owner=None, lease_until=None, **values)
    )


def _is_behind(connection: sa.Connection, run: Run) -> bool:
    """Whether another run of the session is live, or was queued earlier."""
    earlier = sa.or_(
        RUNS.c.state.in_(("running", "waiting")), sa.and_(RUNS.c.state == "queued", RUNS.c.id < run.id)
    )
    query = sa.select(RUNS.c.id).where(RUNS.c.session_id == run.session_id, RUNS.c.id != run.id, earlier).limit(1)
    return connection.scalar(query) is not None


def _close_open_message(connection: sa.Connection, session: Session, run: Run) -> None:
    """A run that waited is stopped: its unfinished calls and its message say so."""
    where = (MESSAGES.c.role == "assistant", MESSAGES.c.completed.is_(None))
    for message in rows.messages(connection, session.id, *where):
        if message.data.get("parentID") == run.message_id:
            close_message(connection, session, message, ABORTED, "Tool execution aborted")


def close_message(
    connection: sa.Connection, session: Session, message: Message, error: dict[str, Any] | None, word: str
) -> None:
    """Close a message as it stands: open texts end, unfinished calls become errors that say `word`."""
    now = ids.now()
    for part in message.parts:
        closed = _closed(part.type, part.data, word, now)
        if closed is not None:
            rows.update_part(connection, type(part)(part.id, part.message_id, part.session_id, part.type, closed), session)
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
    """The agent acts for the session's owner, and never approves or configures anything."""
    return Actor(
        id=f"agent:{session.id}", kind="agent", user=session.owner, name="Agent",
        grants=("sessions:*", "events:read", "files:*", "projects:read", "tool:*", "settings:read"),
        project=session.project, via=session.via,
    )


def _is_alive(owner: str) -> bool:
    _host, pid, started, start_word = owner.split("|")
    if int(pid) == os.getpid():
        return start_word == _this_start
    try:
        process = psutil.Process(int(pid))
        return process.status() != psutil.STATUS_ZOMBIE and int(process.create_time()) == int(started)
    except psutil.NoSuchProcess:
        return False
