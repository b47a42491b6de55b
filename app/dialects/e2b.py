"""The E2B accent: a sandbox's access token or an API key, plain errors for HTTP, Connect's for remote calls."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

from flask import Blueprint, Request, Response, request
from pydantic import BaseModel

from app import web
from app.actor import Credentials, Signed
from app.dialects import connect, register
from app.dialects.door import Door, View, operations, read_json
from app.errors import NotFound, Problem, Unauthenticated

# The envd whose features are all here; clients switch theirs on by it.
ENVD_VERSION = "0.6.4"
RPC = ("/filesystem.Filesystem/", "/process.Process/")
CONTROL = ("/sandboxes", "/v2/sandboxes")
FILES = "/files"
TOKEN_HEADER, SANDBOX_HEADER = "X-Access-Token", "E2b-Sandbox-Id"


class E2B:
    """How E2B's clients expect to be spoken to."""

    name = "e2b"

    def credentials(self, given: Request) -> Credentials:
        """Return a sandbox's access token, an API key, a signature in the address, or what others bring.

        Basic with an empty password names the user to work as, which is always the workspace's one user, and proves
        nothing.
        """
        brought = web.credentials(given)
        if brought.basic_password == "":
            brought = dataclasses.replace(brought, basic_user=None, basic_password=None)
        token = given.headers.get(TOKEN_HEADER)
        if token and not _is_control(given):
            return dataclasses.replace(brought, bearer=token)
        return dataclasses.replace(brought, signed=None if brought.bearer else _signed(given))

    def problem(self, problem: Problem) -> Response:
        """Return `{code, message}`: a number for HTTP, a word for remote calls, and 502 for a sandbox that is gone."""
        if not _is_control(request) and _means_gone(problem):
            body = {"sandboxId": named(), "message": "The sandbox was not found", "code": 502}
            return web.json(body, 502)
        if request.path.startswith(RPC):
            if problem.status == 409 and request.path.startswith(RPC[1]):
                problem.code = "aborted"  # of processes nothing exists already
            return connect.refusal(problem, is_stream=request.mimetype == connect.STREAM)
        return web.json(
            {"code": problem.status, "message": problem.message}, problem.status, web.problem_headers(problem)
        )

    def invalid(self, issues: list[dict[str, Any]], kind: str) -> Response:
        """Return 400, with the first thing that is wrong in words."""
        where = ".".join(str(word) for word in issues[0]["path"])
        message = f"{where}: {issues[0]['message']}" if where else issues[0]["message"]
        problem = Problem(f"{kind}: {message}", code="invalid_argument")
        problem.status = 400
        return self.problem(problem)

    def answer(self, value: Any) -> Response:
        """Return bare JSON; nothing is 204."""
        return web.json(value) if value is not None else Response(status=204)


class E2BDoor(Door):
    """A door that takes Connect calls beside plain routes."""

    def unary(self, path: str, *, body: type[BaseModel], answer: Any = None) -> Callable[[View], View]:
        """Register a call with one message each way."""
        return self._route("POST", path, body, None, answer, read=_unary)

    def stream(self, path: str, *, body: type[BaseModel], answer: Any = None) -> Callable[[View], View]:
        """Register a call with one message there and a stream back; its view returns the Response."""
        return self._route("POST", path, body, None, answer, read=_stream)

    def client_stream(self, path: str, *, body: type[BaseModel]) -> Callable[[View], View]:
        """Register a call with a stream of messages there; its view reads them itself and returns the Response."""

        def register_view(view: View) -> View:
            @functools.wraps(view)
            def checked(*given: Any) -> Any:
                connect.check_type(request, is_stream=True)
                return view(*given)

            self.post(path)(checked)
            operations[-1] = dataclasses.replace(operations[-1], body=body)
            return view

        return register_view


def door(bp: Blueprint) -> E2BDoor:
    """Open the E2B door of a room."""
    return E2BDoor(accent, bp)


def named() -> str:
    """Return the id of the sandbox that the request names, or ""."""
    return request.headers.get(SANDBOX_HEADER, "")


def _unary() -> Any:
    connect.check_type(request, is_stream=False)
    return read_json()


def _stream() -> Any:
    connect.check_type(request, is_stream=True)
    return connect.only_message()


def _is_control(given: Request) -> bool:
    return given.path.startswith(CONTROL)


def _means_gone(problem: Problem) -> bool:
    """Tell whether a client of a sandbox has to hear that it is gone; strangers hear the same of every sandbox."""
    if isinstance(problem, Unauthenticated):
        return TOKEN_HEADER in request.headers and bool(named())
    return isinstance(problem, NotFound) and problem.kind == "sandbox"


def _signed(given: Request) -> Signed | None:
    """Return the signature in the address of a file, which is good for that file alone."""
    signature, path = given.args.get("signature", ""), given.args.get("path", "")
    expires = given.args.get("signature_expiration", "")
    is_number = expires.isascii() and expires.isdigit() and len(expires) < 13
    if not signature or given.path != FILES or given.method not in ("GET", "POST") or not (is_number or not expires):
        return None
    operation: Literal["read", "write"] = "write" if given.method == "POST" else "read"
    return Signed(path, operation, given.args.get("username", ""), int(expires) if expires else None, signature)


accent = E2B()
register(accent)
