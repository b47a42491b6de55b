"""What waits for nobody any more goes: withdrawn with its run, forgotten with its session."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from app import db
from app.actor import SYSTEM
from app.approvals import models, rows, rulebook
from app.approvals.rows import ASKS
from app.approvals.service.asking import is_waiting, withdraw
from app.approvals.service.keeping import keep_given, own_rules
from app.events import service as log
from app.sessions import service as sessions
from app.sessions.events import RunEnded, SessionDeleted

AT_ONCE = 500


def start() -> None:
    """At start: keep the rules that sessions come with, hear of ended runs and deleted sessions, and make good what a
    process that died did not.
    """
    sessions.register_rules(keep_given, own_rules)
    sessions.register_follower(rows.follow)
    log.listen(RunEnded, _on_run_ended)
    log.listen(SessionDeleted, _on_session_deleted)
    tidy()


def tidy() -> None:
    """Withdraw what ended runs asked, and forget what deleted sessions did."""
    with db.read() as connection:
        asked = list(connection.scalars(sa.select(ASKS.c.session_id).distinct()))
        waiting = rows.many(connection, ASKS.c.state == "waiting")
    for some in _batches(asked):
        for session_id in set(some) - set(sessions.get_many(SYSTEM, some)):
            _forget(session_id)
    live: set[str] = set()
    for some in _batches({ask.session_id for ask in waiting}):
        live |= {run.id for runs in sessions.live_runs(SYSTEM, some).values() for run in runs}
    for run_id in {ask.run_id for ask in waiting} - live:
        _withdraw(run_id)


def _on_run_ended(fact: RunEnded) -> None:
    _withdraw(fact.run_id)


def _on_session_deleted(fact: SessionDeleted) -> None:
    _forget(fact.session_id)


def _withdraw(run_id: str) -> None:
    """Most runs end with nothing asked: they take no turn of the writer."""
    with db.read() as connection:
        if not is_waiting(connection, run_id):
            return
    with db.transaction() as connection:
        withdraw(connection, run_id=run_id)


def _forget(session_id: str) -> None:
    """Erase a session's asks and its own rules; what still waits is withdrawn first, so that every inbox hears."""
    with db.transaction() as connection:
        withdraw(connection, session_id=session_id)
        rows.remove(connection, session_id)
        rulebook.remove(connection, models.rules.c.layer == "session", models.rules.c.target == session_id)


def _batches(ids: Iterable[str]) -> list[list[str]]:
    """So many ids as one query takes."""
    every = sorted(ids)
    return [every[start : start + AT_ONCE] for start in range(0, len(every), AT_ONCE)]
