"""OpenCode's view of the configuration: what is set and written, filled up with what is in force without being said."""

from __future__ import annotations

import getpass
from typing import Any

from app.actor import Actor
from app.agent import service
from app.agent.modes import Mode
from app.agent.opencode.routes import door
from app.agent.providers.catalog import ProviderInfo
from app.dialects import opencode
from app.projects import service as projects
from app.projects.service import Place
from app.sessions import service as sessions
from app.settings import service as settings

# What a configuration may name and nothing here does.
IDLE = ("mcp", "lsp", "formatter", "plugin")


@door.get("/config")
def config(actor: Actor) -> dict[str, Any]:
    """The configuration in force for the directory."""
    return _config(actor, projects.resolve(actor, opencode.directory()))


@door.get("/global/config")
def global_config(actor: Actor) -> dict[str, Any]:
    """The configuration that no project has a part in."""
    return _config(actor, None)


def _config(actor: Actor, place: Place | None) -> dict[str, Any]:
    written = settings.shown(settings.config(actor, place))
    directory = place.directory if place else None
    provider, model = service.default_model(actor, directory)
    small = service.small_model(actor, directory)
    modes = service.list_modes(actor, directory)
    commands = [one for one in service.list_commands(actor, directory) if one.source in ("user", "project")]
    return {
        "$schema": "https://opencode.ai/config.json",
        "username": getpass.getuser(),
        "keybinds": {},
        "mode": {},
        **{key: value for key, value in written.items() if key not in (*IDLE, "small_model")},
        "share": "manual" if sessions.is_shared_here(str(directory or "")) else "disabled",
        "model": f"{provider}/{model}",
        **({"small_model": "/".join(small)} if small else {}),
        "command": {one.name: {"template": one.template, "description": one.description} for one in commands}
        | written.get("command", {}),
        "agent": {
            mode.name: {**_given(written, mode), "description": mode.description, "mode": mode.kind} for mode in modes
        },
        "provider": {
            one.id: _provider(written.get("provider", {}).get(one.id, {}), one)
            for one in service.list_providers(actor, directory)
        },
    }


def _given(written: dict[str, Any], mode: Mode) -> dict[str, Any]:
    given: dict[str, Any] = written.get("agent", {}).get(mode.name, {})
    return {
        **{key: value for key, value in given.items() if key != "model"},
        **({"model": "/".join(mode.model)} if mode.model else {}),
    }


def _provider(given: dict[str, Any], one: ProviderInfo) -> dict[str, Any]:
    """A provider that can be used, with what is written of it."""
    models = {model.id: {"name": model.name} for model in one.models}
    return {**given, "name": one.name, "models": {**models, **given.get("models", {})}}
