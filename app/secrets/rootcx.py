"""RootCX's routes of the vault: an app's secrets, the platform's, and their values for the environment."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from app.actor import Actor
from app.dialects import rootcx
from app.secrets import bp, service

door = rootcx.door(bp)


class Given(BaseModel):
    """A secret to keep."""

    key: str
    value: str


@door.post("/api/v1/apps/<app_id>/secrets", body=Given, answer=dict[str, str])
def set_app_secret(actor: Actor, given: Given, app_id: str) -> dict[str, str]:
    """Keep a secret of an app, in place of an earlier one."""
    service.put_app(actor, app_id, given.key, given.value)
    return rootcx.told(f"secret '{given.key}' set")


@door.get("/api/v1/apps/<app_id>/secrets", answer=list[str])
def list_app_secrets(actor: Actor, app_id: str) -> list[str]:
    """The keys of an app's secrets, sorted."""
    return service.names(actor, service.scope_of_app(actor, app_id))


@door.delete("/api/v1/apps/<app_id>/secrets/<key>", answer=dict[str, str])
def delete_app_secret(actor: Actor, app_id: str, key: str) -> dict[str, str]:
    """Forget a secret of an app."""
    service.delete(actor, service.scope_of_app(actor, app_id), key)
    return rootcx.told(f"secret '{key}' deleted")


@door.post("/api/v1/platform/secrets", body=Given, answer=dict[str, Any])
def set_platform_secret(actor: Actor, given: Given) -> dict[str, Any]:
    """Keep a secret of the whole server, in place of an earlier one."""
    service.put_platform(actor, given.key, given.value)
    return _restarted(f"secret '{given.key}' set")


@door.get("/api/v1/platform/secrets", answer=list[str])
def list_platform_secrets(actor: Actor) -> list[str]:
    """The keys of the platform's secrets, sorted."""
    return service.names(actor, service.PLATFORM)


@door.get("/api/v1/platform/secrets/env", answer=dict[str, str])
def export_environment(actor: Actor) -> dict[str, str]:
    """The platform's secrets with their values."""
    return service.environment(actor)


@door.delete("/api/v1/platform/secrets/<key>", answer=dict[str, Any])
def delete_platform_secret(actor: Actor, key: str) -> dict[str, Any]:
    """Forget a secret of the whole server."""
    service.delete(actor, service.PLATFORM, key)
    return _restarted(f"secret '{key}' deleted")


def _restarted(message: str) -> dict[str, Any]:
    """Nothing has to start anew for a secret: a command gets what is granted when it begins."""
    return {**rootcx.told(message), "workers_restarted": 0}
