"""Which values of a configuration are secret: they lie in the vault, and a mark stands where they were."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

# What is shown and stored in place of a secret; whoever sends it back means the value that is kept.
KEPT = "[kept]"
_FOLDERS = ("headers", "environment", "env")
_NAME = re.compile(
    r"(?:^|[a-z_-])(?:keys?|tokens?|secrets?|passw(?:or)?d|passphrase|credentials?|authorization|auth|bearer|cookie|signature)$",
    re.IGNORECASE,
)
_TOPS = ("provider", "mcp", "lsp", "formatter", "agent", "mode")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S*\Z", re.IGNORECASE)
Change = Callable[[tuple[str, ...], Any], Any]


def marked(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same with a mark in place of every secret."""
    return _walked(data, (), lambda _path, _value: KEPT)


def without(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same without its secrets, and without those that addresses have in them."""
    return _walked(data, (), lambda _path, _value: None, bare)


def bare(value: str) -> str:
    """A text; of an address no user, password, query or fragment."""
    if not _ADDRESS.match(value):
        return value
    try:
        parts = urlsplit(value)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def secrets_of(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every secret text of what `taken_out` took out, with its place."""
    for at, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                yield at, one


def taken_out(data: Mapping[str, Any], kept: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """The document with marks, its secrets by place (those that a mark stands for are of `kept`), and the places of
    marks that stand for nothing.
    """
    secrets: dict[str, Any] = {}
    empty: list[str] = []

    def take(path: tuple[str, ...], value: Any) -> str:
        at = orjson.dumps(path).decode()
        if value != KEPT:
            secrets[at] = value
        elif at in kept:
            secrets[at] = kept[at]
        else:
            empty.append(".".join(path))
        return KEPT

    return _walked(data, (), take), secrets, empty


def put_back(document: Mapping[str, Any], secrets: Mapping[str, Any]) -> dict[str, Any]:
    """The whole configuration; a mark whose secret is gone takes its key with it."""
    return _walked(document, (), lambda path, _value: secrets.get(orjson.dumps(path).decode()))


def _walked(
    data: Mapping[str, Any], path: tuple[str, ...], change: Change, show: Callable[[str], str] = str
) -> dict[str, Any]:
    """A copy with every secret changed; None leaves its key out."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        at = (*path, str(key))
        if isinstance(value, str | list) and value and _is_secret(at):
            if (changed := change(at, value)) is not None:
                found[key] = changed
        else:
            found[key] = _within(value, at, change, show)
    return found


def _within(value: Any, path: tuple[str, ...], change: Change, show: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return _walked(value, path, change, show)
    if isinstance(value, list):
        return [_within(one, (*path, str(place)), change, show) for place, one in enumerate(value)]
    return show(value) if isinstance(value, str) and path[0] in _TOPS and path[-1] != "prompt" else value


def _is_secret(path: tuple[str, ...]) -> bool:
    if path[0] not in _TOPS or len(path) < 3:
        return False
    return any(word in _FOLDERS for word in path[2:-1]) or _NAME.search(path[-1]) is not None
