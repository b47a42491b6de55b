"""Who is told of what: from what the log says to rows that are due."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from app import db, ids, redact
from app.accounts import service as accounts
from app.actor import SYSTEM, Scope
from app.approvals import service as approvals
from app.approvals.events import Asked
from app.approvals.service import Ask
from app.errors import Problem
from app.notifications import models, rows
from app.notifications.things import Channel, Notice
from app.sessions import service as sessions
from app.sessions.events import RunEnded

# How a run's end is called here; one that was stopped tells nobody: whoever stopped it knows.
_ENDS = {"completed": "done", "failed": "failed"}
LONGEST = 200


def of_ask(fact: Asked) -> list[Notice]:
    """What becomes due because somebody is waited for: to its owner, and to others who may answer and want to know."""
    curious = sa.select(models.rules.c.owner).where(models.rules.c.others)
    to_whom = sa.or_(models.channel.c.owner == fact.ask["owner"], models.channel.c.owner.in_(curious))
    with db.read() as connection:
        every = rows.channels(connection, models.channel.c.ended == "", to_whom)
    may = {owner: _may_answer(owner, fact) for owner in {one.owner for one in every}}
    told = [one for one in every if may[one.owner]]
    occasion = "question" if fact.ask["kind"] == "question" else "approval"
    return _due(told, occasion, fact.ask["id"], fact.session_id, fact.ask["title"])


def of_end(fact: RunEnded) -> list[Notice]:
    """What becomes due because a session's work ended: to its owner, if nothing else goes on in it."""
    occasion = _ENDS.get(fact.state)
    if occasion is None:
        return []
    session = _session_of(fact.session_id)
    if session is None or session.parent_id is not None or session.is_busy:
        return []
    with db.read() as connection:
        told = rows.channels(connection, models.channel.c.owner == session.owner, models.channel.c.ended == "")
    return _due(told, occasion, fact.run_id, session.id, session.title)


def missed() -> Iterable[Ask]:
    """What waits, and may have begun to while no server ran that could have heard of it."""
    return approvals.waiting(SYSTEM)


def why_not(one: Notice) -> str:
    """Why a notice need not be told any more, "" while it does."""
    actor = accounts.acting_for(one.owner, "system")
    if actor is None:
        return "its person is gone"
    try:
        return "it was answered" if one.is_ask and approvals.get(actor, one.about).state != "waiting" else ""
    except Problem:
        return "it is gone"


def _may_answer(owner: str, fact: Asked) -> bool:
    scope = Scope(fact.ask["owner"], fact.ask["project"], fact.ask["visibility"])
    actor = accounts.acting_for(owner, "system")
    return actor is not None and accounts.may(actor, "approvals:answer", scope)


def _session_of(session_id: str) -> sessions.Session | None:
    """The session; None if it is gone."""
    try:
        return sessions.get(SYSTEM, session_id)
    except Problem:
        return None


def _due(told: list[Channel], occasion: str, about: str, session: str, title: str) -> list[Notice]:
    """The notices, written down; only those that nobody wrote before."""
    now, words = ids.now(), " ".join(redact.text(title).split())[:LONGEST]
    fresh = []
    wanted = [channel for channel in told if occasion in channel.occasions]
    if not wanted:
        return []
    with db.transaction() as connection:
        delays = {owner: rows.rules_of(connection, owner).delay for owner in {one.owner for one in wanted}}
        for channel in wanted:
            new = Notice(
                ids.random("ntc"), channel.owner, channel.id, occasion, about, session, words,
                "queued", 0, now + delays[channel.owner] * 1000, "", now, None,
            )  # fmt: skip
            if rows.add(connection, new):
                fresh.append(new)
    return fresh
