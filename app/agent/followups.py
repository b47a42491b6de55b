"""Questions that answer themselves: their first suggestion is taken once their person's time for it is over.

When that is follows from the row, so it is timed again at each start; whether it is still wanted is looked up then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
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
    """Time every question that waits and whose person wants that, however many they are by three queries."""
    for ask, due in _dues([ask for ask in approvals.waiting(CLOCK) if _is_suggested(ask)]):
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
    """When it answers itself, in unix ms; None if it does not."""
    return next((due for _ask, due in _dues([ask])), None) if _is_suggested(ask) else None


def _dues(asks: Sequence[Ask]) -> Iterator[tuple[Ask, int]]:
    """Those of the questions that answer themselves, and when."""
    labels = sessions.labels(CLOCK, [ask.session_id for ask in asks])
    of = {ask.id: (ask.owner, labels[ask.session_id].directory) for ask in asks if ask.session_id in labels}
    given = auto_approve.of_many(of.values())
    for ask in asks:
        switches = given.get(of[ask.id]) if ask.id in of else None
        if switches is not None and switches.is_on("always_allow_followup_questions"):
            yield ask, ask.created + switches.followup_auto_approve_timeout_ms


def _is_suggested(ask: Ask) -> bool:
    """Whether it is a question each of whose parts has a suggestion: only such a one can answer itself."""
    return ask.kind == "question" and all(one.get("options") for one in ask.questions)
