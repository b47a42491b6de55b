"""What somebody may do, and why: the grants that they hold, and the role that each comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app import db
from app.accounts import authority, grants, keys, lending, people, reach, roles
from app.accounts.authority import require
from app.accounts.lending import Loan
from app.actor import Actor, Thing
from app.errors import Denied

# How a role grants a key: itself, by a wildcard or what it inherits, or not at all.
Cell = Literal["itself", "by more", ""]


@dataclass(frozen=True)
class Effective:
    """What a person's roles come to: these with all that they inherit, and what they grant, both sorted."""

    roles: tuple[str, ...]
    permissions: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """One reason for a key: a role (the last of `way`, which begins with one that was given) holds `grant`."""

    way: tuple[str, ...]
    grant: str


@dataclass(frozen=True)
class Reason:
    """Whether a person may use a key, and by what; `thing` says in words what a thing's own rights add.

    `lent` are the loans by which they hold the key over some things, or over what is others' if it is for their own.
    """

    person: people.User
    key: str
    may: bool
    sources: tuple[Source, ...]
    thing: str = ""
    lent: tuple[Loan, ...] = ()


def list_roles(actor: Actor) -> list[roles.Role]:
    """Every role, the built-in ones from the strongest down and then those made here: no secret to who is signed in."""
    if actor.kind == "visitor":
        raise Denied("Who comes by a public link has no business with roles.")
    with db.read() as conn:
        return list(roles.known(conn).values())


def roles_within(actor: Actor) -> list[roles.Role]:
    """Of all roles those whose grants the actor holds, in one look, in the order of list_roles."""
    among = {role.name: role for role in list_roles(actor)}
    return [role for name, role in among.items() if grants.covers_all(actor.grants, roles.at_most(name, among))]


def role_matrix(actor: Actor) -> dict[str, dict[str, Cell]]:
    """For each role, how it grants each key that the server knows."""
    require(actor, "users:read")
    with db.read() as conn:
        among = roles.known(conn)
    return {name: _row(role, roles.granted([name], among)) for name, role in among.items()}


def my_permissions(actor: Actor) -> Effective:
    """What the actor holds, which with a token may be less than the roles of its person come to."""
    with db.read() as conn:
        names = roles.expand(roles.of(conn, actor.user), roles.known(conn))
    return Effective(tuple(sorted(names)), tuple(sorted(actor.grants)))


def permissions_of(actor: Actor, user_id: str) -> Effective:
    """What a person's roles come to: one's own, or with `users:write` anybody's; nothing for nobody."""
    if user_id == actor.user:
        return my_permissions(actor)
    require(actor, "users:write")
    with db.read() as conn:
        among = roles.known(conn)
        names = roles.expand(roles.of(conn, user_id), among)
    return Effective(tuple(sorted(names)), tuple(sorted(roles.granted(names, among))))


def available_permissions(actor: Actor) -> list[keys.Key]:
    """The keys that the server knows and the actor holds, by key."""
    return [one for one in keys.KEYS if grants.covers(actor.grants, one.key)]


def why(actor: Actor, user_id: str, key: str, thing: Thing | None = None) -> Reason:
    """Whether and why a person may use a key, on a thing if one is given: of oneself, or with `users:read`.

    Raises NotFound for somebody who is not here.
    """
    if user_id != actor.user:
        require(actor, "users:read")
    with db.read() as conn:
        person, among = people.get(conn, user_id), roles.known(conn)
        held, lent = reach.of(conn, user_id), lending.of_person(conn, user_id)
    ways = roles.expand(person.roles, among)
    sources = tuple(
        Source(way, grant)
        for name, way in ways.items()
        for grant in among[name].permissions
        if grants.covers([grant], key)
    )
    as_they = Actor(person.id, "user", person.id, person.name, held.grants, closed=held.closed, lent=held.lent)
    of_thing = _of(thing, as_they, key) if thing else ""
    by_loan = tuple(one for one in lent if one.key in (key, grants.OTHERS + key))
    return Reason(person, key, authority.may(as_they, key, thing), sources, of_thing, by_loan)


def _row(role: roles.Role, held: tuple[str, ...]) -> dict[str, Cell]:
    return {one.key: _cell(role, one.key, held) for one in keys.KEYS}


def _cell(role: roles.Role, key: str, held: tuple[str, ...]) -> Cell:
    if grants.covers((one for one in held if one != key), key):
        return "by more"
    if key in held:
        return "itself" if key in role.permissions else "by more"
    return ""


def _of(thing: Thing, person: Actor, key: str) -> str:
    """What the thing says: whose it is, who sees it, and what it takes to act on what is somebody else's."""
    if not authority.is_open(person, thing.project):
        return "It is in a project that only its people see, and they are not in it: for them it does not exist."
    if thing.owner == person.user:
        return "It is theirs."
    if thing.visibility == "private":
        if grants.EVERYTHING in person.grants:
            return "It is private, and who holds * sees it all the same."
        return "It is private to somebody else: for anybody else it does not exist."
    if grants.is_reading(key):
        return "The team sees it, and reading asks no more."
    needed = grants.OTHERS + key
    held = "they hold" if grants.covers(person.grants, needed) else "they do not hold"
    for place, words in (
        (thing.project, "they were lent in its project"),
        (thing.owner, "they were lent by its owner"),
    ):
        held = words if (needed, place) in person.lent else held
    return f"It is somebody else's, and acting on it takes {needed}, which {held}."
