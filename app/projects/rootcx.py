"""Who sees a project, for scripts: no part of RootCX's own API, and spoken in its accent."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from app.actor import Actor
from app.dialects import rootcx
from app.projects import bp, service

door = rootcx.door(bp)


class Wanted(BaseModel):
    """Who is to see a project: `team` for everybody, `members` for its people alone."""

    visibility: str


class Rights(BaseModel):
    """The keys that somebody is to hold over what others made in a project."""

    keys: Annotated[list[str], Field(max_length=20)] = []


@door.get("/api/v1/projects/<project_id>/access", answer=dict[str, Any])
def access(actor: Actor, project_id: str) -> dict[str, Any]:
    """Who sees a project, whose it is, and its people with what they were lent."""
    found = service.access_of(actor, project_id)
    return {
        "visibility": found.visibility,
        "owner": found.owner or None,
        "members": [
            {"userId": one.user_id, "name": one.name, "addedAt": rootcx.time(one.added), "keys": list(one.keys)}
            for one in found.members
        ],
    }


@door.patch("/api/v1/projects/<project_id>/access", body=Wanted, answer=dict[str, str])
def set_access(actor: Actor, body: Wanted, project_id: str) -> dict[str, str]:
    """Let everybody or only its people see a project."""
    service.set_visibility(actor, project_id, body.visibility)
    return rootcx.told(f"visibility is '{body.visibility}'")


@door.put("/api/v1/projects/<project_id>/members/<user>", body=Rights, answer=dict[str, str])
def put_member(actor: Actor, body: Rights, project_id: str, user: str) -> dict[str, str]:
    """Take somebody into a project, or change what they may do there."""
    service.put_member(actor, project_id, user, body.keys)
    return rootcx.told("member set")


@door.delete("/api/v1/projects/<project_id>/members/<user>", answer=dict[str, str])
def remove_member(actor: Actor, project_id: str, user: str) -> dict[str, str]:
    """Take somebody out of a project."""
    service.remove_member(actor, project_id, user)
    return rootcx.told("member removed")
