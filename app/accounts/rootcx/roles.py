"""RootCX's roles: making and giving them, and what somebody may do."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from app.accounts import service
from app.accounts.rootcx.door import door
from app.actor import Actor
from app.dialects import rootcx

Names = Annotated[list[str], Field(max_length=1000)]


class NewRole(BaseModel):
    """A role to be made; it may inherit roles that are not there yet."""

    name: str
    description: str | None = None
    inherits: Names = []
    permissions: Names = []


class RoleChange(BaseModel):
    """What of a role is to change; what is left out or null stays."""

    description: str | None = None
    inherits: Names | None = None
    permissions: Names | None = None


class Held(BaseModel):
    """A role, and who is to have it or to lose it."""

    model_config = ConfigDict(populate_by_name=True)

    user_id: str = Field(validation_alias=AliasChoices("userId", "user_id"))
    role: str


@door.get("/api/v1/roles", answer=list[dict[str, Any]])
def roles(actor: Actor) -> list[dict[str, Any]]:
    """Every role by name, the built-in ones too."""
    return [
        {
            "name": one.name,
            "description": one.description,
            "inherits": list(one.inherits),
            "permissions": list(one.permissions),
        }
        for one in sorted(service.list_roles(actor), key=lambda one: one.name)
    ]


@door.post("/api/v1/roles", body=NewRole, answer=dict[str, str])
def create_role(actor: Actor, body: NewRole) -> dict[str, str]:
    """Make a role."""
    made = service.create_role(
        actor, body.name, description=body.description or "", inherits=body.inherits, permissions=body.permissions
    )
    return rootcx.told(f"role '{made.name}' created")


@door.patch("/api/v1/roles/<role_name>", body=RoleChange, answer=dict[str, str])
def update_role(actor: Actor, body: RoleChange, role_name: str) -> dict[str, str]:
    """Change a role."""
    service.update_role(
        actor, role_name, description=body.description, inherits=body.inherits, permissions=body.permissions
    )
    return rootcx.told(f"role '{role_name}' updated")


@door.delete("/api/v1/roles/<role_name>", answer=dict[str, str])
def delete_role(actor: Actor, role_name: str) -> dict[str, str]:
    """Delete a role, and take it from everybody."""
    service.delete_role(actor, role_name)
    return rootcx.told(f"role '{role_name}' deleted")


@door.get("/api/v1/roles/assignments", answer=list[dict[str, str]])
def assignments(actor: Actor) -> list[dict[str, str]]:
    """Who holds which role, the newest first."""
    return [
        {"userId": one.user_id, "role": one.role, "assignedAt": rootcx.time(one.assigned)}
        for one in service.list_assignments(actor)
    ]


@door.post("/api/v1/roles/assign", body=Held, answer=dict[str, str])
def assign_role(actor: Actor, body: Held) -> dict[str, str]:
    """Give somebody a role; a second time changes nothing."""
    service.assign_role(actor, body.user_id, body.role)
    return rootcx.told(f"role '{body.role}' assigned")


@door.post("/api/v1/roles/revoke", body=Held, answer=dict[str, str])
def revoke_role(actor: Actor, body: Held) -> dict[str, str]:
    """Take a role from somebody."""
    service.revoke_role(actor, body.user_id, body.role)
    return rootcx.told(f"role '{body.role}' revoked")


@door.get("/api/v1/permissions", answer=dict[str, list[str]])
def permissions(actor: Actor) -> dict[str, list[str]]:
    """What the caller holds: the roles with all that they inherit, and the keys."""
    return _effective(service.my_permissions(actor))


@door.get("/api/v1/permissions/available", answer=list[dict[str, str]])
def available_permissions(actor: Actor) -> list[dict[str, str]]:
    """The keys that the server knows and the caller holds."""
    return [{"key": one.key, "description": one.description} for one in service.available_permissions(actor)]


@door.get("/api/v1/permissions/<user_id>", answer=dict[str, list[str]])
def permissions_of(actor: Actor, user_id: str) -> dict[str, list[str]]:
    """What somebody holds; nothing for somebody unknown."""
    return _effective(service.permissions_of(actor, user_id))


def _effective(held: service.Effective) -> dict[str, list[str]]:
    return {"roles": list(held.roles), "permissions": list(held.permissions)}
