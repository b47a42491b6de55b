"""Another site, and a name that resolves to this machine, get nothing by somebody's browser (THREATS 2.1, 2.2, 2.3)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import orjson
import pytest

from app import csrf
from tests.running import Running
from tests.test_server_access import GUEST, JSON, OWNER, Answer, ask, cookie_of, count

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
# One of each kind: pages, the API of each dialect, streams, WebSockets, health, static files, and nothing at all.
PLACES: dict[str, dict[str, str]] = {
    "/sessions": {"Accept": "text/html"},
    "/session": {},
    "/roo/api/tasks": {},
    "/codebuddy/api/v1/process/list": {},
    "/rootcx/api/v1/roles": {},
    "/e2b/sandboxes": {},
    "/event": {},
    "/health": {},
    "/static/style.css": {},
    "/nosuch": {},
    "/pty/pty_none/connect": UPGRADE,
    "/api/v1/pty/pty_none/ws": UPGRADE,
    "/terminals/pty_none/socket": UPGRADE,
}
FOREIGN = (
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:PORT",
    "127.0.0.1:1",
    "0.0.0.0:PORT",
    "[::2]:PORT",
    "127.1:PORT",
    "2130706433:PORT",
    "[::ffff:127.0.0.1]:PORT",
)
MALFORMED: tuple[tuple[str, ...], ...] = (
    (),
    ("",),
    ("127.0.0.1:PORT", "127.0.0.1:PORT"),
    ("127.0.0.1:PORT", "evil.example"),
    ("evil.example@127.0.0.1:PORT",),
    ("127.0.0.1:PORT@evil.example",),
    ("127.0.0.1:PORT#evil.example",),
    ("127.0.0.1:PORT/",),
    ("127.0.0.1:PORT evil.example",),
    ("127.0.0.1:x",),
    ("127.0.0.1:PORT,evil.example",),
)
ROO = {"error": "Origin not allowed"}
EVIL = "https://evil.example"
ORIGINS = (
    EVIL,
    "null",
    f"{GUEST}.evil.example",
    "http://app.example.org",
    f"{GUEST}:444",
    f"{GUEST}/",
    GUEST.upper(),
    "*",
    "https://other.example.org",
    "https://opencode.ai",
    "http://127.0.0.1.evil.example",
    "file://",
)
# A way to read in each dialect; Roo's own page of other local origins is another matter, and has its own test.
DOORS = ("/session", "/roo/api/tasks", "/codebuddy/api/v1/process/list", "/rootcx/api/v1/roles", "/e2b/sandboxes")
# A change in each dialect but E2B's, which knows no cookies, and two pages; each with a body that would do it.
CHANGES = {
    "/session": {"title": "Foreign"},
    "/roo/api/instructions": {"instructions": "Foreign"},
    "/codebuddy/api/v1/process/start": {"process": {"cmd": "cat"}},
    "/rootcx/api/v1/roles": {"name": "foreign"},
    "/sessions": {"text": "Foreign", "model": "demo/demo"},
}
TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that lets one further origin read its answers."""
    with Running(tmp_path_factory.mktemp("sites") / "data", CORS_ORIGINS=GUEST) as started:
        yield started


@pytest.fixture(scope="module")
def mine(running: Running) -> tuple[str, str]:
    """The cookie of a signed-in browser, and the token of its forms."""
    return cookie_of(running)


def named(host: str, running: Running) -> str:
    return host.replace("PORT", str(running.port))


def test_each_place_answers_by_its_own_name(running: Running) -> None:
    for place, more in PLACES.items():
        assert ask(running.port, "GET", place, {**OWNER, **more}).status in (200, 404), place


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_name_leads_nowhere_even_with_a_good_token(running: Running, host: str) -> None:
    for place, more in PLACES.items():
        for forwarded in ({}, {"X-Forwarded-Host": named("127.0.0.1:PORT", running)}):
            given = {**OWNER, **more, **forwarded}
            assert ask(running.port, "GET", place, given, hosts=[named(host, running)]).status == 421, place


@pytest.mark.parametrize("hosts", MALFORMED, ids=str)
def test_a_name_that_is_missing_doubled_or_malformed_is_refused(running: Running, hosts: tuple[str, ...]) -> None:
    for place, more in PLACES.items():
        given = [named(host, running) for host in hosts]
        assert ask(running.port, "GET", place, {**OWNER, **more}, hosts=given).status == 400, place


def test_who_is_no_trusted_proxy_names_us_nothing(running: Running) -> None:
    told = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "//evil.example"}
    for place in ("/signin", "/sessions"):
        answer = ask(running.port, "GET", place, {**OWNER, **told, "Accept": "text/html"})
        assert b"evil.example" not in answer.body
        assert "evil.example" not in str(answer.headers)
        assert "Strict-Transport-Security" not in answer.headers


