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
LOOKED_AT = 40
# The agent's notes to itself tell nothing about what it is about to do.
NOTES = ("todowrite", "todoread")


@dataclass(frozen=True)
class Earlier:
    """A call that came before the ask: an icon's name, words, code, when (unix ms), and how it ended.

    `lines` are those added and removed; `bad` says that the figure tells of a failure.
    """

    icon: str
    words: str
    code: str
    created: int
    figure: str = ""
    bad: bool = False
    lines: tuple[int, int] | None = None


def calls(actor: Actor, ask: Ask) -> tuple[list[Earlier], str]:
    """The last calls of the session before the one that asks, and what the agent said last with it.

    Nothing where the session is gone.
    """
    try:
        parts = sessions.parts_before(actor, ask.session_id, ask.message_id, ask.part_id, LOOKED_AT)
    except NotFound:
        return [], ""
    ended = [part for part in parts if part.type == "tool" and _is_over(part) and part.data["tool"] not in NOTES]
    said = [part.data.get("text", "") for part in parts if part.type == "text" and part.message_id == ask.message_id]
    return [_earlier(part) for part in ended[-SHOWN:]], " ".join(said[-1].split()) if said else ""


def _is_over(part: Part) -> bool:
    return bool(part.data["state"].get("time", {}).get("end"))


def _earlier(part: Part) -> Earlier:
    state, tool = part.data["state"], part.data["tool"]
    given, told, end = state.get("input") or {}, state.get("metadata") or {}, state["time"]["end"]
    kind = subjects.kind_of(tool)
    if kind == "bash":
        code = told.get("exit")
        figure = f"exit {code}" if code is not None else ""
        return Earlier("terminal", "", subjects.command_of(given), end, figure, bool(code))
    path = ", ".join(subjects.paths_of(tool, given)) if kind == "edit" or kind in READS else ""
    if kind == "edit":
        lines = told.get("filediff") or {}
        changed = (lines["additions"], lines["deletions"]) if "additions" in lines else None
        return Earlier("pencil", "Edit", path, end, lines=changed)
    failed = state["status"] == "error"
    icon = "file-text" if kind in READS else "wrench"
    sought = str(given.get("pattern") or path)
    return Earlier(icon, tool.capitalize(), sought, end, "failed" if failed else "", failed)
