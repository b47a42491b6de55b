"""A running server frees itself of clients that are slow to ask, to send, and to take."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import TOKEN, Running
from tests.sse import Follower

HEADER, BODY, ANSWER = 2.0, 0.6, 0.4


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of little patience, for few streams."""
    base: Path = tmp_path_factory.mktemp("slow")
    settings = {"CLIENT_WAITS": f"{HEADER},{BODY},{ANSWER}", "STREAMS_PER_SERVER": "8", "STREAMS_PER_USER": "6"}
    with Running(base / "data", **settings) as running:
        yield running


@contextlib.contextmanager
def connected(running: Running, small: bool = False) -> Iterator[socket.socket]:
    """A raw connection; a small one takes little before it is read."""
    with socket.socket() as raw:
        raw.settimeout(10)
        if small:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        raw.connect(("127.0.0.1", running.port))
        yield raw


def head(running: Running, method: str, path: str, *more: str) -> bytes:
    """The header of a request by the owner."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{running.port}", f"Authorization: Bearer {TOKEN}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_all(raw: socket.socket) -> bytes:
    """Everything until the server hangs up."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while more := raw.recv(65536):
            got += more
    return got


def trickle(raw: socket.socket, data: bytes, size: int, pause: float) -> bool:
    """Send a piece at a time until it is all sent, or the server hangs up or answers: False then."""
    raw.settimeout(pause)
    for start in range(0, len(data), size):
        try:
            raw.sendall(data[start : start + size])
            if raw.recv(1, socket.MSG_PEEK) is not None:
                raw.settimeout(10)
                return False
        except TimeoutError:
            continue
        except OSError:
            return False
    raw.settimeout(10)
    return True


def health_seconds(running: Running) -> float:
    """How long the health route takes to answer."""
    began = time.monotonic()
    assert running.call("GET", "/global/health")[0] == 200
    return time.monotonic() - began


def test_a_header_must_come_in_time(served: Running) -> None:
    with connected(served) as raw:
        began = time.monotonic()
        assert not trickle(raw, head(served, "GET", "/session"), 1, 0.1)
        assert read_all(raw).startswith(b"HTTP/1.1 408 ")
        assert HEADER <= time.monotonic() - began < HEADER + 20


def test_who_says_nothing_is_let_go(served: Running) -> None:
    with connected(served) as raw:
        began = time.monotonic()
        assert read_all(raw) == b""
        assert time.monotonic() - began < HEADER + 20


def test_a_kept_connection_starts_its_time_at_its_next_request(served: Running) -> None:
    with connected(served) as raw:
        for pause in (0.0, HEADER / 2, HEADER / 2, HEADER / 2):
            time.sleep(pause)  # the idle time is what is tested
            raw.sendall(head(served, "GET", "/global/health"))
            answer = http.client.HTTPResponse(raw)
            answer.begin()
            assert answer.status == 200
            answer.read()


def test_half_open_connections_hold_nobody_up(served: Running) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(100):
            raw = stack.enter_context(connected(served))
            if number % 2:
                raw.sendall(b"GET /session HTTP/1.1\r\nHost: ")
        assert max(health_seconds(served) for _ in range(5)) < 10


