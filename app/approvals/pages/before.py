"""What an agent did just before it asked, in a few words for each call."""

from __future__ import annotations

from dataclasses import dataclass

from app.actor import Actor
from app.approvals import subjects
from app.approvals.presets import READS
from app.approvals.service import Ask
from app.errors import NotFound
from app.sessions import service as sessions
from app.sessions.service import Part

SHOWN = 4


@dataclass(frozen=True)
class Earlier:
    """A call that came before the ask: an icon's name, words, code, a figure, and when (unix ms)."""

    icon: str
    words: str
    code: str
    figure: str
    created: int


def calls(actor: Actor, ask: Ask) -> list[Earlier]:
    """The last calls of the session before the one that asks; none where the session is gone."""
    try:
        messages = sessions.transcript(actor, ask.session_id)
    except NotFound:
        return []
    parts = [part for message in messages for part in message.parts if part.type == "tool"]
    ended = [part for part in parts if part.id < ask.part_id and _is_over(part)]
    return [_earlier(part) for part in ended[-SHOWN:]]


def _is_over(part: Part) -> bool:
    return bool(part.data["state"].get("time", {}).get("end"))


def _earlier(part: Part) -> Earlier:
    state, tool = part.data["state"], part.data["tool"]
    given, told, end = state.get("input") or {}, state.get("metadata") or {}, state["time"]["end"]
    kind = subjects.kind_of(tool)
    if kind == "bash":
        figure = f"exit {told['exit']}" if told.get("exit") is not None else ""
        return Earlier("terminal", "", subjects.command_of(given), figure, end)
    path = ", ".join(subjects.paths_of(tool, given)) if kind == "edit" or kind in READS else ""
    if kind == "edit":
        lines = told.get("filediff") or {}
        figure = f"+{lines['additions']} \N{MINUS SIGN}{lines['deletions']}" if "additions" in lines else ""
        return Earlier("pencil", "Edit", path, figure, end)
    icon = "file-text" if kind in READS else "wrench"
    return Earlier(icon, tool.capitalize(), path, "failed" if state["status"] == "error" else "", end)
