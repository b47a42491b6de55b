"""How a task stands: its status in the words of both editions, what was said last, and what it asks.

It is told by the end of the transcript, however long that is.
"""

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
LAST = 6  # so many messages tell how a task stands, nearly always
# So many do where those say nothing; and so many in front of one keep the times of its records as they are.
END = 16


@dataclass(frozen=True)
class Standing:
    """A task as it is now, with its last records; `pending` is the oldest ask that waits, its subagents' too."""

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
        if last.kind == records.RESUME:
            return APPROVAL
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
        asked = self._asked
        return shape if asked is None else {**shape, "pendingAsk": asked}

    @property
    def _asked(self) -> dict[str, Any] | None:
        """What waits for somebody."""
        if self.pending is not None:
            kind, text = asks.of_ask(self.pending)
            return {"id": self.pending.id, "type": "ask", "ask": kind, "text": text, "ts": self.pending.created}
        last = self._last
        if last is not None and last.kind == records.RESUME:
            return {"id": last.source, "type": "ask", "ask": last.kind, "text": last.text, "ts": last.ts}
        return None

    @property
    def _last(self) -> Record | None:
        """The last record; the request to the model that follows a person's words is none yet."""
        own = [one for one in self.records if one.kind != "api_req_started"]
        return own[-1] if own else None

    @property
    def _last_told(self) -> Record | None:
        """The last record that says something and is whole."""
        told = (one for one in reversed(self.records) if one.says and not one.partial)
        return next(told, None)


def of(
    actor: Actor, session: Session, transcript: list[Message] | None = None, *, since: int | None = None
) -> Standing:
    """How a task stands, with its last records: at least those that are as new as `since` (unix ms), if it is given.

    With the whole transcript, all of them.
    """
    if transcript is not None:
        return _told_by(actor, session, transcript)
    if since is None:
        found, more = _end(actor, session, None, LAST)
        standing = _told_by(actor, session, found, more=more)
        if standing.last_message is not None or not more:
            return standing
    found, more = _end(actor, session, since, END)
    return _told_by(actor, session, found, more=more)


def _told_by(actor: Actor, session: Session, found: list[Message], *, more: bool = False) -> Standing:
    """How a task stands by these messages, the last ones; whether more stands before them."""
    is_settled = session.is_busy or (bool(found) and records.is_done(found[-1]))
    stopped = None if is_settled else sessions.stopped_run(actor, session)
    asked = approvals.asked_since(actor, session, found[0].id if more else "")
    pending = next((ask for ask in asked if ask.state == "waiting"), None)
    return Standing(session, records.of(found, asked, stopped, is_whole=not more), pending)


def _end(actor: Actor, session: Session, since: int | None, limit: int) -> tuple[list[Message], bool]:
    """The end of a transcript, so many messages or more, and whether more stands before it."""
    found, more = sessions.tail(actor, session, limit)
    while more and (_is_later(found[0], since) or _lacks_answer(session, found)):
        earlier, more = sessions.window(actor, session.id, before=found[0].id, limit=len(found))
        found = earlier + found
    return found, more


def _is_later(message: Message, since: int | None) -> bool:
    return since is not None and message.created >= since


def _lacks_answer(session: Session, found: list[Message]) -> bool:
    """Whether so many prompts wait that the message which is being written stands before all of them."""
    return session.is_busy and all(message.role == "user" for message in found)
