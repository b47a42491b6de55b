"""Questions that answer themselves: their first suggestion is taken once their person's time for it is over.

When that is follows from the row, so it is timed again at each start; whether it is still wanted is looked up then.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from app import dispatch, ids
from app.actor import SYSTEM
from app.agent import auto_approve
from app.approvals import service as approvals
from app.approvals.events import Asked
from app.approvals.service import Ask
from app.errors import Conflict, NotFound
from app.events import service as events
from app.sessions import service as sessions

CLOCK = replace(SYSTEM, name="Auto-approve")


def start() -> None:
    """At start: hear of questions, and time those that wait."""
    events.listen(Asked, _on_asked)
    time_questions()


@dispatch.actor("agent.time_questions")
def time_questions() -> None:
    """Time every question that waits and whose person wants that."""
    for ask in approvals.waiting(CLOCK):
        if due := _due(ask):
            dispatch.at(due, "agent.answer_question", ask.id)


@dispatch.actor("agent.answer_question")
def answer(ask_id: str) -> None:
    """Take the first suggestions of a question whose time is over, unless somebody was faster."""
    with contextlib.suppress(NotFound, Conflict):
        ask = approvals.get(CLOCK, ask_id)
        due = _due(ask) if ask.state == "waiting" else None
        if due is not None and due > ids.now():
            dispatch.at(due, "agent.answer_question", ask_id)
        elif due is not None:
            approvals.answer_question(CLOCK, ask_id, [[one["options"][0]["label"]] for one in ask.questions])


def _on_asked(fact: Asked) -> None:
    ask = Ask(**fact.ask)
    if due := _due(ask):
        dispatch.at(due, "agent.answer_question", ask.id)


def _due(ask: Ask) -> int | None:
    """When it answers itself, in unix ms; None if it does not: each of its questions must have a suggestion."""
    if ask.kind != "question" or not all(one.get("options") for one in ask.questions):
        return None
    label = sessions.labels(CLOCK, [ask.session_id]).get(ask.session_id)
    given = auto_approve.of(ask.owner, label.directory) if label else auto_approve.Switches()
    if not given.is_on("always_allow_followup_questions"):
        return None
    return ask.created + given.followup_auto_approve_timeout_ms
