"""Every endpoint that the dialects' documents name is a route, or is said to be pending."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from app.dialects import seed
from app.dialects.mount import Cabin
from app.dialects.seed import Endpoint

NAMED = {"opencode": 51, "roo": 24, "codebuddy": 86, "rootcx": 92}

Route = tuple[str, str, str]


def shape(path: str) -> str:
    """The path with its parameters nameless: `/session/{id}` and `/session/<session_id>` are alike."""
    return re.sub(r"<[^>]*>|\{[^}]*\}", "{}", path)


@pytest.fixture
def routes(app: Cabin) -> dict[Route, str]:
    """The room that answers each (dialect, method, shape)."""
    return {
        (rule.subdomain, method, shape(rule.rule)): rule.endpoint.partition(".")[0]
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if rule.subdomain
    }


def room_of(endpoint: Endpoint, routes: dict[Route, str]) -> str | None:
    method = "GET" if endpoint.method == "WS" else endpoint.method
    return routes.get((endpoint.dialect, method, shape(endpoint.path)))


def test_the_list_is_the_documents() -> None:
    assert Counter(endpoint.dialect for endpoint in seed.endpoints()) == NAMED
    lines = Counter((one.dialect, one.method, shape(one.path)) for one in seed.endpoints())
    assert [line for line, count in lines.items() if count > 1] == []


def test_every_line_is_well_formed() -> None:
    form = re.compile(r"(GET|POST|PUT|PATCH|DELETE|WS) /[\w./{}-]+")
    lines = [f"{endpoint.method} {endpoint.path}" for endpoint in seed.endpoints()]
    assert [line for line in lines if not form.fullmatch(line)] == []


@pytest.mark.parametrize("dialect", seed.DIALECTS)
def test_what_is_called_built_has_a_route_in_its_room(dialect: str, routes: dict[Route, str]) -> None:
    built = [one for one in seed.endpoints() if one.built and one.dialect == dialect]
    wrong = {
        f"{one.method} {one.path}": f"is in {room_of(one, routes)}, not {one.room}"
        for one in built
        if room_of(one, routes) != one.room
    }
    assert wrong == {}


@pytest.mark.parametrize("dialect", seed.DIALECTS)
def test_nothing_built_is_called_pending(dialect: str, routes: dict[Route, str]) -> None:
    pending = [one for one in seed.endpoints() if not one.built and one.dialect == dialect]
    assert [f"{one.method} {one.path}" for one in pending if room_of(one, routes)] == []


def test_the_grid_sums_up_every_room() -> None:
    head, *rows, last = seed.grid().splitlines()
    built = sum(endpoint.built for endpoint in seed.endpoints())
    assert head.split() == [*seed.DIALECTS, "all"]
    assert {row.split()[0] for row in rows} == {endpoint.room for endpoint in seed.endpoints()}
    assert last.split()[-1] == f"{built}/{sum(NAMED.values())}"
