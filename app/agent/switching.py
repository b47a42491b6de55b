"""Modes that hand work to each other: what the other one may do more, and how a session changes its own.

An agent gets no right by itself. What a mode may do that the one it works in may not is asked for, unless somebody's
own rule lets it pass; a mode that came with a repository is always asked for then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app import db, ids
from app.agent import mode_tools, modes, profiles
from app.agent.builtin_modes import EDITING
from app.agent.modes import Mode
from app.agent.tools import Prepared, Tool, ToolContext, switch_mode
from app.approvals import service as approvals
from app.approvals.service import Call, Doubt, Limits, Rule
from app.sessions import service as sessions
from app.sessions.service import Hold, Part

_COMMANDS = ("none", "readers", "all")


@dataclass(frozen=True)
class Frame:
    """What a step permits: its mode and those of the runs that wait for it, limits and rules of them together, and
    the tools that its prompt switches.

    `over` gives what must be asked before a call that needs no answer, because too much ran unasked already.
    """

    mode: Mode
    above: tuple[Mode, ...]
    limits: Limits
    rules: tuple[Rule, ...]
    switches: dict[str, bool] | None
    over: Callable[[Call], Call | None]


def doubt(name: str, frame: Frame, context: ToolContext, prepared: Prepared) -> Doubt:
    """What speaks against a call of switch_mode or new_task."""
    mode = switch_mode.chosen(context, str(prepared.metadata["mode"]))
    # A switch stays below those who wait for this run; a task of its own has its mode's rights alone.
    above = frame.above if name == switch_mode.NAME else ()
    gains = ", ".join(_gains(frame, mode, above, context.more))
    return Doubt(mode.name, gains, is_final=mode.source == "project")


def switch(hold: Hold, part: Part, prepared: Prepared) -> None:
    """Change the session's mode, and its model to that of the mode's profile; the call says so at once."""
    slug = str(prepared.metadata["mode"])
    provider, model = model_of(hold, slug) or (hold.run.provider, hold.run.model)
    now = ids.now()
    state: dict[str, Any] = {
        "status": "completed",
        "input": part.data["state"]["input"],
        "output": f"You are in the mode {slug} now: its role and its tools are yours from here on.",
        "title": prepared.title,
        "metadata": prepared.metadata,
        "time": {"start": now, "end": now},
    }
    with db.transaction():
        sessions.change_mode(hold, slug, provider, model)
        sessions.save_part(hold, replace(part, data={**part.data, "state": state}), act=prepared.title)


def model_of(hold: Hold, mode: str) -> tuple[str, str] | None:
    """The (provider, model) of the profile that its person has linked to a mode, else the one that the mode names."""
    linked = profiles.of_mode(hold.session.owner, hold.session.directory, mode)
    return linked or modes.get(mode, hold.session.directory).model


def _gains(frame: Frame, mode: Mode, above: tuple[Mode, ...], more: Mapping[str, Tool[Any]]) -> Iterator[str]:
    """What the mode may do that the step may not, in words."""
    has = frame.limits.tools or frozenset()
    will = {spec.name for spec in mode_tools.offered(mode, frame.switches, above=above, more=more)}
    limits = approvals.limits_of(mode.limits, *(one.limits for one in above))
    if _edits(limits, will):
        if not _edits(frame.limits, has):
            yield "edit files"
        elif not set(frame.limits.only) <= set(limits.only):
            yield "edit other files"
    if _commands(limits, will) > _commands(frame.limits, has):
        yield "run commands"
    if others := sorted(will - has - {*EDITING, "bash"}):
        yield f"use {', '.join(others[:20])}"
    yield from _freed(frame, mode, above)


def _edits(limits: Limits, names: Collection[str]) -> bool:
    return limits.edits and any(name in names for name in EDITING)


def _commands(limits: Limits, names: Collection[str]) -> int:
    return _COMMANDS.index(limits.commands) if "bash" in names else 0


def _freed(frame: Frame, mode: Mode, above: tuple[Mode, ...]) -> Iterator[str]:
    """What rules of a mode change."""
    allowed = {rule for rule in mode.rules if rule.action == "allow"}
    if allowed - set(frame.mode.rules):
        yield "what its own rules allow"
    narrowing = {rule for one in (frame.mode, *frame.above) for rule in one.rules if rule.action != "allow"}
    if narrowing - {rule for one in (mode, *above) for rule in one.rules}:
        yield "what rules of this mode deny or ask about"
