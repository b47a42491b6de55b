"""What holds when no rule matches: the presets of a session, and the limits of its mode.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Literal

from app.approvals import js_patterns
from app.approvals.js_patterns import Allowance, BadPattern, TooSlow
from app.config import PRESETS

Action = Literal["allow", "ask", "deny"]

READS = frozenset(("read", "list", "glob", "grep"))
QUIET = frozenset(("todowrite", "todoread", "todo", "question", "task", "skill", "invalid"))
# Those that put somebody else to work: no preset lets them pass where that one has more rights.
HANDING = frozenset(("switch_mode", "new_task"))
LOOP = "doom_loop"  # not a tool: the wish to make the same call once more, and once more
LIMIT = "auto_approval_max_req_reached"  # nor this: the wish to go on after so much that nobody was asked about
EDITS = frozenset(("edit", "write", "multiedit", "patch", "apply_patch"))


@dataclass(frozen=True)
class Only:
    """A mode edits only paths in which a pattern of JavaScript's is found; `why` says it in words."""

    pattern: str
    why: str = ""
    mode: str = ""

    def refuses(self, path: str, allowance: Allowance | None = None) -> str:
        """Why it refuses a path, relative to the workspace; "" if it does not. What cannot be told is refused, in the
        time that is left of the allowance.
        """
        pattern = js_patterns.shortened(self.pattern)
        says = f"the mode {self.mode} edits only paths that match {pattern}{f' ({self.why})' if self.why else ''}"
        if path.startswith("/"):
            return f"{says}, and {path} is outside of the workspace"
        try:
            return "" if js_patterns.finds(self.pattern, path, allowance) else f"{says}, and {path} does not"
        except TooSlow:
            return f"{says}, and whether {path} does takes too long to tell"
        except BadPattern as bad:
            return f"{says}, and that is no pattern: {bad}"


@dataclass(frozen=True)
class Limits:
    """What a mode permits at most: edits (of paths that each of `only` takes), commands, tools by name (None: all)."""

    edits: bool = True
    only: tuple[Only, ...] = ()
    commands: Literal["all", "readers", "none"] = "all"
    tools: frozenset[str] | None = None


COMMANDS = ("none", "readers", "all")
UNLIMITED = Limits()
MODES: dict[str, Limits] = {
    "plan": Limits(edits=False, commands="readers"),
    "ask": Limits(edits=False, commands="none"),
    "architect": Limits(only=(Only(r"\.md$", "Markdown files only", "architect"),), commands="none"),
    "orchestrator": Limits(edits=False, commands="none"),
    "explore": Limits(edits=False, commands="readers"),
}


def meet(first: Limits, second: Limits) -> Limits:
    """What both permit: the limits of a mode that works for another one."""
    only = tuple(dict.fromkeys((*first.only, *second.only)))
    lower = min(first.commands, second.commands, key=COMMANDS.index)
    sets = [limits.tools for limits in (first, second) if limits.tools is not None]
    return Limits(first.edits and second.edits, only, lower, frozenset.intersection(*sets) if sets else None)


def limits_of(*modes: str | Limits, tools: Iterable[str] | None = None) -> Limits:
    """What modes permit at most together, built-in ones by their name, and only these tools (None: all)."""
    each = (mode if isinstance(mode, Limits) else MODES.get(mode, UNLIMITED) for mode in modes)
    return replace(reduce(meet, each, UNLIMITED), tools=None if tools is None else frozenset(tools))


@dataclass(frozen=True)
class Stance:
    """How a session stands when a call is decided: its preset, the highest one an admin allows, its mode's limits; and
    the time for the patterns of these.
    """

    preset: str = "ask"
    ceiling: str = "auto"
    mode: str = "build"
    limits: Limits = UNLIMITED
    allowance: Allowance = field(default_factory=Allowance, compare=False, repr=False)

    @property
    def effective(self) -> str:
        """The preset that counts: the lower of the two; an unknown one counts as `ask`."""
        return PRESETS[min(_rank(self.preset), _rank(self.ceiling))]


@dataclass(frozen=True)
class Base:
    """What holds without rules; `final` if no rule may loosen it."""

    action: Action
    why: str
    final: bool = False


def base_of(stance: Stance, tool: str, *, subject: str = "", only_reads: bool = False) -> Base:
    """What preset and mode say on a tool's use; `subject` is the path of an edit."""
    limit = _limit(stance, tool, subject, only_reads)
    if limit is not None:
        return limit
    preset = stance.effective
    if tool == LOOP:
        return Base("ask", "the same call several times in a row")
    if tool == LIMIT:
        return Base("ask", "the limit of what runs unasked is reached", final=True)
    if tool in QUIET or tool in READS:
        return Base("allow", "reading is always allowed" if tool in READS else "changes nothing")
    if preset == "read-only":
        if tool == "network":
            return Base("deny", "the preset read-only reaches no host", final=True)
        if tool == "edit" or (tool == "bash" and not only_reads):
            return Base("deny", "the preset read-only changes nothing", final=True)
        return Base("allow", "only reads") if tool == "bash" else Base("ask", "no rule matches")
    if tool == "network" and stance.limits.commands != "all":
        return Base("ask", f"the mode {stance.mode} only reads")
    if preset == "auto" or (preset == "accept-edits" and tool == "edit"):
        return Base("allow", f"the preset {preset}")
    if tool == "bash" and only_reads and stance.limits.commands == "readers":
        return Base("allow", "only reads")
    return Base("ask", "no rule matches")


def _limit(stance: Stance, tool: str, subject: str, only_reads: bool) -> Base | None:
    limits, mode = stance.limits, stance.mode
    if tool == "edit":
        if not limits.edits:
            return Base("deny", f"the mode {mode} edits nothing", final=True)
        if why := next((said for only in limits.only if (said := only.refuses(subject, stance.allowance))), ""):
            return Base("deny", why, final=True)
    if tool == "bash" and limits.commands == "none":
        return Base("deny", f"the mode {mode} has no shell", final=True)
    if tool == "bash" and limits.commands == "readers" and not only_reads:
        denies = stance.effective == "read-only"
        return Base("deny" if denies else "ask", f"the mode {mode} only reads", final=True)
    return None


def _rank(preset: str) -> int:
    return PRESETS.index(preset) if preset in PRESETS else 1
