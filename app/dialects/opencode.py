"""The OpenCode accent: Basic or bearer credentials, its error envelopes of both generations, its event encoders."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import orjson
from flask import Blueprint, Request, Response, request

from app import config, web
from app.actor import Credentials
from app.dialects import register
from app.dialects.door import Door
from app.errors import Busy, Invalid, NotFound, Problem
from app.record import Event

VERSION = "1.18.33"
Encode = Callable[[Any], list[dict[str, Any]]]
encoders: dict[type[Event], Encode] = {}
# What the newer generation's stream says in another way than the older one's.
global_encoders: dict[type[Event], Encode] = {}
_shapes: dict[str, Callable[[Any], dict[str, Any]]] = {}
_NAMES = {
    400: "BadRequest",
    404: "NotFoundError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    409: "ConflictError",
}
# What the newer generation answers for an unknown one, beside the fields of the older.
_TAGS = {
    "permission": ("PermissionNotFoundError", "requestID"),
    "question": ("QuestionNotFoundError", "requestID"),
    "terminal": ("PtyNotFoundError", "ptyID"),
}


class OpenCode:
    """How OpenCode's clients expect to be spoken to."""

    name = "opencode"

    def credentials(self, given: Request) -> Credentials:
        """Bearer, or HTTP Basic `opencode:TOKEN`; the same in `?auth_token=` where the settings let it."""
        brought = web.credentials(given)
        written = given.args.get("auth_token")
        if not written or brought.bearer or brought.basic_user is not None or not config.current().query_password:
            return brought
        user, password = _unpacked(written)
        return dataclasses.replace(brought, basic_user=user, basic_password=password)

    def problem(self, problem: Problem) -> Response:
        """`{name, data: {message}}`; a 400 carries the fields of both generations."""
        if problem.status == 400:
            path = [problem.field] if problem.field else []
            return self.invalid([{"path": path, "code": problem.code.lower(), "message": problem.message}], "Payload")
        name = _NAMES.get(problem.status, "UnknownError")
        data: dict[str, Any] = {"message": problem.message}
        body: dict[str, Any] = {"name": name, "data": data}
        if isinstance(problem, NotFound) and problem.kind in _TAGS:
            tag, field = _TAGS[problem.kind]
            body |= {"_tag": tag, field: problem.id, "message": problem.message}
        elif isinstance(problem, Busy):
            body |= {"_tag": "SessionBusyError", "sessionID": problem.id, "message": problem.message}
        return web.json(body, problem.status, web.problem_headers(problem, basic_realm="Secure Area"))

    def invalid(self, issues: list[dict[str, Any]], kind: str) -> Response:
        """400 as the old server spells it (success, error) and the new one (name, data)."""
        issues = [_unrecognized(one) if one["code"] == "extra_forbidden" else one for one in issues]
        first = issues[0]
        message = first["message"] + (f"\n  at {orjson.dumps(first['path']).decode()}" if first["path"] else "")
        body = {
            "name": "BadRequest",
            "success": False,
            "data": {"message": message, "kind": kind},
            "errors": issues,
            "error": issues,
        }
        return web.json(body, 400)

    def answer(self, value: Any) -> Response:
        """Bare JSON."""
        return web.json(value)


def _unrecognized(issue: dict[str, Any]) -> dict[str, Any]:
    """A key that nobody knows, as the older server tells it."""
    *path, key = issue["path"]
    return {"path": path, "code": "unrecognized_keys", "keys": [key], "message": f'Unrecognized key: "{key}"'}


def _unpacked(written: str) -> tuple[str, str]:
    """User and password out of their base64; what is none is the password of nobody."""
    try:
        plain = base64.b64decode(written.replace("-", "+").replace("_", "/"), validate=True)
        user, _, password = plain.decode().partition(":")
    except ValueError:
        return "", ""
    return user, password


accent = OpenCode()
register(accent)


def door(bp: Blueprint) -> Door:
    """The OpenCode door of a room."""
    return Door(accent, bp)


def encodes(kind: type[Event], *, globally: bool = False) -> Callable[[Encode], Encode]:
    """Register how an event goes out: a list of {type, properties}, most often one.

    `globally`: on `/global/event` alone, where it differs.
    """

    def register_encoder(encode: Encode) -> Encode:
        (global_encoders if globally else encoders)[kind] = encode
        return encode

    return register_encoder


def shapes(name: str) -> Callable[[Callable[[Any], dict[str, Any]]], Callable[[Any], dict[str, Any]]]:
    """Register how a thing is spelled, for answers of other rooms' doors that carry it."""

    def register_shape(shape: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
        _shapes[name] = shape
        return shape

    return register_shape


def shape(name: str, thing: Any) -> dict[str, Any]:
    """A thing in the spelling that its room has registered."""
    return _shapes[name](thing)


def checked(prefix: str, id: str) -> str:
    """An id as clients know it: it begins with its kind's prefix; raises Invalid."""
    if not id.startswith(prefix):
        raise Invalid(f"This id begins with {prefix}.", "id")
    return id


def directory() -> str | None:
    """The directory that the request names by query, also as the preview writes it, or by header; or None."""
    named = request.args.get("directory") or request.args.get("location[directory]")
    named = named or unquote(request.headers.get("x-opencode-directory", ""))
    return named or None


@contextlib.contextmanager
def modes_are_agents() -> Iterator[None]:
    """A mode that is none is told by the name of the field that OpenCode's clients sent."""
    try:
        yield
    except Invalid as problem:
        problem.field = "agent" if problem.field == "mode" else problem.field
        raise


def encode(fact: Any, *, globally: bool = False) -> list[dict[str, Any]]:
    """What a fact says to OpenCode clients, on `/event` or `/global/event`; nothing for facts they don't know."""
    kind = type(fact.event)
    encoder = (global_encoders.get(kind) if globally else None) or encoders.get(kind)
    return fact.once(encoder, encoder) if encoder else []
