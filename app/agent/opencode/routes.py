"""OpenCode's providers, models, agents, skills, commands and configuration; an edited file, a command that ended."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import BaseModel, ConfigDict, Field, RootModel

from app import streams
from app.actor import Actor
from app.agent import bp, events, mode_tools, service
from app.agent.commands import INIT, Command
from app.agent.modes import Mode
from app.agent.providers.catalog import ModelInfo, ProviderInfo
from app.agent.skills import FILE, Skill
from app.dialects import opencode
from app.errors import Invalid
from app.events.service import Fact
from app.projects import service as projects
from app.sessions import service as sessions
from app.sessions.service import Message

door = opencode.door(bp)
LONGEST = 8_000
COMMAND_WAIT = 24 * 3600.0
Secret = Annotated[str, Field(min_length=1, max_length=LONGEST, pattern=r"^[\x21-\x7e]+$")]
# OpenCode's words for where a provider comes from.
_SOURCES = {"builtin": "custom", "vault": "api", "own": "api"}


@door.get("/config/providers")
def providers(actor: Actor) -> dict[str, Any]:
    """The providers that can be used now, and each one's first model."""
    found = _providers(actor)
    return {"providers": [_provider(one) for one in found], "default": _defaults(found)}


@door.get("/provider")
def all_providers(actor: Actor) -> dict[str, Any]:
    """The same in the newer form."""
    found = _providers(actor)
    return {
        "all": [_provider(one) for one in found],
        "default": _defaults(found),
        "connected": [one.id for one in found],
    }


class Login(BaseModel):
    """What every form of a login has: fields that we do not know are refused, as the real server does."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ApiLogin(Login):
    """A key."""

    type: Literal["api"]
    key: Secret
    metadata: dict[str, str] = Field(default_factory=dict, max_length=50)


class OAuthLogin(Login):
    """A login of a person at the provider; `expires` in unix ms, 0 for never."""

    type: Literal["oauth"]
    refresh: str = Field(max_length=LONGEST)
    access: Secret
    expires: int | float = Field(ge=0)
    account_id: str | None = Field(default=None, alias="accountId", max_length=200)
    enterprise_url: str | None = Field(default=None, alias="enterpriseUrl", max_length=2000)


class WellKnownLogin(Login):
    """A token, and the name of the variable that it is the value of."""

    type: Literal["wellknown"]
    key: str = Field(min_length=1, max_length=200)
    token: Secret


class AnyLogin(RootModel[Annotated[ApiLogin | OAuthLogin | WellKnownLogin, Field(discriminator="type")]]):
    """One of the three."""


@door.put("/auth/<provider>", body=AnyLogin, answer=bool)
def set_auth(actor: Actor, body: AnyLogin, provider: str) -> bool:
    """Keep a provider's key or login, used from the next call on: one's own, without the right to set the server's."""
    given = body.root.model_dump(exclude_none=True, by_alias=True)
    if isinstance(body.root, WellKnownLogin):
        given["variable"] = given.pop("key")
    service.keep_any_login(actor, provider, given)
    return True


@door.delete("/auth/<provider>", answer=bool)
def remove_auth(actor: Actor, provider: str) -> bool:
    """Forget it; one that was never kept is as good as forgotten."""
    service.forget_any_login(actor, provider)
    return True


@door.get("/provider/auth")
def auth_methods(actor: Actor) -> dict[str, Any]:
    """How each provider can be connected here: by its key."""
    return {one.id: [{"type": "api", "label": "API key"}] for one in service.list_integrations(actor)}


class Model(BaseModel):
    """The model whose tools are asked for."""

    provider: str = Field(min_length=1, max_length=64)
    model: str = Field(min_length=1, max_length=300)


@door.get("/experimental/tool/ids")
def tool_ids(actor: Actor) -> list[str]:
    """The names of all tools in the directory."""
    place = projects.resolve(actor, opencode.directory())
    return [spec.name for spec in service.list_tools(actor, place.directory)]


@door.get("/experimental/tool", query=Model)
def tools(actor: Actor, _model: Model) -> list[dict[str, Any]]:
    """All tools in the directory with their schemas: every model gets the same."""
    place = projects.resolve(actor, opencode.directory())
    return [
        {"id": spec.name, "description": spec.description, "parameters": dict(spec.schema)}
        for spec in service.list_tools(actor, place.directory)
    ]


