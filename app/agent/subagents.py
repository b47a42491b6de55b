"""Subagents: a call of `task` is a session of its own, whose run the calling run waits for without holding anything.

Child and call are stored in one transaction, so that whoever takes a run over finds the child that it began, and
none that it did not. A child's end puts the waiting run back into the queue (see sessions.service.runs).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from app import db, ids
from app.agent import modes
from app.agent.modes import Mode
from app.agent.tools import Prepared, Result, ToolError, task
from app.errors import Problem
from app.projects import service as projects
from app.sessions import service as sessions
from app.sessions.service import Hold, Outcome, Part, Session

TOOL = task.TOOL.name
MOST_DEEP = 5
GONE = "The subagent's session was deleted before it ended."
_ENDS = {
    "failed": "The subagent failed",
    "aborted": "The subagent was stopped",
    "interrupted": "The subagent was interrupted",
}


def begin(hold: Hold, part: Part, prepared: Prepared) -> None:
    """Begin the subagent of a call; raises ToolError for what the model should be told."""
    given = task.TOOL.parse(part.data["state"]["input"])
    directory = Path(hold.session.directory)
    mode = modes.get(given.subagent_type, directory)
    _refuse_too_deep(hold)
    provider, model = (mode.provider, mode.model) if mode.model else (hold.run.provider, hold.run.model)
    # A look at the disk, before the transaction.
    place = projects.resolve(hold.actor, hold.session.directory)
    with db.transaction():
        child = _earlier(hold, given.task_id) if given.task_id else _new(hold, place, given.description, mode)
        _, run_id = sessions.send(
            hold.actor,
            child.id,
            [{"type": "text", "text": given.prompt}],
            mode=mode.name,
            provider=provider,
            model=model,
            parent_run=hold.run_id,
        )
        metadata = {**prepared.metadata, "sessionId": child.id, "runId": run_id}
        metadata["model"] = {"providerID": provider, "modelID": model}
        state = {
            "status": "running",
            "input": part.data["state"]["input"],
            "title": prepared.title,
            "metadata": metadata,
            "time": {"start": ids.now()},
        }
        sessions.save_part(hold, replace(part, data={**part.data, "state": state}), act=f"task {prepared.title}")


def is_begun(part: Part) -> bool:
    """Whether the part is a call whose subagent was begun and may still be at work."""
    state = part.data.get("state", {})
    return part.data.get("tool") == TOOL and state.get("status") == "running" and "runId" in state.get("metadata", {})


def result_of(part: Part) -> Result | None:
    """What a subagent gave, None while it is at work; raises ToolError if it gave nothing."""
    metadata = part.data["state"]["metadata"]
    found = sessions.outcome_of(metadata["runId"])
    if found is None:
        raise ToolError(GONE)
    if found.run.ended is None:
        return None
    if found.run.state != "completed":
        raise ToolError(_failure(found))
    words = found.text or "(The subagent ended without a word.)"
    told = {**metadata, "cost": found.session.cost, "tokens": found.session.tokens}
    return Result(f"{words}\n\ntask_id: {found.session.id}", part.data["state"]["title"], told)


def _failure(found: Outcome) -> str:
    error: dict[str, Any] = (found.run.error or {}).get("data", {})
    why = f": {error['message']}" if error.get("message") else "."
    said = f"\n\nIts last words were:\n{found.text}" if found.text else ""
    return f"{_ENDS.get(found.run.state, 'The subagent did not end well')}{why}{said}\n\ntask_id: {found.session.id}"


def _refuse_too_deep(hold: Hold) -> None:
    with db.read() as connection:
        deep = len(sessions.lineage(connection, hold.session))
    if deep >= MOST_DEEP:
        raise ToolError(f"Subagents begin subagents {MOST_DEEP} deep at most. Do this part yourself.")


def _new(hold: Hold, place: projects.Place, description: str, mode: Mode) -> Session:
    """A child of the session: whose it is, who sees it and what it may do are the parent's."""
    parent = sessions.get(hold.actor, hold.session.id)
    return sessions.create(
        hold.actor,
        place,
        title=f"{description} (@{mode.name} subagent)",
        parent_id=parent.id,
        mode=mode.name,
        preset=parent.preset,
        visibility=parent.visibility,
    )


def _earlier(hold: Hold, task_id: str) -> Session:
    """A child that this session had before, idle by now."""
    try:
        child = sessions.get(hold.actor, task_id)
    except Problem:
        raise ToolError(f"There is no subagent {task_id} of this session.") from None
    if child.parent_id != hold.session.id:
        raise ToolError(f"There is no subagent {task_id} of this session.")
    if child.is_busy:
        raise ToolError(f"The subagent {task_id} is still at work.")
    return child
