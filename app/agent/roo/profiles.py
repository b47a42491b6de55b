"""Profiles as Roo's clients see them: name, id and provider, never a key."""

from __future__ import annotations

from pydantic import Field

from app.actor import Actor
from app.agent import profiles
from app.agent.profiles import Profile
from app.agent.roo.bodies import Body, Word
from app.agent.roo.places import place
from app.agent.roo.routes import door


class Switch(Body):
    """POST /api/profiles/switch."""

    name: Word = Field(min_length=1)


@door.get("/api/profiles")
def list_profiles(actor: Actor) -> list[dict[str, str]]:
    """The caller's profiles."""
    return [_shape(one) for one in profiles.list_all(actor, place(actor))]


@door.get("/api/profiles/current")
def current_profile(actor: Actor) -> dict[str, str]:
    """The one that the next task of this workspace begins with."""
    return _shape(profiles.current(actor, place(actor)))


@door.post("/api/profiles/switch", body=Switch)
def switch_profile(actor: Actor, body: Switch) -> dict[str, str]:
    """Make a profile the current one."""
    profiles.switch(actor, place(actor), body.name)
    return {"message": f"Switched to profile '{body.name}'"}


def _shape(one: Profile) -> dict[str, str]:
    return {"name": one.name, "id": one.id, "apiProvider": one.provider, "model": one.model}
