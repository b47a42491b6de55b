"""Waiting for a turn: what tells that it has ended."""

from __future__ import annotations

from app.actor import Actor
from app.events import service as events
from app.events.service import Fact, Subscription
from app.sessions.events import RunEnded, SessionDeleted, SessionHidden

_GONE = SessionDeleted | SessionHidden


def follow_ends(actor: Actor, session_id: str) -> Subscription:
    """The ends of a session's turns from now on, its own, and that the actor sees it no more; to be opened before what
    is waited for begins.
    """

    def keep(fact: Fact) -> bool:
        return isinstance(fact.event, RunEnded | _GONE) and fact.event.session_id == session_id

    return events.subscribe(actor, keep=keep)


def is_end_of(run_id: str | None, fact: Fact) -> bool:
    """Whether one of those tells that this run is over."""
    return isinstance(fact.event, _GONE) or (isinstance(fact.event, RunEnded) and fact.event.run_id == run_id)
