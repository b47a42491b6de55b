"""OpenAPI 3.1 documents, made from what the doors registered: one per dialect, and one for all."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter

from app import __version__
from app.dialects import door
from app.dialects.door import Operation

Schema = dict[str, Any]
PARAMETER = re.compile(r"<(?:(?P<kind>\w+)(?:\([^)]*\))?:)?(?P<name>\w+)>")
KINDS = {"int": "integer", "float": "number"}
MODELS = "#/components/schemas/{model}"
# What every request of a dialect may say beside what its route asks for.
COMMON: dict[str, list[Schema]] = {
    "opencode": [
        {
            "name": "directory", "in": "query", "required": False, "schema": {"type": "string"},
            "description": "The directory to work in; or in the header x-opencode-directory, URI-encoded.",
        }
    ],
    "e2b": [
        {
            "name": "E2b-Sandbox-Id", "in": "header", "required": False, "schema": {"type": "string"},
            "description": "The sandbox that envd's routes work in; without one, the token's project.",
        },
        {
            "name": "X-Access-Token", "in": "header", "required": False, "schema": {"type": "string"},
            "description": "The sandbox's own token, on envd's routes; the control plane takes X-API-Key.",
        },
    ],
}  # fmt: skip
ERRORS = {
    "400": "The request is not of the form",
    "401": "Nobody is signed in",
    "403": "The caller may not",
    "404": "There is no such thing",
    "409": "What there is does not let it",
    "413": "The body is too large",
    "414": "The address is too long",
    "415": "The body is not of this type",
    "429": "Too many at once",
    "503": "What it needs is not there now",
}
SCHEMES = {"bearer": {"type": "http", "scheme": "bearer"}, "basic": {"type": "http", "scheme": "basic"}}


def document(dialect: str | None = None) -> Schema:
    """Return the document of a dialect, or of all under their prefixes; it is shared, so don't change it."""
    return _document(dialect, len(door.operations))


@lru_cache(maxsize=16)
def _document(dialect: str | None, _registered: int) -> Schema:
    """Build a document; the number of routes makes it new when a door was opened since."""
    operations = [one for one in door.operations if dialect in (None, one.dialect)]
    schemas = _Schemas(operations)
    paths: dict[str, Schema] = {}
    for one in operations:
        path = PARAMETER.sub(r"{\g<name>}", one.path)
        whole = path if dialect else f"/{one.dialect}{path}"
        paths.setdefault(whole, {})[one.method.lower()] = _operation(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Signalcabin: {dialect}" if dialect else "Signalcabin", "version": __version__},
        "servers": [{"url": "/"}, {"url": f"/{dialect}"}] if dialect else [{"url": "/"}],
        "security": [{name: []} for name in SCHEMES],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas.components, "securitySchemes": SCHEMES},
    }


class _Schemas:
    """The JSON schemas of all types that the operations name, with models as shared components."""

    def __init__(self, operations: list[Operation]) -> None:
        types = [kind for one in operations for kind in (one.body, one.query, one.answer) if kind is not None]
        self._keys: dict[str, Any] = {repr(kind): kind for kind in types}
        asked = [(key, "validation", TypeAdapter(kind)) for key, kind in self._keys.items()]
        made, defs = TypeAdapter.json_schemas(asked, ref_template=MODELS)  # type: ignore[arg-type]
        self._made = {key: schema for (key, _), schema in made.items()}
        self.components: Schema = defs.get("$defs", {})

    def of(self, kind: Any) -> Schema:
        """Return the schema of a type; the empty one, which anything fits, for None."""
        return self._made[repr(kind)] if kind is not None else {}

    def fields(self, model: Any) -> list[tuple[str, Schema, bool]]:
        """Return name, schema and whether it is required of each field of a query."""
        schema = self.of(model)
        whole = self.components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        required = whole.get("required", [])
        return [(name, field, name in required) for name, field in whole.get("properties", {}).items()]


def _operation(one: Operation, schemas: _Schemas) -> Schema:
    answer = {"description": "Done", "content": _json(schemas.of(one.answer))}
    told: Schema = {
        "operationId": one.endpoint,
        "summary": one.summary,
        "tags": [one.endpoint.partition(".")[0]],
        "parameters": _parameters(one, schemas),
        "responses": {"200": answer, **{status: {"description": text} for status, text in ERRORS.items()}},
    }
    if one.body is not None:
        told["requestBody"] = {"content": _json(schemas.of(one.body))}
    return told


def _parameters(one: Operation, schemas: _Schemas) -> list[Schema]:
    """Return those of the path, then of the query, then those of every route of the dialect."""
    found: list[Schema] = [
        {"name": match["name"], "in": "path", "required": True, "schema": {"type": _kind(match["kind"])}}
        for match in PARAMETER.finditer(one.path)
    ]
    for name, schema, required in schemas.fields(one.query) if one.query else []:
        found.append({"name": name, "in": "query", "required": required, "schema": schema})
    known = {parameter["name"] for parameter in found}
    return found + [common for common in COMMON.get(one.dialect, []) if common["name"] not in known]


def _kind(converter: str | None) -> str:
    return KINDS.get(converter or "", "string")


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}
