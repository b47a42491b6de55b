"""Tasks as Roo's clients list them."""

from __future__ import annotations

from typing import Any

from app.actor import Actor
from app.projects.service import Place
from app.sessions import service as sessions
from app.sessions.service import Begun


def listed(actor: Actor, place: Place, offset: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Tasks of the workspace, the newest created first, and how many there are in all."""
    found, total = sessions.by_creation(actor, project=place.project.id, offset=offset, limit=limit)
    return [_row(session) for session in found], total


def _row(session: Begun) -> dict[str, Any]:
    tokens = session.tokens
    cache = tokens.get("cache") or {}
    return {
        "id": session.id,
        "message": session.title if session.said is None else session.said,
        "timestamp": session.created,
        "updated": session.updated,
        "tokensIn": tokens.get("input", 0),
        "tokensOut": tokens.get("output", 0),
        "cacheWrites": cache.get("write", 0),
        "cacheReads": cache.get("read", 0),
        "cost": session.cost,
        "mode": session.mode,
    }
