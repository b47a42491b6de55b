"""The Anthropic wire: what goes out to the Messages API, and what comes back."""

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
from app.agent.providers.anthropic_messages import BINDING, body, version
from app.agent.providers.anthropic_wire import BINDING_BETA, Anthropic
from app.agent.providers.line import close_all
from tests.model_server import Call, Fail, Finish, ModelServer, Raw, Say, Think

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
TOOLS = [ToolSpec("read", "Read a file", SCHEMA), ToolSpec("list", "List files", SCHEMA)]
CACHED = {"cache_control": {"type": "ephemeral"}}
PNG = Image("data:image/png;base64,AAAA", "image/png")
HI = UserTurn((Text("hi"),))
STEP = AssistantTurn((Thought("hm \n", "sig="), Text("I look."), ToolCall("c1", "read", {"path": "a"})))
READ = ToolResults((ToolResult("c1", "read", "A", images=(PNG,)), ToolResult("c2", "read", "gone", True)))


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server
        close_all()


def answer(server: ModelServer, request: Request | None = None) -> list[Delta]:
    provider = Anthropic("anthropic", server.urls["anthropic"], "secret")
    return list(provider.stream(request or Request("claude-opus-5-5", "", [HI]), Cancel()))


def block(content: dict[str, Any], index: int = 0) -> Raw:
    return Raw({"type": "content_block_start", "index": index, "content_block": content})


def test_it_sends_key_version_system_tools_and_options(server: ModelServer) -> None:
    answer(server, Request("claude-opus-5-5", "Be brief.", [HI], TOOLS, {"top_k": 5, "effort": "low"}))
    assert server.paths == ["/v1/messages"]
    assert (server.headers[0]["x-api-key"], server.headers[0]["anthropic-version"]) == ("secret", "2023-06-01")
    sent = server.requests[0]
    assert sent["system"] == [{"type": "text", "text": "Be brief.", **CACHED}]
    assert sent["tools"] == [
        {"name": "read", "description": "Read a file", "input_schema": SCHEMA},
        {"name": "list", "description": "List files", "input_schema": SCHEMA, **CACHED},
    ]
    assert (sent["stream"], sent["max_tokens"], sent["top_k"]) == (True, 32_000, 5)
    assert sent["output_config"] == {"effort": "low"}
    assert "effort" not in sent


def test_it_sends_thoughts_calls_results_and_pictures_of_earlier_turns(server: ModelServer) -> None:
    picture = Image("https://example.com/a.png", "image/png")
    answer(server, Request("claude-opus-5-5", "", [UserTurn((picture, Text("look"))), STEP, READ]))
    prompt, step, results = server.requests[0]["messages"]
    assert prompt["content"][0]["source"] == {"type": "url", "url": picture.url}
    assert step == {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm \n", "signature": "sig="},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "c1", "name": "read", "input": {"path": "a"}},
        ],
    }
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    assert results["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "c1",
            "content": [{"type": "text", "text": "A"}, {"type": "image", "source": source}],
        },
        {
            "type": "tool_result",
            "tool_use_id": "c2",
            "content": [{"type": "text", "text": "gone"}],
            "is_error": True,
            **CACHED,
        },
    ]


def test_the_last_two_turns_of_ours_are_cached() -> None:
    sent = body(Request("claude-opus-5-5", "Be brief.", [HI, STEP, READ, STEP, READ], TOOLS))
    ends = [message["content"][-1] for message in sent["messages"]]
    assert ["cache_control" in end for end in ends] == [False, False, True, False, True]
    assert str(sent).count("ephemeral") == 4


def test_redacted_thoughts_go_back_as_they_came() -> None:
    step = AssistantTurn((Thought("", "opaque", redacted=True), Text("Yes.")))
    content = body(Request("claude-opus-5-5", "", [HI, step, HI]))["messages"][1]["content"]
    assert content[0] == {"type": "redacted_thinking", "data": "opaque"}


@pytest.mark.parametrize(
    ("model", "options", "thinking", "most"),
    [
        ("claude-opus-5-5", {}, {"type": "adaptive", "display": "summarized", **BINDING}, 32_000),
        ("claude-opus-5", {}, {"type": "adaptive", "display": "summarized"}, 32_000),
        ("claude-sonnet-4-6", {}, {"type": "adaptive", "display": "summarized"}, 32_000),
        ("claude-haiku-4-5-20251001", {}, None, 32_000),
        ("claude-sonnet-4-20250514", {}, None, 32_000),
        ("claude-3-haiku-20240307", {}, None, 4_096),
        ("our-own", {}, None, 32_000),
        ("claude-opus-4-5", {"thinking": {"type": "enabled", "budgetTokens": 16_000}},
         {"type": "enabled", "budget_tokens": 16_000}, 32_000),
        ("claude-opus-4-5", {"thinking": {"type": "enabled", "budget_tokens": 30_000}},
         {"type": "enabled", "budget_tokens": 30_000}, 38_192),
        ("claude-opus-5-5", {"thinking": {"type": "adaptive"}}, {"type": "adaptive", **BINDING}, 32_000),
        ("claude-opus-5-5", {"thinking": {"type": "disabled"}, "max_tokens": 99}, {"type": "disabled"}, 99),
    ],
)  # fmt: skip
def test_a_model_thinks_as_its_options_say_or_as_it_can(
    model: str, options: dict[str, Any], thinking: dict[str, Any] | None, most: int
) -> None:
    sent = body(Request(model, "", [HI], options=options))
    assert sent.get("thinking") == thinking
    assert sent["max_tokens"] == most


