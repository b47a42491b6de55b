"""Modes as Roo's clients see them, and which one is current in a workspace."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.actor import Actor
from app.agent import chosen, mode_tools, modes, service
from app.agent.modes import Mode
from app.agent.roo.bodies import Body, Word
from app.agent.roo.places import place
from app.agent.roo.routes import door

# By which of its tools a mode that was written for another client is in one of Roo's groups.
_GROUPS = {"read": "read", "edit": "edit", "browser": "webfetch", "command": "bash"}


class Switch(Body):
    """POST /api/modes/switch."""

    mode: Word = Field(min_length=1)


@door.get("/api/modes")
def list_modes(actor: Actor) -> dict[str, Any]:
    """The modes of the workspace: those that are built in, and those that somebody wrote."""
    found = [mode for mode in service.list_modes(actor, place(actor).directory) if mode.is_primary]
    return {
        "builtIn": [_shape(mode) for mode in found if not mode.source],
        "custom": [_shape(mode) for mode in found if mode.source],
    }


@door.get("/api/modes/current")
def current_mode(actor: Actor) -> dict[str, Any]:
    """The mode that the next task of this workspace begins in."""
    here = place(actor)
    return _shape(modes.get(chosen.mode(actor, here), here.directory))


@door.post("/api/modes/switch", body=Switch)
def switch_mode(actor: Actor, body: Switch) -> dict[str, str]:
    """Make a mode the current one."""
    chosen.choose(actor, place(actor), mode=body.mode)
    return {"message": "Mode switched successfully"}


def _shape(mode: Mode) -> dict[str, Any]:
    """`{slug, name, roleDefinition, groups, description, whenToUse?, customInstructions?, source?}`.

    A group is a word, or a word and its limits.
    """
    shape: dict[str, Any] = {
        "slug": mode.name,
        "name": mode.title or mode.name.capitalize(),
        "roleDefinition": mode.role,
        "groups": [group.shown for group in mode.groups] if mode.is_roo else _groups(mode),
        "description": mode.description,
    }
    told = {"whenToUse": mode.when, "customInstructions": mode.instructions}
    shape |= {name: text for name, text in told.items() if text}
    return {**shape, "source": "project" if mode.source == "project" else "global"} if mode.source else shape


def _groups(mode: Mode) -> list[str]:
    """The groups that the tools of a mode make, where it does not say which it has."""
    offered = {spec.name for spec in mode_tools.offered(mode)}
    found = [group for group, tool in _GROUPS.items() if tool in offered]
    if "edit" in found and not mode.may_edit:
        found.remove("edit")
    return [*found, "mcp"] if mode.tools is None else found