@door.get("/agent")
def agents(actor: Actor) -> list[dict[str, Any]]:
    """The modes, which OpenCode calls agents."""
    place = projects.resolve(actor, opencode.directory())
    return [_agent(mode) for mode in service.list_modes(actor, place.directory)]


@door.get("/skill", answer=list[dict[str, str]])
def skills(actor: Actor) -> list[dict[str, str]]:
    """The skills that the model can load in a directory."""
    place = projects.resolve(actor, opencode.directory())
    return [skill(one) for one in service.list_skills(actor, place.directory)]


def skill(one: Skill) -> dict[str, str]:
    """A skill with its words, and the file they are in."""
    location = f"{one.folder}/{FILE}"
    return {"name": one.name, "description": one.description, "location": location, "content": one.body}


def _providers(actor: Actor) -> list[ProviderInfo]:
    place = projects.resolve(actor, opencode.directory())
    return [one for one in service.list_providers(actor, place.directory) if one.models]


def _defaults(found: list[ProviderInfo]) -> dict[str, str]:
    return {one.id: one.models[0].id for one in found}


def _provider(one: ProviderInfo) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "source": _SOURCES.get(one.source, one.source),
        "env": [],
        "options": {},
        "models": {model.id: _model(one, model) for model in one.models},
    }


def _model(provider: ProviderInfo, model: ModelInfo) -> dict[str, Any]:
    output = {"text": True, "audio": False, "image": False, "video": False, "pdf": False}
    cache = {"read": model.price_cached or 0, "write": model.price_written or 0}
    return {
        "id": model.id,
        "providerID": provider.id,
        "name": model.name,
        "release_date": "",
        "attachment": model.images,
        "reasoning": False,
        "temperature": True,
        "tool_call": model.tools,
        "status": "active",
        "options": {},
        "cost": {"input": model.price_in or 0, "output": model.price_out or 0, "cache": cache},
        "limit": {"context": model.context or 0, "output": model.output or 0},
        "modalities": {"input": ["text", "image"] if model.images else ["text"], "output": ["text"]},
        "headers": {},
        "variants": {},
        "api": {"id": model.id, "url": "", "npm": ""},
        "capabilities": {
            "temperature": True,
            "reasoning": False,
            "attachment": model.images,
            "toolcall": model.tools,
            "input": {**output, "image": model.images},
            "output": output,
            "interleaved": False,
        },
    }


def _agent(mode: Mode) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "name": mode.name,
        "description": mode.description,
        "mode": mode.kind,
        "builtIn": not mode.source,
        "native": not mode.source,
        "permission": _permission(mode),
        "options": {},
        "tools": mode_tools.listed(mode),
    }
    if mode.source and mode.role:
        shape["prompt"] = mode.role
    if mode.model:
        shape["model"] = {"providerID": mode.model[0], "modelID": mode.model[1]}
    if mode.temperature is not None:
        shape["temperature"] = mode.temperature
    if mode.top_p is not None:
        shape["topP"] = mode.top_p
    if mode.hidden:
        shape["hidden"] = True
    return shape


def _permission(mode: Mode) -> dict[str, Any]:
    """What a mode lets run, in the object form that both generations read: ask is what the session's preset says."""
    edits = "ask" if mode.may_edit else "deny"
    runs = "ask" if mode.may_run else "deny"
    found: dict[str, dict[str, str]] = {"edit": {"*": edits}, "bash": {"*": runs}, "webfetch": {"*": "ask"}}
    for rule in mode.rules:
        for tool in found if rule.tool == "*" else (rule.tool,) if rule.tool in found else ():
            if {"edit": edits, "bash": runs}.get(tool) != "deny":
                found[tool][rule.pattern] = rule.action
    return {"edit": found["edit"]["*"], "bash": found["bash"], "webfetch": found["webfetch"]["*"]}


@door.get("/command")
def list_commands(actor: Actor) -> list[dict[str, Any]]:
    """The slash commands of the directory."""
    place = projects.resolve(actor, opencode.directory())
    return [_command(one) for one in service.list_commands(actor, place.directory)]


