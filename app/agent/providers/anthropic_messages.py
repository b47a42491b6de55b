"""Neutral turns as the request body of Anthropic's Messages API.

Facts: platform.claude.com/docs/en, build-with-claude/{prompt-caching, extended-thinking, adaptive-thinking,
preserved-thinking, vision}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from app.agent.providers import (
    AssistantTurn,
    Image,
    Request,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    ToolResults,
    ToolSpec,
    Turn,
    UserTurn,
    fitting,
)

Block = dict[str, Any]
CACHED = {"cache_control": {"type": "ephemeral"}}
# Four breakpoints are allowed: the tools, the system prompt, and these.
CACHED_TURNS = 2
# max_tokens must be given, and be no more than the model can write: Claude 4 and later write 32,000 at least.
MOST_OUTPUT = 32_000
MOST_OUTPUT_BEFORE_4 = 4_096
# A thinking budget is a part of max_tokens; what is left is for the answer.
ROOM_BESIDE_BUDGET = 8_192
ADAPTIVE_SINCE = (4, 6)
# From here on a thought is bound to all that stood before it (preserved-thinking/prefix-checks): one that another mode,
# other tools or a new day have cut loose is dropped instead of refused.
BOUND_SINCE = (5, 1)
BINDING = {"block_binding": {"prefix_mismatch_behavior": "drop_block"}}
OUR_OPTIONS = frozenset({"thinking", "effort", "max_tokens"})
# claude-opus-4-6, claude-sonnet-4-20250514, claude-3-7-sonnet-latest: a date is no version.
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:-(\d{1,2}))?(?!\d)")
_SNAKE = re.compile(r"(?<=[a-z])(?=[A-Z])")


def body(request: Request) -> dict[str, Any]:
    """Give the JSON body of a streamed request.

    Options go out by their wire names; `thinking` and `effort` may also be written as in opencode.json
    (`{"thinking": {"type": "enabled", "budgetTokens": 16000}, "effort": "high"}`).
    """
    thinking = _thinking(request)
    answer: dict[str, Any] = {
        "model": request.model,
        "max_tokens": _max_tokens(request, thinking),
        "messages": _cached(list(_messages(request))),
        "stream": True,
    }
    if request.system:
        answer["system"] = [{"type": "text", "text": request.system, **CACHED}]
    if request.tools:
        *others, last = map(_tool, request.tools)
        answer["tools"] = [*others, {**last, **CACHED}]
    if thinking:
        answer["thinking"] = thinking
    if effort := request.options.get("effort"):
        answer["output_config"] = {"effort": effort}
    return answer | {key: value for key, value in request.options.items() if key not in OUR_OPTIONS}


def version(model: str) -> tuple[int, int] | None:
    """(4, 6) of claude-opus-4-6; None of a name that says none."""
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else None


def _thinking(request: Request) -> dict[str, Any] | None:
    """As the options say; else adaptively, at models that know it, with a summary to read."""
    if not request.think:
        return None
    known = version(request.model) or (0, 0)
    given = request.options.get("thinking")
    if not isinstance(given, dict):
        given = {"type": "adaptive", "display": "summarized"} if known >= ADAPTIVE_SINCE else {}
    thinking = {_SNAKE.sub("_", key).lower(): value for key, value in given.items()}
    if thinking.get("type") == "enabled" and not _may_think(request):
        return None
    is_bound = thinking.get("type") == "adaptive" and known >= BOUND_SINCE
    return {**BINDING, **thinking} if is_bound else thinking


def _may_think(request: Request) -> bool:
    """With a budget, a step whose calls are being answered must begin with the thought that led to them."""
    if not request.messages or not isinstance(request.messages[-1], ToolResults):
        return True
    steps = [turn for turn in request.messages if isinstance(turn, AssistantTurn)]
    return bool(steps) and isinstance(first := steps[-1].parts[0], Thought) and _goes_back(first, request)


def _max_tokens(request: Request, thinking: dict[str, Any] | None) -> int:
    given = request.options.get("max_tokens")
    most: int = given or (MOST_OUTPUT if (version(request.model) or (4, 0)) >= (4, 0) else MOST_OUTPUT_BEFORE_4)
    budget: int = (thinking or {}).get("budget_tokens") or 0
    return max(most, budget + ROOM_BESIDE_BUDGET) if budget else most


def _goes_back(thought: Thought, request: Request) -> bool:
    """Only what the model itself has signed, and unchanged."""
    return request.think and bool(thought.signature) and not thought.foreign


def _messages(request: Request) -> Iterator[Block]:
    for turn in request.messages:
        role = "assistant" if isinstance(turn, AssistantTurn) else "user"
        if content := list(_content(turn, request)):
            yield {"role": role, "content": content}


def _content(turn: Turn, request: Request) -> Iterator[Block]:
    if isinstance(turn, ToolResults):
        yield from map(_result, turn.results)
    elif isinstance(turn, UserTurn):
        yield from map(_shown, turn.parts)
    else:
        yield from _said(turn, request)


def _said(turn: AssistantTurn, request: Request) -> Iterator[Block]:
    for part in fitting.told(turn, lambda thought: _goes_back(thought, request)):
        if isinstance(part, ToolCall):
            call_id, name = fitting.plain(part.id), fitting.plain(part.name)
            yield {"type": "tool_use", "id": call_id, "name": name, "input": part.input}
        elif isinstance(part, Thought):
            yield _thought(part)
        elif part.text.strip():
            yield {"type": "text", "text": part.text}


def _thought(thought: Thought) -> Block:
    if thought.redacted:
        return {"type": "redacted_thinking", "data": thought.signature}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}


def _result(result: ToolResult) -> Block:
    said = [_shown(Text(result.output))] if result.output.strip() else []
    content = [*said, *map(_shown, result.images)]
    return {
        "type": "tool_result",
        "tool_use_id": fitting.plain(result.call_id),
        "content": content,
        **({"is_error": True} if result.is_error else {}),
    }


def _shown(part: Text | Image) -> Block:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if data := fitting.inline(part):
        return {"type": "image", "source": {"type": "base64", "media_type": part.mime, "data": data}}
    return {"type": "image", "source": {"type": "url", "url": part.url}}


def _cached(messages: list[Block]) -> list[Block]:
    """Mark the ends of the last two turns of ours: the earlier is what the request before this one has cached."""
    ours = [message for message in messages if message["role"] == "user"]
    for message in ours[-CACHED_TURNS:]:
        message["content"][-1] |= CACHED
    return messages


def _tool(spec: ToolSpec) -> Block:
    return {"name": spec.name, "description": spec.description, "input_schema": dict(spec.schema)}
