from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app import body_limits, guard, security_headers
from app.config import Config, DialectPort
from app.errors import TooLarge

CONFIG = Config(
    port=8000,
    ports=(DialectPort("opencode", 4096),),
    allowed_hosts=("Cabin.lan", "cabin.lan:81", "only.lan:8443"),
    public_url="https://cabin.example.org",
)


class Inner:
    """The app behind the guard: remembers whether it was reached and reads the body if told."""

    def __init__(self) -> None:
        self.reached = False
        self.environ: dict[str, Any] = {}
        self.reads = True

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.reached, self.environ = True, environ
        body = environ["wsgi.input"].read() if self.reads else b""
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]


def ask(
    path: str = "/inbox", *, inner: Inner | None = None, trusted_proxies: tuple[str, ...] = (), **more: Any
) -> tuple[int, dict[str, str], bytes, Inner]:
    """Ask the guard; `more` goes to the environ (lower-case names are those of EnvironBuilder)."""
    reached = inner or Inner()
    raw = {name: more.pop(name) for name in list(more) if name.isupper() or "." in name}
    builder = EnvironBuilder(path, base_url="http://127.0.0.1:8000", **more)
    environ = builder.get_environ()
    environ.update(raw)
    chunks, status, headers = run_wsgi_app(
        guard.Guard(reached, replace(CONFIG, trusted_proxies=trusted_proxies)), environ
    )
    body = b"".join(chunks)
    return int(status[:3]), dict(headers), body, reached


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8000",
        "localhost:8000",
        "LOCALHOST:8000",
        "[::1]:8000",
        "127.0.0.1:4096",
        "cabin.lan",
        "cabin.lan:9999",
        "only.lan:8443",
        "cabin.example.org",
    ],
)
def test_it_lets_our_own_names_through(host: str) -> None:
    assert ask(HTTP_HOST=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1:9",
        "127.0.0.1",
        "localhost.evil.example:8000",
        "127.0.0.1.evil.example:8000",
        "localhost.:8000",
        "0.0.0.0:8000",
        "[::]:8000",
        "only.lan",
        "xcabin.lan",
        "2130706433:8000",
    ],
)
@pytest.mark.parametrize("path", ["/", "/session", "/api/v1/runs", "/health", "/static/style.css"])
def test_it_refuses_a_foreign_host(host: str, path: str) -> None:
    status, _, _, inner = ask(path, HTTP_HOST=host, HTTP_AUTHORIZATION="Bearer sc_good")
    assert status in (400, 421)
    assert not inner.reached


@pytest.mark.parametrize(
    "host",
    [
        *("", "a b", "-x", "\xe9.lan", "[::1:8000", "::1", "127.0.0.1:", "127.0.0.1:99999999"),
        *("127.0.0.1:8000,evil.example", "user@127.0.0.1:8000", "127.0.0.1:8000#x"),
        *("127.0.0.1:8000/x", "127.0.0.1:8000\n"),
    ],
)
def test_it_refuses_a_malformed_host(host: str) -> None:
    assert ask(HTTP_HOST=host)[0] == 400


def test_the_port_it_came_in_by_counts() -> None:
    assert ask(HTTP_HOST="127.0.0.1:54321", SERVER_PORT="54321")[0] == 200


def test_a_forwarded_host_counts_for_nothing() -> None:
    assert ask(HTTP_HOST="evil.example", HTTP_X_FORWARDED_HOST="127.0.0.1:8000")[0] == 421


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "PROPFIND", "get", ""])
def test_it_refuses_methods_that_nobody_needs(method: str) -> None:
    status, headers, _, inner = ask(REQUEST_METHOD=method)
    assert status == 405
    assert "GET" in headers["Allow"]
    assert not inner.reached


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_no_header_overrides_the_method(name: str) -> None:
    assert ask(method="POST", headers={name: "DELETE"})[0] == 400


def test_the_address_has_a_limit() -> None:
    assert ask("/" + "a" * 8000)[0] == 200
    assert ask("/" + "a" * 8192)[0] == 414
    assert ask("/", query_string="a=" + "b" * 8192)[0] == 414


@pytest.mark.parametrize("path", ["/a\x00b", "/a\nb", "/a\x7fb", "*", "http://evil.example/"])
def test_it_refuses_a_malformed_address(path: str) -> None:
    assert ask(PATH_INFO=path, RAW_URI=path, REQUEST_URI=path)[0] == 400


