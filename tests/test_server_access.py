"""A running server lets in whom it should, by every door: names, origins, credentials, ports, and the way out."""

from __future__ import annotations

import base64
import http.client
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from app import csrf
from app.body_limits import MIB
from app.config import Config
from app.errors import Invalid
from tests.patience import PATIENCE
from tests.running import ROOT, TOKEN, Running, free_port
from tests.sse import Follower

OWNER = {"Authorization": f"Bearer {TOKEN}"}
JSON = {"Content-Type": "application/json"}
GUEST = "https://app.example.org"
PLACES = [
    "/",
    "/signin",
    "/sessions",
    "/session",
    "/opencode/session",
    "/event",
    "/health",
    "/static/style.css",
    "/global/health",
    "/nosuch",
]
HEADERS = [
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
    "Cross-Origin-Resource-Policy",
    "Cross-Origin-Opener-Policy",
    "Permissions-Policy",
    "Cache-Control",
    "Content-Security-Policy",
]


@dataclass(frozen=True)
class Answer:
    """A whole answer; of a stream its first frame."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True)
class Served:
    """A server with a port that acts as the token `reader`, and one that acts as nobody."""

    running: Running
    reader_port: int
    plain_port: int


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    reader, plain = free_port(), free_port()
    settings = {"PORTS": f"opencode={reader}:reader,opencode={plain}", "CORS_ORIGINS": GUEST}
    with Running(tmp_path_factory.mktemp("access") / "data", **settings) as running:
        mint(running, "reader", "sessions:read", "projects:read")
        yield Served(running, reader, plain)


@pytest.fixture(scope="module")
def open_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("open") / "data", AUTH="none") as running:
        yield running


def mint(running: Running, name: str, *scopes: str) -> str:
    """A token of the owner, by the command line."""
    asked = [sys.executable, "-m", "app", "token", name, *(word for scope in scopes for word in ("--scope", scope))]
    done = subprocess.run(asked, cwd=ROOT, env=running.environ, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def ask(
    port: int,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    hosts: list[str] | None = None,
) -> Answer:
    """One request with exactly these headers, and these Host headers instead of the right one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=hosts is not None, skip_accept_encoding=True)
        for host in hosts or []:
            connection.putheader("Host", host)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        is_stream = (response.getheader("Content-Type") or "").startswith("text/event-stream")
        return Answer(response.status, response.headers, response.readline() if is_stream else response.read())
    finally:
        connection.close()


def post(port: int, path: str, body: Any, **headers: str) -> Answer:
    """Send JSON."""
    return ask(port, "POST", path, {**JSON, **{k.replace("_", "-"): v for k, v in headers.items()}}, orjson.dumps(body))


def count(running: Running) -> int:
    """How many sessions there are."""
    return len(running.call("GET", "/session?limit=1000")[1])


def cookie_of(running: Running) -> tuple[str, str]:
    """A signed-in browser's cookie and the token of its forms."""
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": running.url}
    answer = ask(running.port, "POST", "/signin", form, f"code={running.sign_in_code()}".encode())
    assert answer.status == 303, answer.body
    found = re.match(r"sid=([^;]+)", answer.headers["Set-Cookie"])
    assert found
    return found[1], csrf.csrf_token(found[1])


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:PORT",
        "127.0.0.1:1",
        "0.0.0.0:PORT",
        "[::2]:PORT",
    ],
)
def test_a_foreign_name_is_refused_everywhere(served: Served, host: str) -> None:
    port = served.running.port
    for place in PLACES:
        answer = ask(port, "GET", place, OWNER, hosts=[host.replace("PORT", str(port))])
        assert answer.status == 421, place
        assert answer.json["data"]["message"]
        assert "sid" not in str(answer.headers)


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["a", "b"],
        ["127.0.0.1:PORT", "127.0.0.1:PORT"],
        ["127.0.0.1:PORT", "evil"],
        ["evil@127.0.0.1:PORT"],
        ["127.0.0.1:PORT#"],
        ["127.0.0.1:PORT/"],
        ["a b"],
        ["127.0.0.1:x"],
        ["127.0.0.1:PORT,evil"],
    ],
)
def test_a_doubled_or_malformed_name_is_refused(served: Served, hosts: list[str]) -> None:
    port = served.running.port
    for place in ("/", "/session", "/event", "/static/style.css"):
        answer = ask(port, "GET", place, OWNER, hosts=[host.replace("PORT", str(port)) for host in hosts])
        assert answer.status == 400, place


