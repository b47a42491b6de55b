"""Modes: the roles an agent can work in, each with its own words and tools; built in, or written in files.

Who runs the server writes modes into OpenCode's configuration: they are trusted. A project's come with its
repository, from anywhere: they may choose words, a model and fewer tools, and forbid or have asked more, but never
let anything run without asking. A mode that both write keeps nothing of what it was allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any, Literal, cast

from app.agent import mode_files
from app.agent.providers import catalog
from app.approvals.service import Rule, limits_of
from app.errors import Invalid
from app.settings import service as settings

Kind = Literal["primary", "subagent", "all"]
HOTTEST = 2.0


@dataclass(frozen=True)
class Mode:
    """A role: what it is for, what the model is told, and which tools it has (None: all).

    `base` is the built-in mode it stands on, whose limits it keeps; `switches` turn tools off by name or pattern;
    `rules` say what runs, is asked or denied; `model` is (provider, model); `source` is where it was written.
    `title` and `groups` are how Roo's clients see it: groups of tools, some as (group, pattern of paths, why).
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
    groups: tuple[str | tuple[str, str, str], ...] = ()

    @property
    def may_edit(self) -> bool:
        """Whether it edits any file, asked about or not."""
        return limits_of(self.base).edits

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
ALWAYS = ("question", "task", "todowrite", "todoread", "skill")

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
        groups=("read", "edit", "browser", "command", "mcp"),
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
        groups=("read", ("edit", r"\.md$", "Markdown files only"), "browser", "mcp"),
    ),
    "ask": Mode(
        "ask",
        "Answers questions about the code and what surrounds it; changes nothing.",
        "You are Roo, a knowledgeable engineer who explains. You read what the question is about and answer in full, "
        "with the places in the code that show it. You change nothing.",
        base="ask",
        switches={**dict.fromkeys(EDITING, False), "bash": False},
        title="Ask",
        groups=("read", "browser", "mcp"),
    ),
    "debug": Mode(
        "debug",
        "Finds out why something goes wrong, and mends it once that is shown.",
        "You are Roo, an engineer who finds faults. You name several causes that would explain what is seen, look for "
        "what tells them apart (logs, a smaller case, a test that fails), say which it is, and only then mend it.",
        base="debug",
        title="Debug",
        groups=("read", "edit", "browser", "command", "mcp"),
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


def of(directory: Path | str | None) -> list[Mode]:
    """The modes of a directory: built-in ones first, then those of files; without one those of no project."""
    everything = list(mode_files.found(None if directory is None else Path(directory)))
    base = reduce(_widened, (one for one in everything if one.name == mode_files.ALL), Mode("", "", ""))
    found = {name: _on(base, mode) for name, mode in MODES.items()}
    for written in everything:
        if written.name == mode_files.ALL:
            continue
        mode = _changed(found.get(written.name), _answerable(written, directory), base)
        if mode is not None:
            found[written.name] = mode
        elif written.name != "build":  # there is always the mode that sessions begin in
            found.pop(written.name, None)
    return list(found.values())


def find(name: str, directory: Path | str) -> Mode | None:
    """The mode of this name in a directory, if there is one."""
    return next((mode for mode in of(directory) if mode.name == name), None)


def get(name: str, directory: Path | str) -> Mode:
    """The mode of this name in a directory; Invalid names those there are."""
    found = of(directory)
    for mode in found:
        if mode.name == name:
            return mode
    names = ", ".join(mode.name for mode in found if not mode.hidden)
    raise Invalid(f"There is no mode {name!r}; there are {names}.", "mode")


def model_of(name: str, directory: str) -> tuple[str, str]:
    """The (provider, model) that a mode names, empty if it names none; Invalid if there is no such mode."""
    return get(name, directory).model or ("", "")


def _answerable(written: mode_files.Written, directory: Path | str | None) -> mode_files.Written:
    """The same without a model that a project's files bring along with their own server for it."""
    named = None if written.trusted else _model(written.given)
    if named is None or directory is None or not catalog.is_of_repository(named[0], Path(directory)):
        return written
    return replace(written, given={key: value for key, value in written.given.items() if key != "model"})


def _widened(base: Mode, written: mode_files.Written) -> Mode:
    """What holds for every mode, and what one more place says of that."""
    return replace(
        base,
        switches={**base.switches, **_switches(written.given.get("tools"), base.switches, trusted=written.trusted)},
        rules=(*base.rules, *_rules(written.given.get("permission"), written)),
    )


def _on(base: Mode, mode: Mode) -> Mode:
    """A built-in mode under what holds for every mode; what it has not got it does not get."""
    return replace(mode, rules=base.rules, switches={**base.switches, **mode.switches})


def _changed(was: Mode | None, written: mode_files.Written, base: Mode) -> Mode | None:
    """A mode as a file writes it, over what there was of that name; None if the file takes it away."""
    given, trusted = written.given, written.trusted
    if given.get("disable") is True:
        return None
    begun = was or replace(base, name=written.name, kind=written.kind)
    rules = begun.rules if trusted else tuple(rule for rule in begun.rules if rule.action != "allow")
    temperature, top_p = _bounded(given.get("temperature"), HOTTEST), _bounded(given.get("top_p"), 1.0)
    kind = given.get("mode")
    return replace(
        begun,
        description=_text(given, "description")[:1000] or begun.description,
        role=_text(given, "prompt") or begun.role,
        kind=cast("Kind", kind) if kind in ("primary", "subagent", "all") else begun.kind,
        hidden=given.get("hidden") is True or (begun.hidden and "hidden" not in given),
        model=_model(given) or begun.model,
        temperature=begun.temperature if temperature is None else temperature,
        top_p=begun.top_p if top_p is None else top_p,
        switches={**begun.switches, **_switches(given.get("tools"), begun.switches, trusted=trusted)},
        rules=(*rules, *_rules(given.get("permission"), written)),
        source="user" if trusted else "project",
    )


def _model(given: Mapping[str, Any]) -> tuple[str, str] | None:
    provider, slash, model = _text(given, "model").partition("/")
    return (provider, model) if slash and provider and model and len(provider) <= 64 and len(model) <= 128 else None


def _bounded(value: Any, most: float) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= most else None


def _switches(given: Any, was: Mapping[str, bool], *, trusted: bool) -> dict[str, bool]:
    """The tools that a file turns on or off; a project's file turns none back on."""
    if isinstance(given, list):
        given = {"*": False, **{name: True for name in given if isinstance(name, str)}}
    if not isinstance(given, dict):
        return {}
    told = {str(name): value for name, value in given.items() if isinstance(value, bool)}
    return told if trusted or not was else {name: value for name, value in told.items() if not value}


def _rules(given: Any, written: mode_files.Written) -> Iterable[Rule]:
    """The rules of a file's `permission`; a project's files only narrow."""
    spelled = settings.spelled(given) if written.trusted else settings.narrowing(given)
    return (Rule(tool, pattern, action, written.layer) for tool, pattern, action in spelled)


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given.get(key)
    return value.strip() if isinstance(value, str) else ""
