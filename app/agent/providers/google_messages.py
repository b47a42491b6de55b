"""Neutral turns as the request body of Google's generateContent.

Facts: ai.google.dev/gemini-api/docs, {function-calling, thinking, thought-signatures, image-understanding}.
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

Part = dict[str, Any]
# What the API takes for the signature of a call that it did not make itself, or not in this form.
NOT_SIGNED = "skip_thought_signature_validator"
THINKS_SINCE = (2, 5)
# The options that stand beside generationConfig, not in it.
BESIDE = frozenset({"safetySettings", "cachedContent", "toolConfig", "labels"})
# What modes call otherwise than this wire.
RENAMED = {"top_p": "topP"}
_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")


def body(request: Request) -> dict[str, Any]:
    """Give the JSON body of a request; options go out in generationConfig, by their wire names."""
    answer: dict[str, Any] = {"contents": list(_contents(request))}
    if request.system:
        answer["systemInstruction"] = {"parts": [{"text": request.system}]}
    if request.tools:
        answer["tools"] = [{"functionDeclarations": [_tool(spec) for spec in request.tools]}]
    if generation := _generation(request):
        answer["generationConfig"] = generation
    return answer | {key: value for key, value in request.options.items() if key in BESIDE}


def _generation(request: Request) -> dict[str, Any]:
    config = {RENAMED.get(key, key): value for key, value in request.options.items() if key not in BESIDE}
    if not request.think:
        config.pop("thinkingConfig", None)
    elif _thinks(request.model):
        config["thinkingConfig"] = {"includeThoughts": True, **(config.get("thinkingConfig") or {})}
    return config


def _thinks(model: str) -> bool:
    """Whether a model takes a thinkingConfig: Gemini 2.5 and later, unless it draws pictures."""
    found = _VERSION.search(model)
    if found is None or "image" in model:
        return False
    return (int(found[1]), int(found[2] or 0)) >= THINKS_SINCE


def _goes_back(thought: Thought, request: Request) -> bool:
    """Its own thoughts, signed or not: mostly the call after a thought carries the signature."""
    return request.think and not thought.foreign


def _contents(request: Request) -> Iterator[Part]:
    for turn in request.messages:
        yield from _turn(turn, request)


def _turn(turn: Turn, request: Request) -> Iterator[Part]:
    if isinstance(turn, UserTurn):
        yield _user(_shown(part) for part in turn.parts)
    elif isinstance(turn, ToolResults):
        yield _user(map(_result, turn.results))
        # Beside a functionResponse they would be taken for the model's own.
        if pictures := [_shown(image) for result in turn.results for image in result.images]:
            yield _user([{"text": fitting.TOOL_PICTURES}, *pictures])
    elif parts := list(_said(turn, request)):
        yield {"role": "model", "parts": parts}


def _user(parts: Iterator[Part] | list[Part]) -> Part:
    return {"role": "user", "parts": list(parts)}


def _said(turn: AssistantTurn, request: Request) -> Iterator[Part]:
    """Each part with its own signature; of several calls only the first must have one."""
    first = turn.calls[0] if turn.calls else None
    for part in fitting.told(turn, lambda thought: _goes_back(thought, request)):
        signature = part.signature if request.think else ""
        if isinstance(part, ToolCall):
            signature = signature or (NOT_SIGNED if part is first else "")
            yield {"functionCall": _call(part), **_signed(signature)}
        elif isinstance(part, Text):
            if part.text or signature:
                yield {"text": part.text, **_signed(signature)}
        elif part.text:
            yield {"text": part.text, "thought": True, **_signed(signature)}


def _call(call: ToolCall) -> Part:
    return {"id": call.id, "name": fitting.plain(call.name), "args": call.input}


def _signed(signature: str) -> Part:
    return {"thoughtSignature": signature} if signature else {}


def _result(result: ToolResult) -> Part:
    told = {"error" if result.is_error else "output": result.output}
    return {"functionResponse": {"id": result.call_id, "name": fitting.plain(result.name), "response": told}}


def _shown(part: Text | Image) -> Part:
    if isinstance(part, Text):
        return {"text": part.text}
    if data := fitting.inline(part):
        return {"inlineData": {"mimeType": part.mime, "data": data}}
    return {"fileData": {"mimeType": part.mime, "fileUri": part.url}}


def _tool(spec: ToolSpec) -> Part:
    return {"name": spec.name, "description": spec.description, "parametersJsonSchema": dict(spec.schema)}
