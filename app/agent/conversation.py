"""A transcript as the model sees it: pure functions from messages to neutral turns."""

from __future__ import annotations

from collections.abc import Iterable

from app.agent.providers import AssistantTurn, Image, Text, ToolCall, ToolResult, ToolResults, Turn, UserTurn
from app.sessions.service import Message, Part

INTERRUPTED = "Interrupted, outcome unknown: this call may or may not have taken effect. Look before you repeat it."


def turns(messages: Iterable[Message]) -> list[Turn]:
    """The turns of a transcript: each prompt followed by the steps that answered it."""
    ordered = list(messages)
    answers: dict[str, list[Message]] = {}
    for message in ordered:
        if message.role == "assistant":
            answers.setdefault(message.data.get("parentID", ""), []).append(message)
    result: list[Turn] = []
    for message in ordered:
        if message.role != "user":
            continue
        said = _said(message)
        if said.parts:
            result.append(said)
        for answer in answers.get(message.id, []):
            result += _step(answer)
    return result


def _said(message: Message) -> UserTurn:
    parts: list[Text | Image] = []
    for part in message.parts:
        if part.type == "text" and part.data.get("text") and not part.data.get("ignored"):
            parts.append(Text(part.data["text"]))
        elif part.type == "file" and str(part.data.get("mime", "")).startswith("image/"):
            parts.append(Image(part.data["url"], part.data["mime"]))
        elif part.type == "file":
            parts.append(Text(f"[file attached: {part.data.get('filename') or part.data.get('url', '')}]"))
    return UserTurn(tuple(parts))


def _step(message: Message) -> list[Turn]:
    text = "\n".join(part.data["text"] for part in message.parts if part.type == "text" and part.data.get("text"))
    tools = [part for part in message.parts if part.type == "tool" and part.data["state"]["status"] != "pending"]
    calls = tuple(ToolCall(p.data["callID"], p.data["tool"], _input(p)) for p in tools)
    if not text and not calls:
        return []
    step: list[Turn] = [AssistantTurn(text=text, calls=calls)]
    if calls:
        step.append(ToolResults(tuple(_result(part) for part in tools)))
    return step


def _input(part: Part) -> dict[str, object]:
    given = part.data["state"].get("input")
    return given if isinstance(given, dict) else {}


def _result(part: Part) -> ToolResult:
    state = part.data["state"]
    call_id, tool = part.data["callID"], part.data["tool"]
    if state["status"] == "completed":
        images = tuple(Image(a["url"], a["mime"]) for a in state.get("attachments", []))
        return ToolResult(call_id, tool, state.get("output", ""), images=images)
    return ToolResult(call_id, tool, state.get("error", INTERRUPTED), is_error=True)
