"""The chunks of one OpenAI chat completions answer, put together into deltas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from app import ids
from app.agent.providers import (
    CallDelta,
    CallDone,
    Delta,
    Done,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from app.agent.providers.answers import decoded, finish
from app.agent.providers.refusal import refusal

FINISHES = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
    "content_filter": "content-filter",
}
# Servers differ in where a thought stands.
THOUGHTS = ("reasoning_content", "reasoning")


@dataclass
class _Call:
    index: int
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)

    def done(self) -> CallDone:
        raw = "".join(self.arguments)
        return CallDone(self.id, self.name, decoded(raw))


class OpenAIAnswer:
    """Takes the chunks of one answer in order and tells what each brought."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_wire_index: dict[int, _Call] = {}
        self._thought_in = ""
        self._finish: str | None = None
        self._usage = Usage()
        self.finished = False
        self.over = False  # [DONE] is the wire's last event, and no chunk

    def take(self, chunk: dict[str, Any]) -> Iterator[Delta]:
        """Yield what a chunk brings; an error object inside the stream raises `ProviderFailed`."""
        if chunk.get("error"):
            raise refusal(None, chunk)
        if usage := chunk.get("usage"):
            self._usage = _usage(usage)
        for choice in (chunk.get("choices") or ())[:1]:
            yield from self._delta(choice.get("delta") or choice.get("message") or {})
            if reason := choice.get("finish_reason"):
                self._finish = FINISHES.get(reason, "other")
                self.finished = True

    def end(self) -> Iterator[Delta]:
        """Yield the complete calls and `Done`."""
        yield from self._thought_out()
        for call in self._calls:
            yield call.done()
        yield Done(finish(self._finish, bool(self._calls)), self._usage)

    def _delta(self, delta: dict[str, Any]) -> Iterator[Delta]:
        for name in THOUGHTS:
            if thought := delta.get(name):
                if thought.strip():
                    self._thought_in = name
                yield ReasoningDelta(thought)
                break
        if text := delta.get("content") or delta.get("refusal"):
            yield from self._thought_out()
            yield TextDelta(text)
        for position, piece in enumerate(delta.get("tool_calls") or ()):
            yield from self._thought_out()
            yield self._call(piece, position)

    def _thought_out(self) -> Iterator[Delta]:
        """A thought ends; the name it came under is its signature: there its server wants it back."""
        name, self._thought_in = self._thought_in, ""
        if name:
            yield ReasoningDelta("", name)

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
        call = _Call(place, id or ids.random("call"), name)
        self._calls.append(call)
        self._by_wire_index[wire_index] = call
        return call


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
