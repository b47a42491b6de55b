"""OpenCode's routes that set its configuration, and what its clients hear of that; the agent's room shows it."""

from __future__ import annotations

from typing import Any

from app.actor import Actor
from app.dialects import opencode
from app.events.service import Fact
from app.projects import service as projects
from app.settings import bp, events, service
from app.settings.service import Config

door = opencode.door(bp)


@door.patch("/config", body=Config, answer=dict[str, Any])
def set_config(actor: Actor, body: Config) -> dict[str, Any]:
    """Set keys of the configuration of the directory's project; what was sent, without its secrets."""
    return service.set_values(actor, projects.resolve(actor, opencode.directory()), body)


@door.patch("/global/config", body=Config, answer=dict[str, Any])
def set_global_config(actor: Actor, body: Config) -> dict[str, Any]:
    """Set keys of the configuration that holds for all projects."""
    return service.set_values(actor, None, body)


@door.post("/instance/dispose", answer=bool)
def dispose(actor: Actor) -> bool:
    """Let the clients of the directory read anew; runs go on."""
    service.dispose(actor, projects.resolve(actor, opencode.directory()))
    return True


@door.post("/global/dispose", answer=bool)
def dispose_all(actor: Actor) -> bool:
    """Let all clients read anew; runs go on."""
    service.dispose(actor, None)
    return True


@opencode.encodes(events.ConfigChanged)
def _changed(fact: Fact) -> list[dict[str, Any]]:
    event: events.ConfigChanged = fact.event  # type: ignore[assignment]
    if not event.directory:
        return [{"type": "global.disposed", "properties": {}}]
    return [{"type": "server.instance.disposed", "properties": {"directory": event.directory}}]
