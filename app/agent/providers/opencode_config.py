"""Providers and models written in OpenCode's own `opencode.json`, of the person who runs the server or a
project.

A project's file may come with a repository from anywhere. So it gets no secrets of ours (`{env:…}` and
`{file:…}` stay what they are), its addresses are checked at every call, and a provider configured elsewhere
goes before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from app.agent.providers.known import KNOWN, Entry, ModelInfo, WireName, based

N = TypeVar("N", int, float)
WIRES: dict[str, WireName] = {
    "@ai-sdk/openai-compatible": "openai",
    "@ai-sdk/openai": "openai",
    "@ai-sdk/anthropic": "anthropic",
    "@ai-sdk/google": "google",
}


def entries(config: Mapping[str, Any], trusted: bool) -> dict[str, Entry]:
    """The providers of a configuration that speak a wire we have and have an address."""
    found = {}
    for provider, given in _dicts(config.get("provider")):
        options = _dict(given, "options")
        known = KNOWN.get(provider)
        base_url = _text(options, "baseURL") or (known.base_url if known else "")
        npm = _text(given, "npm")
        wire = WIRES.get(npm) if npm else (known.wire if known else "openai")
        if not base_url or wire is None:
            continue
        headers = {name: value for name, value in _dict(options, "headers").items() if isinstance(value, str)}
        models = tuple(_model(model_id, model) for model_id, model in _dicts(given.get("models")))
        name = _text(given, "name") or (known.name if known else provider)
        key = _text(options, "apiKey") or None
        found[provider] = Entry(provider, name, "config", based(base_url, wire), key, trusted, models, headers, wire)
    return found


def is_off(config: Mapping[str, Any], provider: str) -> bool:
    """Whether a configuration leaves a provider out: by naming it, or by naming all others that there are."""
    named, only = config.get("disabled_providers"), config.get("enabled_providers")
    return (isinstance(named, list) and provider in named) or (isinstance(only, list) and provider not in only)


def default_model(config: Mapping[str, Any]) -> str:
    """The model a configuration names as its default, or nothing."""
    return _text(config, "model")


def instructions(config: Mapping[str, Any]) -> list[str]:
    """The paths, patterns and addresses of further instructions."""
    named = config.get("instructions")
    return [one for one in named if isinstance(one, str) and one.strip()] if isinstance(named, list) else []


def small_model(config: Mapping[str, Any]) -> str:
    """The model a configuration names for titles, or nothing."""
    return _text(config, "small_model")


def compacts(config: Mapping[str, Any]) -> bool:
    """Whether conversations are summed up by themselves when they fill their model's window."""
    return _dict(config, "compaction").get("auto") is not False


def _model(id: str, given: Mapping[str, Any]) -> ModelInfo:
    limit, cost = _dict(given, "limit"), _dict(given, "cost")
    return ModelInfo(
        id=_text(given, "id") or id,
        name=_text(given, "name") or id,
        context=_number(limit, "context", int),
        output=_number(limit, "output", int),
        price_in=_number(cost, "input", float),
        price_out=_number(cost, "output", float),
        tools=given.get("tool_call") is not False,
        price_cached=_number(cost, "cache_read", float),
        price_written=_number(cost, "cache_write", float),
        images=_takes_images(given),
        reasoning=_flag(given, "reasoning"),
        options=_dict(given, "options"),
    )


def _takes_images(model: Mapping[str, Any]) -> bool:
    """Unless a model says what it takes, and it is not pictures, they are sent."""
    inputs = _dict(model, "modalities").get("input")
    return "image" in inputs if isinstance(inputs, list) else model.get("attachment") is not False


def _dicts(value: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(str(key), one) for key, one in value.items() if isinstance(one, dict)] if isinstance(value, dict) else []


def _dict(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value.strip() if isinstance(value, str) else ""


def _flag(data: Mapping[str, Any], key: str) -> bool | None:
    value = data.get(key)
    return value if isinstance(value, bool) else None


def _number(data: Mapping[str, Any], key: str, kind: Callable[[float], N]) -> N | None:
    value = data.get(key)
    return kind(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
