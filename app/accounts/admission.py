"""How other rooms let somebody in whom they have proved: by a link, or by a provider that vouches for them.

Who comes in has no grant yet, so these ask for none: the room that calls them has proved whom it lets in, and says on
whose behalf. All of them join the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from app import db
from app.accounts import clients, devices, failures, giving, grants, hashing, passwords, people, roles, strength
from app.accounts.clients import Tokens
from app.accounts.people import User
from app.actor import Actor

OWNER = "owner"


def find_person(user_id: str) -> User | None:
    """A living person by their id."""
    with db.read() as conn:
        return people.find(conn, user_id)


def find_person_by_email(email: str) -> User | None:
    """A living person by their e-mail address."""
    with db.read() as conn:
        return people.find_by_email(conn, email.strip().lower())


def has_moved_on(email: str, since: int) -> bool:
    """Whether who has or had this e-mail address was removed, or had a password set, since then (unix ms): whatever
    was given out before that would let them in is to be worth nothing.
    """
    with db.read() as conn:
        return people.has_moved_on(conn, email, since)


def let_in(user_id: str, address: str, agent: str = "", *, proved: int | None = None) -> tuple[Actor, str]:
    """Open a browser session for a person: them as an actor, and the secret for the cookie. Raises NotFound.

    `proved` is when they showed who they are, in unix ms; just now without.
    """
    with db.transaction() as conn:
        return devices.open_browser(conn, people.get(conn, user_id), address, agent, proved=proved)


def let_client_in(user_id: str, address: str, agent: str = "", *, is_lasting: bool = True) -> Tokens:
    """Begin a client's sign-in for a person: its tokens, or the access token alone if it shall not last.

    Raises NotFound.
    """
    with db.transaction() as conn:
        return clients.open_client(conn, people.get(conn, user_id), address, agent, is_lasting=is_lasting)


def give_roles(by: Actor, user_id: str, names: Iterable[str]) -> None:
    """Have a person hold these roles and no others; raises Denied for what the other one does not hold."""
    giving.set_roles(by, user_id, names)


def words_of(names: Iterable[str]) -> tuple[str, ...]:
    """What these roles let somebody do, in words for people."""
    with db.read() as conn:
        known = roles.known(conn)
    return tuple(known[name].description or name for name in names if name in known)


def make_password(password: str, email: str, name: str) -> str:
    """What is kept of a password, for `keep_password`; takes a while. Raises Invalid for a weak one, Limited."""
    strength.check(password, email, name)
    with hashing.place():
        return hashing.make(password)


def keep_password(user_id: str, made: str) -> None:
    """Give somebody who was added just now their first password."""
    with db.transaction() as conn:
        passwords.store(conn, user_id, made)


def is_role(name: str) -> bool:
    """Whether there is a role of this name."""
    with db.read() as conn:
        return name in (roles.BUILT_IN if name in roles.BUILT_IN else roles.known(conn))


def holds(held: tuple[str, ...], role: str) -> bool:
    """Whether these grants cover all that a role grants; of an unknown role nobody does."""
    with db.read() as conn:
        among = roles.BUILT_IN if role in roles.BUILT_IN else roles.known(conn)
    return role in among and covers(held, roles.at_most(role, among))


def covers(held: tuple[str, ...], wanted: Iterable[str]) -> bool:
    """Whether these grants cover all the others."""
    return grants.covers_all(held, wanted)


def check_pace(address: str) -> None:
    """Raise Limited where too many sign-ins have failed lately."""
    with db.read() as conn:
        failures.check(conn, address)


def note_failure(address: str) -> None:
    """Count a failed sign-in."""
    with db.transaction() as conn:
        failures.add(conn, address)
