"""The Google wire: what goes out to the Gemini API, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.agent.providers import (
    AssistantTurn,
    CallDone,
    Cancel,
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
)
from app.agent.providers.google_messages import NOT_SIGNED, body
from app.agent.providers.google_wire import Google
from app.agent.providers.line import close_all
from tests.model_server import Call, Fail, Finish, ModelServer, Raw, Say, Think

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
READ = ToolSpec("read", "Read a file", SCHEMA)
PNG = Image("data:image/png;base64,AAAA", "image/png")
HI = UserTurn((Text("hi"),))


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server
        close_all()


def answer(server: ModelServer, request: Request | None = None) -> list[Delta]:
    provider = Google("google", server.urls["google"], "secret")
    return list(provider.stream(request or Request("gemini-3.8-flash", "", [HI]), Cancel()))


def part(content: dict[str, Any]) -> Raw:
    return Raw({"candidates": [{"content": {"role": "model", "parts": [content]}}]})


def test_it_sends_key_system_tools_and_options(server: ModelServer) -> None:
    options = {"temperature": 0.2, "top_p": 0.9, "safetySettings": [], "thinkingConfig": {"thinkingLevel": "LOW"}}
    answer(server, Request("models/gemini-3.8-flash", "Be brief.", [HI], [READ], options))
    assert server.paths == ["/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"]
    assert server.headers[0]["x-goog-api-key"] == "secret"
    assert server.requests[0] == {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [
            {"functionDeclarations": [{"name": "read", "description": "Read a file", "parametersJsonSchema": SCHEMA}]}
        ],
        "generationConfig": {
            "temperature": 0.2,
            "topP": 0.9,
            "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"},
        },
        "safetySettings": [],
    }


def test_it_sends_thoughts_calls_results_and_pictures_of_earlier_turns(server: ModelServer) -> None:
    elsewhere = Image("https://example.com/a.png", "image/png")
    step = AssistantTurn(
        (
            Thought("hm"),
            Text("I look.", "sig-text"),
            ToolCall("c1", "read", {"path": "a"}, "sig-call"),
            ToolCall("c2", "read", {"path": "b"}),
        )
    )
    given = ToolResults((ToolResult("c1", "read", "A", images=(PNG,)), ToolResult("c2", "read", "gone", True)))
    answer(server, Request("gemini-3.8-flash", "", [UserTurn((Text("look"), elsewhere)), step, given]))
    prompt, said, results, pictures = server.requests[0]["contents"]
    assert prompt["parts"][1] == {"fileData": {"mimeType": "image/png", "fileUri": elsewhere.url}}
    assert said == {
        "role": "model",
        "parts": [
            {"text": "hm", "thought": True},
            {"text": "I look.", "thoughtSignature": "sig-text"},
            {"functionCall": {"id": "c1", "name": "read", "args": {"path": "a"}}, "thoughtSignature": "sig-call"},
            {"functionCall": {"id": "c2", "name": "read", "args": {"path": "b"}}},
        ],
    }
    assert results["parts"] == [
        {"functionResponse": {"id": "c1", "name": "read", "response": {"output": "A"}}},
        {"functionResponse": {"id": "c2", "name": "read", "response": {"error": "gone"}}},
    ]
    assert pictures["role"] == "user"
    assert pictures["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}


def test_the_first_call_of_another_model_says_that_it_is_not_signed() -> None:
    step = AssistantTurn((ToolCall("c1", "read", {}), ToolCall("c2", "read", {})))
    parts = body(Request("gemini-3.8-flash", "", [HI, step]))["contents"][1]["parts"]
    assert [one.get("thoughtSignature") for one in parts] == [NOT_SIGNED, None]


@pytest.mark.parametrize(
    ("model", "thinks"),
    [("gemini-4-argon", True), ("gemini-2.5-flash", True), ("gemini-2.0-flash", False),
     ("gemini-2.5-flash-image", False), ("gemma-4-31b-it", False)],
)  # fmt: skip
def test_models_that_think_are_asked_to_show_it(model: str, thinks: bool) -> None:
    assert ("generationConfig" in body(Request(model, "", [HI]))) is thinks


def test_it_streams_thoughts_text_and_calls_with_their_signatures(server: ModelServer) -> None:
    server.script.append(
        [Think("hm"), Say("Yes."), part({"text": "", "thoughtSignature": "s1"}), Call("read", {"path": "a"}, "c1", signature="s2")]
    )  # fmt: skip
    deltas = answer(server)
    assert deltas[:3] == [ReasoningDelta("hm"), TextDelta("Yes."), TextDelta("", "s1")]
    assert CallDone("c1", "read", {"path": "a"}, "s2") in deltas
    assert deltas[-1] == Done("tool-calls", Usage(input=100, output=1))


def test_calls_without_an_id_get_one_of_their_own(server: ModelServer) -> None:
    call = part({"functionCall": {"name": "read"}})
    server.script.extend([[call, call], [call]])
    done = [delta for _ in range(2) for delta in answer(server) if isinstance(delta, CallDone)]
    assert len({one.id for one in done}) == 3
    assert all(len(one.id) <= 40 for one in done)
    assert [one.input for one in done] == [{}] * 3


@pytest.mark.parametrize(
    ("told", "meant"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content-filter"), ("RECITATION", "content-filter"),
     ("PROHIBITED_CONTENT", "content-filter"), ("LANGUAGE", "other")],
)  # fmt: skip
def test_it_maps_finish_reasons(server: ModelServer, told: str, meant: str) -> None:
    server.script.append([Say("x"), Finish(told)])
    last = answer(server)[-1]
    assert isinstance(last, Done)
    assert last.finish == meant


def test_a_filter_says_why(server: ModelServer) -> None:
    server.script.append([Raw({"candidates": [{"finishReason": "SAFETY", "finishMessage": "That could do harm."}]})])
    assert TextDelta("That could do harm.") in answer(server)


@pytest.mark.parametrize(
    ("chunk", "words", "retryable"),
    [
        ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, "PROHIBITED_CONTENT", False),
        ({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "call:read{"}]}, "call:read", True),
        ({"candidates": [{"finishReason": "UNEXPECTED_TOOL_CALL"}]}, "cannot be read", True),
        ({"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}, "Overloaded", True),
    ],
    ids=["blocked prompt", "malformed call", "unexpected call", "error inside"],
)  # fmt: skip
def test_what_is_no_answer_is_told(server: ModelServer, chunk: dict[str, Any], words: str, retryable: bool) -> None:
    server.script.append([Raw(chunk)])
    with pytest.raises(ProviderFailed, match=words) as caught:
        answer(server)
    assert caught.value.retryable is retryable


def test_usage_tells_the_cache_and_the_thoughts_apart(server: ModelServer) -> None:
    told = {
        "promptTokenCount": 90, "cachedContentTokenCount": 80, "toolUsePromptTokenCount": 5,
        "candidatesTokenCount": 10, "thoughtsTokenCount": 20, "totalTokenCount": 125,
    }  # fmt: skip
    server.script.append([Say("x"), Finish(usage=told)])
    usage = answer(server)[-1].usage  # type: ignore[union-attr]
    assert usage == Usage(input=15, output=10, reasoning=20, cache_read=80)
    assert usage.total == 125


def test_a_server_that_does_not_stream_is_understood(server: ModelServer) -> None:
    chunks = [
        {"candidates": [{"content": {"parts": [{"text": "who"}]}}]},
        {"candidates": [{"content": {"parts": [{"text": "le"}]}, "finishReason": "STOP"}]},
    ]
    server.script.extend([[Fail(200, chunks)], [Fail(200, chunks[1])]])
    assert answer(server) == [TextDelta("who"), TextDelta("le"), Done("stop", Usage())]
    assert answer(server) == [TextDelta("le"), Done("stop", Usage())]
