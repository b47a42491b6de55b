"""What a person has set for their tasks in a workspace: instructions, and what runs without asking."""

from __future__ import annotations

from typing import Annotated, Any

from flask import request
from pydantic import ConfigDict, Field, create_model
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


class Camel(Body):
    """Names as they are on the wire."""

    model_config = ConfigDict(alias_generator=to_camel)


_FIELDS: dict[str, Any] = {
    **dict.fromkeys(auto_approve.BOOLEANS, (bool, False)),
    **dict.fromkeys(auto_approve.COMMANDS, (Commands, ())),
    "followup_auto_approve_timeout_ms": (Annotated[int, Field(gt=0, le=auto_approve.DAY)], 0),
    "allowed_max_requests": (Annotated[int, Field(gt=0, lt=10**9)] | None, None),
    "allowed_max_cost": (Annotated[float | int, Field(gt=0, lt=10**9, allow_inf_nan=False)] | None, None),
}
# POST /api/auto-approve: any of the switches.
Switches = create_model("Switches", __base__=Camel, **_FIELDS)


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
def set_switches(actor: Actor, body: Body) -> dict[str, bool]:
    """Set those that are named, all of them or none."""
    auto_approve.change(actor, place(actor), body.model_dump(exclude_unset=True))
    return {"success": True}


@door.post("/api/auto-approve/enabled", body=Master)
def set_master(actor: Actor, body: Master) -> dict[str, bool]:
    """Switch all of them on or off at once; each keeps how it stands."""
    auto_approve.change(actor, place(actor), {"auto_approval_enabled": body.enabled})
    return {"success": True}
