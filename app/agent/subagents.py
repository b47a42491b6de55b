"""Subagents of a run: begun with a call of task or new_task, and told to the model once they have ended.

Nothing waits here. A run whose subagents go on leaves its thread like one that waits for an answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from app import db, ids, redact
from app.agent import modes, switching
from app.agent.modes import Mode
from app.agent.tools import Prepared, Result, ToolContext, ToolError, new_task, spill, switch_mode, task
from app.errors import NotFound
from app.sessions import service as sessions
from app.sessions.service import Errand, Hold, Message, Part, Run

TOOLS = frozenset((task.NAME, new_task.NAME))
DEEPEST = 5
GONE = "The subagent's session was deleted before it ended."
SILENT = "The subagent ended without a word."


@dataclass(frozen=True)
class _End:
    """What became of a subagent: what the model is told, whether that is an error, and what people see."""

    words: str
    failed: bool
    metadata: dict[str, Any]


def is_begun(part: Part) -> bool:
    """Whether the part is a call that has a subagent which was not told of yet."""
    state = part.data["state"]
    return bool(part.data["tool"] in TOOLS and (state.get("metadata") or {}).get("sessionId"))


def begin(hold: Hold, context: ToolContext, part: Part, prepared: Prepared, switches: dict[str, bool] | None) -> None:
    """Begin a call's subagent; it has the model of its mode, else its parent's. ToolError says why it cannot be."""
    if sessions.depth_of(hold) >= DEEPEST:
        raise ToolError(f"Subagents stand at most {DEEPEST} deep, and this is the deepest: do this work yourself.")
    errand = _errand(hold, context, part, switches)
    running = {
        "status": "running",
        "input": part.data["state"]["input"],
        "title": prepared.title,
        "metadata": prepared.metadata,
        "time": {"start": ids.now()},
    }
    try:
        sessions.begin_subagent(hold, replace(part, data={**part.data, "state": running}), errand)
    except NotFound:
        wrong = f"This session has no subagent {errand.session_id!r}: leave task_id out for a new one."
        raise ToolError(wrong) from None


def collect(hold: Hold, context: ToolContext, part: Part) -> bool:
    """Write what an ended subagent came to into its call; False while it goes on."""
    child_id = part.data["state"]["metadata"]["sessionId"]
    try:
        run = sessions.ended_run(hold, child_id)
        if run is None:
            return False
        end = _end_of(run, child_id, context, sessions.transcript(hold.actor, child_id))
    except NotFound:
        run, end = None, _End(GONE, True, {})
    with db.transaction():
        if run is not None:
            sessions.note_told(hold, run)
        sessions.save_part(hold, _told(part, end))
    return True


def modes_above(hold: Hold, known: list[Mode]) -> tuple[Mode, ...]:
    """Of the known modes those of the runs that wait for this one: what they may not do, it may not do for them."""
    return tuple(modes.named(known, name) for name in sessions.modes_above(hold))


def _errand(hold: Hold, context: ToolContext, part: Part, switches: dict[str, bool] | None) -> Errand:
    """What the subagent is to do. One of new_task has its mode's own rights, which were asked for."""
    given = part.data["state"]["input"]
    if part.data["tool"] == new_task.NAME:
        wanted = new_task.TOOL.parse(given)
        mode = switch_mode.chosen(context, wanted.mode)
        provider, model = switching.model_of(hold, mode.name) or (hold.run.provider, hold.run.model)
        title, words = new_task.title(wanted), wanted.message
        return Errand(f"{title} (@{mode.name})", words, mode.name, provider, model, switches, is_alone=True)
    asked = task.TOOL.parse(given)
    mode = task.subagent(context, asked)
    provider, model = mode.model or (hold.run.provider, hold.run.model)
    title = f"{asked.description} (@{mode.name} subagent)"
    return Errand(title, asked.prompt, mode.name, provider, model, switches, asked.task_id)


def _told(part: Part, end: _End) -> Part:
    state = part.data["state"]
    known = {
        "input": state["input"],
        "title": state.get("title", ""),
        "metadata": redact.data({**state["metadata"], **end.metadata}),
        "time": {"start": state["time"]["start"], "end": ids.now()},
    }
    words = redact.text(end.words)
    ended = {"status": "error", "error": words} if end.failed else {"status": "completed", "output": words}
    return replace(part, data={**part.data, "state": {**ended, **known}})


def _end_of(run: Run, child_id: str, context: ToolContext, transcript: list[Message]) -> _End:
    answers = [message for message in transcript if message.data.get("parentID") == run.message_id]
    said = next((words for answer in reversed(answers) if (words := _text(answer))), "")
    words = spill.fitting(context, Result(said or SILENT, "")).output
    metadata = {"summary": [_call(part) for answer in answers for part in answer.parts if part.type == "tool"]}
    note = f"\n\n[task_id: {child_id}, to go on with this subagent]"
    if run.state == "completed":
        if answers and any(_is_rejected(part) for part in answers[-1].parts):
            words = f"A person rejected a call of the subagent, which ended its turn. It said: {words}"
        return _End(words + note, False, metadata)
    why = str(((run.error or {}).get("data") or {}).get("message", "")) or "nobody knows why"
    begins = "The subagent was stopped." if run.state == "aborted" else f"The subagent failed: {why}"
    return _End(begins + (f" It had said: {words}" if said else "") + note, True, metadata)


def _text(message: Message) -> str:
    return "\n\n".join(part.data.get("text", "") for part in message.parts if part.type == "text").strip()


def _is_rejected(part: Part) -> bool:
    return part.type == "tool" and str(part.data["state"].get("error", "")).startswith("The person rejected")


def _call(part: Part) -> dict[str, Any]:
    """One call of a subagent as OpenCode's clients list it."""
    state = part.data["state"]
    shown = {"status": state["status"], **({"title": state["title"]} if state.get("title") else {})}
    return {"id": part.id, "tool": part.data["tool"], "state": shown}