class FilePart(BaseModel):
    """A file that goes with a command."""

    model_config = ConfigDict(extra="ignore")

    id: str | None = Field(default=None, pattern=r"^prt", max_length=40)
    type: Literal["file"]
    mime: str = Field(max_length=200)
    url: str
    filename: str | None = Field(default=None, max_length=1000)
    source: dict[str, Any] | None = None


class RunCommand(BaseModel):
    """POST /session/{id}/command; `model` is provider/model."""

    model_config = ConfigDict(extra="ignore")

    command: str = Field(max_length=600)
    arguments: str
    agent: str | None = Field(default=None, max_length=64)
    model: str | None = Field(default=None, max_length=200)
    message_id: str | None = Field(default=None, alias="messageID", pattern=r"^msg", max_length=40)
    parts: list[FilePart] = Field(default_factory=list, max_length=20)


class Init(BaseModel):
    """POST /session/{id}/init."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(alias="modelID", min_length=1, max_length=128)
    provider: str = Field(alias="providerID", min_length=1, max_length=64)
    message_id: str = Field(alias="messageID", pattern=r"^msg", max_length=40)


@door.post("/session/<session_id>/command", body=RunCommand)
def run_command(actor: Actor, body: RunCommand, session_id: str) -> Response:
    """Send a slash command and wait for the turn's last answer."""
    if body.model is not None and "/" not in body.model:
        raise Invalid("A model is named provider/model.", "model")

    def send() -> tuple[Message, str | None]:
        return service.run_command(
            actor,
            opencode.checked("ses", session_id),
            body.command,
            body.arguments,
            mode=body.agent or "",
            model=body.model or "",
            message_id=body.message_id,
            files=[part.model_dump(exclude_none=True) for part in body.parts],
        )

    return awaited(actor, session_id, send, lambda sent: _last_answer(actor, session_id, sent))


@door.post("/session/<session_id>/init", body=Init, answer=bool)
def init(actor: Actor, body: Init, session_id: str) -> Response:
    """Let the agent learn the repository and write AGENTS.md; answered when it has."""
    model = f"{body.provider}/{body.model}"
    send = functools.partial(
        service.run_command, actor, opencode.checked("ses", session_id), INIT, model=model, message_id=body.message_id
    )
    return awaited(actor, session_id, send, lambda _sent: True)


def awaited(
    actor: Actor, session_id: str, send: Callable[[], tuple[Message, str | None]], answer: Callable[[Message], Any]
) -> Response:
    """What `answer` says of what was sent, once its run has ended."""
    return streams.after(
        sessions.follow_ends(actor, session_id),
        send,
        lambda sent, fact: sessions.is_end_of(sent[1], fact),
        lambda sent: opencode.accent.answer(answer(sent[0])),
        COMMAND_WAIT,
    )


def _last_answer(actor: Actor, session_id: str, sent: Message) -> dict[str, Any]:
    answers = [one for one in sessions.transcript(actor, session_id) if one.data.get("parentID") == sent.id]
    return opencode.shape("message", answers[-1] if answers else sent)


def _command(command: Command) -> dict[str, Any]:
    shape: dict[str, Any] = {"name": command.name, "template": command.template, "hints": command.hints}
    given = {"description": command.description, "agent": command.agent, "model": command.model}
    shape |= {name: value for name, value in given.items() if value}
    source = "mcp" if command.source == "mcp" else "command"
    return {**shape, "source": source, **({"subtask": True} if command.subtask else {})}


@opencode.encodes(events.CommandExecuted)
def _command_executed(fact: Fact) -> list[dict[str, Any]]:
    event: events.CommandExecuted = fact.event  # type: ignore[assignment]
    told = {"name": event.name, "sessionID": event.session_id, "arguments": event.arguments}
    return [{"type": "command.executed", "properties": {**told, "messageID": event.message_id}}]


@opencode.encodes(events.FileEdited)
def _edited(fact: Fact) -> list[dict[str, Any]]:
    event: events.FileEdited = fact.event  # type: ignore[assignment]
    return [
        {"type": "file.edited", "properties": {"file": event.file}},
        {"type": "file.watcher.updated", "properties": {"file": event.file, "event": event.change}},
    ]
