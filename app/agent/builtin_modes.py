"""The modes that are built in, and what a mode is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from app.agent.mode_config import Group
from app.approvals.service import Limits, Rule, limits_of

Kind = Literal["primary", "subagent", "all"]


@dataclass(frozen=True)
class Mode:
    """A role: what it is for, what the model is told, and which tools it has (None: all).

    `base` is the built-in mode it stands on, whose limits it keeps, `own` those of its groups; `switches` turn tools
    off by name or pattern; `rules` say what runs, is asked or denied; `model` is (provider, model); `source` is where
    it was written. A mode of Roo's has a `title` and `groups`, what it is told beside its role (`instructions`), and
    perhaps words on when to use it (`when`); `with_mcp` says whether it has MCP servers' tools beside those named.
    """

    name: str
    description: str
    role: str
    tools: tuple[str, ...] | None = None
    kind: Kind = "primary"
    base: str = ""
    hidden: bool = False
    model: tuple[str, str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    switches: Mapping[str, bool] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    source: Literal["", "user", "project"] = ""
    title: str = ""
    groups: tuple[Group, ...] = ()
    own: Limits = field(default_factory=Limits)
    instructions: str = ""
    when: str = ""
    with_mcp: bool = False

    @property
    def limits(self) -> Limits:
        """What it permits at most."""
        return limits_of(self.base, self.own)

    @property
    def may_edit(self) -> bool:
        """Whether it edits any file, asked about or not."""
        return self.limits.edits

    @property
    def may_run(self) -> bool:
        """Whether it runs any command, asked about or not."""
        return self.limits.commands != "none"

    @property
    def is_roo(self) -> bool:
        """Whether it is one of Roo's, which hand work to each other."""
        return bool(self.title)

    @property
    def is_subagent(self) -> bool:
        """Whether the task tool may call it."""
        return self.kind != "primary"

    @property
    def is_primary(self) -> bool:
        """Whether a person may choose it for a session."""
        return self.kind != "subagent" and not self.hidden

    @property
    def options(self) -> dict[str, Any]:
        """What goes to the model's server beside the conversation."""
        given = {"temperature": self.temperature, "top_p": self.top_p}
        return {name: value for name, value in given.items() if value is not None}


READING = (
    "read", "grep", "glob", "list", "bash", "webfetch", "todowrite", "todoread", "question", "skill", "task",
)  # fmt: skip

EDITING = ("edit", "multiedit", "write", "patch")
# What every mode of Roo's has, whatever its groups.
ALWAYS = ("question", "task", "todowrite", "todoread", "skill", "switch_mode", "new_task")


def _groups(*names: str) -> tuple[Group, ...]:
    return tuple(Group(name) for name in names)


_EVERYTHING = _groups("read", "edit", "browser", "command", "mcp")
MODES = {
    "build": Mode(
        "build",
        "Works on the task: reads, edits and runs commands, asking where the rules say so.",
        "You carry the task through: look before you change, keep changes small, run the tests that cover them, "
        "and finish with a short account of what you did and what you saw.",
        base="build",
    ),
    "plan": Mode(
        "plan",
        "Reads and thinks, changes nothing: ends with a plan.",
        "You change nothing, and neither may a subagent of yours. Read what you need, then answer with a plan: the "
        "steps, the files they touch, how each will be checked, and what is uncertain.",
        READING,
        base="plan",
    ),
    "general": Mode(
        "general",
        "Researches a question or carries out work of several steps on its own, and answers with what came of it.",
        "You are a subagent: another agent gave you this task and reads nothing but your last message. Carry the task "
        "through on your own, ask people only what you cannot find out, and end with all that was asked for.",
        kind="subagent",
        base="general",
    ),
    "code": Mode(
        "code",
        "Writes, changes and mends code, asking where the rules say so.",
        "You are Roo, a highly skilled software engineer. You read before you change, follow the ways of the project, "
        "keep changes small, run the tests that cover them, and end with what you did and what you saw.",
        base="code",
        title="Code",
        groups=_EVERYTHING,
    ),
    "architect": Mode(
        "architect",
        "Looks into a task and writes down how it will be done, before anybody does it.",
        "You are Roo, an experienced technical lead who plans before anything is built. You gather what the task "
        "depends on, ask what only people can answer, and write a plan as a Markdown file or a todo list: steps, the "
        "files they touch, how each will be checked. You edit Markdown files alone.",
        base="architect",
        switches={"bash": False},
        title="Architect",
        groups=(
            Group("read"),
            Group("edit", r"\.md$", "Markdown files only", is_pair=True),
            *_groups("browser", "mcp"),
        ),
    ),
    "ask": Mode(
        "ask",
        "Answers questions about the code and what surrounds it; changes nothing.",
        "You are Roo, a knowledgeable engineer who explains. You read what the question is about and answer in full, "
        "with the places in the code that show it. You change nothing.",
        base="ask",
        switches={**dict.fromkeys(EDITING, False), "bash": False},
        title="Ask",
        groups=_groups("read", "browser", "mcp"),
    ),
    "debug": Mode(
        "debug",
        "Finds out why something goes wrong, and mends it once that is shown.",
        "You are Roo, an engineer who finds faults. You name several causes that would explain what is seen, look for "
        "what tells them apart (logs, a smaller case, a test that fails), say which it is, and only then mend it.",
        base="debug",
        title="Debug",
        groups=_EVERYTHING,
    ),
    "orchestrator": Mode(
        "orchestrator",
        "Splits a task into pieces and hands each to a subagent.",
        "You are Roo, who leads work that others do. You split the task into pieces that can be judged alone, give "
        "each to a subagent with all it needs to know, read what it answers, and put the results together.",
        ALWAYS,
        base="orchestrator",
        title="Orchestrator",
    ),
}
