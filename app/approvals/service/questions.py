"""The agent's own questions: asked, answered with labels or own words, or left unanswered."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app import db, ids, record
from app.actor import Actor
from app.approvals.service.asking import store
from app.approvals.service.settling import go_on, settle, to_answer
from app.approvals.things import Ask, Call
from app.errors import Invalid
from app.sessions.service import Hold


def question(hold: Hold, call: Call, questions: list[dict[str, Any]]) -> Ask:
    """Ask a human the agent's questions: [{question, header, options: [{label, description}], multiple?}].

    Raises Invalid without a question, Fenced without the lease.
    """
    if not questions:
        raise Invalid("There is no question.", "questions")
    return store(
        hold,
        call,
        {
            "kind": "question",
            "id": ids.ascending("que"),
            "title": str(questions[0].get("question", "")),
            "questions": questions,
            "why": "The agent asks.",
        },
    )


def answer_question(actor: Actor | None, ask_id: str, answers: list[list[str]]) -> Ask:
    """Answer a question: for each of its questions the chosen labels, or own words."""
    with db.transaction() as connection:
        actor, found = to_answer(actor, connection, ask_id, "question")
        if len(answers) != len(found.questions):
            raise Invalid(f"There are {len(found.questions)} questions to answer.", "answers")
        return _settle(connection, actor, found, "answer", answers)


def reject_question(actor: Actor | None, ask_id: str) -> Ask:
    """Leave a question unanswered: the agent is told so."""
    with db.transaction() as connection:
        actor, found = to_answer(actor, connection, ask_id, "question")
        return _settle(connection, actor, found, "reject", [])


def _settle(connection: sa.Connection, actor: Actor, found: Ask, reply: str, answers: list[list[str]]) -> Ask:
    answered = settle(connection, actor, found, reply, answers=answers)
    detail = {"reply": reply, "session": found.session_id}
    record.audit(connection, actor, "question.answer", found.id, detail)
    go_on(connection, [found.run_id])
    return answered
