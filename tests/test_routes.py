"""Every route knows who asks, no page stands in a dialect's way, and every dialect route is documented."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.routing import Rule

from app.dialects import seed
from app.dialects.mount import Cabin
from tests.conftest import Caller
from tests.dialects.test_seed_endpoints import shape

PUBLIC = Path(__file__).with_name("public_routes.txt")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Where each dialect publishes what it serves.
DOCUMENTS = {
    "opencode": "/doc",
    "roo": "/api/openapi.json",
    "codebuddy": "/api/openapi.json",
    "rootcx": "/api/v1/openapi.json",
    "e2b": "/openapi.json",
}
# How each says to a stranger that it does not know them.
UNKNOWN: dict[str, Callable[[Any], bool]] = {
    "opencode": lambda body: set(body) == {"name", "data"} and body["name"] == "UnauthorizedError",
    "roo": lambda body: set(body) == {"error"} and isinstance(body["error"], str),
    "codebuddy": lambda body: set(body) == {"error"} and body["error"]["code"] == "AUTH_REQUIRED",
    "rootcx": lambda body: set(body) == {"error"} and isinstance(body["error"], str),
    "e2b": lambda body: set(body) == {"code", "message"} and body["code"] in (401, "unauthenticated"),
}


@dataclass(frozen=True, order=True)
class Route:
    """A method at a path; the dialect is `pages` for those of no dialect."""

    dialect: str
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.dialect} {self.method} {self.path}"


def routes(app: Cabin) -> Iterator[Route]:
    for rule in app.url_map.iter_rules():
        for method in METHODS:
            if method in (rule.methods or ()):
                yield Route(rule.subdomain or "pages", method, rule.rule)


def rule_of(route: Route, app: Cabin) -> Rule:
    found = (r for r in app.url_map.iter_rules() if r.rule == route.path and is_of(r, route.dialect))
    return next(r for r in found if route.method in (r.methods or ()))


def address(route: Route) -> str:
    """A URL that leads to the route: a sample for each parameter, and the dialect's prefix."""
    path = re.sub(r"<(int|float)[^>]*>", "1", route.path)
    path = re.sub(r"<[^>]*>", "sample", path)
    return path if route.dialect == "pages" else f"/{route.dialect}{path}"


def is_of(rule: Rule, dialect: str) -> bool:
    return (rule.subdomain or "pages") == dialect


def public_routes() -> dict[str, str]:
    """The routes that answer a stranger, each with its reason."""
    lines = PUBLIC.read_text(encoding="utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))


def is_marked_public(route: Route, app: Cabin) -> bool:
    """Whether its view says so; such a one may still answer 401, as signing in with a wrong code does."""
    view = app.view_functions[rule_of(route, app).endpoint]
    return getattr(view, "is_public", False)


def turns_away(route: Route, stranger: Caller) -> bool:
    answer = stranger(route.method, address(route), headers={"Accept": "text/html"})
    to_sign_in = answer.status_code == 303 and answer.headers["Location"].startswith("/signin")
    return answer.status_code == 401 or (route.dialect == "pages" and to_sign_in)


def test_a_stranger_is_turned_away_everywhere_but_at_the_named_routes(app: Cabin, stranger: Caller) -> None:
    open_routes = {
        str(route) for route in routes(app) if is_marked_public(route, app) or not turns_away(route, stranger)
    }
    assert open_routes == set(public_routes())


@pytest.mark.parametrize("dialect", UNKNOWN)
def test_a_stranger_is_told_so_in_the_words_of_the_dialect(dialect: str, app: Cabin, stranger: Caller) -> None:
    closed = [one for one in routes(app) if one.dialect == dialect and str(one) not in public_routes()]
    assert closed
    for route in closed:
        answer = stranger(route.method, address(route))
        assert (answer.status_code, answer.mimetype) == (401, "application/json"), route
        assert UNKNOWN[dialect](answer.json), (route, answer.json)


def test_every_public_route_says_why() -> None:
    assert all(len(reason) > 15 for reason in public_routes().values())


def test_no_page_has_a_path_of_a_dialect(app: Cabin) -> None:
    pages = {shape(route.path) for route in routes(app) if route.dialect == "pages"}
    doors = {shape(route.path) for route in routes(app) if route.dialect != "pages"}
    named = {shape(endpoint.path) for endpoint in seed.endpoints()}
    assert pages & (doors | named) == set()


@pytest.mark.parametrize("dialect", DOCUMENTS)
def test_every_route_of_a_dialect_is_in_its_document(dialect: str, app: Cabin, call: Caller) -> None:
    served = {(route.method, shape(route.path)) for route in routes(app) if route.dialect == dialect}
    if not served:
        return
    document = call.get(f"/{dialect}{DOCUMENTS[dialect]}").get_json()
    paths = document["paths"].items()
    told = {(method.upper(), shape(path)) for path, methods in paths for method in methods}
    assert served - told == set()
