"""TERM under load: streams end at once and say when to come back, runs stop at a step and go on at the next start."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import repository
from tests.chaos.conftest import Report, times
from tests.model_server import ModelServer
from tests.running import TOKEN, Running
from tests.sse import Follower, Frame

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(times(300, 3600))]
STREAMS, RUNS, CALLERS = 20, 3, 3
STREAMS_END, EXIT = 2.0, 35.0
STEPS = "[[words 150 5]]&[[call list {}]][[words 150 5]]&[[call list {}]]"


class Callers:
    """Ask for the list of sessions again and again; who is refused a connection tries again."""

    def __init__(self, running: Running) -> None:
        self.answers: list[int] = []
        self.broken: list[str] = []
        self._running = running
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No more."""
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                self.answers.append(self._running.call("GET", "/session")[0])
            except (ConnectionRefusedError, ConnectionResetError, http.client.RemoteDisconnected):
                threading.Event().wait(0.01)  # the server is down: nothing tells when it is back
            except (OSError, http.client.HTTPException) as broken:
                self.broken.append(repr(broken))


def stream(running: Running) -> socket.socket:
    """An open stream."""
    raw = socket.create_connection(("127.0.0.1", running.port), timeout=40)
    raw.sendall(
        f"GET /event HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    )
    assert raw.recv(12) == b"HTTP/1.1 200"
    return raw


def rest(raw: socket.socket) -> bytes:
    """What comes until the end."""
    got = b""
    while more := raw.recv(65536):
        got += more
    return got


def one_round(running: Running) -> tuple[float, float]:
    """Load, TERM, start: seconds until the streams ended and until the server had."""
    assert running.process is not None
    follower = Follower(running)
    sessions = [running.call("POST", "/session", {})[1]["id"] for _ in range(RUNS)]
    for session_id in sessions:
        body = {"parts": [{"type": "text", "text": STEPS}]}
        assert running.call("POST", f"/session/{session_id}/prompt_async", body)[0] == 204

    def told(frames: list[Frame], kind: str, key: str = "sessionID") -> set[str]:
        return {f.data["properties"].get(key, "") for f in frames if f.data["type"] == kind}

    def are_talking(frames: list[Frame]) -> bool:
        parts = [f.data["properties"] for f in frames if f.data["type"] == "message.part.updated"]
        return {p["part"]["sessionID"] for p in parts if "delta" in p} >= set(sessions)

    callers = Callers(running)
    with ExitStack() as stack:
        streams = [stack.enter_context(stream(running)) for _ in range(STREAMS)]
        follower.until(are_talking)
        began = time.monotonic()
        running.process.terminate()
        ends = [rest(raw) for raw in streams]
        streams_ended = time.monotonic() - began
    assert all(b": this stream ends here\nretry: " in end for end in ends)
    assert running.process.wait(EXIT + 5) == 0
    exited = time.monotonic() - began
    running.start()
    follower.until(lambda frames: told(frames, "session.idle") >= set(sessions), 60)
    follower.close()
    callers.stop()
    assert set(callers.answers) == {200}
    assert callers.broken == []
    ids = [frame.id for frame in follower.frames if frame.id]
    assert len(ids) == len(set(ids))
    for session_id in sessions:
        _, messages = running.call("GET", f"/session/{session_id}/message")
        finishes = [m["info"]["finish"] for m in messages if m["info"]["role"] == "assistant"]
        assert finishes == ["tool-calls", "tool-calls", "stop"], "a step was cut, left out or done twice"
    return streams_ended, exited


def test_a_stop_under_load_loses_nothing(tmp_path: Path, report: Report) -> None:
    rounds = times(2, 50)
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(tmp_path / "data", repository.make(tmp_path.resolve() / "shop", files=5), **settings) as running:
            took = [one_round(running) for _ in range(rounds)]
            assert "Traceback" not in running.log.read_text()
    streams, exits = (max(one) for one in zip(*took, strict=True))
    report("R13", stops=rounds, streams_end_ms=int(streams * 1000), exit_ms=int(exits * 1000), server_errors=0)
    assert streams <= STREAMS_END
    assert exits <= EXIT
