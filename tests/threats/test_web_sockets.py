"""A WebSocket ends with the rights that it was opened by (THREATS 2.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app import ids
from tests import repository
from tests.accounts.test_streams_end import Window, at_once
from tests.running import Running
from tests.terminals.conftest import Line, socket_of
from tests.test_server_access import mint

PASSWORD = "tractor-lamp-9"
AUTH = "/api/v1/auth"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a terminal of its owner."""
    base = tmp_path_factory.mktemp("rights").resolve()
    with Running(base / "data", repository.make(base / "shop", files=3)) as started:
        yield started


@pytest.fixture
def terminal(running: Running) -> Iterator[str]:
    """A terminal of the owner's, which goes on."""
    _, made = running.call("POST", "/api/v1/pty", {})
    yield made["data"]["sessionId"]
    running.call("DELETE", f"/api/v1/pty/{made['data']['sessionId']}")


def join(running: Running) -> tuple[str, dict[str, str]]:
    """Somebody new of the team: their id and their bearer."""
    email = f"{ids.random('bob')}@example.com"
    body = {"email": email, "password": PASSWORD}
    status, made = running.call("POST", f"{AUTH}/register", body)
    assert status == 201, made
    held = {"userId": made["user"]["id"], "role": "member"}
    assert running.call("POST", "/api/v1/roles/assign", held)[0] == 200
    given = running.call("POST", f"{AUTH}/login", body, Authorization="")[1]
    return made["user"]["id"], {"Authorization": f"Bearer {given['accessToken']}"}


def remove(running: Running, user: str) -> None:
    assert running.call("DELETE", f"/api/v1/users/{user}")[0] == 200


def take_role(running: Running, user: str) -> None:
    assert running.call("POST", "/api/v1/roles/revoke", {"userId": user, "role": "member"})[0] == 200


@pytest.mark.parametrize("end", [remove, take_role])
def test_whoever_is_removed_or_loses_the_role_watches_no_longer(
    running: Running, terminal: str, end: Callable[[Running, str], None]
) -> None:
    user, bearer = join(running)
    with Line(running, socket_of(terminal), bearer) as line, Line(running, socket_of(terminal)) as own:
        line.until("$")
        own.until("$")
        end(running, user)
        with at_once():
            line.closed()
        own.type("echo go''es on\n")
        own.until("goes on")
        assert "goes on" not in line.text


def test_a_revoked_token_watches_no_longer(running: Running, terminal: str) -> None:
    name = ids.random("laptop")
    secret = mint(running, name, "terminals:*", "projects:read", "sessions:read", "tokens:*")
    with Line(running, socket_of(terminal), {"Authorization": f"Bearer {secret}"}) as line:
        line.until("$")
        owner = Window.__new__(Window)
        owner.running = running
        status, headers = owner._send("/signin", {"code": running.sign_in_code()}, {})
        assert status == 303
        owner._keep(headers)
        listed = owner.devices()
        row = next(row for row in listed.split("<li") if name in row)
        path = row.split('action="', 1)[1].split('"', 1)[0]
        assert owner.post(path) == 303
        with at_once():
            line.closed()
