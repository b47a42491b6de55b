"""How a task stands: its status in the words of both editions, what was said last, and what it asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.actor import Actor
from app.agent.roo import asks, records
from app.agent.roo.records import Record
from app.approvals import service as approvals
from app.approvals.service import Ask
from app.sessions import service as sessions
from app.sessions.service import Message, Session

WAITING, WORKING, DONE, FAILED = "waiting_for_response", "in_progress", "completed", "error"
INPUT, APPROVAL = "needs_input", "needs_approval"
# Where a call that waits stops waiting.
STOPS = frozenset({DONE, FAILED, INPUT, APPROVAL})
_LEGACY = {APPROVAL: "waiting_for_approval", INPUT: "waiting_for_approval", WORKING: WAITING}


@dataclass(frozen=True)
class Standing:
    """A task as it is now: `pending` is the oldest of its asks that waits, its subagents' too."""

    session: Session
    records: list[Record]
    pending: Ask | None

    @property
    def status(self) -> str:
        """One of the newer edition's words."""
        if self.pending is not None:
            return INPUT if self.pending.kind == "question" else APPROVAL
        last = self._last
        if self.session.is_busy:
            return WAITING if last is None or last.is_person else WORKING
        if last is None or last.is_person:
            return WAITING
        if (last.type, last.kind) == ("say", "error"):
            return FAILED
        return DONE if last.kind == "completion_result" else WAITING

    @property
    def legacy_status(self) -> str:
        """The same in a word of the older edition."""
        return _LEGACY.get(self.status, self.status)

    @property
    def last_message(self) -> str | None:
        """What it asks, or else what was said last."""
        if self.pending is not None:
            kind, text = asks.of_ask(self.pending)
            return f"ask {kind}: {text}"
        told = self._last_told
        return told.words if told else None

    def shown(self, *, legacy: bool) -> dict[str, Any]:
        """`{id, lastMessage, status, legacyStatus, mode, pendingAsk?}`."""
        shape = {
            "id": self.session.id,
            "lastMessage": self.last_message,
            "status": self.legacy_status if legacy else self.status,
            "legacyStatus": self.legacy_status,
            "mode": self.session.mode,
        }
        return shape if self.pending is None else {**shape, "pendingAsk": _pending(self.pending)}

    @property
    def _last(self) -> Record | None:
        """The last record; the request to the model that follows a person's words is none yet."""
        own = [one for one in self.records if one.kind != "api_req_started"]
        return own[-1] if own else None

    @property
    def _last_told(self) -> Record | None:
        """The last record that says something and is whole."""
        told = (one for one in reversed(self.records) if one.text and not one.partial and one.kind != "api_req_started")
        return next(told, None)


def of(actor: Actor, session: Session, transcript: list[Message] | None = None) -> Standing:
    """How a task stands."""
    said = sessions.transcript(actor, session.id) if transcript is None else transcript
    every = approvals.of_session(actor, session.id)
    own = [ask for ask in every if ask.session_id == session.id]
    pending = next((ask for ask in every if ask.state == "waiting"), None)
    return Standing(session, records.of(said, own), pending)


def _pending(ask: Ask) -> dict[str, Any]:
    kind, text = asks.of_ask(ask)
    return {"id": ask.id, "type": "ask", "ask": kind, "text": text, "ts": ask.created}
