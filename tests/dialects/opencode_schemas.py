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


@cache
def document(generation: str) -> dict[str, Any]:
    """The OpenAPI document of the real server, `old` (1.0.0, whole) or `new` (1.18.33, what its clients ask for).

    The newer one lets further fields pass here: ours carry those of both generations.
    """
    found: dict[str, Any] = json.loads((Path(__file__).parent / "opencode" / f"openapi-{generation}.json").read_text())
    return found


def check_new(name: str, value: Any) -> None:
    """Fail unless the value is one of that schema of the newer server."""
    _validator("new", f"#/components/schemas/{name}").validate(value)


def faults(generation: str, method: str, path: str, value: Any) -> list[str]:
    """Where an answer with 200 is not what the document says of a method at a path: `WHERE: WHAT`, without indexes."""
    pointer = path.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
    content = "responses/200/content/application~1json/schema"
    validator = _validator(generation, f"#/paths/{pointer}/{method.lower()}/{content}")
    return sorted({told for error in validator.iter_errors(value) for told in _told(error)})


@cache
def _validator(generation: str, reference: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": reference, **document(generation)})


def _told(error: jsonschema.ValidationError) -> list[str]:
    """What the error is about; of several alternatives those that come nearest."""
    if error.context:
        branches: dict[Any, list[jsonschema.ValidationError]] = {}
        for one in error.context:
            branches.setdefault(one.schema_path[0], []).append(one)
        nearest = min(branches.values(), key=lambda found: (-max(len(one.path) for one in found), len(found)))
        consts = [found for found in branches.values() if not any(_is_tag(one) for one in found)]
        return [told for one in (consts[0] if len(consts) == 1 else nearest) for told in _told(one)]
    where = ".".join("*" if isinstance(word, int) else str(word) for word in error.absolute_path)
    return [f"{where or 'answer'}: {error.message[:100]}"]


def _is_tag(error: jsonschema.ValidationError) -> bool:
    return error.validator in ("const", "enum") and bool(error.path) and error.path[-1] in ("type", "role", "status")
