"""Neutral turns as the request body of the OpenAI chat completions wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from app.agent.providers import (
    AssistantTurn,
    Image,
    Request,
    Text,
    Thought,
    ToolResults,
    ToolSpec,
    Turn,
    UserTurn,
    fitting,
)
from app.agent.providers.openai_answer import THOUGHTS

OUR_OPTIONS = frozenset({"reasoning_field"})


def body(request: Request) -> dict[str, Any]:
    """Give the JSON body of a streamed request; options go out as they are, by their wire names."""
    answer: dict[str, Any] = {
        "model": request.model,
        "messages": list(messages(request)),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        answer["tools"] = [_tool(spec) for spec in request.tools]
    return answer | {key: value for key, value in request.options.items() if key not in OUR_OPTIONS}


def messages(request: Request) -> Iterator[dict[str, Any]]:
    """Yield the wire's messages, the system prompt first."""
    if request.system:
        yield {"role": "system", "content": request.system}
    for turn in request.messages:
        yield from _turn(turn, request)


def _turn(turn: Turn, request: Request) -> Iterator[dict[str, Any]]:
    if isinstance(turn, UserTurn):
        yield {"role": "user", "content": _content(turn.parts)}
    elif isinstance(turn, ToolResults):
        yield from _results(turn)
    else:
        told = AssistantTurn(tuple(fitting.told(turn, lambda thought: bool(_field(thought, request)))))
        if told.text or told.calls:
            yield _assistant(told, request)


def _field(thought: Thought, request: Request) -> str:
    """Where a thought goes back: as the options say, else under the name that its server gave it; nothing if nowhere.

    Some thinking models refuse a history whose calls come without the thoughts that led to them, so they all go back.
    """
    if not request.think:
        return ""
    own = thought.signature if thought.signature in THOUGHTS and not thought.foreign else ""
    return str(request.options.get("reasoning_field") or own)


def _assistant(turn: AssistantTurn, request: Request) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
    if turn.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": fitting.plain(call.name), "arguments": orjson.dumps(call.input).decode()},
            }
            for call in turn.calls
        ]
    for thought in turn.thoughts:
        field = _field(thought, request)
        message[field] = f"{message[field]}\n{thought.text}" if field in message else thought.text
    return message


def _results(turn: ToolResults) -> Iterator[dict[str, Any]]:
    for result in turn.results:
        text = f"Error: {result.output}" if result.is_error else result.output
        yield {"role": "tool", "tool_call_id": result.call_id, "content": text}
    pictures = [image for result in turn.results for image in result.images]
    if pictures:
        yield {"role": "user", "content": _content((Text(fitting.TOOL_PICTURES), *pictures))}


def _content(parts: tuple[Text | Image, ...]) -> str | list[dict[str, Any]]:
    if all(isinstance(part, Text) for part in parts):
        return "\n\n".join(part.text for part in parts if isinstance(part, Text))
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "image_url", "image_url": {"url": part.url}}
        for part in parts
    ]


def _tool(spec: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": spec.name, "description": spec.description, "parameters": dict(spec.schema)},
    }
