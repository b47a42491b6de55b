"""The CodeBuddy accent: answers in `{"data": …}`, errors in `{"error": {code, message}}`, a password in the address."""

from __future__ import annotations

import dataclasses
from typing import Any

from flask import Blueprint, Request, Response

from app import config, web
from app.actor import Credentials
from app.dialects import register
from app.dialects.door import Door
from app.errors import NotFound, Problem

# The version of CodeBuddy Code whose clients this speaks to.
VERSION = "2.163.0"
_CODES = {
    400: "BAD_REQUEST",
    401: "AUTH_REQUIRED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "NOT_FOUND",
    409: "BAD_REQUEST",
    429: "RATE_LIMITED",
    500: "INTERNAL_ERROR",
}
_MISSING = {
    "session": "SESSION_NOT_FOUND",
    "terminal": "TERMINAL_NOT_FOUND",
    "process": "PROCESS_NOT_FOUND",
    "run": "RUN_NOT_FOUND",
}
# Codes of ours that stand in the dialect's own table, and so go out as they are.
_OWN = frozenset({"PATH_REQUIRED", "PATH_NOT_DIRECTORY", "AUTH_INVALID", "AUTH_RATE_LIMITED", "INSUFFICIENT_STORAGE"})


class CodeBuddy:
    """How CodeBuddy's clients expect to be spoken to."""

    name = "codebuddy"

    def credentials(self, given: Request) -> Credentials:
        """Bearer, `X-API-Key` or cookie; `?password=` where the settings let it."""
        brought = web.credentials(given)
        password = given.args.get("password")
        if password and brought.bearer is None and config.current().takes_query_password:
            return dataclasses.replace(brought, bearer=password)
        return brought

    def problem(self, problem: Problem) -> Response:
        """`{"error": {code, message, details?}}`."""
        code = problem.code if problem.code in _OWN else _CODES.get(problem.status, problem.code)
        if isinstance(problem, NotFound):
            code = _MISSING.get(problem.kind, "NOT_FOUND")
        error: dict[str, Any] = {"code": code, "message": problem.message}
        if problem.field:
            error["details"] = {"field": problem.field}
        return web.json({"error": error}, problem.status, web.problem_headers(problem))

    def invalid(self, issues: list[dict[str, Any]], kind: str) -> Response:
        """400 BAD_REQUEST, or PATH_REQUIRED for a missing path; the issues are its details."""
        first = issues[0]
        is_path = first["path"] == ["path"] and first["code"] == "missing"
        where = ".".join(str(word) for word in first["path"])
        message = f"{where}: {first['message']}" if where else first["message"]
        code = "PATH_REQUIRED" if is_path else "BAD_REQUEST"
        return web.json({"error": {"code": code, "message": message, "details": {"in": kind, "issues": issues}}}, 400)

    def answer(self, value: Any) -> Response:
        """`{"data": value}`."""
        return web.json({"data": value})


accent = CodeBuddy()
register(accent)


def door(bp: Blueprint) -> Door:
    """The CodeBuddy door of a room."""
    return Door(accent, bp)


def bare(value: dict[str, Any]) -> Response:
    """An object that the document shows without the envelope of its general rule: it carries both."""
    return web.json({"data": value, **value})
