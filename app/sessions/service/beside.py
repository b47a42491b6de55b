"""What titles and summaries take: it counts towards a session's cost, but not towards the task's own tokens."""

from __future__ import annotations

from typing import Any

from app import db
from app.accounts import service as accounts
from app.actor import Actor
from app.sessions.service import rows
from app.sessions.service.transcript import TITLE_LENGTH
from app.sessions.things import Hold, Session


def add_usage_beside(hold: Hold, cost: float, tokens: dict[str, Any]) -> None:
    """Add what a summary took."""
    with db.transaction() as connection:
        hold.check(connection)
        session = rows.session(connection, hold.session.id, lock=True)
        rows.change(connection, session, **_more(session, cost, tokens))


def retitle(actor: Actor, session_id: str, was: str, title: str, cost: float, tokens: dict[str, Any]) -> Session:
    """Give a session the title that was worked out for it, unless it is named otherwise by now; add what that took."""
    with db.transaction() as connection:
        session = rows.session(connection, session_id, lock=True)
        accounts.require(actor, "sessions:write", session)
        now = db.storable(title)[:TITLE_LENGTH] if session.title == was else session.title
        return rows.change(connection, session, title=now, **_more(session, cost, tokens))


def _more(session: Session, cost: float, tokens: dict[str, Any]) -> dict[str, Any]:
    was, cache = session.tokens.get("beside", {}), tokens.get("cache", {})
    read = tokens.get("input", 0) + cache.get("read", 0) + cache.get("write", 0)
    beside = {
        "input": was.get("input", 0) + read,
        "output": was.get("output", 0) + tokens.get("output", 0) + tokens.get("reasoning", 0),
        "cost": was.get("cost", 0.0) + cost,
    }
    return {"cost": session.cost + cost, "tokens": {**session.tokens, "beside": beside}}
