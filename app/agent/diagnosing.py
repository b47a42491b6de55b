"""After an edit: what a language server finds wrong in the files, told to the model with the edit's result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from app.agent.tools import Result, ToolContext
from app.errors import Problem
from app.languages import service as languages
from app.projects import service as projects
from app.sessions.service import Hold

WAIT = 3.0  # seconds that an edit waits at most
MOST = 20  # errors told of one file
LARGEST = 1 << 20  # bytes of a file that is looked at
ERROR = 1
LONGEST = 300
# Servers look for libraries in our interpreter, not in the project's: what they miss there says nothing of the edit.
GUESSES = frozenset({"reportMissingImports", "reportMissingModuleSource", "import-error"})
TOOLS = frozenset({"write", "edit", "multiedit", "patch"})


def with_errors(hold: Hold, context: ToolContext, name: str, result: Result) -> Result:
    """The result of a call, with the errors in what it changed; the same where nobody knows of any."""
    if name not in TOOLS or not result.files_changed:
        return result
    try:
        place = projects.resolve(hold.actor, hold.session.directory)
        texts = {path: _text(context, path) for path in result.files_changed}
        found = languages.diagnose(hold.actor, place, texts, WAIT)
    except Problem:
        return result  # whoever may not look at the project hears nothing of it
    if not found:
        return result
    told = "".join(_told(context.relative(path), wrong) for path, wrong in found.items())
    output = f"{result.output}{told}"
    return replace(result, output=output, metadata={**result.metadata, "diagnostics": found})


def _text(context: ToolContext, path: str) -> str | None:
    """The text of a file as it is now; None if it is gone or nothing that one would look at."""
    name = context.relative(path)
    try:
        return context.root.read_text(name, LARGEST)
    except Problem:
        return None


def _told(name: str, found: list[languages.Diagnostic]) -> str:
    errors = [one for one in found if one.get("severity", ERROR) == ERROR and one.get("code") not in GUESSES]
    if not errors:
        return ""
    lines = [_line(name, one) for one in errors[:MOST]]
    if len(errors) > MOST:
        lines.append(f"(and {len(errors) - MOST} more)")
    return "\n".join([f"\n\nErrors in {Path(name).name} as it is now:", *lines])


def _line(name: str, one: dict[str, Any]) -> str:
    start = one["range"]["start"]
    message = " ".join(one["message"].split())[:LONGEST]
    return f"{name}:{start['line'] + 1}:{start['character'] + 1}: {message}"
