"""Whoever loses rights, their account, a password or a token loses what they have open by it, on a real server: streams
of two dialects, WebSockets and terminals (THREATS 4.3).
"""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app import csrf
from tests.accounts.test_streams_end import AUTH, PASSWORD, Open, Window, bearer
from tests.patience import PATIENCE
from tests.running import ROOT, Running

_numbers = iter(range(1000))


class Bo:
    """A member of the team, signed in by a client and in a browser, with a token of their own."""

    def __init__(self, running: Running) -> None:
        self.running, self.name = running, f"bo{next(_numbers)}"
        self.body = {"email": f"{self.name}@example.com", "password": PASSWORD}
        status, made = running.call("POST", f"{AUTH}/register", self.body)
        assert status == 201
        self.id = made["user"]["id"]
        assert running.call("POST", "/api/v1/roles/assign", {"userId": self.id, "role": "member"})[0] == 200
        given = running.call("POST", f"{AUTH}/login", self.body, Authorization="")[1]
        self.access, self.refresh = given["accessToken"], given["refreshToken"]
        self.window = Window(running, PASSWORD, self.body["email"])
        page = self._mint()
        self.token = re.findall(r"sc_\w{20,}", page)[0]
        self.token_id = re.findall(r"/account/tokens/(tok_\w+)/revoke", page)[0]

    def _mint(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=PATIENCE)
        fields = f"csrf_token={csrf.csrf_token(self.window.sid)}&name={self.name}&may=all&ends=7"
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": self.running.url,
            "Cookie": f"sid={self.window.sid}",
            "Accept": "text/html",
        }
        connection.request("POST", "/account/tokens", fields, headers)
        page = connection.getresponse().read().decode()
        connection.close()
        return page


def role_taken(bo: Bo) -> None:
    assert bo.running.call("POST", "/api/v1/roles/revoke", {"userId": bo.id, "role": "member"})[0] == 200


def deleted(bo: Bo) -> None:
    assert bo.running.call("DELETE", f"/api/v1/users/{bo.id}")[0] == 200


def password_reset(bo: Bo) -> None:
    line = [sys.executable, "-m", "app", "user", "password", bo.body["email"]]
    done = subprocess.run(
        line,
        cwd=ROOT,
        env=bo.running.environ,
        input="another long enough one\n" * 2,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def password_changed(bo: Bo) -> None:
    other = Window(bo.running, PASSWORD, bo.body["email"])
    assert other.post("/account/password", old=PASSWORD, password="seventeen small boats") == 303


def token_ended(bo: Bo) -> None:
    assert bo.window.post(f"/account/tokens/{bo.token_id}/revoke") == 303


def logged_out(bo: Bo) -> None:
    assert bo.running.call("POST", f"{AUTH}/logout", {"refreshToken": bo.refresh}, Authorization="")[0] == 200


def signed_out(bo: Bo) -> None:
    assert bo.window.post("/signout") == 303


CLIENT, BROWSER, TOKEN = "client", "browser", "token"
# Each end, and by what they hold open what closes then.
ENDS: dict[Callable[[Bo], None], tuple[str, ...]] = {
    role_taken: (CLIENT, BROWSER, TOKEN),
    deleted: (CLIENT, BROWSER, TOKEN),
    password_reset: (CLIENT, BROWSER),
    password_changed: (CLIENT, BROWSER),
    token_ended: (TOKEN,),
    logged_out: (CLIENT,),
    signed_out: (BROWSER,),
}


def opened(bo: Bo, by: str) -> Iterator[Any]:
    """What they hold open by one of their ways in: a stream with a terminal, and a stream of another dialect."""
    headers: dict[str, str] = {
        CLIENT: bearer(bo.access),
        TOKEN: bearer(bo.token),
        BROWSER: {"Cookie": f"sid={bo.window.sid}", "Authorization": "", "Origin": bo.running.url, **bo.window.proof()},
    }[by]
    yield Open(bo.running, headers)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_revoked_rights_and_user_end_at_once(
    running: Running, end: Callable[[Bo], None], record_property: Callable[[str, object], None]
) -> None:
    bo = Bo(running)
    held = [one for by in ENDS[end] for one in opened(bo, by)]
    end(bo)
    began = time.monotonic()
    for one in held:
        one.closes()
    record_property("seconds", time.monotonic() - began)
    credentials = {
        CLIENT: bearer(bo.access),
        TOKEN: bearer(bo.token),
        BROWSER: {"Cookie": f"sid={bo.window.sid}", "Authorization": ""},
    }
    for by in ENDS[end]:
        status = running.call("POST", "/api/v1/pty", {"cols": 80, "rows": 24}, **credentials[by])[0]
        assert status == (403 if end is role_taken else 401), by
    if end is token_ended:
        assert running.call("GET", f"{AUTH}/me", **bearer(bo.access))[0] == 200, "nothing else ends with it"
