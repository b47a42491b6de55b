"""OpenCode's diff, revert and unrevert of a session."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, StringConstraints

from app.actor import Actor
from app.checkpoints import bp, events, service
from app.dialects import opencode
from app.events.service import Fact
from app.sessions import service as sessions

door = opencode.door(bp)


class Diff(BaseModel):
    """GET /session/{id}/diff."""

    messageID: Annotated[str, StringConstraints(pattern=r"^msg")] | None = None


class Revert(BaseModel):
    """POST /session/{id}/revert."""

    messageID: Annotated[str, StringConstraints(pattern=r"^msg")]
    partID: Annotated[str, StringConstraints(pattern=r"^prt")] | None = None


@door.get("/session/<session_id>/diff", query=Diff)
def diff(actor: Actor, query: Diff, session_id: str) -> list[dict[str, Any]]:
    """What the session, or the turn of one prompt, changed."""
    return [
        {
            "file": change.path,
            "before": change.before,
            "after": change.after,
            "additions": change.additions,
            "deletions": change.deletions,
            "patch": change.patch,
            "status": change.status,
        }
        for change in service.diff(actor, _id(session_id), query.messageID)
    ]


@door.post("/session/<session_id>/revert", body=Revert)
def revert(actor: Actor, body: Revert, session_id: str) -> dict[str, Any]:
    """Put files and conversation back to before a message or part."""
    service.revert(actor, _id(session_id), body.messageID, body.partID)
    return _session(actor, session_id)


@door.post("/session/<session_id>/unrevert")
def unrevert(actor: Actor, session_id: str) -> dict[str, Any]:
    """Take the revert back."""
    service.unrevert(actor, _id(session_id))
    return _session(actor, session_id)


@opencode.encodes(events.DiffChanged)
def _changed(fact: Fact) -> list[dict[str, Any]]:
    """Which files, without their patches: `diff` has those."""
    event: events.DiffChanged = fact.event  # type: ignore[assignment]
    names = ("additions", "deletions", "status")
    diff = [{"file": file["path"], **{name: file[name] for name in names}} for file in event.files]
    return [{"type": "session.diff", "properties": {"sessionID": event.session_id, "diff": diff}}]


def _id(session_id: str) -> str:
    return opencode.checked("ses", session_id)


def _session(actor: Actor, session_id: str) -> dict[str, Any]:
    return opencode.shape("session", sessions.get(actor, session_id))
