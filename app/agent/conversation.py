"""A transcript as the model sees it: pure functions from messages to neutral turns."""

from __future__ import annotations

from collections.abc import Iterable

from app.agent import printed, summaries
from app.agent.providers import AssistantTurn, Image, Text, Thought, ToolCall, ToolResult, ToolResults, Turn, UserTurn
from app.sessions.service import Message, Part

INTERRUPTED = "Interrupted, outcome unknown: this call may or may not have taken effect. Look before you repeat it."

SUMMED_UP = "[To save room, the conversation before this point was summed up. Go on from this summary.]"
BEGUN = "[You have begun on this already: the summary above says how far you got. Go on from there.]"

# What such a file holds is told by the parts before it.
TOLD_BEFORE = ("text/plain", "application/x-directory")


def turns(messages: Iterable[Message], provider: str = "", model: str = "") -> list[Turn]:
    """The turns of a transcript: each prompt followed by the steps that answered it.

    What a summary in force covers is told by the summary alone.
    Signatures go to the model that made them; to `model` of `provider` all others' thoughts are foreign.
    """
    transcript = list(messages)
    summary = summaries.in_force(transcript)
    covered = summary.covered if summary else frozenset()
    ordered = summaries.plain(transcript)
    answers: dict[str, list[Message]] = {}
    for message in ordered:
        if message.role == "assistant":
            answers.setdefault(message.data.get("parentID", ""), []).append(message)
    result: list[Turn] = [UserTurn((Text(f"{SUMMED_UP}\n\n{summary.text}"),))] if summary else []
    for message in ordered:
        if message.role != "user":
            continue
        every = answers.get(message.id, [])
        told = [answer for answer in every if answer.id not in covered]
        if message.id in covered and not told:
            continue
        said = _said(message, is_begun=len(told) < len(every))
        if said.parts:
            result.append(said)
        for answer in told:
            is_own = (answer.data.get("providerID"), answer.data.get("modelID")) == (provider, model)
            result += _step(answer, is_own)
    return result


def was_retried(part: Part) -> bool:
    """Whether the part belongs to a try that failed: people see it, the model does not."""
    return bool((part.data.get("metadata") or {}).get("retried"))


def _said(message: Message, *, is_begun: bool = False) -> UserTurn:
    parts: list[Text | Image] = []
    for part in message.parts:
        if part.type == "text" and part.data.get("text") and not part.data.get("ignored"):
            parts.append(Text(part.data["text"]))
        elif part.type == "file" and str(part.data.get("mime", "")).startswith("image/"):
            parts.append(Image(part.data["url"], part.data["mime"]))
        elif part.type == "file" and part.data.get("mime") not in TOLD_BEFORE:
            parts.append(Text(f"[file attached: {part.data.get('filename') or part.data.get('url', '')}]"))
    if is_begun:
        parts.append(Text(BEGUN))
    return UserTurn(tuple(parts))


def _step(message: Message, is_own: bool) -> list[Turn]:
    parts = [part for part in message.parts if _is_told(part) and not was_retried(part)]
    if all(part.type == "reasoning" for part in parts):
        return []
    step: list[Turn] = [AssistantTurn(tuple(_spoken(part, is_own) for part in parts))]
    if calls := [part for part in parts if part.type == "tool"]:
        step.append(ToolResults(tuple(_result(part) for part in calls)))
    return step


def _is_told(part: Part) -> bool:
    if part.type == "tool":
        return bool(part.data["state"]["status"] != "pending")
    return part.type == "reasoning" or (part.type == "text" and bool(part.data.get("text")))


def _spoken(part: Part, is_own: bool) -> Text | Thought | ToolCall:
    signature = part.data.get("signature", "") if is_own else ""
    if part.type == "tool":
        return ToolCall(part.data["callID"], part.data["tool"], _input(part), signature)
    if part.type == "reasoning":
        redacted = bool(part.data.get("redacted"))
        return Thought(part.data.get("text", ""), signature, redacted, foreign=not is_own)
    return Text(part.data["text"], signature)


def _input(part: Part) -> dict[str, object]:
    given = part.data["state"].get("input")
    return given if isinstance(given, dict) else {}


def _result(part: Part) -> ToolResult:
    state = part.data["state"]
    call_id, tool = part.data["callID"], part.data["tool"]
    if printed.is_apart(state):
        return ToolResult(call_id, tool, printed.told(state), is_error=state["status"] != "completed")
    if state["status"] == "completed":
        images = tuple(Image(a["url"], a["mime"]) for a in state.get("attachments", []))
        return ToolResult(call_id, tool, state.get("output", ""), images=images)
    return ToolResult(call_id, tool, state.get("error", INTERRUPTED), is_error=True)
