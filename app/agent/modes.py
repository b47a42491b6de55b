"""Modes: the roles an agent can work in, each with its own words and tools."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import Invalid


@dataclass(frozen=True)
class Mode:
    """A role: what it is for, what the model is told, and which tools it has (None: all)."""

    name: str
    description: str
    role: str
    tools: tuple[str, ...] | None = None


READING = ("read", "grep", "glob", "list", "bash", "webfetch", "todowrite", "todoread", "question", "skill")

MODES = {
    "build": Mode(
        "build",
        "Works on the task: reads, edits and runs commands, asking where the rules say so.",
        "You carry the task through: look before you change, keep changes small, run the tests that cover them, "
        "and finish with a short account of what you did and what you saw.",
    ),
    "plan": Mode(
        "plan",
        "Reads and thinks, changes nothing: ends with a plan.",
        "You change nothing. Read what you need, then answer with a plan: the steps, the files they touch, "
        "how each will be checked, and what is uncertain.",
        READING,
    ),
}


def get(name: str) -> Mode:
    """The mode of this name; Invalid names those there are."""
    if name not in MODES:
        raise Invalid(f"There is no mode {name!r}; there are {', '.join(MODES)}.", "mode")
    return MODES[name]
