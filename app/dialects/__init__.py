"""Dialects: accents, never topics. A dialect knows how to authenticate, spell errors and read bodies; no room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from flask import Request, Response

from app.actor import Credentials
from app.errors import Problem


class Dialect(Protocol):
    """What a door and the server ask of a dialect."""

    name: str

    def credentials(self, request: Request) -> Credentials:
        """What the request brought to say who it is."""
        ...

    def problem(self, problem: Problem) -> Response:
        """The error in the dialect's envelope."""
        ...

    def invalid(self, issues: list[dict[str, Any]], kind: str) -> Response:
        """A body or query that isn't of the form: issues have path (list), message, code."""
        ...

    def answer(self, value: Any) -> Response:
        """A plain value in the dialect's success envelope."""
        ...


registry: dict[str, Dialect] = {}
Encoder = Callable[[Any], Any]


def register(dialect: Dialect) -> None:
    """Make a dialect known to the server's error handling."""
    registry[dialect.name] = dialect
