"""Modes: the roles an agent can work in, each with its own words, tools and rules. OpenCode calls them agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.agent import mode_files
from app.agent.mode_files import Written
from app.approvals.service import Rule
from app.errors import Invalid

DEFAULT = "build"
Kind = Literal["primary", "subagent", "all"]


@dataclass(frozen=True)
class Mode:
    """A role: what it is for, what the model is told, and which tools it has (None: all, less those switched off).

    `kind` says who may choose it: a person (primary), an agent for a part of its task (subagent), or both (all).
    `origin` is `builtin`, `user` (who runs the server) or `project` (its files: they only narrow what may be done).
    """

    name: str
    description: str
    role: str
    tools: tuple[str, ...] | None = None
    kind: Kind = "primary"
    switches: Mapping[str, bool] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    provider: str = ""
    model: str = ""
    temperature: float | None = None
    hidden: bool = False
    origin: str = "builtin"

    @property
    def is_primary(self) -> bool:
        """Whether a person may choose it for a session."""
        return self.kind != "subagent"

    @property
    def is_subagent(self) -> bool:
        """Whether an agent may hand a part of its task to it."""
        return self.kind != "primary"


READING = ("read", "grep", "glob", "list", "bash", "webfetch", "todowrite", "todoread", "question", "skill")
ALONE = "Nobody reads what you write but the agent that asked: end with all that it needs to know, and nothing else."

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
    "general": Mode(
        "general",
        "Researches a question or carries out a task of several steps, on its own and beside others.",
        f"You carry out one part of a larger task for another agent. {ALONE}",
        kind="subagent",
    ),
    "explore": Mode(
        "explore",
        "Looks through the project fast and changes nothing: finds files, reads code, answers how things work.",
        f"You look for what another agent wants to know, and change nothing. Name files with their lines. {ALONE}",
        tuple(name for name in READING if name not in ("todowrite", "todoread", "question")),
        kind="subagent",
    ),
}


def get(name: str, directory: Path | None = None) -> Mode:
    """The mode of this name in a directory; Invalid names those there are."""
    found = all_in(directory)
    if name not in found:
        raise Invalid(f"There is no mode {name!r}; there are {', '.join(found)}.", "mode")
    return found[name]


def all_in(directory: Path | None = None) -> dict[str, Mode]:
    """Every mode of a directory by name: the built-in ones, changed and joined by what files say."""
    found = dict(MODES)
    for written in mode_files.found(directory):
        if written.disabled:
            if written.name != DEFAULT:
                found.pop(written.name, None)
            continue
        found[written.name] = _with(found.get(written.name), written)
    return found


def subagents(directory: Path | None = None) -> list[Mode]:
    """The modes that an agent may hand a part of its task to."""
    return [mode for mode in all_in(directory).values() if mode.is_subagent and not mode.hidden]


def _with(known: Mode | None, written: Written) -> Mode:
    """A mode with what a file says of it; what it leaves out stays as it was."""
    base = known or Mode(written.name, "", "", kind="all", origin=written.origin)
    return Mode(
        name=written.name,
        description=written.description or base.description or f"The agent {written.name}.",
        role=written.role or base.role,
        tools=base.tools,
        kind=written.kind or base.kind,
        switches={**base.switches, **written.switches},
        rules=(*base.rules, *written.rules),
        provider=written.provider or base.provider,
        model=written.model or base.model,
        temperature=base.temperature if written.temperature is None else written.temperature,
        hidden=base.hidden if written.hidden is None else written.hidden,
        origin=written.origin,
    )
