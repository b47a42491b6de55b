"""The events of one answer of Anthropic's Messages API, put together into deltas.

message_start, then for each block content_block_start, deltas and content_block_stop, then message_delta with the
stop reason and the usage so far, then message_stop; ping and error anywhere
(platform.claude.com/docs/en/build-with-claude/streaming).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.agent.providers import CallDelta, CallDone, Delta, Done, ReasoningDelta, TextDelta, Usage
from app.agent.providers.answers import decoded, finish
from app.agent.providers.refusal import refusal

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool-calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content-filter",
}


@dataclass
class _Call:
    place: int
    id: str
    name: str
    given: dict[str, Any]
    pieces: list[str] = field(default_factory=list)

    def done(self) -> CallDone:
        raw = "".join(self.pieces)
        return CallDone(self.id, self.name, decoded(raw) if raw.strip() else self.given)


class AnthropicAnswer:
    """Takes the events of one answer in order and tells what each brought."""

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}
        self._finish: str | None = None
        self._usage: dict[str, Any] = {}
        self.finished = False
        self.over = False

    def take(self, event: dict[str, Any]) -> Iterator[Delta]:
        """Yield what an event brings; an error event raises `ProviderFailed`."""
        kind = event.get("type")
        if kind == "content_block_delta":
            yield from self._grown(event["index"], event["delta"])
        elif kind == "content_block_start":
            yield from self._begun(event["index"], event["content_block"])
        elif kind == "message_start":
            self._usage |= event["message"].get("usage") or {}
        elif kind == "message_delta":
            yield from self._stopped(event["delta"], event.get("usage"))
        elif kind == "message_stop":
            self.over = True
        elif "error" in event:
            raise refusal(None, event)
        elif kind == "message":
            yield from self._whole(event)

    def end(self) -> Iterator[Delta]:
        """Yield the complete calls and `Done`."""
        for call in self._calls.values():
            yield call.done()
        yield Done(finish(self._finish, bool(self._calls)), _usage(self._usage))

    def _begun(self, index: int, block: dict[str, Any]) -> Iterator[Delta]:
        kind = block["type"]
        if kind == "tool_use":
            call = _Call(len(self._calls), block["id"], block["name"], block.get("input") or {})
            self._calls[index] = call
            yield CallDelta(call.place, call.id, call.name, "")
        elif kind == "redacted_thinking":
            yield ReasoningDelta("", block["data"], redacted=True)
        elif kind == "thinking" and (block.get("thinking") or block.get("signature")):
            yield ReasoningDelta(block.get("thinking") or "", block.get("signature") or "")
        elif kind == "text" and block.get("text"):
            yield TextDelta(block["text"])

    def _grown(self, index: int, delta: dict[str, Any]) -> Iterator[Delta]:
        kind = delta["type"]
        if kind == "text_delta":
            yield TextDelta(delta["text"])
        elif kind == "thinking_delta":
            yield ReasoningDelta(delta["thinking"])
        elif kind == "signature_delta":
            yield ReasoningDelta("", delta["signature"])
        elif kind == "input_json_delta":
            call, piece = self._calls[index], delta["partial_json"]
            call.pieces.append(piece)
            yield CallDelta(call.place, call.id, call.name, piece)

    def _stopped(self, delta: dict[str, Any], usage: dict[str, Any] | None) -> Iterator[Delta]:
        # The figures are those of the whole answer so far; what is null here was told at the start.
        self._usage |= {name: value for name, value in (usage or {}).items() if value is not None}
        if reason := delta.get("stop_reason"):
            self._finish = FINISHES.get(reason, "other")
            self.finished = True
        if why := (delta.get("stop_details") or {}).get("explanation"):
            yield TextDelta(why)

    def _whole(self, message: dict[str, Any]) -> Iterator[Delta]:
        for index, block in enumerate(message["content"]):
            yield from self._begun(index, block)
        yield from self._stopped(message, message.get("usage"))


def _usage(told: dict[str, Any]) -> Usage:
    """`input_tokens` leaves out both cache figures; `output_tokens` has the thinking in it."""
    thought = (told.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return Usage(
        input=told.get("input_tokens") or 0,
        output=max(0, (told.get("output_tokens") or 0) - thought),
        reasoning=thought,
        cache_read=told.get("cache_read_input_tokens") or 0,
        cache_write=told.get("cache_creation_input_tokens") or 0,
    )
