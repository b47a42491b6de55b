"""OpenCode's providers, models, agents and configuration, and the event of an edited file."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from app.actor import Actor
from app.agent import bp, events, service
from app.agent.modes import Mode
from app.agent.providers.catalog import ModelInfo, ProviderInfo
from app.dialects import opencode
from app.events.service import Fact
from app.projects import service as projects

door = opencode.door(bp)
Text = Annotated[str, Field(min_length=1, max_length=300)]


class Model(BaseModel):
    """The model whose tools are asked for."""

    provider: Text
    model: Text


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


@door.get("/agent")
def agents(actor: Actor) -> list[dict[str, Any]]:
    """The modes, which OpenCode calls agents."""
    place = projects.resolve(actor, opencode.directory())
    return [_agent(mode) for mode in service.list_modes(actor, place.directory)]


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


@door.get("/config")
def config(actor: Actor) -> dict[str, Any]:
    """The configuration in force for the directory."""
    return _config(actor, projects.resolve(actor, opencode.directory()).directory)


@door.get("/global/config")
def global_config(actor: Actor) -> dict[str, Any]:
    """The configuration that no project has a part in."""
    return _config(actor, None)


def _config(actor: Actor, directory: Path | None) -> dict[str, Any]:
    provider, model = service.default_model(actor, directory)
    return {
        "$schema": "https://opencode.ai/config.json",
        "username": getpass.getuser(),
        "model": f"{provider}/{model}",
        "share": "manual",
        "keybinds": {},
        "mode": {},
        "command": {},
        "agent": {
            mode.name: {"description": mode.description, "mode": mode.kind}
            for mode in service.list_modes(actor, directory)
        },
        "provider": {
            one.id: {"name": one.name, "models": {m.id: {"name": m.name} for m in one.models}}
            for one in service.list_providers(actor, directory)
        },
    }


def _providers(actor: Actor) -> list[ProviderInfo]:
    place = projects.resolve(actor, opencode.directory())
    return [one for one in service.list_providers(actor, place.directory) if one.models]


def _defaults(found: list[ProviderInfo]) -> dict[str, str]:
    return {one.id: one.models[0].id for one in found}


def _provider(one: ProviderInfo) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "source": one.source,
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
        "tools": {**dict.fromkeys(mode.tools or (), True), **mode.switches},
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
    edits = "deny" if mode.base == "plan" else "ask"
    found: dict[str, dict[str, str]] = {"edit": {"*": edits}, "bash": {"*": "ask"}, "webfetch": {"*": "ask"}}
    for rule in mode.rules:
        for tool in found if rule.tool == "*" else (rule.tool,) if rule.tool in found else ():
            if not (tool == "edit" and edits == "deny"):
                found[tool][rule.pattern] = rule.action
    return {"edit": found["edit"]["*"], "bash": found["bash"], "webfetch": found["webfetch"]["*"]}


@opencode.encodes(events.FileEdited)
def _edited(fact: Fact) -> list[dict[str, Any]]:
    event: events.FileEdited = fact.event  # type: ignore[assignment]
    return [
        {"type": "file.edited", "properties": {"file": event.file}},
        {"type": "file.watcher.updated", "properties": {"file": event.file, "event": event.change}},
    ]
