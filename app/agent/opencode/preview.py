"""The preview of OpenCode's second API: models, providers, agents, skills, commands and keys, each list located."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.actor import Actor
from app.agent import service
from app.agent.commands import Command
from app.agent.modes import Mode
from app.agent.opencode.routes import door, skill
from app.agent.providers.catalog import Integration, ModelInfo, ProviderInfo
from app.dialects import opencode
from app.projects import service as projects
from app.projects.service import Place

# What the rules of a mode are told for first: what holds where none of them does.
_ASKING = ("edit", "bash", "webfetch")


@door.get("/api/model", answer=dict[str, Any])
def preview_models(actor: Actor) -> dict[str, Any]:
    """The models that can be asked in a directory."""
    place = _place(actor)
    found = service.list_providers(actor, place.directory)
    return _located(place, [_model(one, model) for one in found for model in one.models])


@door.get("/api/provider", answer=dict[str, Any])
def preview_providers(actor: Actor) -> dict[str, Any]:
    """The providers of these models."""
    place = _place(actor)
    known = {one.id for one in service.list_integrations(actor)}
    found = [one for one in service.list_providers(actor, place.directory) if one.models]
    return _located(place, [_provider(one, known) for one in found])


@door.get("/api/agent", answer=dict[str, Any])
def preview_agents(actor: Actor) -> dict[str, Any]:
    """The modes of a directory."""
    place = _place(actor)
    return _located(place, [_agent(mode) for mode in service.list_modes(actor, place.directory)])


@door.get("/api/skill", answer=dict[str, Any])
def preview_skills(actor: Actor) -> dict[str, Any]:
    """The skills of a directory; the model loads them, nobody calls them as commands."""
    place = _place(actor)
    return _located(place, [{**skill(one), "slash": False} for one in service.list_skills(actor, place.directory)])


@door.get("/api/command", answer=dict[str, Any])
def preview_commands(actor: Actor) -> dict[str, Any]:
    """The slash commands of a directory."""
    place = _place(actor)
    return _located(place, [_command(one) for one in service.list_commands(actor, place.directory)])


@door.get("/api/integration", answer=dict[str, Any])
def preview_integrations(actor: Actor) -> dict[str, Any]:
    """The providers that a key opens, and those that have one."""
    return _located(_place(actor), [_integration(one) for one in service.list_integrations(actor)])


def _place(actor: Actor) -> Place:
    return projects.resolve(actor, opencode.directory())


def _located(place: Place, data: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"location": opencode.shape("location", place), "data": list(data)}


def _model(provider: ProviderInfo, model: ModelInfo) -> dict[str, Any]:
    cache = {"read": model.price_cached or 0, "write": model.price_written or 0}
    return {
        "id": model.id,
        "providerID": provider.id,
        "name": model.name,
        "api": _native(model.id),
        "capabilities": {
            "tools": model.tools,
            "input": ["text", "image"] if model.images else ["text"],
            "output": ["text"],
        },
        "request": _request(),
        "variants": [],
        "time": {"released": 0},
        "cost": [{"input": model.price_in or 0, "output": model.price_out or 0, "cache": cache}],
        "status": "active",
        "enabled": True,
        "limit": {"context": model.context or 0, "output": model.output or 0},
    }


def _provider(one: ProviderInfo, known: set[str]) -> dict[str, Any]:
    shape = {"id": one.id, "name": one.name, "disabled": False, "api": _native(), "request": _request()}
    return {**shape, "integrationID": one.id} if one.id in known else shape


def _native(model: str = "") -> dict[str, Any]:
    """How a model is reached: by this server, whose addresses and keys are nobody else's business."""
    shape: dict[str, Any] = {"type": "native", "settings": {}}
    return {"id": model, **shape} if model else shape


def _request() -> dict[str, Any]:
    return {"headers": {}, "body": {}}


def _agent(mode: Mode) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "id": mode.name,
        "description": mode.description,
        "mode": mode.kind,
        "hidden": mode.hidden,
        "request": {"headers": {}, "body": mode.options},
        "permissions": _permissions(mode),
    }
    if mode.source and mode.role:
        shape["system"] = mode.role
    if mode.model:
        shape["model"] = {"providerID": mode.model[0], "id": mode.model[1]}
    return shape


def _permissions(mode: Mode) -> list[dict[str, str]]:
    """A mode's rules, after what holds without any."""
    edits = "ask" if mode.may_edit else "deny"
    limited = {"edit": edits, "bash": "ask" if mode.may_run else "deny"}
    found = [_rule(tool, "*", limited.get(tool, "ask")) for tool in _ASKING]
    found += [_rule(rule.tool, rule.pattern, rule.action) for rule in mode.rules]
    found += [_rule(tool, "*", "deny") for tool, on in mode.switches.items() if not on]
    return found


def _rule(tool: str, pattern: str, action: str) -> dict[str, str]:
    return {"action": tool, "resource": pattern, "effect": action}


def _command(one: Command) -> dict[str, Any]:
    shape: dict[str, Any] = {"name": one.name, "template": one.template}
    shape |= {name: text for name, text in (("description", one.description), ("agent", one.agent)) if text}
    provider, slash, model = one.model.partition("/")
    if slash:
        shape["model"] = {"providerID": provider, "id": model}
    return {**shape, "subtask": True} if one.subtask else shape


def _integration(one: Integration) -> dict[str, Any]:
    connections: list[dict[str, str]] = [{"type": "env", "name": name} for name in one.found]
    if one.is_kept:
        connections.insert(0, {"type": "credential", "id": one.id, "label": "API key"})
    methods: list[dict[str, Any]] = [{"type": "key", "label": "API key"}, {"type": "env", "names": list(one.variables)}]
    return {"id": one.id, "name": one.name, "methods": methods, "connections": connections}
