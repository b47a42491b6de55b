"""Rules that a client gives a session of its own: kept and read by the approvals room, which this one can't know."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from app import db
from app.actor import Actor
from app.errors import Unavailable
from app.sessions.things import Session

Rules = Sequence[dict[str, str]]
_keep: Callable[[sa.Connection, Actor, Session, Rules], None] | None = None
_read: Callable[[sa.Connection, str], list[dict[str, str]]] = lambda _connection, _session: []  # noqa: E731


def register_rules(
    keep: Callable[[sa.Connection, Actor, Session, Rules], None],
    read: Callable[[sa.Connection, str], list[dict[str, str]]],
) -> None:
    """Say how rules ({tool, pattern, action}) are kept in an open transaction, and how a session's own are read."""
    global _keep, _read
    _keep, _read = keep, read


def keep(connection: sa.Connection, actor: Actor, session: Session, rules: Rules) -> None:
    """Add rules to a session's own; Denied without the right. Rules that nobody can keep are refused, never dropped."""
    if not rules:
        return
    if _keep is None:
        raise Unavailable("Rules cannot be kept in this process.")
    _keep(connection, actor, session, rules)


def rules_of(session: Session) -> list[dict[str, str]]:
    """The session's own rules, oldest first; who holds the session may see them."""
    with db.read() as connection:
        return _read(connection, session.id)
