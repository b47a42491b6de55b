"""Whoever is signed out hears no more: streams and terminals of theirs close at once, whichever process-wide part holds
them (THREATS 4.3 and 2.4).
"""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

from app import csrf
from tests import repository
from tests.patience import PATIENCE
from tests.running import Running
from tests.terminals.conftest import Line, socket_of

EMAIL, PASSWORD, OTHER = "ines@example.com", "tractor-lamp-9", "seventeen small boats"
AUTH = "/api/v1/auth"
AT_ONCE = 5  # seconds


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose owner has a password."""
    base = tmp_path_factory.mktemp("signed-out").resolve()
    with Running(base / "data", repository.make(base / "shop", files=3)) as started:
        found = re.search(r"/signin#(\S+)", started.log.read_text())
        assert found
        body = {"email": EMAIL, "password": PASSWORD, "code": found[1]}
        assert started.call("POST", f"{AUTH}/register", body, Authorization="")[0] == 201
        yield started


class Window:
    """A browser that is signed in with the password: its cookie, and forms that go with it."""

    def __init__(self, running: Running, password: str, email: str = EMAIL) -> None:
        self.running = running
        status, headers = self._send("/signin", {"email": email, "password": password}, {})
        assert status == 303
        self._keep(headers)

    def post(self, path: str, **fields: str) -> int:
        """Send a form; the status."""
        given = {"csrf_token": csrf.csrf_token(self.sid), **fields}
        status, headers = self._send(path, given, {"Cookie": f"sid={self.sid}"})
        self._keep(headers)
        return status

    def proof(self) -> dict[str, str]:
        """The header by which its scripts show that they are its own."""
        return {csrf.HEADER: csrf.csrf_token(self.sid)}

    def devices(self) -> str:
        """The account page."""
        return self.running.call("GET", "/account", Cookie=f"sid={self.sid}", Authorization="", Accept="text/html")[1]

    def _send(self, path: str, fields: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=PATIENCE)
        given = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.running.url, **headers}
        connection.request("POST", path, urlencode(fields), {**given, "User-Agent": "Firefox/130.0 (Linux)"})
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status, response.headers

    def _keep(self, headers: Any) -> None:
        found = re.search(r"sid=(sid_\w+)", headers.get("Set-Cookie") or "")
        if found:
            self.sid = found[1]


class Open:
    """A stream and a terminal that somebody has open, by a bearer or a cookie."""

    def __init__(self, running: Running, headers: dict[str, str]) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
        self.connection.request("GET", "/event", headers=headers)
        self.stream = self.connection.getresponse()
        assert self.stream.status == 200
        assert self.stream.fp.readline()
        _status, made = running.call("POST", "/api/v1/pty", {"cols": 80, "rows": 24}, **headers)
        self.line = Line(running, socket_of(made["data"]["sessionId"]), headers)
        self.line.type("echo he''re\n")
        self.line.until(lambda: "here" in self.line.text)

    def closes(self) -> None:
        """Read to the end of both, which comes at once."""
        with at_once():
            while self.stream.fp.readline():
                continue
            self.line.closed()
        self.connection.close()


@contextmanager
def at_once() -> Iterator[None]:
    """Fail if this took so long that it may be the work of who looks around, each half a minute, for what is over."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < AT_ONCE


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def log_in(running: Running, password: str) -> dict[str, str]:
    status, given = running.call("POST", f"{AUTH}/login", {"email": EMAIL, "password": password}, Authorization="")
    assert status == 200
    return {"access": given["accessToken"], "refresh": given["refreshToken"]}


def log_out(running: Running, _window: Window, tokens: dict[str, str]) -> None:
    assert running.call("POST", f"{AUTH}/logout", {"refreshToken": tokens["refresh"]}, Authorization="")[0] == 200


def revoke_device(_running: Running, window: Window, _tokens: dict[str, str]) -> None:
    (row,) = [row for row in window.devices().split("<li>") if "signed in by its own form" in row]
    (path,) = re.findall(r'action="(/account/devices/dev_\w+/revoke)"', row)
    assert window.post(path) == 303


def revoke_others(_running: Running, window: Window, _tokens: dict[str, str]) -> None:
    assert window.post("/account/devices/revoke-others") == 303


def spend_twice(running: Running, _window: Window, tokens: dict[str, str]) -> None:
    _, second = running.call("POST", f"{AUTH}/refresh", {"refreshToken": tokens["refresh"]}, Authorization="")
    body = {"refreshToken": second["refreshToken"]}
    assert running.call("POST", f"{AUTH}/refresh", body, Authorization="")[0] == 200
    body = {"refreshToken": tokens["refresh"]}
    assert running.call("POST", f"{AUTH}/refresh", body, Authorization="")[0] == 401


@pytest.mark.parametrize("end", [log_out, revoke_device, revoke_others, spend_twice])
def test_what_a_client_has_open_closes(running: Running, end: Callable[..., None]) -> None:
    tokens, window = log_in(running, PASSWORD), Window(running, PASSWORD)
    held = Open(running, bearer(tokens["access"]))
    end(running, window, tokens)
    held.closes()
    assert running.call("GET", f"{AUTH}/me", **bearer(tokens["access"]))[0] == 401
    assert running.call("GET", f"{AUTH}/me", Authorization="", Cookie=f"sid={window.sid}")[0] == 200
    assert window.post("/signout") == 303


def test_a_changed_password_closes_all_that_is_open_elsewhere(running: Running) -> None:
    tokens, here, there = log_in(running, PASSWORD), Window(running, PASSWORD), Window(running, PASSWORD)
    old = here.sid
    held = [Open(running, bearer(tokens["access"]))]
    assert here.post("/account/password", old=PASSWORD, password=OTHER) == 303
    for one in held:
        one.closes()
    assert here.sid != old
    for sid, status in [(old, 401), (there.sid, 401), (here.sid, 200)]:
        assert running.call("GET", f"{AUTH}/me", Authorization="", Cookie=f"sid={sid}")[0] == status
    assert running.call("GET", f"{AUTH}/me", **bearer(tokens["access"]))[0] == 401
    body = {"email": EMAIL, "password": PASSWORD}
    assert running.call("POST", f"{AUTH}/login", body, Authorization="")[0] == 401
    assert here.post("/account/password", old=OTHER, password=PASSWORD) == 303


def test_somebody_deleted_is_cut_off_in_the_middle_of_it(running: Running) -> None:
    body = {"email": "dora@example.com", "password": PASSWORD}
    _, made = running.call("POST", f"{AUTH}/register", body)
    given = running.call("POST", f"{AUTH}/login", body, Authorization="")[1]
    headers = bearer(given["accessToken"])
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    connection.request("GET", "/event", headers=headers)
    stream = connection.getresponse()
    assert stream.status == 200
    assert stream.fp.readline()
    assert running.call("DELETE", f"/api/v1/users/{made['user']['id']}")[0] == 200
    with at_once():
        while stream.fp.readline():
            continue
    connection.close()
    assert running.call("GET", f"{AUTH}/me", **headers)[0] == 401
