"""Streams and waiting answers on a real server: they cost no threads and look like every other answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import repository
from tests.model_server import Gate, ModelServer, Say
from tests.running import TOKEN, Running

ALICE = {"Authorization": f"Bearer {TOKEN}"}
SAID = {"parts": [{"type": "text", "text": "hello"}]}


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    """The model behind the server."""
    with ModelServer() as running:
        yield running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, model: ModelServer) -> Iterator[Running]:
    """A server on a small repository."""
    base = tmp_path_factory.mktemp("streams").resolve()
    settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
    with Running(base / "data", repository.make(base / "shop", files=5), **settings) as running:
        yield running


def connect(served: Running) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)


def ask(served: Running, method: str, path: str, body: Any = None) -> http.client.HTTPConnection:
    """Send a request and leave its answer for later."""
    connection = connect(served)
    raw = json.dumps(body) if body is not None else None
    connection.request(method, path, raw, {**ALICE, "Content-Type": "application/json"})
    return connection


def threads(served: Running) -> int:
    assert served.process is not None
    tree = [psutil.Process(served.process.pid), *psutil.Process(served.process.pid).children()]
    return sum(process.num_threads() for process in tree)


def test_fifty_streams_take_no_threads(served: Running) -> None:
    before = threads(served)
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stream = stack.enter_context(contextlib.closing(ask(served, "GET", "/event")))
            response = stream.getresponse()
            assert response.readline().startswith(b"retry: ")
            assert b"server.connected" in response.readline()
        assert threads(served) < before + 10


def test_twenty_waiting_prompts_take_no_threads(served: Running, model: ModelServer) -> None:
    gate = threading.Event()
    sessions = [served.call("POST", "/session", {})[1]["id"] for _ in range(20)]
    model.script += [[Gate(gate), Say("here you are")] for _ in sessions]
    with contextlib.ExitStack() as stack:
        before = threads(served)
        waiting = [ask(served, "POST", f"/session/{session}/message", SAID) for session in sessions]
        until_busy(served, len(sessions))
        # Eight engines work at a time, whoever waits for them.
        assert threads(served) < before + 20
        gate.set()
        answers = [json.load(stack.enter_context(contextlib.closing(one)).getresponse()) for one in waiting]
    assert [answer["parts"][1]["text"] for answer in answers] == ["here you are"] * 20


def until_busy(served: Running, count: int) -> None:
    """Wait until so many sessions are at work or queued."""
    deadline = time.monotonic() + 20
    while len(served.call("GET", "/session/status")[1]) < count:
        assert time.monotonic() < deadline


def test_a_waiting_prompt_is_answered_like_any_request(served: Running) -> None:
    _, session = served.call("POST", "/session", {})
    with contextlib.closing(ask(served, "POST", f"/session/{session['id']}/message", SAID)) as asked:
        waited = asked.getresponse()
        waited.read()
    with contextlib.closing(ask(served, "GET", f"/session/{session['id']}")) as asked:
        plain = asked.getresponse()
        plain.read()
    assert waited.status == 200
    own = {"content-length", "date", "connection", "x-request-id", "server"}
    names = {name.lower() for name, _ in waited.getheaders()} | own
    assert names == {name.lower() for name, _ in plain.getheaders()} | own
    assert waited.getheader("Content-Security-Policy") == plain.getheader("Content-Security-Policy")


def test_a_stream_has_the_headers_of_a_stream(served: Running) -> None:
    with contextlib.closing(ask(served, "GET", "/event")) as asked:
        stream = asked.getresponse()
        assert stream.getheader("Content-Type", "").startswith("text/event-stream")
        assert stream.getheader("Cache-Control") == "no-store, no-transform"
        assert stream.getheader("X-Content-Type-Options") == "nosniff"
        assert stream.getheader("X-Request-Id")


def test_a_prompt_whose_session_is_deleted_is_told_so(served: Running, model: ModelServer) -> None:
    gate = Gate()
    _, session = served.call("POST", "/session", {})
    model.script.append([gate, Say("too late")])
    with contextlib.closing(ask(served, "POST", f"/session/{session['id']}/message", SAID)) as asked:
        assert gate.reached.wait(20)
        served.call("DELETE", f"/session/{session['id']}")
        answer = asked.getresponse()
        assert (answer.status, json.load(answer)["name"]) == (404, "NotFoundError")
    gate.opened.set()


def test_connections_that_linger_keep_nobody_waiting(served: Running) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(8):  # two seconds each, had they to be waited for one after the other
            lingering = stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=10))
            lingering.sendall(
                f"GET /session HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
                f"Authorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n".encode()
            )
            assert lingering.recv(12) == b"HTTP/1.1 200"
        began = time.monotonic()
        assert served.call("GET", "/session")[0] == 200
        assert time.monotonic() - began < 10


def test_stopping_ends_open_streams_at_once(tmp_path: Path) -> None:
    with Running(tmp_path / "data", repository.make(tmp_path.resolve() / "shop", files=5)) as running:
        with contextlib.closing(ask(running, "GET", "/event")) as asked:
            stream = asked.getresponse()
            assert stream.readline().startswith(b"retry: ")
            assert b"server.connected" in stream.readline()
            began = time.monotonic()
            running.stop()
            stream.read()
        assert time.monotonic() - began < 10
