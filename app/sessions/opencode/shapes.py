"""How OpenCode spells a session, a message and a part (the union of both generations), and their events."""

from __future__ import annotations

from typing import Any

from app import ids
from app.dialects import opencode
from app.events.service import Fact
from app.sessions import events, service
from app.sessions.opencode.bodies import PermissionRule
from app.sessions.service import Message, Part, Session
from app.spelling import Spelling

_HIDDEN = (
    "by",
    "ready",
    "signature",
    "redacted",
    "stamps",
    "beside",
    "for",
    "done",
    "undone",
    "failed",
    "typed",
    "paid",
)


@opencode.shapes("session")
def session(row: Session | dict[str, Any]) -> dict[str, Any]:
    """A Session."""
    get = row.__getitem__ if isinstance(row, dict) else lambda name: getattr(row, name)
    tokens = get("tokens") or {}
    shape: dict[str, Any] = {
        "id": get("id"),
        "slug": get("id")[-12:].lower(),
        "version": opencode.VERSION,
        "projectID": get("project"),
        "directory": get("directory"),
        "path": "",
        "title": get("title"),
        "time": {"created": get("created"), "updated": get("updated")},
        "cost": get("cost"),
        "tokens": _tokens(tokens),
        "summary": {
            "additions": get("additions"),
            "deletions": get("deletions"),
            "files": get("files"),
            "diffs": [],
        },
        "agent": get("mode"),
    }
    if get("provider"):
        shape["model"] = {"providerID": get("provider"), "id": get("model"), "modelID": get("model")}
    if get("parent_id"):
        shape["parentID"] = get("parent_id")
    if get("archived"):
        shape["time"]["archived"] = get("archived")
    if get("compacting"):
        shape["time"]["compacting"] = get("compacting")
    if get("revert"):
        shape["revert"] = get("revert")
    if url := service.share_url(row):
        shape["share"] = {"url": url}
    return shape


def message(row: Message | dict[str, Any]) -> dict[str, Any]:
    """A UserMessage or AssistantMessage, without parts."""
    get = row.__getitem__ if isinstance(row, dict) else lambda name: getattr(row, name)
    data = {name: value for name, value in get("data").items() if name not in _HIDDEN}
    time = {"created": get("created")}
    if get("completed"):
        time["completed"] = get("completed")
    shape = {"id": get("id"), "sessionID": get("session_id"), "role": get("role"), "time": time, **data}
    if get("role") == "assistant":
        shape["system"] = []
        shape["tokens"] = _tokens(data.get("tokens", {}))
    return shape


def part(row: Part | dict[str, Any]) -> dict[str, Any]:
    """A Part of any type."""
    get = row.__getitem__ if isinstance(row, dict) else lambda name: getattr(row, name)
    data = {name: value for name, value in get("data").items() if name not in _HIDDEN}
    named = {"id": get("id"), "sessionID": get("session_id"), "messageID": get("message_id")}
    if get("type") == "step-finish":
        data["tokens"] = _tokens(data["tokens"])
    return {**named, "type": get("type"), **data}


@opencode.shapes("message")
def with_parts(row: Message) -> dict[str, Any]:
    """A message as lists and prompts answer it: `{info, parts}`."""
    return {"info": message(row), "parts": [part(one) for one in row.parts]}


def status(retry: Part | None) -> dict[str, Any]:
    """What a session that isn't idle does: busy, or waiting to ask its model again."""
    if retry is None or retry.data["next"] <= ids.now():
        return {"type": "busy"}
    data = retry.data
    return {
        "type": "retry",
        "attempt": data["attempt"],
        "message": data["error"]["data"]["message"],
        "next": data["next"],
    }


def rule(given: PermissionRule) -> dict[str, str]:
    """A rule that a client gave, in our words."""
    return {"tool": given.permission, "pattern": given.pattern, "action": given.action}


def permission(rule: dict[str, str]) -> dict[str, str]:
    """A rule of a session in OpenCode's words."""
    return {"permission": rule["tool"], "pattern": rule["pattern"], "action": rule["action"]}


SESSIONS: Spelling[Session] = Spelling(session)
MESSAGES: Spelling[Message] = Spelling(with_parts)


def _tokens(tokens: dict[str, Any]) -> dict[str, Any]:
    cache = tokens.get("cache", {})
    shape: dict[str, Any] = {name: tokens.get(name, 0) for name in ("input", "output", "reasoning")}
    shape["cache"] = {"read": cache.get("read", 0), "write": cache.get("write", 0)}
    shape["total"] = shape["input"] + shape["output"] + shape["reasoning"] + sum(shape["cache"].values())
    return shape


def _event(name: str, session_id: str, **properties: Any) -> list[dict[str, Any]]:
    return [{"type": name, "properties": {"sessionID": session_id, **properties}}]


