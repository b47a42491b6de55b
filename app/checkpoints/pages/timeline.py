"""The timeline of a session's checkpoints: what each is called, and by which of its sides it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.checkpoints.service import Checkpoint
from app.sessions.service import Message, Part

LONGEST = 80
CHANGING = ("write", "edit", "multiedit", "patch", "bash")


@dataclass(frozen=True)
class Row:
    """One checkpoint in the timeline; `by` is "agent" or "system", `lines` tells whether its figures say something."""

    one: Checkpoint
    title: str
    note: str
    by: str
    number: int
    files: int
    additions: int
    deletions: int


def of(found: Sequence[Checkpoint], messages: Sequence[Message]) -> list[Row]:
    """Return the rows, newest first; those that could not be made are told elsewhere."""
    known = {message.id: message for message in messages}
    first = next((one.number for one in found if one.kind == "before"), -1)
    made = [one for one in found if one.kind != "failed"]
    return [_row(one, known.get(one.message_id), is_first=one.number == first) for one in reversed(made)]


def _row(one: Checkpoint, message: Message | None, *, is_first: bool) -> Row:
    title, note = _words(one, message, is_first=is_first)
    files = [file for file in one.files if not file.get("kept")]
    added, removed = (sum(file[name] for file in files) for name in ("additions", "deletions"))
    by = "system" if one.kind == "restore" else "agent"
    return Row(one, title, note, by, one.number, len(files), added, removed)


def _words(one: Checkpoint, message: Message | None, *, is_first: bool) -> tuple[str, str]:
    if one.kind == "restore":
        return one.note, "made by itself"
    calls = _calls(message)
    if one.kind == "before":
        mine = next((part for part in calls if part.id == one.part_id), None)
        tool = f"before {mine.data['tool']}" if mine else "before the step"
        return ("Before the first change" if is_first else "Changed by hand"), tool
    tools = ", ".join(dict.fromkeys(part.data["tool"] for part in calls))
    title = _said(message) or next((_title(part) for part in calls if _title(part)), "")
    return title or "A step that left the conversation", f"after {tools}" if tools else "after the step"


def _calls(message: Message | None) -> list[Part]:
    """The calls of a message that may change files."""
    parts = message.parts if message else []
    return [part for part in parts if part.type == "tool" and part.data.get("tool") in CHANGING]


def _said(message: Message | None) -> str:
    """The first line that the agent said in a message."""
    for part in message.parts if message else []:
        if part.type == "text":
            line = next((line.strip() for line in str(part.data.get("text", "")).splitlines() if line.strip()), "")
            if line:
                return _cut(line.strip("#* "))
    return ""


def _title(part: Part) -> str:
    state = part.data.get("state") or {}
    return _cut(str(state.get("title") or ""))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rsplit(' ', 1)[0]}…"