def test_headers_have_a_limit() -> None:
    assert ask(headers={"X-Big": "a" * 16_000})[0] == 200
    assert ask(headers={"X-Big": "a" * 17_000})[0] == 431
    assert ask(headers={f"X-{number}": "a" for number in range(101)})[0] == 431


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/session", body_limits.MIB),
        ("/session/ses_1/message", 32 * body_limits.MIB),
        ("/opencode/session/ses_1/message", 32 * body_limits.MIB),
        ("/session/ses_1/messages", body_limits.MIB),
        ("/api/v1/runs", 32 * body_limits.MIB),
        ("/api/tasks", 32 * body_limits.MIB),
        ("/api/v1/fs/list", body_limits.MIB),
        ("/api/v1/files/upload", body_limits.GIB),
        ("/e2b/files", body_limits.GIB),
        ("/filesystem", body_limits.MIB),
        ("/api/v1/hooks/abc", body_limits.MIB),
    ],
)
def test_each_path_has_its_limit(path: str, limit: int) -> None:
    assert body_limits.limit_for(path) == limit
    inner = Inner()
    inner.reads = False
    assert ask(path, inner=inner, method="POST", CONTENT_LENGTH=str(limit))[0] == 200
    assert inner.environ["signalcabin.body_limit"] == limit
    assert ask(path, method="POST", CONTENT_LENGTH=str(limit + 1))[0] == 413


def test_a_body_over_the_limit_is_not_read() -> None:
    class Untouchable(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise AssertionError("the body was read")

    more = {"CONTENT_LENGTH": str(body_limits.MIB + 1), "wsgi.input": Untouchable()}
    status, headers, _, inner = ask(method="POST", **more)
    assert status == 413
    assert headers["Connection"] == "close"
    assert not inner.reached


@pytest.mark.parametrize("length", ["-1", "1e3", " 5", "0x10", "٣", "9" * 40])
def test_it_refuses_a_malformed_length(length: str) -> None:
    assert ask(method="POST", CONTENT_LENGTH=length)[0] in (400, 413)


def test_it_refuses_a_length_beside_chunks() -> None:
    assert ask(method="POST", CONTENT_LENGTH="5", HTTP_TRANSFER_ENCODING="chunked")[0] == 400


def chunked(size: int) -> dict[str, Any]:
    """A body that comes in chunks: its length is not told."""
    return {"CONTENT_LENGTH": "", "wsgi.input": io.BytesIO(b"a" * size), "wsgi.input_terminated": True}


def test_chunks_are_counted() -> None:
    assert len(ask(method="POST", **chunked(body_limits.MIB))[2]) == body_limits.MIB
    with pytest.raises(TooLarge):
        ask(method="POST", **chunked(body_limits.MIB + 1))


@pytest.mark.parametrize("size", [-1, 3, 7, 100])
def test_counting_changes_no_byte(size: int) -> None:
    def body(limit: int) -> guard.CountedBody:
        return guard.CountedBody(io.BytesIO(b"one\ntwo\nthree"), limit)

    whole = body(13)
    assert b"".join(iter(lambda: whole.read(size), b"")) == b"one\ntwo\nthree"
    assert list(body(13)) == body(13).readlines() == [b"one\n", b"two\n", b"three"]
    short = body(12)
    with pytest.raises(TooLarge):
        list(short)
    with pytest.raises(TooLarge):
        short.read(1)


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "x"])
def test_it_refuses_an_encoding_it_does_not_know(encoding: str) -> None:
    assert ask(method="POST", headers={"Content-Encoding": encoding})[0] == 415


@pytest.mark.parametrize("encoding", ["", "identity", "Identity"])
def test_a_plain_body_may_say_so(encoding: str) -> None:
    assert ask(method="POST", headers={"Content-Encoding": encoding})[0] == 200


def test_the_refusal_is_json_with_the_security_headers() -> None:
    status, headers, body, _ = ask(HTTP_HOST="evil.example")
    assert status == 421
    assert headers["Content-Type"] == "application/json"
    assert set(orjson.loads(body)) == {"error", "code", "name", "data"}
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert int(headers["Content-Length"]) == len(body)


def test_a_browser_reads_a_sentence() -> None:
    _, headers, body, _ = ask(HTTP_HOST="evil.example", HTTP_ACCEPT="text/html,*/*")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert body.startswith(b"<!doctype html>")
    assert b"evil.example" not in body


def test_a_head_is_refused_without_a_body() -> None:
    assert ask(method="HEAD", HTTP_HOST="evil.example")[2] == b""


@pytest.mark.parametrize("kind", ["page", "public_page", "push_page", "terminal_page"])
def test_a_page_runs_nothing_inline_or_foreign(kind: str) -> None:
    policy = security_headers.headers_for(kind)["Content-Security-Policy"]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["connect-src"] == "'self'"
    assert directives["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in policy
    assert "*" not in policy


KINDS = [
    "page",
    "public_page",
    "push_page",
    "terminal_page",
    "guest_page",
    "api",
    "stream",
    "download",
    "static",
    "vendored",
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_carries_the_same_fences(kind: str) -> None:
    headers = security_headers.headers_for(kind)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Content-Security-Policy" in headers
    assert ("no-store" in headers["Cache-Control"]) is (kind not in ("static", "vendored"))
    assert "Strict-Transport-Security" not in headers
    assert "Strict-Transport-Security" in security_headers.headers_for(kind, is_https=True)