@opencode.encodes(events.SessionCreated)
def _created(fact: Fact) -> list[dict[str, Any]]:
    return _event("session.created", fact.event.session_id, info=session(fact.event.session))  # type: ignore[attr-defined]


@opencode.encodes(events.SessionUpdated)
def _updated(fact: Fact) -> list[dict[str, Any]]:
    return _event("session.updated", fact.event.session_id, info=session(fact.event.session))  # type: ignore[attr-defined]


@opencode.encodes(events.SessionDeleted)
def _deleted(fact: Fact) -> list[dict[str, Any]]:
    return _event("session.deleted", fact.event.session_id, info=session(fact.event.session))  # type: ignore[attr-defined]


@opencode.encodes(events.SessionHidden)
def _hidden(fact: Fact) -> list[dict[str, Any]]:
    """It is told to those alone who see it no more: gone, as far as they know."""
    session_id: str = fact.event.session_id  # type: ignore[attr-defined]
    blank = {
        "id": session_id,
        "slug": session_id[-12:].lower(),
        "version": opencode.VERSION,
        "projectID": fact.scope.project,
        "directory": "",
        "path": "",
        "title": "",
        "time": {"created": fact.at, "updated": fact.at},
    }
    return _event("session.deleted", session_id, info=blank)


@opencode.encodes(events.SessionBusy)
def _busy(fact: Fact) -> list[dict[str, Any]]:
    return _event("session.status", fact.event.session_id, status={"type": "busy"})  # type: ignore[attr-defined]


@opencode.encodes(events.SessionRetrying)
def _retrying(fact: Fact) -> list[dict[str, Any]]:
    event: events.SessionRetrying = fact.event  # type: ignore[assignment]
    status = {"type": "retry", "attempt": event.attempt, "message": event.message, "next": event.next}
    return _event("session.status", event.session_id, status=status)


@opencode.encodes(events.SessionIdle)
def _idle(fact: Fact) -> list[dict[str, Any]]:
    session_id = fact.event.session_id  # type: ignore[attr-defined]
    return _event("session.status", session_id, status={"type": "idle"}) + _event("session.idle", session_id)


@opencode.encodes(events.SessionFailed)
def _failed(fact: Fact) -> list[dict[str, Any]]:
    return _event("session.error", fact.event.session_id, error=fact.event.error)  # type: ignore[attr-defined]


@opencode.encodes(events.SessionCompacted)
def _compacted(fact: Fact) -> list[dict[str, Any]]:
    return _event("session.compacted", fact.event.session_id)  # type: ignore[attr-defined]


@opencode.encodes(events.MessageUpdated)
def _message(fact: Fact) -> list[dict[str, Any]]:
    return _event("message.updated", fact.event.session_id, info=message(fact.event.message))  # type: ignore[attr-defined]


@opencode.encodes(events.MessageRemoved)
def _removed(fact: Fact) -> list[dict[str, Any]]:
    return _event("message.removed", fact.event.session_id, messageID=fact.event.message_id)  # type: ignore[attr-defined]


@opencode.encodes(events.PartRemoved)
def _part_removed(fact: Fact) -> list[dict[str, Any]]:
    event: events.PartRemoved = fact.event  # type: ignore[assignment]
    return _event("message.part.removed", event.session_id, messageID=event.message_id, partID=event.part_id)


@opencode.encodes(events.PartUpdated)
def _part(fact: Fact) -> list[dict[str, Any]]:
    shape = part(fact.event.part)  # type: ignore[attr-defined]
    return _event("message.part.updated", fact.event.session_id, part=shape, time=fact.at)  # type: ignore[attr-defined]


@opencode.encodes(events.PartDelta)
def _delta(fact: Fact) -> list[dict[str, Any]]:
    """The whole text so far and the piece that is new: both generations can use that."""
    event: events.PartDelta = fact.event  # type: ignore[assignment]
    shape = {
        "id": event.part_id,
        "sessionID": event.session_id,
        "messageID": event.message_id,
        "type": event.type,
        "text": fact.text or "",
        "time": {"start": event.started},
    }
    return _event("message.part.updated", event.session_id, part=shape, delta=event.delta, time=fact.at)


@opencode.encodes(events.PartDelta, globally=True)
def _grown(fact: Fact) -> list[dict[str, Any]]:
    """The piece alone, to be added to what the part says so far."""
    event: events.PartDelta = fact.event  # type: ignore[assignment]
    where = {"messageID": event.message_id, "partID": event.part_id}
    return _event("message.part.delta", event.session_id, **where, field="text", delta=event.delta)


@opencode.encodes(events.TodosUpdated)
def _todos(fact: Fact) -> list[dict[str, Any]]:
    return _event("todo.updated", fact.event.session_id, todos=fact.event.todos)  # type: ignore[attr-defined]
