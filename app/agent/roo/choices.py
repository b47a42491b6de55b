"""What a person has set for their tasks in a workspace: instructions, and what runs without asking."""

from __future__ import annotations

from typing import Annotated, Any

from flask import request
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.actor import Actor
from app.agent import auto_approve, chosen
from app.agent.roo.bodies import Body, Text, Word
from app.agent.roo.places import place
from app.agent.roo.routes import door

# The documents' seven, and the one that their author added last.
SHOWN = auto_approve.BOOLEANS[:8]
Commands = Annotated[list[Word], Field(max_length=auto_approve.MOST_COMMANDS)]


class Words(Body):
    """POST /api/instructions; an empty text clears them."""

    instructions: Text


class Switches(Body):
    """POST /api/auto-approve: any of them."""

    model_config = ConfigDict(alias_generator=to_camel)
    auto_approval_enabled: bool = False
    always_allow_read_only: bool = False
    always_allow_write: bool = False
    always_allow_execute: bool = False
    always_allow_browser: bool = False
    always_allow_mcp: bool = False
    always_approve_resubmit: bool = False
    always_allow_mode_switch: bool = False
    always_allow_subtasks: bool = False
    allowed_commands: Commands = Field(default_factory=list)
    denied_commands: Commands = Field(default_factory=list)


class Master(Body):
    """POST /api/auto-approve/enabled."""

    enabled: bool


@door.get("/api/instructions")
def get_instructions(actor: Actor) -> dict[str, str]:
    """The instructions that the caller's tasks in this workspace are told."""
    return {"instructions": chosen.get(actor, place(actor)).instructions}


@door.post("/api/instructions", body=Words)
def set_instructions(actor: Actor, body: Words) -> dict[str, bool]:
    """Set or clear them; the next step of every task of the caller's here is told."""
    chosen.choose(actor, place(actor), instructions=body.instructions)
    return {"success": True}


@door.get("/api/auto-approve")
def get_switches(actor: Actor) -> dict[str, Any]:
    """The switches; with `?all=true` those of later versions and the commands too."""
    found = auto_approve.get(actor, place(actor)).plain()
    names = found if request.args.get("all") == "true" else SHOWN
    return {to_camel(name): found[name] for name in names}


@door.post("/api/auto-approve", body=Switches)
def set_switches(actor: Actor, body: Switches) -> dict[str, bool]:
    """Set those that are named, all of them or none."""
    auto_approve.change(actor, place(actor), body.model_dump(exclude_unset=True))
    return {"success": True}


@door.post("/api/auto-approve/enabled", body=Master)
def set_master(actor: Actor, body: Master) -> dict[str, bool]:
    """Switch all of them on or off at once; each keeps how it stands."""
    auto_approve.change(actor, place(actor), {"auto_approval_enabled": body.enabled})
    return {"success": True}
