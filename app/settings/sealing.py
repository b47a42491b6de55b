"""Which values of a configuration are secret: they lie in the vault, and a mark stands where they were."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

# What is shown and stored in place of a secret; whoever sends it back means the value that is kept.
KEPT = "[kept]"
_FOLDERS = ("headers", "environment", "env")
_NAME = re.compile(r"api_?key$|(?:^|[a-z_-])(?:key|token|secret|password|passphrase|credentials?)$", re.IGNORECASE)
_TOPS = ("provider", "mcp", "lsp", "formatter", "agent", "mode")
Change = Callable[[tuple[str, ...], str], Any]


def marked(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same with a mark in place of every secret."""
    return _walked(data, (), lambda _path, _value: KEPT)


def without(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same without its secrets."""
    return _walked(data, (), lambda _path, _value: None)


def taken_out(data: Mapping[str, Any], kept: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """The document with marks, its secrets by place (those that a mark stands for are of `kept`), and the places of
    marks that stand for nothing.
    """
    secrets: dict[str, str] = {}
    empty: list[str] = []

    def take(path: tuple[str, ...], value: str) -> str | None:
        at = orjson.dumps(path).decode()
        if value != KEPT:
            secrets[at] = value
        elif at in kept:
            secrets[at] = kept[at]
        else:
            empty.append(".".join(path))
        return KEPT

    return _walked(data, (), take), secrets, empty


def put_back(document: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """The whole configuration; a mark whose secret is gone takes its key with it."""
    return _walked(document, (), lambda path, _value: secrets.get(orjson.dumps(path).decode()))


def _walked(data: Mapping[str, Any], path: tuple[str, ...], change: Change) -> dict[str, Any]:
    """A copy with every secret changed; None leaves its key out."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        at = (*path, str(key))
        if isinstance(value, dict):
            found[key] = _walked(value, at, change)
        elif isinstance(value, str) and _is_secret(at):
            if (changed := change(at, value)) is not None:
                found[key] = changed
        else:
            found[key] = value
    return found


def _is_secret(path: tuple[str, ...]) -> bool:
    if path[0] not in _TOPS or len(path) < 3:
        return False
    return any(word in _FOLDERS for word in path[2:-1]) or _NAME.search(path[-1]) is not None
