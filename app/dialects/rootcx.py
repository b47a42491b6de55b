"""The RootCX accent: bare JSON, errors in `{"error": message}`, times in RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Request, Response, request

from app import web
from app.actor import Credentials
from app.dialects import register
from app.dialects.door import INVALID_JSON, Door
from app.errors import Problem, Taken, Unauthenticated

# Its own words for what goes wrong by our code, where they differ from ours: the status, and the text.
_WORDS: dict[str, tuple[int, str]] = {
    INVALID_JSON: (400, "invalid JSON body"),
    "LAST_OWNER": (400, "cannot delete the last admin"),
    "LAST_OWNER_ROLE": (400, "cannot revoke the last admin"),
    "INVALID_CREDENTIALS": (401, "invalid credentials"),
}
_REFRESH = "scr_"


class RootCX:
    """How clients of RootCX expect to be spoken to."""

    name = "rootcx"

    def credentials(self, given: Request) -> Credentials:
        """A bearer, a cookie, or what the port stands for."""
        return web.credentials(given)

    def problem(self, problem: Problem) -> Response:
        """`{"error": …}`, with the real server's statuses and words where it has some."""
        status, text = _WORDS.get(problem.code, (problem.status, problem.message))
        if isinstance(problem, Taken) and problem.code == "EMAIL_TAKEN":
            status, text = 400, f"email '{problem.about}' already taken"
        if isinstance(problem, Unauthenticated) and text == Unauthenticated().message:
            text = _unknown(web.credentials(request).bearer)
        return web.json({"error": text}, status, web.problem_headers(problem))

    def invalid(self, issues: list[dict[str, Any]], kind: str) -> Response:
        """400 with the first thing that is wrong: its framework's 422 in plain text helps nobody."""
        first = issues[0]
        if kind == "Payload" and not first["path"]:
            return web.json({"error": "the body must be a JSON object"}, 400)
        where = ".".join(str(word) for word in first["path"])
        return web.json({"error": f"{where}: {first['message']}"}, 400)

    def answer(self, value: Any) -> Response:
        """Bare JSON."""
        return web.json(value)


def _unknown(bearer: str | None) -> str:
    if bearer is None:
        return "missing or malformed authorization header"
    return "invalid token type" if bearer.startswith(_REFRESH) else "invalid token"


accent = RootCX()
register(accent)


def door(bp: Blueprint) -> Door:
    """The RootCX door of a room."""
    return Door(accent, bp)


def created(value: Any) -> Response:
    """201 with what was made."""
    return web.json(value, 201)


def told(message: str) -> dict[str, str]:
    """What an act answers that has nothing else to say."""
    return {"message": message}


def time(milliseconds: int) -> str:
    """A moment in RFC 3339, in UTC by offset, as sign-in and users have it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
