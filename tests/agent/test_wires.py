"""What all wires do alike: reading a stream cut anywhere, asking more plainly, telling what a model cannot take."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from app import outbound
from app.agent.providers import (
    AssistantTurn,
    CallDone,
    Cancel,
    Cancelled,
    Delta,
    Done,
    Image,
    ProviderFailed,
    ReasoningDelta,
    Request,
    Text,
    TextDelta,
    Thought,
    ToolCall,
    ToolResult,
    ToolResults,
    Turn,
    UserTurn,
    fitting,
)
from app.agent.providers.catalog import WIRES
from app.agent.providers.circuit import Circuit
from app.agent.providers.line import close_all, line
from app.agent.providers.wire import Wire, events, whole
from tests.model_server import Call, End, Fail, Gate, Item, ModelServer, Raw, Say, Stall, Think, Typed
from tests.model_wires import SPELLINGS
from tests.patience import PATIENCE

EACH = pytest.mark.parametrize("name", WIRES)
PNG = Image("data:image/png;base64,AAAA", "image/png")
SVG = Image("data:image/svg+xml;base64,AAAA", "image/svg+xml")
SENTENCE = "which this model cannot take"


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server
        close_all()


def wire(server: ModelServer, name: str, **given: Any) -> Wire:
    return WIRES[name](name, server.urls[name], "secret", **given)  # type: ignore[index]


def asked(*turns: Turn) -> Request:
    return Request("scripted", "Be brief.", turns or (UserTurn((Text("hello"),)),))


def answer(server: ModelServer, name: str, request: Request | None = None, **given: Any) -> list[Delta]:
    return list(wire(server, name, **given).stream(request or asked(), Cancel()))


def failed(server: ModelServer, name: str, *items: Item) -> ProviderFailed:
    server.script.append(items)
    with pytest.raises(ProviderFailed) as caught:
        answer(server, name)
    return caught.value


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def spelled(name: str, size: int = 2048) -> bytes:
    """A stream of at least so many bytes: thought, text with characters of all lengths, a call, the end."""
    spelling = SPELLINGS[name]()
    told = spelling.begin() + spelling.thought("hm", "reasoning", "sig")
    pieces = ["naïve ", "€5 ", "😀 "]
    while len(told) < size:
        told += spelling.text(pieces[len(told) % 3])
    told += b"".join(spelling.call(0, "c1", "read", ['{"a":', '"ü"}'], ""))
    return told + spelling.end(None, None, True, 9)


def unescaped(stream: bytes) -> bytes:
    """The same with its characters as they are, not as escapes."""
    lines = stream.split(b"\n")
    return b"\n".join(
        b"data: " + json.dumps(json.loads(line[6:]), ensure_ascii=False).encode()
        if line.startswith(b"data: {")
        else line
        for line in lines
    )


@EACH
def test_a_stream_cut_at_any_byte_gives_what_was_whole_and_says_that_it_broke_off(name: str) -> None:
    stream = unescaped(spelled(name))
    assert len(stream) > 2048
    for end in range(len(stream)):
        deltas, broken = read(name, stream[:end])
        told = [line for line in stream[:end].split(b"\n") if is_json(line)]
        assert text_of(deltas) == "".join(text_of(read(name, line)[0]) for line in told)
        assert broken is None or broken.retryable
        assert (broken is None) == any(b"finish" in line.lower() or b"message_delta" in line for line in told)


def read(name: str, stream: bytes) -> tuple[list[Delta], ProviderFailed | None]:
    """What came of a stream, and what it failed with."""
    deltas: list[Delta] = []
    try:
        deltas.extend(events(iter([stream]), WIRES[name].ANSWER()))  # type: ignore[index]
    except ProviderFailed as failed:
        return deltas, failed
    return deltas, None


def is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line.removeprefix(b"data: ")), dict)
    except ValueError:
        return False


@EACH
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_stream_in_small_pieces_is_the_same_stream(name: str, size: int) -> None:
    stream = unescaped(spelled(name, 600))
    pieces = [stream[place : place + size] for place in range(0, len(stream), size)]
    one, many = (WIRES[name].ANSWER() for _ in range(2))  # type: ignore[index]
    assert list(events(iter([stream]), one)) == list(events(iter(pieces), many))
    assert list(one.end()) == list(many.end())


@EACH
def test_half_of_an_emoji_is_no_reason_to_fail(name: str) -> None:
    chunk = SPELLINGS[name]()
    stream = chunk.begin() + chunk.text("XX") + chunk.text("YY") + chunk.end(None, None, False, 1)
    stream = stream.replace(b"XX", rb"a\ud83d").replace(b"YY", b"\xf0\x9f b")
    assert text_of(list(events(iter([stream]), WIRES[name].ANSWER()))) == "a?\ufffd b"  # type: ignore[index]


@EACH
def test_it_streams_thoughts_text_and_calls_and_says_how_it_ended(server: ModelServer, name: str) -> None:
    server.script.append([Think("hm"), Say("hello there", size=4), Call("read", {"path": "a"}, "c1", size=3)])
    deltas = answer(server, name)
    assert "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta)) == "hm"
    assert [delta.text for delta in deltas if isinstance(delta, TextDelta)] == ["hell", "o th", "ere"]
    assert [delta for delta in deltas if isinstance(delta, CallDone)] == [CallDone("c1", "read", {"path": "a"})]
    assert isinstance(deltas[-1], Done)
    assert deltas[-1].finish == "tool-calls"


@EACH
def test_connections_are_kept_and_used_again(server: ModelServer, name: str) -> None:
    for _ in range(3):
        answer(server, name)
    assert server.connections == 1


@EACH
def test_cancelling_closes_the_stream(server: ModelServer, name: str) -> None:
    gate, cancel = Gate(), Cancel()
    server.script.append([Say("first"), gate])
    stream = wire(server, name).stream(asked(), cancel)
    assert next(stream) == TextDelta("first")
    assert gate.reached.wait(PATIENCE)
    cancel.set()
    with pytest.raises(Cancelled):
        list(stream)
    assert server.hung_up.acquire(timeout=PATIENCE)


def test_an_answer_that_comes_just_as_its_line_is_cut_is_not_read(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script.append([Say("too late")])
    real = httpx2.Client.send

    def send_and_cut(client: httpx2.Client, *given: Any, **more: Any) -> httpx2.Response:
        response = real(client, *given, **more)
        one.cut()
        return response

    monkeypatch.setattr(httpx2.Client, "send", send_and_cut)
    bounds = outbound.Bounds(connect=5, first_byte=5, between_bytes=5, total=None, size=None)
    with pytest.raises(outbound.Failed, match="cut"), line(server.url, True, bounds, Cancel()) as one:
        one.post(
            f"{server.url}/v1/chat/completions", b'{"messages": []}', {"content-type": "application/json"}, Cancel()
        )


@EACH
def test_a_name_that_is_looked_up_for_ever_is_not_waited_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = threading.Event()
    real = socket.getaddrinfo

    def look_up(host: Any, *given: Any, **more: Any) -> Any:
        if host in ("slow.invalid", b"slow.invalid"):
            found.wait(30)
            raise socket.gaierror("at last")
        return real(host, *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    bounds = outbound.Bounds(connect=0.02, first_byte=0.02, between_bytes=0.02, total=None, size=None)
    provider = WIRES[name](name, "http://slow.invalid/v1", "secret", bounds=bounds)  # type: ignore[index]
    with pytest.raises(ProviderFailed, match="in time") as caught:
        list(provider.stream(asked(), Cancel()))
    assert caught.value.retryable
    found.set()
    for thread in threading.enumerate():
        if thread.name == "model-request":
            thread.join(PATIENCE)


@EACH
def test_a_web_page_is_no_answer(server: ModelServer, name: str) -> None:
    failure = failed(server, name, Typed("text/html; charset=utf-8"), Raw(b"<html>Sign in</html>"), End())
    assert "web page" in failure.message
    assert "Sign in" in failure.body
    assert not failure.retryable


@EACH
def test_a_chunk_of_another_form_is_told_and_worth_another_try(server: ModelServer, name: str) -> None:
    odd = {"choices": ["?"], "candidates": ["?"], "type": "content_block_delta"}
    failure = failed(server, name, Say("half"), Raw(odd))
    assert "does not know" in failure.message
    assert failure.retryable


@EACH
def test_an_answer_that_is_a_number_is_told(name: str) -> None:
    with pytest.raises(ProviderFailed, match="does not know"):
        list(whole(b"7", WIRES[name].ANSWER()))  # type: ignore[index]


@EACH
def test_five_failures_in_a_row_open_the_circuit(server: ModelServer, name: str) -> None:
    shared = Circuit()
    server.script.extend([[Fail(503)]] * 5)
    for _ in range(5):
        with pytest.raises(ProviderFailed, match="Scripted error 503"):
            answer(server, name, circuit=shared)
    with pytest.raises(ProviderFailed, match="left alone"):
        answer(server, name, circuit=shared)
    assert len(server.requests) == 5


@EACH
def test_leaving_early_leaves_no_mark_on_the_circuit(server: ModelServer, name: str) -> None:
    shared = Circuit()
    for _ in range(6):
        server.script.append([Say("first"), Stall()])
        stream = wire(server, name, circuit=shared).stream(asked(), Cancel())
        assert next(stream) == TextDelta("first")
        stream.close()  # type: ignore[attr-defined]


@EACH
def test_a_picture_that_no_model_there_takes_is_told_in_its_place(server: ModelServer, name: str) -> None:
    called = AssistantTurn((ToolCall("c1", "read", {"path": "a"}),))
    given = ToolResults((ToolResult("c1", "read", "Attached.", images=(SVG,)),))
    answer(server, name, asked(UserTurn((Text("look"), SVG, PNG)), called, given))
    body = json.dumps(server.requests[0])
    assert body.count(f"A picture (image/svg+xml) was here, {SENTENCE}") == 2
    assert body.count("AAAA") == 1


@EACH
def test_a_model_without_pictures_gets_a_sentence_for_each(server: ModelServer, name: str) -> None:
    answer(server, name, asked(UserTurn((PNG,))), pictures=False)
    assert SENTENCE in json.dumps(server.requests[0])
    assert "AAAA" not in json.dumps(server.requests[0])


@EACH
def test_a_server_that_refuses_pictures_is_asked_without(server: ModelServer, name: str) -> None:
    server.script.append([Fail(400, {"error": {"message": "This model does not support image input"}})])
    deltas = answer(server, name, asked(UserTurn((Text("look"), PNG))))
    assert isinstance(deltas[-1], Done)
    first, second = map(json.dumps, server.requests)
    assert "AAAA" in first
    assert SENTENCE in second
    assert "AAAA" not in second


@EACH
def test_a_server_that_refuses_thoughts_is_asked_without(server: ModelServer, name: str) -> None:
    server.script.append([Fail(400, {"error": {"message": "Invalid `signature` in `thinking` block"}})])
    thought = AssistantTurn((Thought("secret plan", "sig"), Text("Yes.", "sig"), ToolCall("c1", "read", {}, "sig")))
    done = ToolResults((ToolResult("c1", "read", "A"),))
    request = Request("claude-opus-5", "", [UserTurn((Text("hi"),)), thought, done], options={"reasoning_field": "r"})
    deltas = answer(server, name, request)
    assert isinstance(deltas[-1], Done)
    first, second = map(json.dumps, server.requests)
    assert "secret plan" in first
    assert "secret plan" not in second
    assert '"sig"' not in second
    assert second.count(fitting.THOUGHTS_LEFT_OUT) == 1


@EACH
def test_a_refusal_that_is_about_something_else_is_told_at_once(server: ModelServer, name: str) -> None:
    server.script.append([Fail(400, {"error": {"message": "No such tool schema"}})])
    with pytest.raises(ProviderFailed, match="No such tool schema"):
        answer(server, name, asked(UserTurn((Text("look"), PNG))))
    assert len(server.requests) == 1


@EACH
def test_thoughts_of_another_model_do_not_go_out_and_it_is_told(server: ModelServer, name: str) -> None:
    turn = AssistantTurn((Thought("secret plan", foreign=True), Thought("secret plan", foreign=True), Text("Yes.")))
    answer(server, name, asked(UserTurn((Text("hi"),)), turn, UserTurn((Text("and?"),))))
    body = json.dumps(server.requests[0])
    assert "secret plan" not in body
    assert body.count(fitting.THOUGHTS_LEFT_OUT) == 1


@EACH
def test_an_empty_prompt_and_odd_names_are_sent_as_every_server_takes_them(server: ModelServer, name: str) -> None:
    called = AssistantTurn((ToolCall("functions.read:0", "read file", {}),))
    given = ToolResults((ToolResult("functions.read:0", "read file", ""),))
    answer(server, name, asked(UserTurn((Text(" \n"),)), called, given))
    body = json.dumps(server.requests[0])
    assert fitting.EMPTY in body
    assert "read_file" in body
    assert "read file" not in body


@EACH
@pytest.mark.parametrize(
    ("status", "error", "retryable", "auth", "overflow"),
    [
        (400, {"message": "prompt is too long: 208310 tokens > 200000 maximum"}, False, False, True),
        (400, {"message": "input length and `max_tokens` exceed context limit: 1 + 2 > 2"}, False, False, True),
        (400, {"message": "The input token count (10) exceeds the maximum number of tokens allowed (8)."}, False, False, True),
        (413, {"type": "request_too_large", "message": "Request exceeds the maximum size"}, False, False, True),
        (429, {"type": "rate_limit_error", "message": "slow down"}, True, False, False),
        (529, {"type": "overloaded_error", "message": "Overloaded"}, True, False, False),
        (401, {"type": "authentication_error", "message": "invalid x-api-key"}, False, True, False),
        (402, {"type": "billing_error", "message": "no credit"}, False, False, False),
        (400, {"status": "INVALID_ARGUMENT", "message": "API key not valid.",
               "details": [{"reason": "API_KEY_INVALID"}]}, False, True, False),
        (429, {"status": "RESOURCE_EXHAUSTED", "message": "quota",
               "details": [{"violations": [{"quotaId": "GenerateRequestsPerDay"}]}]}, False, False, False),
    ],
    ids=["long", "limit", "count", "bytes", "rate", "overloaded", "key", "credit", "google key", "day"],
)  # fmt: skip
def test_refusals_of_all_servers_are_told_apart(
    server: ModelServer, name: str, status: int, error: Any, retryable: bool, auth: bool, overflow: bool
) -> None:
    failure = failed(server, name, Fail(status, {"error": error}))
    assert (failure.retryable, failure.auth, failure.overflow) == (retryable, auth, overflow)
    assert failure.message == error["message"]


@EACH
def test_a_server_that_forbids_another_try_is_obeyed(server: ModelServer, name: str) -> None:
    assert not failed(server, name, Fail(429, headers=(("x-should-retry", "false"),))).retryable
    assert failed(server, name, Fail(400, headers=(("x-should-retry", "true"),))).retryable


@EACH
def test_the_delay_of_a_google_error_is_read(server: ModelServer, name: str) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "39.5s"}]
    failure = failed(server, name, Fail(429, [{"error": {"message": "slow down", "details": details}}]))
    assert (failure.message, failure.retry_after) == ("slow down", 39.5)
