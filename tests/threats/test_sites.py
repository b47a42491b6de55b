"""What another site can have a browser do: foreign names, forms, origins and ways back (THREATS 1.4, 1.11, 2.1-2.3)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import csrf
from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from tests.conftest import Caller
from tests.running import TOKEN, Running
from tests.test_server_access import GUEST, OWNER, ask, cookie_of, count
from tests.visitor import ORIGIN, Browser

# A route of each dialect, a page, a static file and what answers strangers.
ROUTES = [
    "/session",
    "/api/tasks",
    "/api/v1/process/start",
    "/api/v1/auth/me",
    "/sessions",
    "/static/style.css",
    "/health",
]
DOORS = ["/session", "/roo/api/tasks", "/api/v1/process/start", "/api/v1/auth/me", "/e2b/sandboxes"]
FOREIGN = [
    *("evil.example", "evil.example:PORT", "127.0.0.1.evil.example:PORT", "localhost.evil.example:PORT"),
    *("127.0.0.1:1", "0.0.0.0:PORT", "user@127.0.0.1:PORT", "127.0.0.1:PORT#evil.example", "[::ffff:127.0.0.1]:PORT"),
]
ORIGINS = [
    *("https://evil.example", "null", f"{GUEST}.evil.example", "http://app.example.org", f"{GUEST}:444", "*"),
    *(
        f"{GUEST}/",
        "HTTPS://APP.EXAMPLE.ORG",
        "http://localhost.evil.example",
        "file://",
        f"{GUEST}.",
        "https://opencode.ai",
    ),
]
WAYS_OUT = [
    *("//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example"),
    *("https:///evil.example", "evil.example", "javascript:alert(1)", "/\n/evil.example", "/\t/evil.example"),
    "http:/\\evil.example",
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that lets one further origin read its answers."""
    with Running(tmp_path_factory.mktemp("sites") / "data", CORS_ORIGINS=GUEST) as started:
        yield started


@pytest.mark.parametrize(("host", "route"), list(itertools.product(FOREIGN, ROUTES)))
def test_nine_foreign_names_open_none_of_seven_routes_even_with_a_good_token(
    running: Running, host: str, route: str
) -> None:
    named = host.replace("PORT", str(running.port))
    answer = ask(running.port, "GET", route, OWNER, hosts=[named])
    assert answer.status in (400, 403, 421)
    more = {"X-Forwarded-Host": f"127.0.0.1:{running.port}"}
    assert ask(running.port, "GET", route, {**OWNER, **more}, hosts=[named]).status in (400, 403, 421)
    assert ask(running.port, "GET", route, OWNER).status != 421


def test_a_foreign_name_opens_no_websocket(running: Running) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    for host in FOREIGN:
        named = host.replace("PORT", str(running.port))
        key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        answer = ask(running.port, "GET", "/api/v1/pty/pty_1/ws", {**OWNER, **upgrade, **key}, hosts=[named])
        assert answer.status in (400, 403, 421)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", ""]
)
@pytest.mark.parametrize(
    "change",
    [
        ("POST", "/session"), ("POST", "/roo/api/tasks"), ("POST", "/api/v1/process/start"), ("POST", "/api/v1/roles"),
        ("POST", "/sessions/new"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("origin", ["https://evil.example", None])
def test_a_cookie_and_a_simple_request_change_nothing(
    running: Running, kind: str, change: tuple[str, str], origin: str | None
) -> None:
    sid, _token = signed_in(running)
    before = count(running)
    headers = {
        "Cookie": f"sid={sid}",
        **({"Content-Type": kind} if kind else {}),
        **({"Origin": origin} if origin else {}),
    }
    answer = ask(running.port, *change, headers, b'{"title": "x", "text": "x", "name": "x"}')
    assert answer.status in (403, 415), answer.body
    assert count(running) == before


_signed_in: dict[int, tuple[str, str]] = {}


def signed_in(running: Running) -> tuple[str, str]:
    """A browser's cookie and token; one sign-in does for all."""
    if running.port not in _signed_in:
        _signed_in[running.port] = cookie_of(running)
    return _signed_in[running.port]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", ""]
)
@pytest.mark.parametrize(
    "path", ["/session", "/roo/api/tasks", "/api/v1/process/start", "/api/v1/roles", "/e2b/sandboxes"]
)
def test_what_takes_json_takes_nothing_else_of_a_browser(running: Running, path: str, kind: str) -> None:
    sid, token = signed_in(running)
    mine = {"Cookie": f"sid={sid}", "Origin": running.url, csrf.HEADER: token}
    given = {**mine, **({"Content-Type": kind} if kind else {})}
    before = count(running)
    assert ask(running.port, "POST", path, given, b'{"title": "x"}').status in (400, 403, 415, 422)
    assert count(running) == before


@pytest.mark.parametrize(("method", "door"), list(itertools.product(["GET", "OPTIONS"], DOORS)))
def test_twelve_foreign_origins_read_nothing_of_five_doors(running: Running, method: str, door: str) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true"}
    for origin in ORIGINS:
        answer = ask(running.port, method, door, {**OWNER, **asked, "Origin": origin})
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")], origin
        assert "Origin" in (answer.headers["Vary"] or ""), origin
    good = ask(running.port, method, door, {**OWNER, **asked, "Origin": GUEST})
    assert good.headers["Access-Control-Allow-Origin"] == GUEST
    assert "Access-Control-Allow-Credentials" not in good.headers
    assert good.headers.get("Access-Control-Allow-Private-Network", "false") == "false"


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
