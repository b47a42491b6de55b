"""How a call is shown to people and to OpenCode's clients: title, metadata, patterns.

Pure.
"""

from __future__ import annotations

from typing import Any

from app.approvals import subjects
from app.approvals.presets import HANDING, LIMIT, LOOP
from app.approvals.rules import Decision
from app.approvals.things import Call

_VERBS = {
    "write": "Write",
    "edit": "Edit",
    "multiedit": "Edit",
    "patch": "Apply a patch to",
    "apply_patch": "Apply a patch to",
    "read": "Read",
    "list": "List",
    "glob": "Find files in",
    "grep": "Search in",
}


def title(call: Call) -> str:
    """One line that says what the call does: a command as it stands, and where; otherwise a verb and its object."""
    kind = subjects.kind_of(call.tool)
    if kind == "bash":
        folder = subjects.text_of(call.input, "workdir")
        return subjects.command_of(call.input) + (f" (in {folder})" if folder not in ("", ".") else "")
    if kind == "webfetch":
        return f"Fetch {subjects.text_of(call.input, 'url')}"
    if kind == "network":
        return f"Reach {subjects.target_of(call.input)}"
    if kind in (LOOP, LIMIT):
        inner = title(Call(call.input["tool"], call.input["input"], call.call_id, call.message_id))
        return f"Again: {inner}" if kind == LOOP else f"Go on after {_spent(call)}: {inner}"
    if call.tool in HANDING:
        mode = call.metadata.get("mode") or subjects.text_of(call.input, "mode")
        return f"{'Go on' if call.tool == 'switch_mode' else 'Have a task done'} in the mode {mode}"
    if call.tool in _VERBS:
        return f"{_VERBS[call.tool]} {', '.join(subjects.paths_of(call.tool, call.input))}".rstrip()
    return call.tool


def _spent(call: Call) -> str:
    count, is_cost = call.input["count"], call.input["type"] == "cost"
    return f"${count:.2f}" if is_cost else f"{count} request{'' if count == 1 else 's'}"


def metadata(call: Call, decision: Decision) -> dict[str, Any]:
    """What OpenCode's clients show beside a permission: command, filepath and diff, url."""
    kind = subjects.kind_of(call.tool)
    if kind == "bash":
        shown = {"command": subjects.command_of(call.input), "patterns": patterns(call, decision)}
        return {**shown, **call.metadata}
    if kind == "edit":
        paths = subjects.paths_of(call.tool, call.input)
        return {"filepath": paths[0] if paths else "", "filePath": paths[0] if paths else "", **call.metadata}
    if kind == "webfetch":
        return {"url": subjects.text_of(call.input, "url"), **call.metadata}
    return {**call.input, **call.metadata}


def patterns(call: Call, decision: Decision) -> list[str]:
    """What is asked about: the asking parts of a command, the paths, the address."""
    if subjects.kind_of(call.tool) == "bash":
        return [part.text for part in decision.parts if part.action == "ask"]
    return list(dict.fromkeys(part.text for part in decision.parts))
