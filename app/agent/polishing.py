"""Before an edit is shown and made: what a formatter makes of the text, told to the model with the edit's result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.agent.tools.changes import change
from app.agent.tools.tool import Polished
from app.errors import Problem
from app.languages import service as languages
from app.projects import service as projects
from app.sessions.service import Hold

LONGEST = 3_000  # characters of a difference that is told


def of(hold: Hold) -> Callable[[str, str], Polished]:
    """What gives a text that the session's agent writes to a file as the file's formatter has it."""

    def polish(path: str, text: str) -> Polished:
        try:
            place = projects.resolve(hold.actor, hold.session.directory)
            found = languages.format_text(hold.actor, place, Path(path), text, hold.cancelled)
        except Problem:
            return Polished(text)  # whoever may not look at the project has nothing formatted in it
        if found is None or (found.text == text and not found.why):
            return Polished(text)
        name = Path(path).name
        if found.why:
            return Polished(text, f"{name} is as you wrote it: {found.formatter} could not format it: {found.why}")
        told = change(name, text, found.text).diff
        how = (
            f"in these places:\n{told}" if len(told) <= LONGEST else "in many places; read it before you edit it again."
        )
        return Polished(found.text, f"{found.formatter} has formatted {name}; what lies there differs from yours {how}")

    return polish
