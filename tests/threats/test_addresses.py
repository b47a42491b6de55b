"""What addresses may hold and lead to: secrets in them, and ways back (THREATS 1.4 and 1.11)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from tests.conftest import Caller
from tests.running import TOKEN, Running
from tests.test_server_access import ask
from tests.visitor import ORIGIN, Browser

WAYS_OUT = [
    *("//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example"),
    *("https:///evil.example", "evil.example", "javascript:alert(1)", "/\n/evil.example", "/\t/evil.example"),
    "http:/\\evil.example",
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server as it comes."""
    with Running(tmp_path_factory.mktemp("sites") / "data") as started:
        yield started


@pytest.mark.parametrize("going", WAYS_OUT)
def test_three_doors_lead_to_our_own_pages_alone(app: Cabin, alice: Actor, going: str) -> None:
    client = app.test_client()
    code = {"code": accounts.sign_in_code(alice), "next": going}
    landed = [client.post("/signin", data=code, headers={"Origin": ORIGIN})]
    landed.append(client.get("/signin", query_string={"next": going}))
    browser = Browser(app, alice)
    again = {"code": accounts.sign_in_code(alice), "next": going}
    landed.append(browser.post("/account/confirm", again))
    for answer in landed:
        assert answer.status_code == 303, answer.text
        assert answer.headers["Location"] in ("/", "/account", f"{ORIGIN}/"), going


class TestAPasswordInTheAddress:
    """It is worth nothing but where a setting says so, and is in no log even then (THREATS 1.4)."""

    @pytest.mark.parametrize("path", ["/api/v1/metrics", "/api/v1/health", "/session", "/api/tasks", "/api/v1/auth/me"])
    @pytest.mark.parametrize("name", ["password", "token", "access_token", "api_key", "auth_token"])
    def test_it_is_off(self, running: Running, path: str, name: str) -> None:
        assert ask(running.port, "GET", f"{path}?{name}={TOKEN}").status == 401

    def test_where_it_is_on_no_log_has_it(self, tmp_path: Path) -> None:
        with Running(tmp_path / "data", QUERY_PASSWORD="1") as on:
            for path in ("/api/v1/sessions", "/api/v1/health", "/api/v1/nosuch"):
                answer = ask(on.port, "GET", f"{path}?password={TOKEN}")
                assert answer.status in (200, 404)
                assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert ask(on.port, "GET", f"/api/v1/health?password={TOKEN}").status == 200
            assert ask(on.port, "GET", "/api/v1/health?password=wrong-word").status == 401
        kept = [on.log, *(file for file in on.data_dir.rglob("*") if file.is_file())]
        for file in kept:
            assert not re.search(rf"password=(?:{TOKEN}|wrong-word)".encode(), file.read_bytes()), file

    def test_an_address_that_breaks_is_logged_without_its_query(
        self, app: Cabin, stranger: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("broken")

        monkeypatch.setitem(app.view_functions, "accounts.signin", broken)
        broken.is_public = True  # type: ignore[attr-defined]
        assert stranger.get("/signin?password=secret-word").status_code == 500
        assert "GET /signin" in caplog.text
        assert "secret-word" not in caplog.text
