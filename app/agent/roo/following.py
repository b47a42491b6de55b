"""The stream of a task: what is told of it, in the names that Roo's own clients know.

Each fact of the log says the same whenever it is told, so who comes back with the last id reads on as if nothing had
been: a record as it was then, under the time that it has in the logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
from flask import Response

from app import live
from app.actor import Actor
from app.agent.roo import asks, records, standing
from app.agent.roo.records import Record
from app.approvals import service as approvals
from app.approvals.events import Answered, Asked
from app.dialects import roo
from app.errors import Problem
from app.events import service as events
from app.events.service import Fact
from app.sessions import service as sessions
from app.sessions.events import MessageUpdated, PartDelta, PartUpdated, RunEnded, SessionCreated, SessionUpdated
from app.sessions.service import Message, Part
from app.streams import Feed, Stream, frame

HEARTBEAT = 15.0
BUSY = ("queued", "running", "waiting")
STOPPED = ("aborted", "interrupted")
Said = Iterator[tuple[str, list[Any]]]


def stream(actor: Actor, task_id: str, *, legacy: bool) -> Response:
    """What happens in a task from now on or behind Last-Event-ID, until it is gone or the actor may not see it."""
    subscription = events.subscribe(actor, live.after(), keep=_keeps(task_id), session=task_id)
    try:
        sessions.get(actor, task_id)
        approvals.of_session(
            actor, task_id, []
        )  # whoever may not read what is asked is told so now, not left in silence
        subscription.replay_only([task_id, *sessions.ids_below(actor, task_id)])
        before = subscription.earlier(SessionUpdated)
        told = Telling(actor, task_id, before.session if isinstance(before, SessionUpdated) else None, legacy=legacy)
    except BaseException:
        subscription.close()
        raise
    opening = b": open\n\n" + (b"event: resync\n" + frame(b"{}") if subscription.resync else b"")
    return Stream(Feed(subscription, opening, told.frames, lambda: b": ping\n\n", HEARTBEAT))


class Telling:
    """Tells one reader of a task; `session` is its row as the last fact had it."""

    def __init__(self, actor: Actor, task_id: str, session: dict[str, Any] | None, *, legacy: bool) -> None:
        self.actor = actor
        self.task_id = task_id
        self.session = session
        self._legacy = legacy
        # When the records of the message that was looked at last stand in the logs; None for what has no record.
        self._times: dict[str, int | None] = {}

    def frames(self, fact: Fact) -> bytes:
        """A frame for each thing that a fact says; only the last one takes a reader past it."""
        try:
            said = list(roo.encoders[type(fact.event)](self, fact))
        except Problem:
            return b""  # it is gone meanwhile, or out of sight: then the stream ends by itself
        last = len(said) - 1
        return b"".join(
            f"event: {name}\n".encode()
            + frame(orjson.dumps({"eventName": name, "payload": told}), fact.cursor if place == last else "")
            for place, (name, told) in enumerate(said)
        )

    @property
    def is_busy(self) -> bool:
        """Whether something went on when the last fact was written."""
        return self.session is not None and self.session["state"] in BUSY

    def message(self, record: Record | None, *, is_new: bool) -> Said:
        """A record as it stands in the logs, if there is one."""
        if record is not None:
            action = "created" if is_new else "updated"
            shown = record.shown(legacy=self._legacy)
            yield "message", [{"taskId": self.task_id, "action": action, "message": shown}]

    def growing(self, fact: Fact) -> Record | None:
        """The record of a text as far as a fact has it."""
        event = fact.event
        assert isinstance(event, PartDelta)
        if event.part_id not in self._times:
            self.records(fact, event.message_id)
        at = self._times.setdefault(event.part_id, None)
        if at is None:
            return None
        return Record(at, "say", event.type, fact.text or event.delta, partial=True, source=event.part_id)

    def records(self, fact: Fact, message_id: str) -> dict[str, Record]:
        """The records of a message by what they were made of, as they were when this was written.

        What the fact itself changes is as the fact has it, and nothing is told of what was asked later.
        """
        around, has_more = sessions.window(self.actor, self.task_id, at=message_id, limit=2 * standing.END)
        if all(message.id != message_id for message in around):
            return {}  # it is gone meanwhile
        names = [message.id for message in around]
        asked = [ask for ask in approvals.of_session(self.actor, self.task_id, names) if ask.created <= fact.at]
        mine = {message_id, *(part.id for message in around if message.id == message_id for part in message.parts)}
        mine |= {ask.id for ask in asked if ask.message_id == message_id}
        around = [_as_of(message, fact) if message.id == message_id else message for message in around]
        found = {
            record.source: record
            for record in records.of(around, asked, is_whole=not has_more)
            if record.source.partition(" ")[0] in mine
        }
        self._times = {source: record.ts for source, record in found.items()}
        return found


def _keeps(task_id: str) -> Any:
    """What is told: the task's own facts, and which subagents it begins and what they ask."""

    def keep(fact: Fact) -> bool:
        event = fact.event
        if type(event) not in roo.encoders:
            return False
        if isinstance(event, SessionCreated) and event.session["parent_id"] == task_id:
            return True
        if isinstance(event, Asked | Answered) and f"/{task_id}/" in event.ask["above"]:
            return True
        return getattr(event, "session_id", "") == task_id

    return keep


