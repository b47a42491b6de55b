"""OpenCode's MCP servers: their status, adding one, connecting and disconnecting it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from app import streams
from app.actor import Actor
from app.dialects import opencode
from app.events.service import Fact
from app.mcp import bp, events, service
from app.mcp.service import OAuth, Resource, Status, Wanted
from app.projects import service as projects
from app.projects.service import Place

door = opencode.door(bp)
Text = Annotated[str, Field(max_length=4_000)]
Texts = Annotated[dict[Text, Text], Field(max_length=100)]
SIGN_IN_WAIT = 600.0
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


class RemoteOAuth(BaseModel):
    """The client that we are at a server, if it was registered beforehand; who signs in comes back to our own page."""

    model_config = ConfigDict(extra="forbid")
    clientId: Text = ""
    clientSecret: Text = ""
    scope: Text = ""


class Remote(BaseModel):
    """A server that is reached by a URL; `oauth` false for one at which nobody signs in."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["remote"]
    url: Text
    headers: Texts = {}
    oauth: RemoteOAuth | Literal[False] | None = None
    enabled: bool = True
    timeout: Timeout = 5_000


class SignedIn(BaseModel):
    """POST /mcp/{name}/auth/callback."""

    model_config = ConfigDict(extra="forbid")
    code: Annotated[str, Field(min_length=1, max_length=4_000)]


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


@door.post("/mcp/<name>/auth")
def begin_sign_in(actor: Actor, name: str) -> dict[str, Any]:
    """Begin to sign in: where to go, and what will come back."""
    begun = service.begin_sign_in(actor, _place(actor), name)
    return {"authorizationUrl": begun.url, "oauthState": begun.state}


@door.post("/mcp/<name>/auth/callback", body=SignedIn)
def come_back(actor: Actor, body: SignedIn, name: str) -> dict[str, Any]:
    """Finish the sign-in with the code that came back."""
    place, server = service.come_back_to(actor, _place(actor), name, body.code)
    return _status(service.statuses(actor, place)[server.name])


@door.post("/mcp/<name>/auth/authenticate")
def authenticate(actor: Actor, name: str) -> Response:
    """Begin to sign in, tell the person's clients where to go, and wait until they came back."""
    place = _place(actor)
    return streams.after(
        service.follow_sign_ins(actor),
        lambda: service.begin_sign_in_elsewhere(actor, place, name),
        lambda _begun, fact: (fact.event.directory, fact.event.server) == (str(place.project.path), name),
        lambda _begun: opencode.accent.answer(_status(service.statuses(actor, place)[name])),
        SIGN_IN_WAIT,
    )


@door.delete("/mcp/<name>/auth")
def sign_out(actor: Actor, name: str) -> dict[str, Any]:
    """Forget what a sign-in got."""
    service.sign_out(actor, _place(actor), name)
    return {"success": True}


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


@opencode.encodes(events.SignInWanted)
def _wanted_elsewhere(fact: Fact) -> list[dict[str, Any]]:
    event: events.SignInWanted = fact.event  # type: ignore[assignment]
    return [{"type": "mcp.browser.open.failed", "properties": {"mcpName": event.server, "url": event.url}}]


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
    # The dialect has no word for one that is being connected (`mcp.tools.changed` follows), and none for a yes.
    state = "failed" if one.state in ("connecting", "needs_consent") else one.state
    return {"status": state, **({"error": one.error} if state == "failed" else {})}


def _wanted(config: Local | Remote) -> Wanted:
    if isinstance(config, Local):
        return Wanted(
            "local", tuple(config.command), config.environment, config.enabled, config.timeout, config.cwd
        )  # fmt: skip
    return Wanted(
        "remote", (config.url,), config.headers, config.enabled, config.timeout, oauth=_oauth(config.oauth)
    )  # fmt: skip


def _oauth(given: RemoteOAuth | Literal[False] | None) -> OAuth:
    if not given:
        return OAuth(is_off=given is False)
    return OAuth(given.clientId, given.clientSecret, given.scope)
