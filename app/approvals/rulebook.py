"""The rules that people added, as rows: those that hold for a session, adding some, removing one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import sqlalchemy as sa

from app import ids
from app.approvals import models
from app.approvals.presets import Action
from app.approvals.rules import LAYERS, Rule
from app.approvals.things import StoredRule
from app.sessions import service as sessions
from app.sessions.service import Session

RULES = models.rules


def holding(connection: sa.Connection, session: Session) -> list[Rule]:
    """The rules for a session, widest layer first, in each the oldest first; subagents have those of all above."""
    family = [session.id, *sessions.above(connection, session)]
    which = sa.or_(
        RULES.c.layer == "server",
        sa.and_(RULES.c.layer == "user", RULES.c.target == session.owner),
        sa.and_(RULES.c.layer == "project", RULES.c.target == session.project),
        sa.and_(RULES.c.layer == "session", RULES.c.target.in_(family)),
    )
    return _rules(connection, which)


def standing(connection: sa.Connection, user: str, project: str) -> list[Rule]:
    """The rules for every session that a user has in a project, widest layer first, in each the oldest first."""
    which = sa.or_(
        RULES.c.layer == "server",
        sa.and_(RULES.c.layer == "user", RULES.c.target == user),
        sa.and_(RULES.c.layer == "project", RULES.c.target == project),
    )
    return _rules(connection, which)


def add(
    connection: sa.Connection, new: Iterable[dict[str, str]], layer: str, target: str, ask_id: str, by: str
) -> None:
    """Store rules at a layer for a target."""
    rows = [
        {
            "id": ids.ascending("rul"),
            "layer": layer,
            "target": target,
            "tool": rule["tool"],
            "pattern": rule["pattern"],
            "action": rule["action"],
            "ask_id": ask_id,
            "created_by": by,
            "created": ids.now(),
        }
        for rule in new
    ]
    if rows:
        connection.execute(RULES.insert().inline(), rows)


def listed(connection: sa.Connection, layer: str, target: str) -> list[StoredRule]:
    """The stored rules of one layer for one target, oldest first."""
    query = sa.select(RULES).where(RULES.c.layer == layer, RULES.c.target == target).order_by(RULES.c.id)
    return [StoredRule(**row._asdict()) for row in connection.execute(query)]


def find(connection: sa.Connection, rule_id: str) -> StoredRule | None:
    """One stored rule."""
    row = connection.execute(sa.select(RULES).where(RULES.c.id == rule_id)).one_or_none()
    return StoredRule(**row._asdict()) if row else None


def remove(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> None:
    """Delete rules."""
    connection.execute(RULES.delete().where(*which))


def _rules(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[Rule]:
    rows = connection.execute(sa.select(RULES).where(which).order_by(RULES.c.id))
    found = [Rule(row.tool, row.pattern, cast("Action", row.action), row.layer) for row in rows]
    return sorted(found, key=lambda rule: LAYERS.index(rule.layer))