def _as_of(message: Message, fact: Fact) -> Message:
    """The message with what a fact says of it. Its end is one only for what is written after it."""
    event = fact.event
    if isinstance(event, MessageUpdated):
        return replace(message, data=event.message["data"], completed=event.message["completed"])
    if message.completed is not None and message.completed > fact.at:
        message = replace(message, completed=None)
    if isinstance(event, PartUpdated):
        mine = Part(**event.part)
        return replace(message, parts=[mine if part.id == mine.id else part for part in message.parts])
    return message


@roo.encodes(SessionCreated)
def _session_created(to: Telling, fact: Any) -> Said:
    if fact.event.session_id == to.task_id:
        yield "taskCreated", [to.task_id]
    else:
        yield "taskSpawned", [to.task_id, fact.event.session_id]


@roo.encodes(SessionUpdated)
def _session_updated(to: Telling, fact: Any) -> Said:
    was, now = to.session, fact.event.session
    to.session = now
    if was is None:
        return
    if was["mode"] != now["mode"]:
        yield "taskModeSwitched", [to.task_id, now["mode"]]
    if was["state"] not in BUSY and now["state"] in BUSY:
        yield "taskStarted", [to.task_id]
    elif was["state"] == "waiting" and now["state"] in BUSY and now["state"] != "waiting":
        yield "taskActive", [to.task_id]
    if (was["tokens"], was["cost"]) != (now["tokens"], now["cost"]):
        yield "taskTokenUsageUpdated", [to.task_id, usage(now)]


@roo.encodes(MessageUpdated)
def _message_updated(to: Telling, fact: Any) -> Said:
    message = fact.event.message
    found = to.records(fact, message["id"])
    is_person, is_over = message["role"] == "user", message["completed"] is not None
    is_begun = "finish" in message["data"] or is_over
    yield from to.message(found.get(message["id"]), is_new=is_person or not is_begun)
    if is_over:
        result = next((one for one in found.values() if (one.type, one.kind) == ("say", "completion_result")), None)
        yield from to.message(result, is_new=False)
        yield from to.message(found.get(records.end_of(message["id"])), is_new=True)


@roo.encodes(PartDelta)
def _part_delta(to: Telling, fact: Any) -> Said:
    yield from to.message(to.growing(fact), is_new=fact.event.end == len(fact.event.delta))


@roo.encodes(PartUpdated)
def _part_updated(to: Telling, fact: Any) -> Said:
    part = Part(**fact.event.part)
    found = to.records(fact, part.message_id)
    is_announced = part.type == "tool" and part.data["state"]["status"] == "pending" and "ready" not in part.data
    yield from to.message(found.get(part.id), is_new=is_announced or part.type == "retry")
    came = found.get(records.end_of(part.id))
    yield from to.message(came, is_new=True)
    if came is not None and came.kind == "error":
        yield "taskToolFailed", [to.task_id, asks.tool_of(part.data["tool"]), came.text]


@roo.encodes(Asked)
def _asked(to: Telling, fact: Any) -> Said:
    ask = fact.event.ask
    if ask["session_id"] == to.task_id:
        found = to.records(fact, ask["message_id"])
        yield from to.message(found.get(ask["id"]), is_new=True)
        if ask["id"] not in found:
            yield from to.message(found.get(ask["part_id"]), is_new=False)
    yield "taskInteractive", [to.task_id]


@roo.encodes(Answered)
def _answered(to: Telling, fact: Any) -> Said:
    ask = fact.event.ask
    if ask["session_id"] == to.task_id:
        found = to.records(fact, ask["message_id"])
        yield from to.message(found.get(records.words_of(ask["id"])), is_new=True)
    yield "taskAskResponded", [to.task_id]


@roo.encodes(RunEnded)
def _run_ended(to: Telling, fact: Any) -> Said:
    ended: RunEnded = fact.event
    rests = [] if to.is_busy else ["taskIdle"]
    if ended.state == "completed":
        session = to.session or {}
        is_subtask = {"isSubtask": session.get("parent_id") is not None}
        yield "taskCompleted", [to.task_id, usage(session), _tools(to), is_subtask]
    elif ended.state in STOPPED:
        yield "taskAborted", [to.task_id]
        stands = standing.of(to.actor, sessions.get(to.actor, to.task_id))
        asked = next((one for one in stands.records if one.kind == records.RESUME), None)
        yield from to.message(asked, is_new=True)
        rests = ["taskResumable"] if asked is not None else rests
    for name in rests:
        yield name, [to.task_id]


def _tools(to: Telling) -> dict[str, dict[str, int]]:
    """How often each tool was called and failed, by Roo's names."""
    found: dict[str, dict[str, int]] = {}
    for tool, (calls, failures) in sessions.count_calls(to.actor, to.task_id).items():
        one = found.setdefault(asks.tool_of(tool), {"attempts": 0, "failures": 0})
        one["attempts"] += calls
        one["failures"] += failures
    return found


def usage(session: dict[str, Any]) -> dict[str, Any]:
    """The sums of a session's row in Roo's words; cost in dollars."""
    tokens = session.get("tokens") or {}
    cache = tokens.get("cache") or {}
    return {
        "totalTokensIn": tokens.get("input", 0),
        "totalTokensOut": tokens.get("output", 0),
        "totalCacheWrites": cache.get("write", 0),
        "totalCacheReads": cache.get("read", 0),
        "totalCost": session.get("cost", 0.0),
        "contextTokens": tokens.get("context", 0),
    }