def kept(running: Running) -> list[object]:
    """What the changes would change: sessions, instructions, commands, roles."""
    commands = orjson.dumps(running.call("GET", "/codebuddy/api/v1/process/list")[1]).count(b'"pid"')
    places = ("/roo/api/instructions", "/rootcx/api/v1/roles")
    return [count(running), commands, *(running.call("GET", place)[1] for place in places)]


def change(running: Running, place: str, kind: str, headers: dict[str, str]) -> Answer:
    """Send a change with a body that says the same in JSON or as a form."""
    fields = CHANGES[place]
    body = orjson.dumps(fields)
    if kind.startswith("application/x-www"):
        body = "&".join(f"{name}={value}" for name, value in fields.items()).encode()
    if kind.startswith("multipart"):
        parts = (f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items())
        body = ("".join(parts) + "--b--\r\n").encode()
    return ask(running.port, "POST", place, {**({"Content-Type": kind} if kind else {}), **headers}, body)


@pytest.mark.parametrize(("kind", "origin"), list(itertools.product(TYPES, [EVIL, ""])))
def test_what_a_foreign_page_can_send_with_a_cookie_changes_nothing(
    running: Running, mine: tuple[str, str], kind: str, origin: str
) -> None:
    sid, token = mine
    before = kept(running)
    for place in CHANGES:
        headers = {"Cookie": f"sid={sid}", **({"Origin": origin} if origin else {})}
        assert change(running, place, kind, headers).status in (403, 415), place
        if origin:  # not even when it has got hold of the token of a form
            assert change(running, place, kind, {**headers, csrf.HEADER: token}).status in (403, 415), place
            site = {"Sec-Fetch-Site": "cross-site", "Origin": running.url, csrf.HEADER: token}
            assert change(running, place, kind, {**headers, **site}).status in (403, 415), place
    assert kept(running) == before


@pytest.mark.parametrize("kind", TYPES)
def test_what_takes_json_takes_nothing_else_even_of_our_own_pages(
    running: Running, mine: tuple[str, str], kind: str
) -> None:
    sid, token = mine
    before = kept(running)
    own = {"Cookie": f"sid={sid}", "Origin": running.url, csrf.HEADER: token}
    for place in CHANGES:
        if place != "/sessions":
            assert change(running, place, kind, own).status == 415, place
    assert kept(running) == before


def test_the_same_changes_are_made_for_our_own_page(running: Running, mine: tuple[str, str]) -> None:
    sid, token = mine
    own = {"Cookie": f"sid={sid}", "Origin": running.url, csrf.HEADER: token}
    for place in CHANGES:
        kind, before = TYPES[1] if place == "/sessions" else JSON["Content-Type"], kept(running)
        answer = change(running, place, kind, own)
        assert answer.status in (200, 201, 202, 303), (place, answer.body)
        assert kept(running) != before, f"what a foreign page changed by {place} would be seen"


@pytest.mark.parametrize("kind", TYPES[1:3])
def test_a_foreign_page_signs_nobody_in(running: Running, kind: str) -> None:
    for origin in (EVIL, "null"):
        body = (
            b"code=x" if "www" in kind else b'--b\r\nContent-Disposition: form-data; name="code"\r\n\r\nx\r\n--b--\r\n'
        )
        answer = ask(running.port, "POST", "/signin", {"Content-Type": kind, "Origin": origin}, body)
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(("origin", "door"), list(itertools.product(ORIGINS, DOORS)))
def test_an_origin_that_is_not_listed_learns_nothing(running: Running, origin: str, door: str) -> None:
    wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    network = {"Access-Control-Request-Private-Network": "true"}
    for method, more in (("GET", OWNER), ("OPTIONS", wish), ("OPTIONS", {**wish, **network})):
        answer = ask(running.port, method, door, {**more, "Origin": origin})
        assert not [name for name in answer.headers if name.lower().startswith("access-control")], method
        assert "Origin" in answer.headers["Vary"], method
        if method == "GET":
            assert (answer.status, answer.json) == (403, ROO) if "/roo/" in door else answer.status == 200


@pytest.mark.parametrize("door", DOORS)
def test_a_listed_origin_reads_without_credentials_of_the_browser(running: Running, door: str) -> None:
    network = {"Access-Control-Request-Private-Network": "true"}
    for method, more in (("GET", OWNER), ("OPTIONS", {"Access-Control-Request-Method": "POST", **network})):
        answer = ask(running.port, method, door, {**more, "Origin": GUEST})
        assert answer.headers.get_all("Access-Control-Allow-Origin") == [GUEST]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers.get("Access-Control-Allow-Private-Network") in (None, "false")
        assert "Origin" in answer.headers["Vary"]