def test_an_address_in_the_request_line_is_no_way_around(served: Served) -> None:
    port = served.running.port
    answer = ask(port, "GET", "http://evil.example/session", OWNER)
    assert answer.status in (400, 421)


def test_its_own_names_are_taken(served: Served) -> None:
    port = served.running.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert ask(port, "GET", "/session", OWNER, hosts=[host]).status == 200


def test_a_cookie_from_elsewhere_changes_nothing(served: Served) -> None:
    running = served.running
    sid, token = cookie_of(running)
    before, text = count(running), b'{"title": "Foreign"}'
    mine = {"Cookie": f"sid={sid}", **JSON}
    for more in (
        {"Origin": "https://evil.example", "X-CSRF-Token": token}, {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site", "X-CSRF-Token": token},
        {"Origin": f"{running.url}.evil.example", "X-CSRF-Token": token},
        {"Origin": running.url, "Sec-Fetch-Site": "cross-site", "X-CSRF-Token": token},
        {"Origin": running.url, "Sec-Fetch-Site": "same-site", "X-CSRF-Token": token},
        {"Origin": GUEST, "X-CSRF-Token": token},
        {"Origin": running.url}, {"Origin": running.url, "X-CSRF-Token": "0" * 64}, {},
        {"Origin": "https://evil.example", "Content-Type": "text/plain"},
    ):  # fmt: skip
        answer = ask(running.port, "POST", "/session", {**mine, **more}, text)
        assert answer.status == 403, (more, answer.body)
        assert answer.json["name"] == "ForbiddenError"
    form = {"Cookie": f"sid={sid}", "Content-Type": "application/x-www-form-urlencoded"}
    for more in ({"Origin": "https://evil.example"}, {"Origin": running.url}):
        fields = f"text=x&csrf_token={token if 'evil' in more['Origin'] else ''}"
        assert ask(running.port, "POST", "/demo", {**form, **more}, fields.encode()).status == 403
    assert count(running) == before
    good = {**mine, "Origin": running.url, "X-CSRF-Token": token}
    assert ask(running.port, "POST", "/session", good, text).status == 200
    assert count(running) == before + 1


def test_credentials_of_clients_are_taken(served: Served) -> None:
    running = served.running
    secret = mint(running, "laptop")
    basic = [base64.b64encode(f"opencode:{word}".encode()).decode() for word in (secret, TOKEN)]
    given = [{"Authorization": f"Basic {word}"} for word in basic]
    for headers in (*given, OWNER, {"Authorization": f"Bearer {secret}"}, {"X-API-Key": secret}):
        assert ask(running.port, "GET", "/session", headers).status == 200, headers


def test_wrong_credentials_are_told_how_to_come_back(served: Served) -> None:
    running = served.running
    sid, _ = cookie_of(running)
    other = base64.b64encode(f"root:{TOKEN}".encode()).decode()
    for headers in (
        {}, {"Authorization": "Bearer sc_wrong"}, {"Authorization": "Basic !!"}, {"Authorization": f"Basic {other}"},
        {"Authorization": "Bearer"}, {"Cookie": "sid=wrong"}, {"Authorization": "Bearer sc_wrong", "Cookie": f"sid={sid}"},
    ):  # fmt: skip
        for place in ("/session", "/event", "/global/health", "/doc"):
            answer = ask(running.port, "GET", place, headers)
            assert (answer.status, answer.json["name"]) == (401, "UnauthorizedError"), headers
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert ask(running.port, "GET", f"/session?token={TOKEN}&password={TOKEN}").status == 401


def test_the_open_door_says_so_on_every_page(open_served: Running) -> None:
    for place in ("/", "/sessions", "/projects", "/inbox", "/nosuch"):
        answer = ask(open_served.port, "GET", place, {"Accept": "text/html"})
        assert answer.status == (404 if place == "/nosuch" else 200), place
        assert b"Sign-in is off" in answer.body, place


def test_the_open_door_is_no_door_for_other_sites(open_served: Running) -> None:
    port = open_served.port
    assert ask(port, "GET", "/session").status == 200
    assert post(port, "/session", {}).status == 200
    before = count(open_served)
    for more in ({"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
        assert post(port, "/session", {}, **more).status == 403
    assert (
        ask(port, "POST", "/session", {"Origin": "https://evil.example", "Content-Type": "text/plain"}, b"{}").status
        == 403
    )
    assert ask(port, "GET", "/session", hosts=["evil.example"]).status == 421
    assert count(open_served) == before


@pytest.mark.parametrize("more", [{"AUTH": "none"}, {"PORTS": "opencode=4096:reader"}], ids=["open", "token port"])
def test_the_open_door_and_token_ports_are_for_loopback_only(tmp_path: Path, more: dict[str, str]) -> None:
    for host in ("0.0.0.0", "::", "0", "192.168.0.1", "::ffff:0.0.0.0"):
        running = Running(tmp_path / "data", HOST=host, PUBLIC_URL="https://cabin.example.org", **more)
        with pytest.raises(Invalid, match="loopback"):
            Config.from_environ(running.environ)
    done = subprocess.run(
        [sys.executable, "-m", "app", "serve"], cwd=ROOT, env=running.environ, check=False, capture_output=True
    )
    assert done.returncode != 0
    assert b"loopback" in done.stderr


def test_a_port_acts_as_its_token_and_never_beyond(served: Served) -> None:
    running, port = served.running, served.reader_port
    session_id = running.call("POST", "/session", {"title": "Seen"})[1]["id"]
    assert session_id in {one["id"] for one in ask(port, "GET", "/session?limit=1000").json}
    assert ask(port, "GET", f"/session/{session_id}").json["title"] == "Seen"
    before = count(running)
    changes: list[tuple[str, str, Any]] = [
        ("POST", "/session", {}), ("DELETE", f"/session/{session_id}", None), ("PATCH", f"/session/{session_id}", {"title": "x"}),
        ("POST", f"/session/{session_id}/message", {"parts": [{"type": "text", "text": "x"}]}),
        ("POST", f"/session/{session_id}/abort", None),
    ]  # fmt: skip
    for method, path, body in changes:
        answer = ask(port, method, path, JSON, orjson.dumps(body) if body is not None else None)
        assert (answer.status, answer.json["name"]) == (403, "ForbiddenError"), path
    assert ask(port, "GET", "/event").status == 403
    assert count(running) == before


def test_a_port_has_no_pages_and_no_other_names(served: Served) -> None:
    sid, _ = cookie_of(served.running)
    for port in (served.reader_port, served.plain_port):
        for place in ("/", "/signin", "/inbox", "/static/style.css", "/opencode/session"):
            assert ask(port, "GET", place, {"Accept": "text/html", "Cookie": f"sid={sid}"}).status in (401, 404), place
        assert ask(port, "GET", "/session", hosts=["evil.example"]).status == 421
        assert post(port, "/session", {}, Origin="https://evil.example").status in (401, 403)


def test_credentials_count_on_a_port_as_well(served: Served) -> None:
    assert ask(served.reader_port, "GET", "/event", OWNER).status == 200
    assert ask(served.reader_port, "GET", "/session", {"Authorization": "Bearer wrong"}).status == 401


def test_a_port_without_a_token_demands_credentials(served: Served) -> None:
    answer = ask(served.plain_port, "GET", "/session")
    assert (answer.status, answer.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    assert ask(served.plain_port, "GET", "/session", OWNER).status == 200


def test_what_comes_in_by_a_port_is_recorded_and_home_says_so(tmp_path: Path) -> None:
    port = free_port()
    with Running(tmp_path / "data", PORTS=f"opencode={port}:gone") as running:
        assert ask(port, "GET", "/session").status == 401
        mint(running, "gone", "sessions:*", "projects:read")
        assert ask(port, "GET", "/session").status == 200
        assert post(port, "/session", {"title": "By port"}).status == 200
        rows = audit(running, "port.change")
        assert [(row["target"], row["detail"]) for row in rows] == [
            ("POST /session", {"port": str(port), "token": "gone"})
        ]
        assert rows[0]["token"]
        assert last_used(running, "gone") is not None
        home = ask(running.port, "GET", "/", {**OWNER, "Accept": "text/html"}).body.decode()
        assert f"Port {port}" in home
        assert "<b>gone</b>" in home


def audit(running: Running, action: str) -> list[dict[str, Any]]:
    """The rows of the audit record with this action."""
    connection = sqlite3.connect(running.data_dir / "signalcabin.db")
    connection.row_factory = sqlite3.Row
    found = connection.execute("SELECT * FROM audit WHERE action = ? ORDER BY seq", (action,)).fetchall()
    connection.close()
    return [{**row, "detail": orjson.loads(row["detail"])} for row in map(dict, found)]


def last_used(running: Running, name: str) -> int | None:
    """When a token was used last, once that is written."""
    connection = sqlite3.connect(running.data_dir / "signalcabin.db")
    deadline = time.monotonic() + PATIENCE
    used = None
    while used is None and time.monotonic() < deadline:
        (used,) = connection.execute("SELECT last_used FROM token WHERE name = ?", (name,)).fetchone()
    connection.close()
    return used


def test_every_kind_of_answer_has_the_security_headers(served: Served) -> None:
    port = served.running.port
    html = {"Accept": "text/html"}
    kinds: list[tuple[int, str, dict[str, str]]] = [
        (200, "/", {**OWNER, **html}), (200, "/signin", html), (200, "/session", OWNER), (200, "/event", OWNER),
        (200, "/static/style.css", {}), (200, "/static/style.css?v=1", {}), (401, "/session", {}), (404, "/nosuch", html),
        (404, "/nosuch", {}), (404, "/session/ses_none", OWNER), (405, "/session/status/x/y", OWNER), (303, "/inbox", html),
        (404, "/static/nosuch.css", {}),
    ]  # fmt: skip
    for status, place, headers in kinds:
        answer = ask(port, "GET", place, headers)
        assert answer.status in (status, 404), (place, answer.status)
        complain(answer, place)
    complain(ask(port, "GET", "/", hosts=["evil.example"]), "421")
    complain(ask(port, "TRACE", "/"), "405")
    complain(ask(port, "POST", "/session", {**OWNER, **JSON}, b"{"), "400")
    complain(ask(port, "OPTIONS", "/session"), "OPTIONS")


def complain(answer: Answer, place: str) -> None:
    """Fail unless the headers are all there, once each, and tell no version."""
    for name in HEADERS:
        assert len(answer.headers.get_all(name) or []) == 1, (place, name, answer.status)
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert not re.search(r"\d", answer.headers.get("Server") or ""), place
    assert "Strict-Transport-Security" not in answer.headers


def test_only_listed_origins_may_read_answers(served: Served) -> None:
    port = served.running.port
    for place in ("/session", "/event", "/global/health"):
        for origin in (
            "https://evil.example",
            "null",
            f"{GUEST}.evil.example",
            "http://app.example.org",
            f"{GUEST}:444",
            "*",
        ):
            answer = ask(port, "GET", place, {**OWNER, "Origin": origin})
            assert "Access-Control-Allow-Origin" not in answer.headers, origin
        answer = ask(port, "GET", place, {**OWNER, "Origin": GUEST})
        assert answer.headers["Access-Control-Allow-Origin"] == GUEST
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Origin" not in ask(port, "GET", "/", {**OWNER, "Origin": GUEST}).headers


def test_a_preflight_tells_listed_origins_alone(served: Served) -> None:
    port, wish = served.running.port, {"Access-Control-Request-Method": "POST"}
    good = ask(port, "OPTIONS", "/session", {"Origin": GUEST, **wish})
    assert good.status in (200, 204)
    assert "POST" in good.headers["Access-Control-Allow-Methods"]
    assert "authorization" in good.headers["Access-Control-Allow-Headers"]
    bad = ask(
        port,
        "OPTIONS",
        "/session",
        {"Origin": "https://evil.example", **wish, "Access-Control-Request-Private-Network": "true"},
    )
    assert not [name for name in bad.headers if name.startswith("Access-Control")]


def test_other_methods_and_overrides_are_refused(served: Served) -> None:
    running = served.running
    session_id = running.call("POST", "/session", {"title": "Kept"})[1]["id"]
    for method in ("TRACE", "CONNECT", "TRACK", "PROPFIND", "get"):
        assert ask(running.port, method, "/session", OWNER).status in (400, 405), method
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = ask(running.port, "POST", f"/session/{session_id}", {**OWNER, **JSON, header: "DELETE"}, b"{}")
        assert answer.status == 400
    assert ask(running.port, "POST", f"/session/{session_id}?_method=DELETE", {**OWNER, **JSON}, b"{}").status == 405
    assert running.call("GET", f"/session/{session_id}")[0] == 200


@pytest.mark.parametrize("smuggled", [
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxx",
    b"Content-Length: +5\r\n\r\nxxxxx", b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", b"Content-Length: -1\r\n\r\n",
])  # fmt: skip
def test_no_second_request_hides_in_a_body(served: Served, smuggled: bytes) -> None:
    port = served.running.port
    head = f"POST /session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
    hidden = f"GET /static/style.css HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(head.encode() + b"Content-Type: application/json\r\n" + smuggled + hidden)
        raw.shutdown(socket.SHUT_WR)
        got = b"".join(iter(lambda: raw.recv(65536), b""))
    assert got.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501", b"HTTP/1.0 400")), got[:200]
    assert b"text/css" not in got


def test_a_large_body_is_refused_before_it_is_read(served: Served) -> None:
    port = served.running.port
    head = (
        f"POST /session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(head.encode())
        assert raw.recv(65536).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_is_counted(served: Served) -> None:
    port = served.running.port
    head = (
        f"POST /session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        # One byte over the limit, so that the server has read all of it when it answers and hangs up.
        raw.sendall(head.encode() + f"{MIB + 1:x}\r\n".encode() + b'"' + b"x" * MIB + b"\r\n0\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 413")


def test_a_connection_is_kept_for_the_next_request(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.running.port, timeout=20)
    connection.connect()
    first = connection.sock
    body = {**OWNER, **JSON}
    asked: list[tuple[str, str, bytes | None, dict[str, str]]] = [
        ("GET", "/session", None, OWNER), ("GET", "/session/ses_none", None, OWNER), ("POST", "/session", b"{", body),
        ("POST", "/session/ses_none/abort", b'{"unread": true}', body), ("GET", "/static/style.css", None, {}),
        ("GET", "/session", None, {}), ("GET", "/session", None, OWNER),
    ]  # fmt: skip
    seen = []
    for method, path, given, headers in asked:
        connection.request(method, path, given, headers)
        response = connection.getresponse()
        response.read()
        seen.append(response.status)
        assert connection.sock is first
    assert seen == [200, 404, 400, 404, 200, 401, 200]
    connection.close()


def test_term_ends_streams_at_once(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as running:
        followers = [Follower(running), Follower(running, "/global/event")]
        assert running.process is not None
        began = time.monotonic()
        waiter = threading.Thread(target=running.process.wait)
        running.process.terminate()
        waiter.start()
        waiter.join(PATIENCE)
        took = time.monotonic() - began
        for follower in followers:
            follower.close()
        assert running.process.poll() == 0, f"still there after {took:.1f} s"
