"""Turns a model's deltas into parts of one assistant message, as they come.

The first piece of a text is stored and shown at once, then at most one write per 50 ms, and the end at once:
what a client has seen is always committed.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from app import db, ids, redact
from app.agent.providers import CallDelta, CallDone, Delta, ReasoningDelta, TextDelta
from app.agent.ticks import ticks
from app.secrets import service as secrets
from app.sessions import service as sessions
from app.sessions.service import Hold, Message, Part

FLUSH = 0.05
RETRIED = "Not run: the answer broke off, and the model was asked again."
INVALID_JSON = "The arguments were not a JSON object, or held a NUL character. Send the call again with valid JSON."


class StepWriter:
    """Writes one step of the model; `take` each delta, then `close`."""

    def __init__(self, hold: Hold, message: Message) -> None:
        self._hold = hold
        self._message = message
        self._text: _Growing | None = None
        self._blank = ""
        self._calls: dict[str, Part] = {}
        self._closed: list[Part] = []

    def take(self, delta: Delta) -> None:
        """Store what came."""
        if isinstance(delta, TextDelta):
            self._grow("text", delta.text, delta.signature)
        elif isinstance(delta, ReasoningDelta):
            self._grow("reasoning", delta.text, delta.signature, redacted=delta.redacted)
            if delta.signature:
                self.close()
        elif isinstance(delta, CallDelta):
            self._announce(delta.id, delta.name)
        elif isinstance(delta, CallDone):
            self._call(delta)

    def close(self) -> None:
        """End the open text; raises what a write has failed with."""
        self._blank = ""
        if self._text is not None:
            text, self._text = self._text, None
            self._closed.append(text.close())

    def mark_retried(self) -> None:
        """After a try that failed: mark what it wrote, for people to know and the model not to see."""
        now = ids.now()
        for part in (*self._closed, *self._calls.values()):
            data = {**part.data, "metadata": {"retried": True}}
            if part.type == "tool":
                time = {"start": now, "end": now}
                data["state"] = {"status": "error", "input": {}, "error": RETRIED, "time": time}
            sessions.save_part(self._hold, replace(part, data=data))

    def _grow(self, kind: str, piece: str, signature: str, *, redacted: bool = False) -> None:
        if redacted or (self._text is not None and self._text.part.type != kind):
            self.close()
        if self._text is None:
            if not piece.strip() and not (signature and kind == "reasoning"):
                self._blank += piece
                return
            self._text = _Growing(self._hold, self._message, kind, {"redacted": True} if redacted else {})
            # A text begins with its first word; a thought may be signed, and then every blank counts.
            piece = (self._blank if kind == "reasoning" else "") + piece
        self._blank = ""
        self._text.add(piece, signature)

    def _announce(self, call_id: str, name: str) -> None:
        """A call begins: seen as pending while its arguments still stream."""
        if not call_id or not name or call_id in self._calls:
            return
        self._open(call_id, name)

    def _open(self, call_id: str, name: str) -> None:
        self.close()
        state = {"status": "pending", "input": {}, "raw": ""}
        data = {"callID": call_id, "tool": name, "state": state}
        self._calls[call_id] = sessions.add_part(self._hold, self._message.id, "tool", data)

    def _call(self, done: CallDone) -> None:
        call_id = done.id
        while call_id not in self._calls or "ready" in self._calls[call_id].data:
            if call_id not in self._calls:
                self._open(call_id, done.name)
            else:
                call_id += "_"  # a server that gives two calls one id
        part = self._calls[call_id]
        now = ids.now()
        given = secrets.hide(self._hold.session.project, done.input)
        state: dict[str, Any] = {"status": "pending", "input": given, "raw": ""}
        if not isinstance(given, dict) or _has_nul(given):
            state = {
                "status": "error",
                "input": {},
                "error": INVALID_JSON,
                "raw": str(given),
                "time": {"start": now, "end": now},
            }
        data = {**part.data, "state": state, "ready": True}
        if done.signature:
            data["signature"] = done.signature
        self._calls[call_id] = sessions.save_part(self._hold, replace(part, data=data))


def _has_nul(value: Any) -> bool:
    """Whether a character is in there that no file name, command or database can hold."""
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(one) for key, one in value.items())
    if isinstance(value, list):
        return any(_has_nul(one) for one in value)
    return isinstance(value, str) and "\0" in value


class _Growing:
    """A text or reasoning part while it streams."""

    def __init__(self, hold: Hold, message: Message, kind: str, more: dict[str, Any]) -> None:
        self._hold = hold
        self._lock = threading.Lock()
        self._all: list[str] = []
        self._pending = ""
        self._end = 0
        self._is_timed = False
        self._is_closed = False
        self._last: Future[None] | None = None
        self._signature = ""
        self._redacted = redact.stream()
        self._came: list[str] = []
        self.part = sessions.add_part(hold, message.id, kind, {"text": "", "time": {"start": ids.now()}, **more})

    def add(self, piece: str, signature: str) -> None:
        """Queue a piece; the first goes out at once."""
        with self._lock:
            self._signature = signature or self._signature
            self._came.append(db.storable(piece))
            self._put(self._redacted.feed(self._came[-1]))
            if not self._is_timed:
                self._flush()

    def close(self) -> Part:
        """Store the whole text and its end time: trimmed at its end, or with its signature and as it came."""
        with self._lock:
            self._is_closed = True
            self._put(self._redacted.flush())
            self._flush()
        if self._last is not None:
            self._last.result(timeout=30)
        text, time = "".join(self._all), {**self.part.data["time"], "end": ids.now()}
        # A signature is of what came: it is none of a text that a secret was taken out of.
        is_signed = bool(self._signature) and text == "".join(self._came)
        data = {**self.part.data, "text": text if is_signed else text.rstrip(), "time": time}
        if is_signed:
            data["signature"] = self._signature
        return sessions.save_part(self._hold, replace(self.part, data=data))

    def _put(self, shown: str) -> None:
        """Take what may be shown: without the secrets, and without what may become one."""
        self._all.append(shown)
        self._pending += shown

    def _flush(self) -> None:
        if self._pending:
            delta, self._pending = self._pending, ""
            self._end += len(delta)
            self._last = sessions.append_text(self._hold, self.part, delta, self._end)
        if not self._is_closed:
            self._is_timed = True
            ticks.after(FLUSH, self._tick)

    def _tick(self) -> None:
        with self._lock:
            self._is_timed = False
            if self._is_closed:
                return
            if not self._pending:
                self._put(self._redacted.pause())
            if self._pending:
                self._flush()
