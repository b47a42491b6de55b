"""How far a person comes: what their roles grant, which projects are closed to them, and what they were lent.

All three are read together, in one query, whenever somebody is looked up who is to act.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from app.accounts import grants, roles
from app.accounts.models import loan, role_assignment, user

# Gives the query for the ids of the projects that are not open to a person, of whom it is told as a column.
ClosedTo = Callable[[sa.ColumnElement[str]], sa.Select[Any]]
_closed_to: ClosedTo | None = None


@dataclass(frozen=True)
class Reach:
    """The grants of a person, the ids of the projects that are closed to them, and the keys that they were lent, each
    with the id of the project, or of the person, over whose things.
    """

    grants: tuple[str, ...] = ()
    closed: frozenset[str] = frozenset()
    lent: frozenset[tuple[str, str]] = frozenset()

    def within(self, scopes: Iterable[str]) -> Reach:
        """The same for who may do no more than these scopes say; what is closed to the person stays closed."""
        narrow = tuple(scopes)
        lent = frozenset(one for one in self.lent if grants.covers(narrow, one[0])) if self.lent else self.lent
        return Reach(grants.meet(self.grants, narrow), self.closed, lent)


def register_closed(closed_to: ClosedTo) -> None:
    """Say how to find the projects that are closed to somebody; given by the projects room, which this one doesn't
    know. Until then nobody is let act at all: what nobody looks up would be open to everybody.
    """
    global _closed_to
    _closed_to = closed_to
    _of_one.cache_clear()
    _of_all.cache_clear()


def of(conn: sa.Connection, user_id: str) -> Reach:
    """How far a person comes now; nowhere if nobody has this id, or they hold no role."""
    rows = conn.execute(_of_one(), {"reach_of": user_id}).all()
    return _put_together(rows, lambda names: roles.come_to(conn, names))


def of_everybody(conn: sa.Connection) -> dict[str, Reach]:
    """How far each person comes now, by id, as cheap as for one; whoever is not in it comes nowhere."""
    found: dict[str, list[Any]] = defaultdict(list)
    for row in conn.execute(_of_all()):
        found[row.who].append(row)
    among = roles.known(conn)
    return {who: _put_together(rows, lambda names: roles.granted(names, among)) for who, rows in found.items()}


def _put_together(rows: Sequence[Any], granted: Callable[[Iterable[str]], tuple[str, ...]]) -> Reach:
    held = granted([row.name for row in rows if row.kind == "role"])
    lent = frozenset((row.name, row.place) for row in rows if row.kind == "lent")
    # Who holds everything sees every project.
    sees_all = grants.EVERYTHING in held
    closed = frozenset(row.place for row in rows if row.kind == "closed" and not sees_all)
    return Reach(held, closed, lent)


@lru_cache(maxsize=1)
def _of_one() -> sa.CompoundSelect[Any]:
    return _query(sa.bindparam("reach_of", type_=sa.String))


@lru_cache(maxsize=1)
def _of_all() -> sa.CompoundSelect[Any]:
    return _query(user.c.id)


def _query(person: sa.ColumnElement[str]) -> sa.CompoundSelect[Any]:
    if _closed_to is None:
        raise RuntimeError("The projects room has not said which projects are closed to whom.")
    who, nothing, never = person.label("who"), sa.literal("", sa.String), sa.literal(0, sa.BigInteger)
    held = sa.select(
        who,
        sa.literal("role", sa.String).label("kind"),
        sa.cast(role_assignment.c.role, sa.String).label("name"),
        nothing.label("place"),
        role_assignment.c.assigned.label("at"),
    ).where(role_assignment.c.user_id == person)
    place = sa.case((loan.c.project != "", loan.c.project), else_=loan.c.owner)
    lent = sa.select(who, sa.literal("lent", sa.String), loan.c.key, place, never).where(loan.c.user_id == person)
    project_id, whom = _closed_to(person).add_columns(who).subquery().c
    closed = sa.select(whom, sa.literal("closed", sa.String), nothing, project_id, never)
    return sa.union_all(held, lent, closed).order_by("at", "name")