def test_what_is_beta_is_asked_for_where_it_is_used(server: ModelServer) -> None:
    for model in ("claude-opus-5-5", "claude-opus-5"):
        answer(server, Request(model, "", [HI]))
    provider = Anthropic("anthropic", server.urls["anthropic"], headers={"anthropic-beta": "another"})
    list(provider.stream(Request("claude-opus-5-5", "", [HI]), Cancel()))
    assert [headers.get("anthropic-beta") for headers in server.headers] == [
        BINDING_BETA, None, f"another,{BINDING_BETA}",
    ]  # fmt: skip


def test_with_a_budget_a_step_without_its_thought_is_answered_without_thinking() -> None:
    options = {"thinking": {"type": "enabled", "budgetTokens": 2000}}
    bare = AssistantTurn(STEP.parts[1:])
    assert "thinking" in body(Request("claude-opus-4-5", "", [HI, STEP, READ], options=options))
    assert "thinking" not in body(Request("claude-opus-4-5", "", [HI, bare, READ], options=options))
    assert "thinking" in body(Request("claude-opus-4-5", "", [HI, bare, READ, HI], options=options))


@pytest.mark.parametrize(
    ("model", "known"),
    [("claude-opus-4-6", (4, 6)), ("claude-sonnet-4-20250514", (4, 0)), ("claude-3-7-sonnet-latest", (3, 7)),
     ("claude-fable-5", (5, 0)), ("anthropic/claude-opus-5-5", (5, 5)), ("glm-5", None)],
)  # fmt: skip
def test_the_version_of_a_model_is_in_its_name(model: str, known: tuple[int, int] | None) -> None:
    assert version(model) == known


def test_it_streams_a_signed_thought_text_and_calls(server: ModelServer) -> None:
    server.script.append(
        [Think("let me see", signature="sig="), Say("Yes."), Call("read", {"path": "a"}, "c1", size=4)]
    )
    deltas = answer(server)
    assert deltas[:3] == [ReasoningDelta("let me see"), ReasoningDelta("", "sig="), TextDelta("Yes.")]
    assert CallDone("c1", "read", {"path": "a"}) in deltas
    assert deltas[-1] == Done("tool-calls", Usage(input=100, output=1))


def test_redacted_thoughts_and_whole_blocks_are_read(server: ModelServer) -> None:
    server.script.append(
        [
            block({"type": "redacted_thinking", "data": "opaque"}),
            block({"type": "tool_use", "id": "c1", "name": "list", "input": {"path": "."}}, 1),
            block({"type": "server_tool_use", "id": "s1", "name": "web_search"}, 2),
        ]
    )
    deltas = answer(server)
    assert deltas[0] == ReasoningDelta("", "opaque", redacted=True)
    assert CallDone("c1", "list", {"path": "."}) in deltas


@pytest.mark.parametrize(
    ("told", "meant"),
    [("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("refusal", "content-filter"),
     ("model_context_window_exceeded", "length"), ("pause_turn", "other")],
)  # fmt: skip
def test_it_maps_stop_reasons(server: ModelServer, told: str, meant: str) -> None:
    server.script.append([Say("x"), Finish(told)])
    assert answer(server)[-1] == Done(meant, Usage(input=100, output=1))


def test_a_refusal_says_why(server: ModelServer) -> None:
    details = {"type": "refusal", "explanation": "That could do harm."}
    server.script.append([Raw({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}})])
    assert TextDelta("That could do harm.") in answer(server)


def test_usage_tells_the_cache_and_the_thoughts_apart(server: ModelServer) -> None:
    start = {"input_tokens": 10, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 7, "output_tokens": 1}
    told = {"input_tokens": None, "output_tokens": 30, "output_tokens_details": {"thinking_tokens": 20}}
    server.script.append([Raw({"type": "message_start", "message": {"usage": start}}), Say("x"), Finish(usage=told)])
    assert answer(server)[-1] == Done("stop", Usage(input=10, output=10, reasoning=20, cache_read=80, cache_write=7))


def test_an_overloaded_server_inside_the_stream_is_told_after_the_text(server: ModelServer) -> None:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    server.script.append([Say("half"), Raw({"type": "error", "error": error})])
    seen: list[Delta] = []
    with pytest.raises(ProviderFailed, match="Overloaded") as caught:
        seen.extend(Anthropic("a", server.urls["anthropic"]).stream(Request("m", "", [HI]), Cancel()))
    assert seen == [TextDelta("half")]
    assert caught.value.retryable


def test_a_server_that_does_not_stream_is_understood(server: ModelServer) -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "sig="},
        {"type": "text", "text": "whole"},
        {"type": "tool_use", "id": "c1", "name": "read", "input": {}},
    ]
    usage = {"input_tokens": 1, "output_tokens": 2}
    message = {"type": "message", "content": content, "stop_reason": "tool_use", "usage": usage}
    server.script.append([Fail(200, message)])
    deltas = answer(server)
    assert deltas[:2] == [ReasoningDelta("hm", "sig="), TextDelta("whole")]
    assert deltas[-2:] == [CallDone("c1", "read", {}), Done("tool-calls", Usage(1, 2))]
