"""OpenCode's permissions and questions: answers of both generations, and what waits."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from app.actor import Actor
from app.approvals import bp, events, service
from app.approvals.service import Ask
from app.dialects import opencode
from app.errors import NotFound
from app.events.service import Fact

door = opencode.door(bp)
Reply = Literal["once", "always", "reject"]


class Response(BaseModel):
    """The older answer."""

    response: Reply


class PermissionReply(BaseModel):
    """The newer answer; a message goes to the agent with it."""

    reply: Reply
    message: str = ""


class QuestionReply(BaseModel):
    """The chosen labels of each question."""

    answers: list[list[str]]


@door.post("/session/<session_id>/permissions/<permission_id>", body=Response)
def respond(actor: Actor, body: Response, session_id: str, permission_id: str) -> bool:
    """Answer a permission of a session."""
    if _find(actor, permission_id, "permission").session_id != session_id:
        raise NotFound("permission", permission_id)
    service.answer(actor, permission_id, body.response)
    return True


@door.get("/permission")
def permissions(actor: Actor) -> list[dict[str, Any]]:
    """Permissions that wait."""
    return [_permission(ask.plain()) for ask in service.waiting(actor) if ask.kind == "approval"]


@door.post("/permission/<permission_id>/reply", body=PermissionReply)
def reply(actor: Actor, body: PermissionReply, permission_id: str) -> bool:
    """Answer a permission."""
    _find(actor, permission_id, "permission")
    service.answer(actor, permission_id, body.reply, body.message)
    return True


@door.get("/question")
def questions(actor: Actor) -> list[dict[str, Any]]:
    """Questions that wait."""
    return [_question(ask.plain()) for ask in service.waiting(actor) if ask.kind == "question"]


@door.post("/question/<question_id>/reply", body=QuestionReply)
def answer_question(actor: Actor, body: QuestionReply, question_id: str) -> bool:
    """Answer a question."""
    _find(actor, question_id, "question")
    service.answer_question(actor, question_id, body.answers)
    return True


@door.post("/question/<question_id>/reject")
def reject_question(actor: Actor, question_id: str) -> bool:
    """Leave a question unanswered."""
    _find(actor, question_id, "question")
    service.reject_question(actor, question_id)
    return True


def _find(actor: Actor, ask_id: str, kind: str) -> Ask:
    """The ask of this kind, or NotFound in OpenCode's word for it."""
    opencode.checked(kind[:3], ask_id)
    try:
        return service.get(actor, ask_id)
    except NotFound:
        raise NotFound(kind, ask_id) from None


def _permission(ask: dict[str, Any]) -> dict[str, Any]:
    """The union of both generations' fields."""
    return {
        "id": ask["id"],
        "sessionID": ask["session_id"],
        "messageID": ask["message_id"],
        "callID": ask["call_id"],
        "type": ask["tool"],
        "pattern": ask["patterns"],
        "title": ask["title"],
        "metadata": ask["metadata"],
        "time": {"created": ask["created"]},
        "permission": _kind(ask["tool"]),
        "patterns": ask["patterns"],
        "always": [rule["pattern"] for rule in ask["always"]],
        "tool": {"messageID": ask["message_id"], "callID": ask["call_id"]},
    }


def _question(ask: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": ask["id"],
        "sessionID": ask["session_id"],
        "questions": ask["questions"],
        "tool": {"messageID": ask["message_id"], "callID": ask["call_id"]},
    }


def _kind(tool: str) -> str:
    return "edit" if tool in ("write", "edit", "multiedit", "patch") else tool


@opencode.encodes(events.Asked)
def _asked(fact: Fact) -> list[dict[str, Any]]:
    ask = fact.event.ask  # type: ignore[attr-defined]
    if ask["kind"] == "question":
        return [{"type": "question.asked", "properties": _question(ask)}]
    shape = _permission(ask)
    return [{"type": "permission.updated", "properties": shape}, {"type": "permission.asked", "properties": shape}]


@opencode.encodes(events.Answered)
def _answered(fact: Fact) -> list[dict[str, Any]]:
    ask = fact.event.ask  # type: ignore[attr-defined]
    known = {"sessionID": ask["session_id"], "requestID": ask["id"]}
    if ask["kind"] == "question":
        if ask["reply"] == "reject":
            return [{"type": "question.rejected", "properties": known}]
        return [{"type": "question.replied", "properties": {**known, "answers": ask["answers"]}}]
    both = {**known, "permissionID": ask["id"], "response": ask["reply"], "reply": ask["reply"]}
    return [{"type": "permission.replied", "properties": both}]


@opencode.encodes(events.Withdrawn)
def _withdrawn(fact: Fact) -> list[dict[str, Any]]:
    ask = {**fact.event.ask, "reply": "reject"}  # type: ignore[attr-defined]
    known = {"sessionID": ask["session_id"], "requestID": ask["id"]}
    if ask["kind"] == "question":
        return [{"type": "question.rejected", "properties": known}]
    return [
        {
            "type": "permission.replied",
            "properties": {**known, "permissionID": ask["id"], "response": "reject", "reply": "reject"},
        }
    ]
