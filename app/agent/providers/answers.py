"""What the answers of all wires have in common: the arguments of a call, and how an answer ended."""

from __future__ import annotations

from typing import Any

import orjson


def decoded(raw: str) -> dict[str, Any] | str:
    """The JSON object in a call's arguments, {} if they are empty; the text itself if it is none: the model is told."""
    if not raw.strip():
        return {}
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw
    return value if isinstance(value, dict) else raw


def finish(said: str | None, has_calls: bool) -> str:
    """How an answer ended; several servers say "stop" under one that asks for tools."""
    said = said or "other"
    return "tool-calls" if has_calls and said in ("stop", "other") else said
