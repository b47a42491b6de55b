"""The Roo accent: bare JSON, errors in `{"error": …}` with its own texts, origins checked first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Request, Response, request
from flask_cors import CORS

from app import config, web
from app.actor import Credentials
from app.dialects import register
from app.dialects.door import INVALID_JSON, Door
from app.errors import Denied, NotFound, Problem
from app.record import Event

# What an event says on the stream of a task: names of Roo's, and what goes with each; asked with whoever tells it.
Encode = Callable[[Any, Any], Iterable[tuple[str, list[Any]]]]
encoders: dict[type[Event], Encode] = {}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_FIELDS = {
    "message": "Invalid message format",
    "images": "Invalid images format",
    "instructions": "Invalid instructions format",
    "mode": "Mode must be a string",
    "profile": "Profile must be a string",
    "name": "Profile name is required",
    "timeout": "timeout must be a positive number",
    "followupAutoApproveTimeoutMs": "followupAutoApproveTimeoutMs must be a positive number",
    "allowedMaxRequests": "allowedMaxRequests must be a positive number",
    "allowedMaxCost": "allowedMaxCost must be a positive number",
    "response": "response must be either 'approve' or 'reject'",
}
_MISSING = {
    "active task": "No active task found",
    "session": "Task not found",
    "mode": "Mode not found",
    "mcp": "MCP not found",
}
# What the document says where something broke; the log has what it was, under the X-Request-Id of the answer.
_BROKEN = {
    "POST /api/tasks": "Failed to start task",
    "GET /api/tasks": "Failed to list tasks",
    "GET /api/tasks/status": "Failed to get task status",
    "GET /api/tasks/{}/status": "Failed to get task status",
    "GET /api/tasks/logs": "Failed to get task logs",
    "GET /api/tasks/{}/logs": "Failed to get task logs",
    "POST /api/tasks/respond": "Failed to respond to task",
    "POST /api/tasks/{}/respond": "Failed to respond to task",
    "POST /api/messages": "Failed to send message",
    "POST /api/messages/{}": "Failed to send message",
    "GET /api/modes": "Failed to get modes",
    "GET /api/modes/current": "Failed to get current mode",
    "POST /api/modes/switch": "Failed to switch mode",
    "GET /api/profiles": "Failed to list configs",
    "GET /api/profiles/current": "Failed to get state",
    "POST /api/profiles/switch": "Failed to switch profile",
    "GET /api/auto-approve": "Failed to get auto-approve settings",
    "POST /api/auto-approve": "Failed to update auto-approve settings",
    "POST /api/auto-approve/enabled": "Failed to update auto-approve enabled setting",
    "GET /api/mcps": "Failed to get MCPs",
    "GET /api/mcps/{}": "Failed to get MCP details",
    "POST /api/mcps/{}/status": "Failed to update MCP status",
    "GET /api/instructions": "Failed to get instructions",
    "POST /api/instructions": "Failed to set instructions",
}
_PARAMETER = re.compile(r"<[^>]*>")
# Host and port alone: nobody before the host, nothing behind the port.
_ORIGIN = re.compile(r"https?://(\[::1\]|[a-z0-9.]+)(?::\d{1,5})?")


class Roo:
    """How clients of RooCode's External API expect to be spoken to."""

    name = "roo"

    def credentials(self, given: Request) -> Credentials:
        """A bearer, a cookie, or what the port stands for; of a page of another origin nothing is looked at."""
        _check_origin(given)
        return web.credentials(given)

    def problem(self, problem: Problem) -> Response:
        """`{"error": …}`: one of the document's own texts where it has one."""
        return web.json({"error": _words(problem)}, problem.status, web.problem_headers(problem))

    def invalid(self, issues: list[dict[str, Any]], kind: str) -> Response:
        """400 with the document's text for the first field that is wrong."""
        first = issues[0]
        field = str(first["path"][0]) if first["path"] else ""
        if kind == "Query":
            return web.json({"error": f"{field}: {first['message']}"}, 400)
        if not field:
            return web.json({"error": "The body must be a JSON object"}, 400)
        if first["code"].startswith("bool") or (first["code"] == "missing" and field not in _FIELDS):
            return web.json({"error": f"{field} must be a boolean"}, 400)
        return web.json({"error": _FIELDS.get(field) or f"{field}: {first['message']}"}, 400)

    def answer(self, value: Any) -> Response:
        """Bare JSON."""
        return web.json(value)


accent = Roo()
register(accent)


def door(bp: Blueprint) -> Door:
    """The Roo door of a room. Pages of those origins that pass are let read what is answered, never with a cookie."""
    made = Door(accent, bp)
    made.child.after_request(_tell_no_other)  # of what is done afterwards the first comes last
    CORS(
        made.child,
        origins=re.compile(".*"),
        methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "X-Roo-Api-Version"],
        expose_headers=["X-Total-Count", "Link"],
        allow_private_network=False,
        max_age=600,
    )
    return made


def encodes(*kinds: type[Event]) -> Callable[[Encode], Encode]:
    """Register how events go out on the stream of a task."""

    def register_encoder(encode: Encode) -> Encode:
        encoders.update(dict.fromkeys(kinds, encode))
        return encode

    return register_encoder


def is_legacy() -> bool:
    """Whether the client asks for the words of the first edition, by query or by header."""
    return request.args.get("status_format") == "legacy" or request.headers.get("X-Roo-Api-Version") == "1"


def _check_origin(given: Request) -> None:
    origin = given.headers.get("Origin")
    if origin is not None and not _is_allowed(origin):
        raise Denied("Origin not allowed", code="ORIGIN")


def _tell_no_other(response: Response) -> Response:
    """A page of another origin is not let read that it was refused, either."""
    origin = request.headers.get("Origin")
    if origin is not None and not _is_allowed(origin):
        for name in {name for name, _ in response.headers if name.startswith("Access-Control-")}:
            del response.headers[name]
    return response


def _is_allowed(origin: str) -> bool:
    """Our own pages, those of the settings exactly, and every port of this machine."""
    if origin in config.current().cors_origins or origin in web.own_origins():
        return True
    found = _ORIGIN.fullmatch(origin)
    return found is not None and found[1] in LOOPBACK


def _words(problem: Problem) -> str:
    if isinstance(problem, NotFound) and problem.kind == "profile":
        return f"Profile '{problem.id}' not found"
    if isinstance(problem, NotFound):
        return _MISSING.get(problem.kind, problem.message)
    if problem.code == INVALID_JSON:
        return "Invalid JSON body"
    if problem.status == 404:
        return "Not found"
    if problem.status == 500 and request.url_rule is not None:
        return _BROKEN.get(f"{request.method} {_PARAMETER.sub('{}', request.url_rule.rule)}", problem.message)
    return problem.message
