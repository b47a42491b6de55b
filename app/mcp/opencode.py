"""OpenCode's MCP servers: their status, adding one, connecting and disconnecting it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.actor import Actor
from app.dialects import opencode
from app.events.service import Fact
from app.mcp import bp, events, service
from app.mcp.service import Resource, Status, Wanted
from app.projects import service as projects
from app.projects.service import Place

door = opencode.door(bp)
Text = Annotated[str, Field(max_length=4_000)]
Texts = Annotated[dict[Text, Text], Field(max_length=100)]
Timeout = Annotated[int, Field(gt=0, le=120_000)]


class Local(BaseModel):
    """A command that speaks MCP over its standard streams."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["local"]
    command: Annotated[list[Text], Field(min_length=1, max_length=200)]
    cwd: Text = ""
    environment: Texts = {}
    enabled: bool = True
    timeout: Timeout = 5_000


class Remote(BaseModel):
    """A server that is reached by a URL; OAuth's fields are for what signs in by itself, which this server does not."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["remote"]
    url: Text
    headers: Texts = {}
    oauth: Literal[False] | None = None
    enabled: bool = True
    timeout: Timeout = 5_000


class Adding(BaseModel):
    """POST /mcp."""

    model_config = ConfigDict(extra="forbid")
    name: Text
    config: Annotated[Local | Remote, Field(discriminator="type")]


@door.get("/mcp")
def status(actor: Actor) -> dict[str, Any]:
    """How each server of the directory's project stands."""
    return _statuses(actor, _place(actor))


@door.post("/mcp", body=Adding)
def add(actor: Actor, body: Adding) -> dict[str, Any]:
    """Add a server and connect it."""
    place = _place(actor)
    service.add(actor, place, body.name, _wanted(body.config))
    return _statuses(actor, place)


@door.post("/mcp/<name>/connect")
def connect(actor: Actor, name: str) -> bool:
    """Connect a server."""
    service.connect(actor, _place(actor), name)
    return True


@door.post("/mcp/<name>/disconnect")
def disconnect(actor: Actor, name: str) -> bool:
    """Disconnect a server until it is connected again."""
    service.disconnect(actor, _place(actor), name)
    return True


@door.get("/experimental/resource")
def list_resources(actor: Actor) -> dict[str, Any]:
    """What the directory's servers let read, by a name that holds the server's."""
    found: dict[str, Any] = {}
    for one in service.resources(actor, _place(actor)):
        name = f"{one.server}:{one.name}"
        found[f"{one.server}:{one.uri}" if name in found else name] = _resource(one)
    return found


@opencode.encodes(events.ServerChanged)
def _changed(fact: Fact) -> list[dict[str, Any]]:
    event: events.ServerChanged = fact.event  # type: ignore[assignment]
    return [{"type": "mcp.tools.changed", "properties": {"server": event.server}}]


def _resource(one: Resource) -> dict[str, Any]:
    more = {"description": one.description, "mimeType": one.mime}
    return {
        "name": one.name,
        "uri": one.uri,
        "client": one.server,
        **{key: value for key, value in more.items() if value},
    }


def _place(actor: Actor) -> Place:
    return projects.resolve(actor, opencode.directory())


def _statuses(actor: Actor, place: Place) -> dict[str, Any]:
    return {name: _status(one) for name, one in service.statuses(actor, place).items()}


def _status(one: Status) -> dict[str, Any]:
    # The dialect has no word for one that is being connected; `mcp.tools.changed` follows.
    state = "failed" if one.state == "connecting" else one.state
    return {"status": state, **({"error": one.error} if state == "failed" else {})}


def _wanted(config: Local | Remote) -> Wanted:
    if isinstance(config, Local):
        return Wanted(
            "local", tuple(config.command), config.environment, config.enabled, config.timeout, config.cwd
        )  # fmt: skip
    return Wanted("remote", (config.url,), config.headers, config.enabled, config.timeout)
