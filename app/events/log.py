"""Reading the log in order: the cursor rule of each engine, and nothing else.

SQLite has one writer at a time, so `seq` is the order of commits. PostgreSQL hands out `seq` before the commit:
reading `seq > last` loses rows under concurrent writers. There the cursor is (xid, seq), and only transactions
below the snapshot's horizon are read, because none of those can still commit anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from app import record
from app.actor import Scope
from app.record import Event

Position = tuple[int, int]
START: Position = (0, 0)
_rows = record.events
_HORIZON = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


@dataclass
class Fact:
    """One committed event: its place in the log, who may see it, and what it says.

    One that passes is in no log: it is told to those who listen, never stored, and has no cursor.
    """

    position: Position
    event: Event
    scope: Scope
    at: int
    text: str | None = None
    is_passing: bool = False
    _encoded: dict[object, Any] = field(default_factory=dict, repr=False)

    @property
    def cursor(self) -> str:
        """The opaque name of this place in the log, as it goes out in SSE `id:`; "" for one that passes."""
        return "" if self.is_passing else cursor_of(self.position)

    def once(self, key: object, encode: Any) -> Any:
        """The encoding under this key, made by the first subscriber who asks and shared by all."""
        if key not in self._encoded:
            self._encoded[key] = encode(self)
        return self._encoded[key]


def cursor_of(position: Position) -> str:
    """`seq` on SQLite, `xid-seq` on PostgreSQL."""
    xid, seq = position
    return f"{xid}-{seq}" if xid else str(seq)


def position_of(cursor: str) -> Position | None:
    """The place that a cursor names, or None if it is none of ours."""
    xid, dash, seq = cursor.partition("-") if "-" in cursor else ("0", "-", cursor)
    if not (dash and xid.isdecimal() and seq.isdecimal() and xid.isascii() and seq.isascii()):
        return None
    place = (int(xid), int(seq))
    return place if max(place) < 2**63 else None


def now(connection: sa.Connection) -> Position:
    """The place after everything that this connection's snapshot can see."""
    if connection.dialect.name == "postgresql":
        horizon = connection.scalar(sa.select(sa.text(_HORIZON)))
        return (int(horizon or 1) - 1, 2**62)
    return (0, int(connection.scalar(sa.select(sa.func.max(_rows.c.seq))) or 0))


def oldest(connection: sa.Connection) -> Position:
    """The first place that is still kept; START when the log is empty."""
    row = connection.execute(sa.select(_rows.c.xid, _rows.c.seq).order_by(_rows.c.xid, _rows.c.seq).limit(1)).first()
    return (row.xid, row.seq) if row else START


@dataclass(frozen=True)
class Batch:
    """The next facts in order; `end` is the place to go on from, `is_last` says that the snapshot holds no more."""

    facts: list[Fact]
    end: Position
    is_last: bool


def after(
    connection: sa.Connection, place: Position, limit: int = 1000, *, sessions: Sequence[str] | None = None
) -> Batch:
    """The next facts behind a place, in order; never one that an earlier fact could still precede.

    Those of some sessions alone if they are named: that costs no more than they are. Kinds that nobody knows any more
    are passed over.
    """
    query = _next(connection.dialect.name, of_some=sessions is not None)
    given = {"xid": place[0], "seq": place[1], "most": limit, "sessions": list(sessions or ())}
    rows = connection.execute(query, given).all()
    end = (rows[-1].xid, rows[-1].seq) if rows else place
    return Batch([_fact(row) for row in rows if row.kind in record.kinds], end, len(rows) < limit)


@lru_cache(maxsize=4)
def _next(dialect: str, *, of_some: bool) -> sa.Select[Any]:
    """The query behind `after`, made once: the hub asks it several times in each turn of an agent."""
    query = sa.select(_rows).limit(sa.bindparam("most", type_=sa.Integer))
    seq = sa.bindparam("seq", type_=sa.BigInteger)
    if dialect == "postgresql":
        place = sa.tuple_(sa.bindparam("xid", type_=sa.BigInteger), seq)
        behind = sa.tuple_(_rows.c.xid, _rows.c.seq) > place
        query = query.where(behind, _rows.c.xid < sa.text(_HORIZON)).order_by(_rows.c.xid, _rows.c.seq)
    else:
        query = query.where(_rows.c.seq > seq).order_by(_rows.c.seq)
    return query.where(_rows.c.session_id.in_(sa.bindparam("sessions", expanding=True))) if of_some else query


def last(connection: sa.Connection, place: Position, kind: type[Event], session: str) -> Event | None:
    """The last fact of a kind about a session up to a place.

    By `seq` on both engines: what is told of one session's row is written by whoever holds that row.
    """
    where = [_rows.c.session_id == session, _rows.c.kind == kind.kind]
    if connection.dialect.name == "postgresql":
        where.append(sa.tuple_(_rows.c.xid, _rows.c.seq) <= sa.tuple_(*place))
    else:
        where.append(_rows.c.seq <= place[1])
    row = connection.execute(sa.select(_rows).where(*where).order_by(_rows.c.seq.desc()).limit(1)).first()
    return _fact(row).event if row else None


def has_hidden(connection: sa.Connection) -> bool:
    """Whether committed facts wait beyond the horizon (PostgreSQL only): look again soon."""
    if connection.dialect.name != "postgresql":
        return False
    beyond = sa.exists().where(_rows.c.xid >= sa.text(_HORIZON))
    return bool(connection.scalar(sa.select(beyond)))


def _fact(row: Any) -> Fact:
    event = record.kinds[row.kind](**row.data)
    return Fact((row.xid, row.seq), event, Scope(row.owner, row.project, row.visibility), row.at)
