"""Tasks as Roo's clients list them."""

from __future__ import annotations

from typing import Any

from app.actor import Actor
from app.projects.service import Place
from app.sessions import service as sessions
from app.sessions.service import Session


def listed(actor: Actor, place: Place, offset: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Tasks of the workspace, the newest created first, and how many there are in all."""
    found, total = sessions.by_creation(actor, project=place.project.id, offset=offset, limit=limit)
    said = sessions.first_prompts(actor, [session.id for session in found])
    return [_row(session, said.get(session.id, session.title)) for session in found], total


def _row(session: Session, message: str) -> dict[str, Any]:
    tokens = session.tokens
    cache = tokens.get("cache") or {}
    return {
        "id": session.id,
        "message": message,
        "timestamp": session.created,
        "updated": session.updated,
        "tokensIn": tokens.get("input", 0),
        "tokensOut": tokens.get("output", 0),
        "cacheWrites": cache.get("write", 0),
        "cacheReads": cache.get("read", 0),
        "cost": session.cost,
        "mode": session.mode,
    }
