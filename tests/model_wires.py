"""How each wire spells a scripted answer, and what was said in a request of it; see tests.model_server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

WIRES = ("openai", "anthropic", "google")


class Spelling(Protocol):
    """One answer in one wire's words; every method gives the bytes of its events."""

    def begin(self) -> bytes: ...
    def text(self, piece: str) -> bytes: ...
    def thought(self, piece: str, field: str, signature: str) -> bytes: ...
    def call(self, place: int, id: str, name: str, pieces: list[str], signature: str) -> Iterator[bytes]: ...
    def raw(self, chunk: dict[str, Any]) -> bytes: ...
    def end(self, reason: str | None, usage: dict[str, Any] | None, has_calls: bool, words: int) -> bytes: ...


def data(chunk: Any) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


class OpenAI:
    """Chat completions."""

    def begin(self) -> bytes:
        return b""

    def text(self, piece: str) -> bytes:
        return self._delta({"content": piece})

    def thought(self, piece: str, field: str, signature: str) -> bytes:
        return self._delta({field: piece})

    def call(self, place: int, id: str, name: str, pieces: list[str], signature: str) -> Iterator[bytes]:
        head = {"index": place, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
        yield self._delta({"tool_calls": [head]})
        for piece in pieces:
            yield self._delta({"tool_calls": [{"index": place, "function": {"arguments": piece}}]})

    def raw(self, chunk: dict[str, Any]) -> bytes:
        return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "scripted", **chunk})

    def end(self, reason: str | None, usage: dict[str, Any] | None, has_calls: bool, words: int) -> bytes:
        reason = reason or ("tool_calls" if has_calls else "stop")
        figures = usage or {"prompt_tokens": 100, "completion_tokens": max(1, words // 4)}
        finish = self.raw({"choices": [{"delta": {}, "finish_reason": reason}]})
        return finish + self.raw({"choices": [], "usage": figures}) + b"data: [DONE]\n\n"

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return self.raw({"choices": [{"delta": delta}]})


class Anthropic:
    """Messages; every piece is a block of its own but for those of one kind in a row."""

    def __init__(self) -> None:
        self._index = -1
        self._kind = ""

    def begin(self) -> bytes:
        usage = {"input_tokens": 100, "output_tokens": 1}
        return self.raw({"type": "message_start", "message": {"role": "assistant", "content": [], "usage": usage}})

    def text(self, piece: str) -> bytes:
        return self._open("text", {"text": ""}) + self._delta({"type": "text_delta", "text": piece})

    def thought(self, piece: str, field: str, signature: str) -> bytes:
        begun = self._open("thinking", {"thinking": "", "signature": ""})
        told = begun + (self._delta({"type": "thinking_delta", "thinking": piece}) if piece else b"")
        if not signature:
            return told
        return told + self._delta({"type": "signature_delta", "signature": signature}) + self._close()

    def call(self, place: int, id: str, name: str, pieces: list[str], signature: str) -> Iterator[bytes]:
        yield self._close() + self._open("tool_use", {"id": id, "name": name, "input": {}})
        for piece in pieces:
            yield self._delta({"type": "input_json_delta", "partial_json": piece})

    def raw(self, chunk: dict[str, Any]) -> bytes:
        return b"event: " + str(chunk.get("type")).encode() + b"\n" + data(chunk)

    def end(self, reason: str | None, usage: dict[str, Any] | None, has_calls: bool, words: int) -> bytes:
        reason = reason or ("tool_use" if has_calls else "end_turn")
        figures = usage or {"output_tokens": max(1, words // 4)}
        last = self.raw({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": figures})
        return self._close() + last + self.raw({"type": "message_stop"})

    def _open(self, kind: str, block: dict[str, Any]) -> bytes:
        if self._kind == kind:
            return b""
        closed, self._kind = self._close(), kind
        self._index += 1
        begun = {"type": "content_block_start", "index": self._index, "content_block": {"type": kind, **block}}
        return closed + self.raw(begun) + self.raw({"type": "ping"})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return self.raw({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _close(self) -> bytes:
        kind, self._kind = self._kind, ""
        return self.raw({"type": "content_block_stop", "index": self._index}) if kind else b""


class Google:
    """streamGenerateContent with alt=sse; a call comes in one piece, raw text that is no object as it is."""

    def begin(self) -> bytes:
        return b""

    def text(self, piece: str) -> bytes:
        return self._part({"text": piece})

    def thought(self, piece: str, field: str, signature: str) -> bytes:
        return self._part({"text": piece, "thought": True}, signature)

    def call(self, place: int, id: str, name: str, pieces: list[str], signature: str) -> Iterator[bytes]:
        raw = "".join(pieces)
        try:
            given = json.loads(raw)
        except ValueError:
            given = raw
        yield self._part({"functionCall": {"id": id, "name": name, "args": given}}, signature)

    def raw(self, chunk: dict[str, Any]) -> bytes:
        return data(chunk).replace(b"\n", b"\r\n")

    def end(self, reason: str | None, usage: dict[str, Any] | None, has_calls: bool, words: int) -> bytes:
        figures = usage or {"promptTokenCount": 100, "candidatesTokenCount": max(1, words // 4)}
        candidate = {"content": {"role": "model", "parts": []}, "finishReason": reason or "STOP"}
        return self.raw({"candidates": [candidate], "usageMetadata": figures})

    def _part(self, part: dict[str, Any], signature: str = "") -> bytes:
        signed = {"thoughtSignature": signature} if signature else {}
        return self.raw({"candidates": [{"content": {"role": "model", "parts": [{**part, **signed}]}}]})


SPELLINGS: dict[str, type[Spelling]] = {"openai": OpenAI, "anthropic": Anthropic, "google": Google}


def wire_of(path: str) -> str:
    """The wire that a request's path belongs to."""
    if ":streamGenerateContent" in path:
        return "google"
    return "anthropic" if path.endswith("/messages") else "openai"


def error(wire: str, status: int) -> dict[str, Any]:
    """The error object of a scripted failure."""
    message = f"Scripted error {status}"
    if wire == "anthropic":
        return {"type": "error", "error": {"type": "api_error", "message": message}}
    return {"error": {"message": message, **({"code": status, "status": "UNKNOWN"} if wire == "google" else {})}}


def said(body: dict[str, Any]) -> list[dict[str, str]]:
    """Who said what in a request of any wire, as {role, content}; the results of tools are nobody's words."""
    if "contents" in body:
        turns = [("assistant" if one["role"] == "model" else "user", one["parts"]) for one in body["contents"]]
    else:
        turns = [(one.get("role"), one.get("content") or "") for one in body.get("messages") or ()]
    texts = [{"role": str(role), "content": _text(content)} for role, content in turns]
    return [one for one, (_, content) in zip(texts, turns, strict=True) if one["content"] or not _is_result(content)]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(str(part["text"]) for part in content if "text" in part)


def _is_result(content: Any) -> bool:
    return isinstance(content, list) and any(
        "functionResponse" in part or part.get("type") == "tool_result" for part in content
    )
