"""Who is told of what: from what the log says to rows that are due."""

from __future__ import annotations

from collections.abc import Iterable

from app import db, ids, redact
from app.accounts import service as accounts
from app.actor import SYSTEM, Scope
from app.approvals import service as approvals
from app.approvals.events import Asked
from app.approvals.service import Ask
from app.errors import Problem
from app.notifications import rows
from app.notifications.things import Channel, Notice
from app.sessions import service as sessions
from app.sessions.events import RunEnded

# How a run's end is called here; one that was stopped tells nobody: whoever stopped it knows.
_ENDS = {"completed": "done", "failed": "failed"}
LONGEST = 200


def of_ask(fact: Asked) -> list[Notice]:
    """What becomes due because somebody is waited for: to its owner, and to others who may answer and want to know."""
    occasion = "question" if fact.ask["kind"] == "question" else "approval"
    with db.read() as connection:
        every = rows.wanting(connection, occasion, fact.ask["owner"], others=True)
    may = {owner: _may_answer(owner, fact) for owner in {channel.owner for channel, _delay in every}}
    told = [(channel, delay) for channel, delay in every if may[channel.owner]]
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
        told = rows.wanting(connection, occasion, session.owner, others=False)
    return _due(told, occasion, fact.run_id, session.id, session.title)


def missed() -> Iterable[Ask]:
    """What waits, and may have begun to while no server ran that could have heard of it."""
    return approvals.waiting(SYSTEM)


def needless(one: Notice) -> str:
    """Why it is not to be told any more, "" while it is."""
    actor = accounts.acting_for(one.owner, "system")
    if actor is None:
        return "its reader is gone"
    if not one.is_ask:
        return "" if not one.session or sessions.labels(actor, [one.session]) else "its session is not there any more"
    try:
        is_waiting = approvals.get(actor, one.about).state == "waiting"
    except Problem:  # its session is gone, or private by now
        return "it is out of your sight"
    return "" if is_waiting else "it was answered"


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


def _due(told: list[tuple[Channel, int]], occasion: str, about: str, session: str, title: str) -> list[Notice]:
    """The notices, written down; only those that nobody wrote before."""
    if not told:
        return []
    now, words = ids.now(), " ".join(redact.text(title).split())[:LONGEST]
    fresh = []
    with db.transaction() as connection:
        for channel, delay in told:
            new = Notice(
                ids.random("ntc"), channel.owner, channel.id, occasion, about, session, words,
                "queued", 0, now + delay * 1000, "", now, None,
            )  # fmt: skip
            if rows.add(connection, new):
                fresh.append(new)
    return fresh
