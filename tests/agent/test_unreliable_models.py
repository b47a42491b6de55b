"""Models that fail in every way a server can: on each wire no run hangs, no text is lost, no client gets a 500."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from app.config import Config
from tests.conftest import Caller
from tests.dialects.opencode_schemas import check_message
from tests.dialects.opencode_turns import ask, begin, idle, said
from tests.model_server import (
    Call,
    CutAfter,
    End,
    Fail,
    Item,
    ModelServer,
    Raw,
    Say,
    Stall,
    Typed,
)
from tests.model_wires import SPELLINGS, WIRES

FIRST_BYTE = BETWEEN_BYTES = 1.0
DEADLINE = 6 * FIRST_BYTE + 2
KEYS = {"openai": "OPENAI", "anthropic": "ANTHROPIC", "google": "GEMINI"}
BASE_URLS = {"openai": "OPENAI_BASE_URL", "anthropic": "ANTHROPIC_BASE_URL", "google": "GOOGLE_GEMINI_BASE_URL"}
FINE = [Say("Here.")]
PAGE = b"<html><body>Bad gateway</body></html>"
LONG = "word " * 100
CUTS = (1, 100, 700, 1500, 1999)


def _todo(number: int) -> Call:
    """A call that is no other one again: a model that repeats itself has to ask."""
    return Call(
        "todowrite", {"todos": [{"id": "1", "content": f"Step {number}", "status": "pending", "priority": "low"}]}
    )


@dataclass(frozen=True)
class Case:
    """What the model's server does, and what a turn comes to."""

    script: Sequence[Sequence[Item]] = ()
    base_url: str = ""
    texts: tuple[str, ...] = ("Here.",)
    tries: int = 1
    error: str = ""
    requests: int | None = None
    calls: dict[str, int] = field(default_factory=dict)


def failing(status: int, **more: Any) -> Case:
    return Case([[Fail(status, **more)], FINE], tries=2)


UNREACHED = {"texts": (), "tries": 6, "error": "APIError", "requests": 0}
CASES: dict[str, Case] = {
    "429 with Retry-After": failing(429, headers=(("Retry-After", "0.05"),)),
    "429 without": failing(429),
    "500": failing(500),
    "502": failing(502),
    "503": failing(503),
    "529": failing(529),
    "connection refused": Case(base_url="http://127.0.0.1:1/v1", **UNREACHED),
    "no such name": Case(base_url="http://nowhere.invalid/v1", **UNREACHED),
    "no TLS": Case(base_url="https://127.0.0.1:{plain}/v1", **UNREACHED),
    "first byte late": Case([[Stall()], FINE], tries=2),
    "stream stalls": Case([[Say("Half"), Stall()], FINE], tries=2, texts=("Half", "Here.")),
    "cut after n bytes": Case([[Say(LONG, size=5), CutAfter(size)] for size in CUTS], tries=6),
    "half a character": Case([[Say("Half"), Raw("half of €"), Say(" whole")]], texts=("Halfhalf of \ufffd whole",)),
    "invalid JSON arguments": Case([[Call("read", '{"filePath": ')], FINE], calls={"error": 1}),
    "invalid JSON arguments for ever": Case(
        [[Say("Again"), Call("read", '{"filePath": ')]] * 9,
        texts=("Again",) * 4,
        error="UnknownError",
        requests=4,
        calls={"error": 4},
    ),
    "unknown tool": Case([[Call("fly", {})], FINE], calls={"completed": 1}),
    "duplicate tool id": Case([[Call("todoread", {}, "same"), Call("todoread", {}, "same")], FINE], calls={"completed": 2}),
    "50 calls at once": Case([[_todo(n) for n in range(50)], FINE], calls={"completed": 50}),
    "one token of 5 MB": Case([[Say("x" * 5_000_000)]], texts=("x" * 5_000_000,)),
    "empty answer": Case([[]], texts=()),
    "finish without stop": Case([[Say("Half"), End()], FINE], tries=2, texts=("Half", "Here.")),
    "wrong content type": Case([[Typed("text/plain"), *FINE]]),
    "HTML error page": Case([[Fail(502, PAGE, (("Content-Type", "text/html"),))], [Typed("text/html"), Raw(PAGE)]],
                            tries=2, texts=(), error="APIError"),
    "401": Case([[Fail(401)]], texts=(), error="ProviderAuthError"),
    "402": Case([[Fail(402)]], texts=(), error="APIError"),
}  # fmt: skip


