"""Going back and forth in a session, and what it changed, for the session's pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Response, request, url_for

from app import live, slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.checkpoints import bp, service
from app.checkpoints.service import FileDiff
from app.errors import Problem
from app.projects.service import Place
from app.sessions import service as sessions
from app.sessions.service import Session

KEPT = 200
LOOKED_AT = 5
_known: dict[tuple[str, ...], list[Changed]] = {}


@dataclass(frozen=True)
class Changed:
    """A file that differs from the session's start, in lines."""

    path: str
    additions: int
    deletions: int


@bp.post("/sessions/<session_id>/revert")
def revert(session_id: str) -> Response:
    """Go back to before a message, or a part of one."""
    service.revert(web.actor(), session_id, web.form("messageID"), web.form("partID") or None)
    return live.done(url_for("sessions.show", session_id=session_id))


@bp.post("/sessions/<session_id>/unrevert")
def unrevert(session_id: str) -> Response:
    """Undo the step back."""
    service.unrevert(web.actor(), session_id)
    return live.done(url_for("sessions.show", session_id=session_id))


@slots.fill("session")
def fill_session(actor: Actor, session: Session) -> dict[str, Any]:
    """The changed files with their figures, and how many checkpoints there are."""
    if not accounts.may(actor, "checkpoints:read", session):
        return {}
    known = service.of_session(actor, session.id)
    revert = session.revert or {}
    key = (session.id, known[-1].id if known else "", revert.get("messageID", ""), revert.get("partID") or "")
    if key not in _known:
        if len(_known) >= KEPT:
            _known.clear()
        _known[key] = _changed(actor, session) if known else []
    return {"changed": _known[key], "checkpoints": len(known)}


@slots.fill("session.changes")
def fill_changes(actor: Actor, session: Session) -> dict[str, Any]:
    """The changed files with their patches."""
    return {"files": _by_folder(actor, session)}


@slots.fill("browse")
def fill_browse(actor: Actor, place: Place, path: str) -> dict[str, Any]:
    """While a file is edited: the session whose agent wrote it last, and when (unix ms)."""
    is_edit = request.args.get("view") == "edit" or request.method == "POST"
    if not (is_edit and accounts.may(actor, "checkpoints:read") and accounts.may(actor, "sessions:read")):
        return {}
    wrote = [
        (one.created, session)
        for session in sessions.find_page(actor, directory=str(place.directory), limit=LOOKED_AT)
        for one in service.of_session(actor, session.id)
        if one.kind == "after" and path in one.touched
    ]
    when, session = max(wrote, key=lambda found: found[0], default=(0, None))
    return {"wrote": {"session": session, "when": when}} if session else {}


def _changed(actor: Actor, session: Session) -> list[Changed]:
    """What differs; a session whose checkpoints cannot be read still has a page."""
    try:
        found = _by_folder(actor, session)
    except Problem:
        return []
    return [Changed(file.path, file.additions, file.deletions) for file in found]


def _by_folder(actor: Actor, session: Session) -> list[FileDiff]:
    return sorted(service.diff(actor, session.id), key=lambda file: file.path.rpartition("/"))
