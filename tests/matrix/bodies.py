"""The smallest body that a route's model takes, and those that a route needs to come to its deed."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def smallest(model: type[BaseModel] | None) -> dict[str, Any]:
    """The required fields of a model, each with a value that its schema takes."""
    if model is None:
        return {}
    schema = model.model_json_schema()
    found = _of(schema, schema.get("$defs", {}))
    return found if isinstance(found, dict) else {}


def _of(schema: Mapping[str, Any], named: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        return _of(named[schema["$ref"].rpartition("/")[2]], named)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return _of(schema[several][0], named)
    if "const" in schema or "enum" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    kind = schema.get("type", "object")
    if kind == "object":
        wanted = schema.get("required", [])
        return {name: _of(schema["properties"][name], named) for name in wanted}
    if kind == "array":
        return [_of(schema.get("items", {"type": "string"}), named)] * schema.get("minItems", 0)
    return {
        "string": "x" * max(1, schema.get("minLength", 1)),
        "integer": schema.get("minimum", 1),
        "number": 1.0,
        "boolean": True,
        "null": None,
    }[kind]


def envelope(message: Mapping[str, Any]) -> bytes:
    """A message of a Connect stream."""
    data = json.dumps(message).encode()
    return struct.pack(">BI", 0, len(data)) + data


def refusal(said: bytes) -> str:
    """What the first envelope of a Connect stream refuses with, as a class; "" if it does not refuse."""
    if len(said) < 5 or not said[0] & 2:
        return ""
    code = json.loads(said[5:]).get("error", {}).get("code", "")
    return {"": "", "permission_denied": "403", "not_found": "404", "unauthenticated": "401"}.get(code, "4xx")
