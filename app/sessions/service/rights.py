"""Runs go on only while their session's owner may run agents, and what an agent may do is never more than its owner."""

from __future__ import annotations

import sqlalchemy as sa

from app import db, dispatch
from app.accounts import service as accounts
from app.accounts.events import PrincipalRevoked, RightsChanged
from app.events import service as hub
from app.sessions.service import rows, runs, sharing
from app.sessions.service.rows import RUNS, SESSIONS

KEY = "sessions:run"
STOP = "sessions.stop_runs_of"


def start() -> None:
    """Hear of whoever is gone, or holds less than before, and of links that end."""
    sharing.start()
    hub.listen(PrincipalRevoked, _on_revoked)
    hub.listen(RightsChanged, _on_changed)


def _on_revoked(fact: PrincipalRevoked) -> None:
    if fact.what == "user":
        dispatch.wake(STOP, fact.user_id)


def _on_changed(fact: RightsChanged) -> None:
    person = accounts.acting_for(fact.user_id, "system")
    if person is None or person.closed or not accounts.may(person, KEY):
        dispatch.wake(STOP, fact.user_id)


@dispatch.actor(STOP)
def stop_runs_of(user_id: str) -> None:
    """Stop all that a person's agents do where they may not run them by now; a second time finds nothing."""
    person = accounts.acting_for(user_id, "system")
    where: list[sa.ColumnElement[bool]] = []
    if person is not None and accounts.may(person, KEY):
        if not person.closed:
            return
        where = [SESSIONS.c.project.in_(person.closed)]
    with db.transaction() as connection:
        query = sa.select(RUNS.c.session_id).join(SESSIONS, SESSIONS.c.id == RUNS.c.session_id)
        live = query.where(
            SESSIONS.c.owner == user_id, RUNS.c.state.not_in(runs.ENDED), RUNS.c.abort.is_(False), *where
        )
        for session_id in connection.scalars(live.distinct()).all():
            runs.abort_all(connection, rows.session(connection, session_id, lock=True))