@pytest.fixture
def settings(settings: Config, workspace: Path) -> Config:
    """A server that waits for models as long as these tests like."""
    return replace(settings, project=workspace, model_waits=(2.0, FIRST_BYTE, BETWEEN_BYTES), model_pause=0.001)


@pytest.fixture
def plain() -> Iterator[int]:
    """The port of a server that answers a TLS handshake in plain text."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer_plainly, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def _answer_plainly(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.fixture
def point(monkeypatch: pytest.MonkeyPatch, model_server: ModelServer) -> Callable[[str, str], None]:
    """Points a wire to the model server, or to another address."""

    def point(wire: str, base_url: str) -> None:
        monkeypatch.setenv(f"{KEYS[wire]}_API_KEY", "test-key")
        monkeypatch.setenv(BASE_URLS[wire], base_url or model_server.urls[wire])

    return point


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", CASES)
def test_a_turn_ends_whatever_the_model_s_server_does(
    call: Caller,
    model_server: ModelServer,
    point: Callable[[str, str], None],
    plain: int,
    caplog: pytest.LogCaptureFixture,
    wire: str,
    name: str,
) -> None:
    case = CASES[name]
    point(wire, case.base_url.format(plain=plain))
    model_server.script = [[_spelled(item, wire) for item in items] for items in case.script]
    session_id = begin(call)
    began = time.monotonic()
    answer = ask(call, session_id, said("Hi", model={"providerID": wire, "modelID": "scripted"}))
    assert time.monotonic() - began < DEADLINE
    idle(call, session_id)
    transcript = call.get(f"/opencode/session/{session_id}/message").json
    for message in transcript:
        check_message(message)
    parts = [part for message in transcript[1:] for part in message["parts"]]
    texts = _told_before_the_cuts(wire) if name == "cut after n bytes" else case.texts
    assert _shortened(part["text"] for part in parts if part["type"] == "text") == _shortened(texts)
    assert sum(part["type"] == "retry" for part in parts) == case.tries - 1
    assert answer["info"].get("error", {}).get("name", "") == case.error
    assert len(model_server.requests) == case.requests or case.requests is None
    states = [part["state"]["status"] for part in parts if part["type"] == "tool"]
    assert {state: states.count(state) for state in states} == case.calls
    assert all(message["info"]["time"].get("completed") for message in transcript[1:])
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def _told_before_the_cuts(wire: str) -> list[str]:
    """The words whose events are whole when the connection drops, and the answer of the last try."""
    spelling = SPELLINGS[wire]()
    told = spelling.begin() + b"".join(spelling.text(LONG[:5]) for _ in range(100))
    whole = (told[:size].rpartition(b"\n")[0] for size in CUTS)
    return [*filter(None, (("word " * events.count(b"word ")).strip() for events in whole)), "You said: Hi"]


def _shortened(texts: Any) -> list[str]:
    """The beginnings of texts, and of those that are long whether all is there."""
    return [text if len(text) < 40 else f"{text[:4]}… {len(text) > 1_000_000}" for text in texts]


def _spelled(item: Item, wire: str) -> Item:
    """A chunk of text that breaks off in the middle of a character, as the wire spells it."""
    if not (isinstance(item, Raw) and isinstance(item.chunk, str)):
        return item
    chunk = {
        "openai": {"choices": [{"delta": {"content": item.chunk}}]},
        "anthropic": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": item.chunk}},
        "google": {"candidates": [{"content": {"parts": [{"text": item.chunk}]}}]},
    }[wire]
    return Raw(b"data: " + json.dumps(chunk, ensure_ascii=False).encode().replace("€".encode(), b"\xe2\x82") + b"\n\n")
