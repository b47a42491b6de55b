"""The chunks of one answer of Google's streamGenerateContent, put together into deltas.

Each is a GenerateContentResponse with what is new: `candidates[0].content.parts`, at last `finishReason`, and
`usageMetadata` of all so far (ai.google.dev/api/generate-content). No chunk says that it is the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from app import ids
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
from app.agent.providers.answers import finish
from app.agent.providers.refusal import refusal

FINISHES = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content-filter",
    "RECITATION": "content-filter",
    "BLOCKLIST": "content-filter",
    "PROHIBITED_CONTENT": "content-filter",
    "SPII": "content-filter",
    "IMAGE_SAFETY": "content-filter",
}
# The model wrote a call that its own server could not read, and which we never see.
MALFORMED = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL")


class GoogleAnswer:
    """Takes the chunks of one answer in order and tells what each brought."""

    def __init__(self) -> None:
        self._calls: list[CallDone] = []
        self._finish: str | None = None
        self._usage = Usage()
        self.finished = False
        self.over = False

    def take(self, chunk: dict[str, Any]) -> Iterator[Delta]:
        """Yield what a chunk brings; an error or a prompt that is blocked raises `ProviderFailed`."""
        if "error" in chunk:
            raise refusal(None, chunk)
        if usage := chunk.get("usageMetadata"):
            self._usage = _usage(usage)
        for candidate in (chunk.get("candidates") or ())[:1]:
            for part in (candidate.get("content") or {}).get("parts") or ():
                yield from self._part(part)
            yield from self._stopped(candidate)
        if why := (chunk.get("promptFeedback") or {}).get("blockReason"):
            raise ProviderFailed(f"The model's server does not let this prompt through: {why}")

    def end(self) -> Iterator[Delta]:
        """Yield the complete calls and `Done`; a call ends with STOP, as a text does."""
        yield from self._calls
        yield Done(finish(self._finish, bool(self._calls)), self._usage)

    def _part(self, part: dict[str, Any]) -> Iterator[Delta]:
        signature = part.get("thoughtSignature") or ""
        if call := part.get("functionCall"):
            # Only Gemini 3 and later give a call an id.
            done = CallDone(call.get("id") or ids.random("call"), call["name"], call.get("args") or {}, signature)
            yield CallDelta(len(self._calls), done.id, done.name, orjson.dumps(done.input).decode())
            self._calls.append(done)
        elif (text := part.get("text") or "") or signature:
            yield ReasoningDelta(text, signature) if part.get("thought") else TextDelta(text, signature)

    def _stopped(self, candidate: dict[str, Any]) -> Iterator[Delta]:
        reason = candidate.get("finishReason")
        if reason in MALFORMED:
            why = candidate.get("finishMessage") or "no more is known"
            raise ProviderFailed(f"The model wrote a tool call that cannot be read: {why}", retryable=True)
        if reason:
            self._finish = FINISHES.get(reason, "other")
            self.finished = True
        if self._finish == "content-filter" and (why := candidate.get("finishMessage")):
            yield TextDelta(why)


def _usage(told: dict[str, Any]) -> Usage:
    """`promptTokenCount` has what was cached in it; `candidatesTokenCount` leaves the thoughts out."""
    read = told.get("cachedContentTokenCount") or 0
    given = (told.get("promptTokenCount") or 0) + (told.get("toolUsePromptTokenCount") or 0)
    return Usage(
        input=max(0, given - read),
        output=told.get("candidatesTokenCount") or 0,
        reasoning=told.get("thoughtsTokenCount") or 0,
        cache_read=read,
    )
