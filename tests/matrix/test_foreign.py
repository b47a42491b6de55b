"""What is somebody else's and what never was are answered alike, byte for byte, over all routes (THREATS 4.2)."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import pytest

from app import dispatch
from app.actor import Actor
from app.dialects.mount import Cabin
from tests.matrix.asking import Route, request_of, routes
from tests.matrix.test_matrix import DIALECTS, prefixed, read
from tests.matrix.world import World

# Whoever has nothing to do with the things of Mia's that the table is about.
STRANGERS = ("viewer", "other", "agent", "admin")
# Ids: a prefix and what nobody guesses.
TAIL = re.compile(r"(?<=[a-z0-9]_)\w{12,}|(?<=^i)[a-z0-9]{19}$")
IDS = re.compile(r"<(\w+:)?(?!project_|user_|worktree_|app_|provider_)\w+_id>")
LEAST = 200


@pytest.fixture
def world(app: Cabin, alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(app, alice, tmp_path)
    monkeypatch.setattr(dispatch, "wake", made.wake)
    return made


def unknown(value: str) -> str:
    """An id of the same form that nothing has: each sign of its tail is the next one."""
    found = TAIL.sub(
        lambda tail: "".join(chr(ord(sign) + 1) if sign not in "z9Z_" else sign for sign in tail[0]), value
    )
    return found if found != value else f"{value}x"


def ask(world: World, route: Route, principal: str, names: dict[str, str], given: dict[str, Any]) -> tuple[Any, ...]:
    """Status, type and body of the answer, with the ids that were asked for as `{name}` and without the request's own."""
    path = prefixed(route.dialect) + route.path
    for name, value in names.items():
        path = path.replace(f"<{name}>", value).replace(f"<path:{name}>", value)
    client, headers = world.caller(principal)
    headers |= {"Accept": "text/html"} if route.dialect == "pages" else {}
    headers = {"Host": "localhost", **headers, **given.get("headers", {})}
    sent = {key: value for key, value in given.items() if key != "headers"}
    answer = client.open(path, method=route.method, headers=headers, **sent)
    text = answer.get_data(as_text=True).replace(answer.headers.get("X-Request-Id", "-"), "{request}")
    for name, value in names.items():
        text = text.replace(value, f"{{{name}}}")
    return answer.status_code, answer.headers.get("Content-Type"), text


def difference(one: tuple[Any, ...], other: tuple[Any, ...]) -> list[str]:
    """What somebody could tell the two by."""
    lines = difflib.ndiff(*(f"{each[0]} {each[1]}\n{each[2]}".splitlines() for each in (one, other)))
    return [line[:300] for line in lines if line[0] in "+-"]


def compared(table: dict[Any, dict[str, str]]) -> dict[tuple[str, str, str], list[str]]:
    """The routes to somebody's own things, by the ids in their paths, and who is told there that there is nothing."""
    told = {key: [name for name in STRANGERS if row[name] == "404"] for key, row in table.items() if IDS.search(key[2])}
    return {key: names for key, names in told.items() if names}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_somebody_elses_is_answered_like_what_never_was(dialect: str, world: World) -> None:
    asked, told = compared(read()), list[tuple[Any, ...]]()
    for route in routes(world.app):
        if route.dialect != dialect or route.key not in asked:
            continue
        names = world.things(route.path, route.dialect)
        theirs = {name: value for name, value in names.items() if re.search(rf"<(\w+:)?{name}>", route.path)}
        nobodys = {name: unknown(value) for name, value in theirs.items()}
        for principal in asked[route.key]:
            found = ask(world, route, principal, theirs, request_of(world, route, names))
            none = ask(world, route, principal, nobodys, request_of(world, route, {**names, **nobodys}))
            if found != none:
                told.append((route.method, route.path, principal, *difference(found, none)))
            assert found[0] in (404, 502), (
                route,
                principal,
                found,
            )  # 502 is E2B's word for a sandbox that is not there
    assert told == []


def test_they_are_so_many() -> None:
    assert sum(map(len, compared(read()).values())) >= LEAST
