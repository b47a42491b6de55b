"""Runs that were stopped before their end: somebody goes on with one, or gives it up.

What has been done stays in the transcript, so going on is a new run for the same prompt.
"""

from __future__ import annotations

import sqlalchemy as sa

from app import db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Denied
from app.sessions.service import rows, runs
from app.sessions.service.rows import MESSAGES, RUNS
from app.sessions.things import Message, Run, Session, run_of

STOPPED = ("aborted", "interrupted")
GIVEN_UP = "given_up"
_last_run = sa.select(RUNS).where(RUNS.c.session_id == sa.bindparam("session")).order_by(RUNS.c.id.desc()).limit(1)
_last_locked = _last_run.with_for_update()


def stopped_run(actor: Actor, session: Session) -> Run | None:
    """The last run of a session at rest, if it was stopped and can go on; None once somebody gave it up."""
    accounts.require(actor, "sessions:read", session)
    with db.read() as connection:
        run = _last(connection, session.id)
        return run if run is not None and _prompt(connection, session, run) is not None else None


def resume(actor: Actor, session_id: str) -> str:
    """Go on with the run that was stopped; the id of the new one. Conflict if there is none, or somebody was faster."""
    with db.transaction() as connection:
        session, run, prompt = _to_settle(connection, actor, session_id)
        run_id = runs.queue(connection, session, prompt, run.mode, run.provider, run.model)
        record.audit(connection, actor, "session.resume", session_id, {"run": run.id})
        rows.change(connection, session, state="queued")
    return run_id


def give_up(actor: Actor, session_id: str) -> None:
    """Leave the run that was stopped where it is, for good. Raises Conflict like `resume`."""
    with db.transaction() as connection:
        session, run, _ = _to_settle(connection, actor, session_id)
        error = {**(run.error or runs.ABORTED), GIVEN_UP: True}
        connection.execute(RUNS.update().where(RUNS.c.id == run.id).values(error=error))
        record.audit(connection, actor, "session.give_up", session_id, {"run": run.id})
        rows.change(connection, session)


def _to_settle(connection: sa.Connection, actor: Actor, session_id: str) -> tuple[Session, Run, Message]:
    """The session, its stopped run and that run's prompt; both rows are locked."""
    run = _last(connection, session_id, lock=True)
    session = rows.session(connection, session_id, lock=True)
    accounts.require(actor, "sessions:run", session)
    runs.check_owner(session, actor.user)
    if actor.kind == "agent":
        raise Denied("An agent never goes on with what somebody stopped.")
    prompt = _prompt(connection, session, run) if run is not None else None
    if run is None or prompt is None:
        raise Conflict("Nothing was stopped here that could go on.")
    return session, run, prompt


def _prompt(connection: sa.Connection, session: Session, run: Run) -> Message | None:
    """What the run was to answer, if it was stopped and nothing has happened since that goes against going on."""
    if session.is_busy or session.revert or run.state not in STOPPED or (run.error or {}).get(GIVEN_UP):
        return None
    found = rows.messages(connection, session.id, MESSAGES.c.id == run.message_id)
    # A command that a person typed, or a wish for a summary, is made anew: nothing of it is half done.
    is_turn = bool(found) and "typed" not in found[0].data and all(one.type != "compaction" for one in found[0].parts)
    return found[0] if is_turn else None


def _last(connection: sa.Connection, session_id: str, *, lock: bool = False) -> Run | None:
    row = connection.execute(_last_locked if lock else _last_run, {"session": session_id}).first()
    return run_of(row) if row else None
