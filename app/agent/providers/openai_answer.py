"""The chunks of one OpenAI chat completions answer, put together into deltas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.agent.providers import (
    CallDelta,
    CallDone,
    Delta,
    Done,
    ProviderFailed,
    ReasoningDelta,
    TextDelta,
    Usage,
)

FINISHES = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
    "content_filter": "content-filter",
}
OVERFLOW = re.compile(
    r"context.{0,20}(length|window)|maximum context|too many tokens|prompt is too long", re.IGNORECASE
)
NOT_WORTH_RETRYING = {"insufficient_quota", "billing_hard_limit_reached", "model_not_found"}


@dataclass
class _Call:
    index: int
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)

    def done(self) -> CallDone:
        raw = "".join(self.arguments)
        return CallDone(self.id, self.name, _object(raw))


class Answer:
    """Takes the chunks of one answer in order and tells what each brought."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_wire_index: dict[int, _Call] = {}
        self._finish: str | None = None
        self._usage = Usage()
        self.finished = False

    def take(self, chunk: dict[str, Any]) -> Iterator[Delta]:
        """Yield what a chunk brings; an error object inside the stream raises `ProviderFailed`."""
        if chunk.get("error"):
            raise failure(None, chunk)
        if usage := chunk.get("usage"):
            self._usage = _usage(usage)
        for choice in (chunk.get("choices") or ())[:1]:
            yield from self._delta(choice.get("delta") or choice.get("message") or {})
            if reason := choice.get("finish_reason"):
                self._finish = FINISHES.get(reason, "other")
                self.finished = True

    def end(self) -> Iterator[Delta]:
        """Yield the complete calls and `Done`."""
        for call in self._calls:
            yield call.done()
        finish = self._finish or "other"
        if self._calls and finish in ("stop", "other"):
            # Several servers say "stop" under an answer that asks for tools.
            finish = "tool-calls"
        yield Done(finish, self._usage)

    def _delta(self, delta: dict[str, Any]) -> Iterator[Delta]:
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            yield ReasoningDelta(reasoning)
        if text := delta.get("content") or delta.get("refusal"):
            yield TextDelta(text)
        for position, piece in enumerate(delta.get("tool_calls") or ()):
            yield self._call(piece, position)

    def _call(self, piece: dict[str, Any], position: int) -> CallDelta:
        wire_index = piece.get("index")
        index = position if wire_index is None else wire_index
        function = piece.get("function") or {}
        call = self._by_wire_index.get(index)
        if call is None or (piece.get("id") and piece["id"] != call.id):
            # A new id under a known index is a new call: some servers number every call 0.
            call = self._open(index, piece.get("id") or "", function.get("name") or "")
        elif function.get("name") and not call.name:
            call.name = function["name"]
        arguments = function.get("arguments") or ""
        text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
        call.arguments.append(text)
        return CallDelta(call.index, call.id, call.name, text)

    def _open(self, wire_index: int, id: str, name: str) -> _Call:
        place = len(self._calls)
        call = _Call(place, id or f"call_{place}", name)
        self._calls.append(call)
        self._by_wire_index[wire_index] = call
        return call


def failure(status: int | None, answer: Any, raw: str = "", retry_after: float | None = None) -> ProviderFailed:
    """Tell from a status and an error answer what went wrong and whether asking again may help."""
    error = answer.get("error") if isinstance(answer, dict) else None
    error = error if isinstance(error, dict) else {"message": error if isinstance(error, str) else ""}
    message = str(error.get("message") or _message_of(answer) or f"The model's server answered {status}")
    code = str(error.get("code") or error.get("type") or "")
    overflow = code == "context_length_exceeded" or bool(status in (None, 400, 413) and OVERFLOW.search(message))
    auth = status in (401, 403) or code == "invalid_api_key"
    worth = status is None or status in (408, 409, 425, 429) or status >= 500
    return ProviderFailed(
        message=message[:2000],
        status=status,
        retryable=worth and not overflow and not auth and code not in NOT_WORTH_RETRYING,
        retry_after=retry_after,
        auth=auth,
        overflow=overflow,
        body=raw[:20_000],
    )


def _message_of(answer: Any) -> str:
    if not isinstance(answer, dict):
        return ""
    said = answer.get("message") or answer.get("detail")
    return said if isinstance(said, str) else ""


def _object(raw: str) -> dict[str, Any] | str:
    if not raw.strip():
        return {}
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw
    return value if isinstance(value, dict) else raw


def _usage(usage: dict[str, Any]) -> Usage:
    prompt, completion = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    told = usage.get("prompt_tokens_details") or {}
    read = told.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0
    write = told.get("cache_write_tokens") or 0
    thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return Usage(
        input=max(0, prompt - read - write),
        output=max(0, completion - thought),
        reasoning=thought,
        cache_read=read,
        cache_write=write,
    )
