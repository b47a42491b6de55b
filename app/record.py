"""Facts and deeds: writes event and audit rows inside the transaction that is open.

Owns those two tables and imports no room; the rooms `events` and `audit` read them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import sqlalchemy as sa

from app import db, ids
from app.actor import Actor, Thing
from app.wake import Ringer

events = sa.Table(
    "event",
    db.metadata,
    sa.Column("seq", db.BigSerial, primary_key=True, autoincrement=True),
    sa.Column("xid", sa.BigInteger, nullable=False),  # PostgreSQL's transaction; 0 on SQLite
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("session_id", sa.String(40), nullable=False),
    sa.Column("owner", sa.String(40), nullable=False),
    sa.Column("project", sa.String(40), nullable=False),
    sa.Column("visibility", sa.String(16), nullable=False),
    sa.Column("data", db.Json, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("event_xid_seq", "xid", "seq"),
    sa.Index("event_session", "session_id", "seq"),
    sqlite_autoincrement=True,
)

audit_rows = sa.Table(
    "audit",
    db.metadata,
    sa.Column("seq", db.BigSerial, primary_key=True, autoincrement=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),
    sa.Column("actor_kind", sa.String(16), nullable=False),
    sa.Column("user", sa.String(40), nullable=False),
    sa.Column("token", sa.String(64), nullable=True),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("target", sa.String(255), nullable=False),
    sa.Column("result", sa.String(16), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("via", sa.String(16), nullable=False),
    sa.Column("request_id", sa.String(16), nullable=False, server_default=""),
    sa.Column("detail", db.Json, nullable=False),
    sa.Index("audit_at", "at"),
    sa.Index("audit_user", "user", "seq"),
    sa.Index("audit_action", "action", "seq"),
    sqlite_autoincrement=True,
)

kinds: dict[str, type[Event]] = {}
_ringer: Ringer | None = None
_find_request: Callable[[], str] = str


@dataclass(frozen=True)
class Event:
    """A fact that a room announces; a subclass names its kind and holds JSON-able fields."""

    kind: ClassVar[str] = ""
    # Whether it is for its owner alone, whatever others may read.
    is_personal: ClassVar[bool] = False
    # Whether it is for those alone who see no more of what it is about.
    is_farewell: ClassVar[bool] = False
    # Whether nothing comes after it about its session.
    is_last: ClassVar[bool] = False

    def __init_subclass__(cls, kind: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = kind
        kinds[kind] = cls


def event(connection: sa.Connection, fact: Event, scope: Thing) -> None:
    """Append the fact to the log in the open transaction; readers are woken once it has committed."""
    connection.execute(_insert(connection), _row(fact, scope))
    db.after_commit(announce)


def event_list(connection: sa.Connection, facts: Sequence[Event], scope: Thing) -> None:
    """Append many facts at once, in their order."""
    if facts:
        connection.execute(_insert(connection), [_row(fact, scope) for fact in facts])
        db.after_commit(announce)


def _insert(connection: sa.Connection) -> sa.Insert:
    return _insert_postgresql if connection.dialect.name == "postgresql" else _insert_sqlite


def _row(fact: Event, scope: Thing) -> dict[str, Any]:
    data = {field.name: getattr(fact, field.name) for field in dataclasses.fields(fact)}
    return {
        "kind": fact.kind,
        "session_id": data.get("session_id") or "",
        "owner": scope.owner,
        "project": scope.project,
        "visibility": scope.visibility,
        "data": data,
        "at": ids.now(),
    }


_insert_sqlite = events.insert().values(xid=0).inline()
_insert_postgresql = events.insert().values(xid=sa.text("pg_current_xact_id()::text::bigint")).inline()


def rescope(connection: sa.Connection, session_id: str, scope: Thing) -> None:
    """Give the session's past facts its new rights, so that a replay shows no more than a read would."""
    connection.execute(
        events.update()
        .where(events.c.session_id == session_id)
        .values(owner=scope.owner, project=scope.project, visibility=scope.visibility)
    )


def forget(connection: sa.Connection, session_id: str, *kept: type[Event]) -> None:
    """Erase what the log holds of a session, except facts of these kinds, so that no replay shows it any more.

    The log then has a gap, which a cursor passes over: places are compared, never counted.
    """
    kinds_kept = [kind.kind for kind in kept]
    connection.execute(events.delete().where(events.c.session_id == session_id, events.c.kind.not_in(kinds_kept)))


def audit(
    connection: sa.Connection,
    actor: Actor,
    action: str,
    target: str = "",
    detail: dict[str, Any] | None = None,
    result: str = "done",
    *,
    request_id: str | None = None,
) -> None:
    """Write down a security-relevant act in the transaction of the act itself: no row, no act.

    `request_id` is which request it was done in, where that is not the one of this thread.
    """
    connection.execute(
        audit_rows.insert().inline(),
        {
            "at": ids.now(),
            "actor": actor.id,
            "actor_kind": actor.kind,
            "user": actor.user,
            "token": actor.token,
            "action": action,
            "target": target[:255],
            "result": result,
            "address": actor.address,
            "via": actor.via,
            "request_id": asked_in() if request_id is None else request_id,
            "detail": detail or {},
        },
    )


def register_request(find: Callable[[], str]) -> None:
    """Say who knows the id of the request that an act is done in, "" outside of one."""
    global _find_request
    _find_request = find


def asked_in() -> str:
    """The id of the request that this thread answers, "" if it answers none."""
    return _find_request()


def use(ringer: Ringer | None) -> None:
    """Set who wakes the readers after a commit; None in tools that only write."""
    global _ringer
    _ringer = ringer


def announce() -> None:
    """Wake the readers of the log on this machine."""
    if _ringer is not None:
        _ringer.ring()