@pytest.mark.parametrize("framing", ["Content-Length: 5000", "Transfer-Encoding: chunked"])
def test_a_body_must_keep_up_its_rate(served: Running, framing: str) -> None:
    with connected(served) as raw:
        raw.sendall(head(served, "POST", "/session", "Content-Type: application/json", framing))
        body = b"1388\r\n" + b" " * 5000 if "chunked" in framing else b" " * 5000
        assert not trickle(raw, body, 10, 0.05)
        answer, _, told = read_all(raw).partition(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert "more slowly" in json.loads(told)["data"]["message"]


def test_a_body_that_keeps_up_may_take_longer_than_anybody_waits(served: Running) -> None:
    body = json.dumps({"parentID": None, "title": "x" * 2000, "more": "x" * 2000}).encode()
    with connected(served) as raw:
        raw.sendall(head(served, "POST", "/session", "Content-Type: application/json", f"Content-Length: {len(body)}"))
        began = time.monotonic()
        assert trickle(raw, body[:-1], 400, 0.15)
        assert time.monotonic() - began > BODY
        raw.sendall(body[-1:])
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_who_takes_nothing_of_an_answer_is_let_go(served: Running) -> None:
    _, session = served.call("POST", "/session", {})
    part = {"type": "text", "text": "x" * 8_000_000}
    path = f"/session/{session['id']}/message"
    served.call("POST", path, {"noReply": True, "parts": [part]})
    with connected(served, small=True) as raw:
        raw.sendall(head(served, "GET", path))
        assert raw.recv(12) == b"HTTP/1.1 200"
        time.sleep(4 * ANSWER)  # that nothing is taken is what is tested
        assert len(read_all(raw)) < 8_000_000
    assert health_seconds(served) < 20
    assert "Traceback" not in served.log.read_text()


def test_who_does_not_read_a_stream_is_dropped_and_comes_back(served: Running) -> None:
    _, session = served.call("POST", "/session", {})
    follower = Follower(served)
    with connected(served, small=True) as raw:
        raw.sendall(head(served, "GET", "/event"))
        start = raw.recv(4096)
        assert start.startswith(b"HTTP/1.1 200 ")
        for number in range(12):
            part = {"type": "text", "text": f"{number:02}" + "x" * 500_000}
            served.call("POST", f"/session/{session['id']}/message", {"noReply": True, "parts": [part]})
        got = start + read_all(raw)
    assert b"\nretry: " in got
    whole = got[: got.rindex(b"\n\n")]
    assert len(whole) < 5_000_000
    ids = [line[4:].decode() for line in whole.split(b"\n") if line.startswith(b"id: ")]
    again = Follower(served, last_id=ids[-1])

    def texts(follower: Follower) -> list[str]:
        parts = [f.data["properties"]["part"] for f in follower.frames if f.data["type"] == "message.part.updated"]
        return [part["text"][:2] for part in parts if part["sessionID"] == session["id"]]

    for one in (follower, again):
        one.until(lambda _frames, one=one: texts(one)[-1:] == ["11"])  # type: ignore[misc]
        one.close()
    assert texts(follower) == [f"{number:02}" for number in range(12)]
    tail = [frame.id for frame in again.frames if frame.id]
    every = [frame.id for frame in follower.frames if frame.id]
    first = every.index(ids[-1]) + 1
    assert tail == every[first : first + len(tail)]


def test_streams_are_bounded_by_person(served: Running) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            raw = stack.enter_context(connected(served))
            raw.sendall(head(served, "GET", "/event"))
            assert raw.recv(12) == b"HTTP/1.1 200"
        raw = stack.enter_context(connected(served))
        raw.sendall(head(served, "GET", "/event"))
        refused = raw.recv(65536)
        assert refused.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nRetry-After: 5\r\n" in refused


def test_streams_are_bounded_by_server(tmp_path: Path) -> None:
    with Running(tmp_path / "data", STREAMS_PER_SERVER="3") as running, contextlib.ExitStack() as stack:
        for _ in range(3):
            raw = stack.enter_context(connected(running))
            raw.sendall(head(running, "GET", "/event"))
            assert raw.recv(12) == b"HTTP/1.1 200"
        raw = stack.enter_context(connected(running))
        raw.sendall(head(running, "GET", "/global/event"))
        assert raw.recv(12) == b"HTTP/1.1 429"


def test_a_stream_that_ends_says_when_to_come_back(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as running, connected(running) as raw:
        raw.sendall(head(running, "GET", "/event"))
        got = raw.recv(65536)
        assert running.process is not None
        running.process.terminate()
        got += read_all(raw)
        _, _, last = got.rstrip(b"\n").rpartition(b"\n\n")
        assert last.startswith(b": this stream ends here\nretry: ")
