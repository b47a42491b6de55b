"""OpenCode's own schemas (1.0.0) of what its routes answer."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema


@cache
def _schemas() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((Path(__file__).parent / "opencode" / "schemas.json").read_text())
    return document


def check(name: str, value: Any) -> None:
    """Fail unless the value is one of that schema."""
    jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **_schemas()}).validate(value)


def check_all(name: str, values: Any) -> None:
    """Fail unless each of the list is one of that schema, and there is at least one."""
    assert values
    for value in values:
        check(name, value)


def check_message(value: Any) -> None:
    """Fail unless it is a message with its parts."""
    check("Message", value["info"])
    check_all("Part", value["parts"])


def check_refusal(answer: Any, status: int, name: str) -> str:
    """Fail unless the response is a refusal in OpenCode's envelope; its message."""
    assert (answer.status_code, answer.json["name"]) == (status, name), answer.text
    if status == 400:
        check("BadRequestError", answer.json)
    if status == 404:
        check("NotFoundError", {key: answer.json[key] for key in ("name", "data")})
    message: str = answer.json["data"]["message"]
    assert message
    return message
