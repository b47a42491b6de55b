"""The OpenAI-compatible wire against a real streaming server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app import config, outbound
from app.agent.providers import (
    AssistantTurn,
    CallDelta,
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
    ToolSpec,
    Usage,
    UserTurn,
)  # fmt: skip
from app.agent.providers.line import close_all
from app.agent.providers.openai_wire import OpenAICompatible
from app.config import Config
from tests.model_server import Call, Cut, Fail, Finish, Gate, ModelServer, Raw, Say, Stall, Think
from tests.patience import PATIENCE

READ = ToolSpec("read", "Read a file", {"type": "object", "properties": {"path": {"type": "string"}}})


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server
        close_all()


def provider(server: ModelServer, **given: Any) -> OpenAICompatible:
    return OpenAICompatible("scripted", server.url, "secret", **given)


def asked(*parts: str, **given: Any) -> Request:
    turns = (UserTurn(tuple(Text(part) for part in parts)),)
    return Request("scripted", "Be brief.", given.pop("messages", turns), **given)


def answer(server: ModelServer, request: Request | None = None, **given: Any) -> list[Delta]:
    return list(provider(server, **given).stream(request or asked("hello"), Cancel()))


def failed(server: ModelServer, **given: Any) -> ProviderFailed:
    with pytest.raises(ProviderFailed) as caught:
        answer(server, **given)
    return caught.value


def test_it_streams_text_in_pieces_and_says_how_it_ended(server: ModelServer) -> None:
    server.script.append([Say("hello there", size=4), Finish(usage={"prompt_tokens": 9, "completion_tokens": 3})])
    deltas = answer(server)
    assert [one.text for one in deltas if isinstance(one, TextDelta)] == ["hell", "o th", "ere"]
    assert deltas[-1] == Done("stop", Usage(input=9, output=3))


def test_it_sends_key_system_tools_and_options(server: ModelServer) -> None:
    answer(server, asked("hi", tools=[READ], options={"temperature": 0.2, "reasoning_field": "reasoning"}))
    body = server.requests[0]
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]
    assert body["tools"][0]["function"] == {
        "name": "read", "description": "Read a file", "parameters": dict(READ.schema),
    }  # fmt: skip
    assert body["temperature"] == 0.2
    assert body["stream"] is True
    assert "reasoning_field" not in body


def test_it_sends_calls_results_and_pictures_of_earlier_turns(server: ModelServer) -> None:
    picture = Image("data:image/png;base64,AAAA", "image/png")
    turns = (
        UserTurn((Text("look"), picture)),
        AssistantTurn((Thought("hmm"), ToolCall("c1", "read", {"path": "a"}), ToolCall("c2", "read", {"path": "b"}))),
        ToolResults((ToolResult("c1", "read", "A", images=(picture,)), ToolResult("c2", "read", "gone", True))),
    )
    answer(server, asked(messages=turns, options={"reasoning_field": "reasoning_content"}))
    _, user, assistant, first, second, pictures = server.requests[0]["messages"]
    assert user["content"][1] == {"type": "image_url", "image_url": {"url": picture.url}}
    assert assistant["content"] is None
    assert assistant["reasoning_content"] == "hmm"
    assert assistant["tool_calls"][0]["function"] == {"name": "read", "arguments": '{"path":"a"}'}
    assert (first["tool_call_id"], second["content"]) == ("c1", "Error: gone")
    assert pictures["role"] == "user"
    assert len(pictures["content"]) == 2


def test_a_thought_goes_back_under_the_name_it_came_by(server: ModelServer) -> None:
    turn = AssistantTurn((Thought("hm", "reasoning"), Text("yes"), Thought("more", "reasoning")))
    answer(server, asked(messages=(turn,)))
    assert server.requests[0]["messages"][1] == {"role": "assistant", "content": "yes", "reasoning": "hm\nmore"}


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_it_tells_reasoning_from_text(server: ModelServer, field: str) -> None:
    server.script.append([Think("let me see", field), Say("yes")])
    assert answer(server)[:3] == [ReasoningDelta("let me see"), ReasoningDelta("", field), TextDelta("yes")]


def test_it_puts_parallel_calls_together_from_pieces(server: ModelServer) -> None:
    server.script.append([Call("read", {"path": "a.py"}, "c1", size=3), Call("read", {"path": "b.py"}, "c2", size=5)])
    deltas = answer(server)
    pieces = [one for one in deltas if isinstance(one, CallDelta) and one.index == 0]
    assert "".join(one.arguments_piece for one in pieces) == '{"path": "a.py"}'
    assert len(pieces) > 3
    assert [one for one in deltas if isinstance(one, CallDone)] == [
        CallDone("c1", "read", {"path": "a.py"}),
        CallDone("c2", "read", {"path": "b.py"}),
    ]
    assert isinstance(deltas[-1], Done)
    assert deltas[-1].finish == "tool-calls"


def test_it_keeps_calls_apart_that_all_have_index_0(server: ModelServer) -> None:
    server.script.append([Call("read", {"path": "a"}, "c1", index=0), Call("read", {"path": "b"}, "c2", index=0)])
    assert [one.id for one in answer(server) if isinstance(one, CallDone)] == ["c1", "c2"]


@pytest.mark.parametrize("raw", ['{"path": "a', "[1]", "nonsense"])
def test_arguments_that_are_no_json_object_stay_raw(server: ModelServer, raw: str) -> None:
    server.script.append([Call("read", raw, "c1")])
    assert CallDone("c1", "read", raw) in answer(server)


def test_a_call_without_id_and_arguments_gets_an_id_and_an_empty_object(server: ModelServer) -> None:
    piece = {"function": {"name": "todoread"}}
    server.script.append([Raw({"choices": [{"delta": {"tool_calls": [piece]}}]}), Finish("stop")])
    deltas = answer(server)
    [done] = [one for one in deltas if isinstance(one, CallDone)]
    assert (done.name, done.input) == ("todoread", {})
    assert done.id
    assert isinstance(deltas[-1], Done)
    assert deltas[-1].finish == "tool-calls"


@pytest.mark.parametrize(
    ("told", "meant"), [("length", "length"), ("content_filter", "content-filter"), ("strange", "other")]
)
def test_it_maps_finish_reasons(server: ModelServer, told: str, meant: str) -> None:
    server.script.append([Say("x"), Finish(told)])
    last = answer(server)[-1]
    assert isinstance(last, Done)
    assert last.finish == meant


def test_usage_parts_do_not_overlap(server: ModelServer) -> None:
    told = {
        "prompt_tokens": 100, "completion_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 80}, "completion_tokens_details": {"reasoning_tokens": 20},
    }  # fmt: skip
    server.script.append([Say("x"), Finish(usage=told)])
    assert answer(server)[-1] == Done("stop", Usage(input=20, output=10, reasoning=20, cache_read=80))


def test_a_server_that_does_not_stream_is_understood(server: ModelServer) -> None:
    message = {"message": {"content": "whole"}, "finish_reason": "stop"}
    server.script.append([Fail(200, {"choices": [message], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})])
    assert answer(server) == [TextDelta("whole"), Done("stop", Usage(1, 2))]


def test_cancelling_closes_the_stream_at_once(server: ModelServer) -> None:
    gate, cancel = Gate(), Cancel()
    server.script.append([Say("first"), gate, Say("never")])
    seen: list[Delta] = []
    stream = provider(server).stream(asked("hello"), cancel)
    seen.append(next(stream))
    assert gate.reached.wait(PATIENCE)
    timer = threading.Timer(0.02, cancel.set)
    timer.start()
    with pytest.raises(Cancelled):
        seen.extend(stream)
    assert not gate.opened.is_set()  # nothing else than being cancelled could end it
    assert server.hung_up.acquire(timeout=PATIENCE)
    timer.join()
    assert seen == [TextDelta("first")]


def test_cancelling_before_the_first_byte_works_too(server: ModelServer) -> None:
    cancel = Cancel()
    server.script.append([Stall()])
    canceller = threading.Thread(target=lambda: (server.wait_for_requests(1), cancel.set()))
    canceller.start()
    with pytest.raises(Cancelled):
        list(provider(server).stream(asked("hello"), cancel))
    assert server.hung_up.acquire(timeout=PATIENCE)
    canceller.join()


def test_cancelling_while_the_connection_is_made_works_too() -> None:
    cancel = Cancel()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        timer = threading.Timer(0.05, cancel.set)
        timer.start()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/v1"
        began = time.perf_counter()
        with pytest.raises(Cancelled):
            list(OpenAICompatible("silent", url).stream(asked("hello"), cancel))
        assert time.perf_counter() - began < 20
        timer.join()
    for thread in threading.enumerate():
        if thread.name == "model-request":
            thread.join(PATIENCE)


def test_a_stream_that_was_cancelled_beforehand_asks_nobody(server: ModelServer) -> None:
    cancel = Cancel()
    cancel.set()
    with pytest.raises(Cancelled):
        list(provider(server).stream(asked("hello"), cancel))
    assert server.requests == []


def test_leaving_the_iterator_early_closes_the_stream(server: ModelServer) -> None:
    server.script.append([Say("first"), Stall()])
    stream = provider(server).stream(asked("hello"), Cancel())
    assert next(stream) == TextDelta("first")
    stream.close()  # type: ignore[attr-defined]
    assert server.hung_up.acquire(timeout=PATIENCE)


def test_a_rate_limit_says_when_to_come_back(server: ModelServer) -> None:
    server.script.append([Fail(429, headers=(("Retry-After", "7"),))])
    failure = failed(server)
    assert (failure.status, failure.retryable, failure.retry_after) == (429, True, 7.0)
    assert failure.message == "Scripted error 429"
    assert "Scripted" in failure.body


def test_milliseconds_and_dates_are_read_too(server: ModelServer) -> None:
    server.script.append([Fail(503, headers=(("retry-after-ms", "1500"),))])
    server.script.append([Fail(503, headers=(("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"),))])
    server.script.append([Fail(503, headers=(("Retry-After", "soon"),))])
    assert [failed(server).retry_after for _ in range(3)] == [1.5, 0.0, None]


@pytest.mark.parametrize(
    ("status", "error", "retryable", "auth", "overflow"),
    [
        (401, {"message": "Incorrect API key", "code": "invalid_api_key"}, False, True, False),
        (400, {"message": "This model's maximum context length is 8192 tokens"}, False, False, True),
        (400, {"message": "bad tool schema"}, False, False, False),
        (
            429,
            {"message": "You exceeded your current quota", "code": "insufficient_quota"},
            False,
            False,
            False,
        ),
        (500, {"message": "oops"}, True, False, False),
        (404, "model not found", False, False, False),
    ],
    ids=["key", "overflow", "bad request", "quota", "server", "plain error"],
)
def test_it_tells_kinds_of_refusal_apart(
    server: ModelServer, status: int, error: Any, retryable: bool, auth: bool, overflow: bool
) -> None:
    server.script.append([Fail(status, {"error": error})])
    failure = failed(server)
    assert (failure.retryable, failure.auth, failure.overflow) == (retryable, auth, overflow)
    assert failure.message == (error if isinstance(error, str) else error["message"])


def test_it_asks_once_only(server: ModelServer) -> None:
    server.script.append([Fail(500)])
    failed(server)
    assert len(server.requests) == 1


def test_an_error_answer_that_is_no_json_is_told(server: ModelServer) -> None:
    server.script.append([Fail(502, b"<html>Bad gateway</html>")])
    failure = failed(server)
    assert failure.message == "The model's server answered 502"
    assert failure.retryable


def test_an_error_inside_the_stream_is_raised_after_the_text(server: ModelServer) -> None:
    server.script.append([Say("half"), Raw({"error": {"message": "Overloaded"}})])
    stream = provider(server).stream(asked("hello"), Cancel())
    assert next(stream) == TextDelta("half")
    with pytest.raises(ProviderFailed, match="Overloaded"):
        next(stream)


def test_a_connection_that_breaks_is_worth_another_try(server: ModelServer) -> None:
    server.script.append([Say("half"), Cut()])
    assert failed(server).retryable


def test_an_answer_without_an_end_is_no_answer(server: ModelServer) -> None:
    half = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
    server.script.append([Fail(200, half, headers=(("Content-Type", "text/event-stream"),))])
    failure = failed(server)
    assert "broke off" in failure.message
    assert failure.retryable


def test_something_other_than_json_is_told(server: ModelServer) -> None:
    server.script.append([Raw(b"data: <oops>\n\n")])
    assert "not JSON" in failed(server).message


def test_silence_before_the_first_byte_ends(server: ModelServer) -> None:
    server.script.append([Stall()])
    failure = failed(server, bounds=outbound.Bounds(first_byte=0.05, total=None, size=None))
    assert failure.retryable
    assert "silent" in failure.message
    assert server.hung_up.acquire(timeout=PATIENCE)


def test_silence_between_bytes_ends(server: ModelServer) -> None:
    server.script.append([Say("x"), Stall()])
    assert "silent" in failed(server, bounds=outbound.Bounds(between_bytes=0.05, total=None, size=None)).message


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(ProviderFailed, match=r"Could not reach the model at http://127\.0\.0\.1:1/v1") as caught:
        list(OpenAICompatible("none", "http://127.0.0.1:1/v1").stream(asked("hello"), Cancel()))
    assert caught.value.retryable


def test_a_base_url_that_is_none_is_told() -> None:
    with pytest.raises(ProviderFailed, match="not a usable address") as caught:
        list(OpenAICompatible("none", "ftp://x").stream(asked("hello"), Cancel()))
    assert not caught.value.retryable


def test_connections_are_kept_and_used_again(server: ModelServer) -> None:
    for _ in range(3):
        answer(server)
    assert server.connections == 1


def test_a_reader_that_leaves_at_the_end_keeps_the_connection(server: ModelServer) -> None:
    for _ in range(3):
        stream = provider(server).stream(asked("hello"), Cancel())
        assert any(isinstance(delta, Done) for delta in stream)
    assert server.connections == 1


def test_streams_at_once_have_a_connection_each(server: ModelServer) -> None:
    gates = [Gate() for _ in range(8)]
    server.script.extend([Say("first"), gate, Say("last")] for gate in gates)
    streams = [provider(server).stream(asked("hello"), Cancel()) for _ in gates]
    assert [next(stream) for stream in streams] == [TextDelta("first")] * 8
    for gate in gates:
        gate.opened.set()
    assert all(isinstance(list(stream)[-1], Done) for stream in streams)
    assert server.connections == 8


def test_a_kept_connection_that_the_server_closed_is_replaced(server: ModelServer) -> None:
    answer(server)
    server.hang_up()
    assert answer(server)[-1] == Done("stop", answer(server)[-1].usage)  # type: ignore[union-attr]


def test_a_server_that_lingers_after_the_end_is_not_waited_for(server: ModelServer) -> None:
    server.script.append([Say("x"), Raw(b"data: [DONE]\n\n"), Stall()])
    began = time.perf_counter()
    assert isinstance(answer(server)[-1], Done)
    assert time.perf_counter() - began < 20
    assert server.hung_up.acquire(timeout=PATIENCE)


def test_an_address_that_a_member_typed_is_checked(server: ModelServer) -> None:
    config.use(Config(testing=True))
    with pytest.raises(ProviderFailed, match="not allowed") as caught:
        answer(server, trusted=False)
    assert not caught.value.retryable
    assert server.requests == []
