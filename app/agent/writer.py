"""Turns a model's deltas into parts of one assistant message, as they come.

The first piece of a text is stored and shown at once, then at most one write per 50 ms, and the end at once:
what a client has seen is always committed.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from app import db, ids
from app.agent.providers import CallDelta, CallDone, Delta, ReasoningDelta, TextDelta
from app.agent.ticks import ticks
from app.sessions import service as sessions
from app.sessions.service import Hold, Message, Part

FLUSH = 0.05
INVALID_JSON = "The arguments were not a JSON object, or held a NUL character. Send the call again with valid JSON."


class StepWriter:
    """Writes one step of the model; `take` each delta, then `close`."""

    def __init__(self, hold: Hold, message: Message) -> None:
        self._hold = hold
        self._message = message
        self._text: _Growing | None = None
        self._calls: dict[str, Part] = {}
        self.has_output = False

    def take(self, delta: Delta) -> None:
        """Store what came."""
        self.has_output = True
        if isinstance(delta, TextDelta):
            self._grow("text", delta.text)
        elif isinstance(delta, ReasoningDelta):
            self._grow("reasoning", delta.text)
        elif isinstance(delta, CallDelta):
            self._announce(delta.id, delta.name)
        elif isinstance(delta, CallDone):
            self._call(delta)

    def close(self) -> None:
        """End the open text; raises what a write has failed with."""
        if self._text is not None:
            text, self._text = self._text, None
            text.close()

    def _grow(self, kind: str, piece: str) -> None:
        if self._text is not None and self._text.part.type != kind:
            self.close()
        if self._text is None:
            if not piece.strip():
                return
            self._text = _Growing(self._hold, self._message, kind)
        self._text.add(piece)

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
        state: dict[str, Any] = {"status": "pending", "input": done.input, "raw": ""}
        if not isinstance(done.input, dict) or _has_nul(done.input):
            state = {
                "status": "error",
                "input": {},
                "error": INVALID_JSON,
                "raw": str(done.input),
                "time": {"start": now, "end": now},
            }
        data = {**part.data, "state": state, "ready": True}
        self._calls[call_id] = sessions.save_part(
            self._hold, Part(part.id, part.message_id, part.session_id, part.type, data)
        )


def _has_nul(value: Any) -> bool:
    """Whether a character is in there that no file name, command or database can hold."""
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(one) for key, one in value.items())
    if isinstance(value, list):
        return any(_has_nul(one) for one in value)
    return isinstance(value, str) and "\0" in value


class _Growing:
    """A text or reasoning part while it streams."""

    def __init__(self, hold: Hold, message: Message, kind: str) -> None:
        self._hold = hold
        self._lock = threading.Lock()
        self._all: list[str] = []
        self._pending = ""
        self._end = 0
        self._is_timed = False
        self._is_closed = False
        self._last: Future[None] | None = None
        self.part = sessions.add_part(hold, message.id, kind, {"text": "", "time": {"start": ids.now()}})

    def add(self, piece: str) -> None:
        """Queue a piece; the first goes out at once."""
        piece = db.storable(piece)
        with self._lock:
            self._all.append(piece)
            self._pending += piece
            if not self._is_timed:
                self._flush()

    def close(self) -> None:
        """Store the whole text, trimmed at its end, and its end time."""
        with self._lock:
            self._is_closed = True
            self._flush()
        if self._last is not None:
            self._last.result(timeout=30)
        time = {**self.part.data["time"], "end": ids.now()}
        data = {**self.part.data, "text": "".join(self._all).rstrip(), "time": time}
        part = self.part
        sessions.save_part(self._hold, Part(part.id, part.message_id, part.session_id, part.type, data))

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
            if self._pending and not self._is_closed:
                self._flush()
