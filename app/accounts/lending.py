"""Lent rights: keys that somebody holds beside their roles, over the things in one project or over one person's.

Only keys for acting on what is somebody else's are lent, and only by who holds them there. What is lent acts through
`require` like what roles grant: within a token's scopes, and to an agent never what is closed to agents.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from app import db, ids, record
from app.accounts import giving, grants, people
from app.accounts.authority import require
from app.accounts.models import loan as table
from app.accounts.models import user
from app.actor import Actor
from app.errors import Denied, Invalid, NotFound

ANSWER = f"{grants.OTHERS}approvals:answer"
# What may be lent over the things in a project, each with what it lets somebody do there.
LENDABLE = {
    ANSWER: "answer what agents ask",
    f"{grants.OTHERS}sessions:run": "prompt and stop sessions",
    f"{grants.OTHERS}sessions:write": "rename, archive and delete sessions",
    f"{grants.OTHERS}files:write": "change files",
    f"{grants.OTHERS}terminals:write": "type into terminals",
}
MOST = 50
_names = ("user_id", "name", "key", "project", "owner", "owner_name", "given_by", "giver")


@dataclass(frozen=True)
class Loan:
    """A key that a person (`user_id`, `name`) was lent: over the things in a project or those of an owner, of which the
    other is ""; given in unix ms, by somebody's id and name ("" for the server itself).
    """

    user_id: str
    name: str
    key: str
    project: str
    owner: str
    owner_name: str
    given_by: str
    giver: str
    given: int


def lend_answers(actor: Actor, user_id: str) -> None:
    """Let somebody answer what the actor's own agents ask, wherever that may be; a second time changes nothing.

    Raises NotFound for somebody who is not here, Invalid for oneself, Denied for a token that is bound to a project.
    """
    _check_own(actor)
    with db.transaction() as conn:
        person = people.get(conn, user_id, lock=True)
        if person.id == actor.user:
            raise Invalid("You answer your own anyway.", "person")
        mine = conn.scalars(sa.select(table.c.user_id).where(table.c.owner == actor.user)).all()
        if person.id in mine:
            return
        if len(mine) >= MOST:
            raise Invalid(f"At most {MOST} people answer for somebody.", "person")
        _insert(conn, actor, person.id, ANSWER, owner=actor.user)
        record.audit(conn, actor, "rights.lend", person.id, {"key": ANSWER, "owner": actor.user})
        giving.announce(conn, [person.id])


def take_back_answers(actor: Actor, user_id: str) -> None:
    """End that; raises NotFound where nothing was lent."""
    _check_own(actor)
    with db.transaction() as conn:
        this = table.c.user_id == user_id, table.c.owner == actor.user
        if not conn.execute(table.delete().where(*this)).rowcount:
            raise NotFound("loan", user_id)
        record.audit(conn, actor, "rights.take_back", user_id, {"key": ANSWER, "owner": actor.user})
        giving.announce(conn, [user_id])


def my_loans(actor: Actor) -> tuple[list[Loan], list[Loan]]:
    """Who answers for the actor's person, and whom or in which projects they were lent what."""
    if actor.kind == "visitor":
        raise Denied("Who comes by a public link has no business with rights.")
    with db.read() as conn:
        return _loans(conn, table.c.owner == actor.user), _loans(conn, table.c.user_id == actor.user)


def of_person(conn: sa.Connection, user_id: str) -> list[Loan]:
    """All that a person was lent."""
    return _loans(conn, table.c.user_id == user_id)


def lent_in(conn: sa.Connection, project: str) -> dict[str, tuple[str, ...]]:
    """The keys that people were lent over the things in a project, by person; for the room that has asked."""
    found: dict[str, tuple[str, ...]] = {}
    query = sa.select(table.c.user_id, table.c.key).where(table.c.project == project).order_by(table.c.key)
    for user_id, key in conn.execute(query):
        found[user_id] = (*found.get(user_id, ()), key)
    return found


def lend_in(conn: sa.Connection, actor: Actor, project: str, user_id: str, keys: Iterable[str]) -> tuple[str, ...]:
    """Have a person hold exactly these keys over the things in a project, in the transaction of the room that has asked
    whether the actor may say so; gives the keys, sorted.

    Raises Invalid for a key that is not lent, Denied for a further one that the actor does not hold there.
    """
    wanted = tuple(sorted(set(keys)))
    for key in wanted:
        if key not in LENDABLE:
            raise Invalid(f"A key that can be lent is one of {', '.join(LENDABLE)}.", "keys")
    before = lent_in(conn, project).get(user_id, ())
    for key in wanted:
        if key not in before and not (grants.covers(actor.grants, key) or (key, project) in actor.lent):
            raise Denied(f"You can lend only what you hold there yourself; {key} you do not.", key=key)
    for key in set(before) - set(wanted):
        this = table.c.user_id == user_id, table.c.project == project, table.c.key == key
        conn.execute(table.delete().where(*this))
    for key in wanted:
        if key not in before:
            _insert(conn, actor, user_id, key, project=project)
    return wanted


def tell_all_but(conn: sa.Connection, kept: Iterable[str]) -> None:
    """Announce that what is open to everybody here has changed, but for these people."""
    query = sa.select(user.c.id).where(user.c.revoked.is_(None), user.c.id.not_in(list(kept))).order_by(user.c.id)
    giving.announce(conn, conn.scalars(query).all())


def _check_own(actor: Actor) -> None:
    require(actor, "approvals:answer")
    # Like a token, it lets somebody else act in one's place.
    require(actor, "tokens:write")
    if actor.project is not None:
        raise Denied("A token bound to a project cannot say who answers everywhere.")


def _insert(conn: sa.Connection, actor: Actor, user_id: str, key: str, *, project: str = "", owner: str = "") -> None:
    row = {"id": ids.random("lon"), "user_id": user_id, "key": key, "project": project, "owner": owner}
    conn.execute(table.insert(), {**row, "given_by": actor.user, "given": ids.now()})


def _loans(conn: sa.Connection, *where: sa.ColumnElement[bool]) -> list[Loan]:
    giver, owner = user.alias(), user.alias()
    query = (
        sa.select(table, user.c.name, giver.c.name.label("giver"), owner.c.name.label("owner_name"))
        .join(user, user.c.id == table.c.user_id)
        .outerjoin(giver, giver.c.id == table.c.given_by)
        .outerjoin(owner, owner.c.id == table.c.owner)
        .where(*where)
        .order_by(table.c.given, table.c.id)
    )
    return [Loan(**{name: getattr(row, name) or "" for name in _names}, given=row.given) for row in conn.execute(query)]
