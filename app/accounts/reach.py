"""How far a person comes: what their roles grant, which projects are closed to them, and what they were lent.

All three are read together, in one query, whenever somebody is looked up who is to act.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from app.accounts import grants, roles
from app.accounts.models import loan, role_assignment

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
    _query.cache_clear()


def of(conn: sa.Connection, user_id: str) -> Reach:
    """How far a person comes now; nowhere if nobody has this id, or they hold no role."""
    names: list[str] = []
    closed: set[str] = set()
    lent: set[tuple[str, str]] = set()
    for kind, name, place, _at in conn.execute(_query(), {"reach_of": user_id}):
        if kind == "role":
            names.append(name)
        elif kind == "lent":
            lent.add((name, place))
        else:
            closed.add(place)
    held = roles.come_to(conn, names)
    # Who holds everything sees every project.
    return Reach(held, frozenset() if grants.EVERYTHING in held else frozenset(closed), frozenset(lent))


@lru_cache(maxsize=1)
def _query() -> sa.CompoundSelect[Any]:
    if _closed_to is None:
        raise RuntimeError("The projects room has not said which projects are closed to whom.")
    user = sa.bindparam("reach_of", type_=sa.String)
    nothing = sa.literal("", sa.String)
    held = sa.select(
        sa.literal("role", sa.String).label("kind"),
        sa.cast(role_assignment.c.role, sa.String).label("name"),
        nothing.label("place"),
        role_assignment.c.assigned.label("at"),
    ).where(role_assignment.c.user_id == user)
    place = sa.case((loan.c.project != "", loan.c.project), else_=loan.c.owner)
    lent = sa.select(sa.literal("lent", sa.String), loan.c.key, place, sa.literal(0, sa.BigInteger)).where(
        loan.c.user_id == user
    )
    (project_id,) = _closed_to(user).subquery().c
    closed = sa.select(sa.literal("closed", sa.String), nothing, project_id, sa.literal(0, sa.BigInteger))
    return sa.union_all(held, lent, closed).order_by("at", "name")
