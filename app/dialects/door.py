"""A door: one dialect's routes for one room, on a nested child of the room's blueprint.

A view takes the actor, then its typed body and query if it has them, then the path's parameters, and returns
plain data; for one that is marked `web.public` a stranger is None. The door reads, calls and answers; nothing else
happens between.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Blueprint, Response, request
from pydantic import BaseModel, ValidationError

from app import web
from app.dialects import Dialect
from app.errors import Invalid, UnsupportedMedia

INVALID_JSON = "INVALID_JSON"
View = Callable[..., Any]
# No database column takes a NUL: an odd backslash before it makes it one.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


@dataclass(frozen=True)
class Operation:
    """What the OpenAPI document says of one route."""

    dialect: str
    method: str
    path: str
    summary: str
    endpoint: str
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    answer: Any


operations: list[Operation] = []


class Door:
    """Registers views of one room in one dialect."""

    def __init__(self, dialect: Dialect, bp: Blueprint) -> None:
        self.dialect = dialect
        self.child = Blueprint(dialect.name, bp.import_name)
        self.room = bp.name
        self.child.before_request(web.require_actor)
        bp.register_blueprint(self.child, subdomain=dialect.name)

    def get(self, path: str, *, query: type[BaseModel] | None = None, answer: Any = None) -> Callable[[View], View]:
        """Register a GET."""
        return self._route("GET", path, None, query, answer)

    def post(
        self,
        path: str,
        *,
        body: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        answer: Any = None,
    ) -> Callable[[View], View]:
        """Register a POST."""
        return self._route("POST", path, body, query, answer)

    def patch(
        self,
        path: str,
        *,
        body: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        answer: Any = None,
    ) -> Callable[[View], View]:
        """Register a PATCH."""
        return self._route("PATCH", path, body, query, answer)

    def put(
        self,
        path: str,
        *,
        body: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        answer: Any = None,
    ) -> Callable[[View], View]:
        """Register a PUT."""
        return self._route("PUT", path, body, query, answer)

    def delete(
        self,
        path: str,
        *,
        body: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        answer: Any = None,
    ) -> Callable[[View], View]:
        """Register a DELETE."""
        return self._route("DELETE", path, body, query, answer)

    def _route(
        self,
        method: str,
        path: str,
        body: type[BaseModel] | None,
        query: type[BaseModel] | None,
        answer: Any,
        read: Callable[[], Any] | None = None,
    ) -> Callable[[View], View]:
        def register(view: View) -> View:
            is_public = getattr(view, "is_public", False)

            @functools.wraps(view)
            def endpoint(**parameters: str) -> Response:
                given: list[Any] = [web.find_actor() if is_public else web.actor()]
                try:
                    if body is not None:
                        kind = "Payload"
                        given.append(body.model_validate((read or read_json)()))
                    if query is not None:
                        kind = "Query"
                        given.append(query.model_validate(_read_query()))
                except ValidationError as error:
                    return self.dialect.invalid(_issues(error), kind)
                result = view(*given, **parameters)
                return result if isinstance(result, Response) else self.dialect.answer(result)

            name = f"{self.room}.{self.dialect.name}.{view.__name__}"
            summary = (view.__doc__ or view.__name__).strip().split("\n")[0]
            operations.append(Operation(self.dialect.name, method, path, summary, name, body, query, answer))
            self.child.add_url_rule(path, view.__name__, endpoint, methods=[method])
            return view

        return register


def read_json() -> Any:
    """The request's JSON body; {} when it is empty. Raises Invalid (400) or UnsupportedMedia (415)."""
    raw = request.get_data(cache=False)
    if not raw.strip():
        return {}
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise UnsupportedMedia("The body must be application/json.")
    if _depth(raw) > 100:
        raise Invalid("The JSON body is nested too deeply (over 100 levels).")
    if b"\\u0000" in raw:
        raw = _NUL.sub(rb"\1\\ufffd", raw)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        where = f"{error.msg} at character {error.pos}"
        raise Invalid(f"The body is not valid JSON: {where}.", code=INVALID_JSON) from None


def _read_query() -> dict[str, str]:
    query = request.args.to_dict()
    for name, value in query.items():
        if "\0" in value:
            raise Invalid("The query holds a NUL character.", name[:100])
    return query


def _depth(raw: bytes) -> int:
    """An upper bound of the nesting, cheap: exact only where it matters."""
    if raw.count(b"[") + raw.count(b"{") <= 100:
        return 0
    deepest = depth = 0
    quoted = escaped = False
    for byte in raw:
        if quoted:
            quoted = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            quoted = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _issues(error: ValidationError) -> list[dict[str, Any]]:
    return [
        {
            "path": [str(word) if isinstance(word, str) else word for word in issue["loc"]],
            "code": issue["type"],
            "message": issue["msg"],
        }
        for issue in error.errors(include_url=False, include_input=False, include_context=False)[:20]
    ]
