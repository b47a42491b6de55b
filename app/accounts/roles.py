"""Roles: named sets of grants that build on each other, and who holds which of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from app.accounts import grants
from app.accounts.models import role as table
from app.accounts.models import role_assignment

# So many roles does one come to at most, with all that it builds on; more is a mistake or malice.
MOST_EXPANDED = 64

_DESCRIPTIONS = {
    "owner": "Everything, and it is theirs.",
    "admin": "Runs the place: people, settings, servers, and the team's things of others.",
    "member": "Works with agents: sessions, files, terminals, and the answers to their asks.",
    "viewer": "Reads what the team sees, and changes nothing.",
    "base": "Is here, and sees nothing of what others do.",
}


@dataclass(frozen=True)
class Role:
    """A set of grants by name; `inherits` names roles whose grants come with it, known or not yet."""

    name: str
    description: str
    inherits: tuple[str, ...]
    permissions: tuple[str, ...]
    is_built_in: bool = False


Known = Mapping[str, Role]

BUILT_IN: Known = {
    name: Role(name, _DESCRIPTIONS[name], (), held, is_built_in=True) for name, held in grants.ROLES.items()
}


def known(conn: sa.Connection, *, lock: bool = False) -> dict[str, Role]:
    """Every role by name: the built-in ones from the strongest down, then those made here; `lock` for a change."""
    query = sa.select(table).order_by(table.c.name)
    rows = conn.execute(query.with_for_update() if lock else query)
    made = {
        row.name: Role(row.name, row.description, tuple(row.inherits), tuple(row.permissions))
        for row in rows
        if row.name not in BUILT_IN
    }
    return {**BUILT_IN, **made}


def expand(names: Iterable[str], among: Known, most: int = MOST_EXPANDED) -> dict[str, tuple[str, ...]]:
    """The roles with all that they inherit, each with the way to it from one of the names; a ring is walked once.

    Names that mean no role are passed over, and roles beyond so many.
    """
    ways: dict[str, tuple[str, ...]] = {}
    waiting: list[tuple[str, ...]] = [(name,) for name in dict.fromkeys(names)]
    while waiting and len(ways) < most:
        way = waiting.pop(0)
        if way[-1] in ways or way[-1] not in among:
            continue
        ways[way[-1]] = way
        waiting += [(*way, parent) for parent in among[way[-1]].inherits]
    return ways


def granted(names: Iterable[str], among: Known) -> tuple[str, ...]:
    """What the roles grant together, each key once."""
    found = expand(names, among)
    if len(found) == 1:
        return among[next(iter(found))].permissions
    return tuple(dict.fromkeys(key for name in found for key in among[name].permissions))


def at_most(name: str, among: Known) -> tuple[str, ...]:
    """All that a role may come to grant: what is cut off now comes with it as soon as one of the others goes.

    Who gives, makes or changes it must hold that.
    """
    found = expand([name], among, most=len(among))
    return tuple(dict.fromkeys(key for one in found for key in among[one].permissions))


def come_to(conn: sa.Connection, names: Iterable[str]) -> tuple[str, ...]:
    """What the roles grant together; those made here are read only if one of them is named."""
    wanted = tuple(names)
    return granted(wanted, BUILT_IN if all(name in BUILT_IN for name in wanted) else known(conn))


def of_users(conn: sa.Connection, user_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The roles of each of these people, in the order in which they got them."""
    query = sa.select(role_assignment).where(role_assignment.c.user_id.in_(list(user_ids)))
    held: dict[str, list[str]] = {}
    for row in conn.execute(query.order_by(role_assignment.c.assigned, role_assignment.c.role)):
        held.setdefault(row.user_id, []).append(row.role)
    return {user_id: tuple(names) for user_id, names in held.items()}


def of(conn: sa.Connection, user_id: str) -> tuple[str, ...]:
    """The roles of one person."""
    return of_users(conn, [user_id]).get(user_id, ())


def is_like(one: str, other: str) -> bool:
    """Whether two names of roles look the same to people."""
    return one.strip().casefold() == other.strip().casefold()
