"""Coming in: the first person makes the server theirs by its code; others as the settings let them."""

from __future__ import annotations

from dataclasses import dataclass

from app import config, db, record
from app.accounts import devices, failures, grants, hashing, passwords, people, profile, signin, strength
from app.accounts.authority import may, require
from app.actor import Actor
from app.errors import Denied, Invalid, Unauthenticated


@dataclass(frozen=True)
class Newcomer:
    """What somebody says who comes in; `code` is that of the first start, "" for all but the first."""

    email: str
    password: str
    name: str = ""
    code: str = ""


def register(actor: Actor | None, new: Newcomer, address: str) -> people.User:
    """Make an account, without signing in: who may write users always can, the first person by the code of the first
    start, a stranger if registration is open.

    Raises Denied, Invalid, Conflict (EMAIL_TAKEN), Limited, and Unauthenticated for a wrong code.
    """
    if may(actor, "users:write") and actor is not None:
        return _add(actor, _checked(new, people.BASE), new.password)
    with db.read() as conn:
        is_new = not people.is_settled(conn)
    if new.code and is_new:
        return _claimed(new, address, None)[0]
    if is_new or config.current().registration != "open":
        raise Denied("Registration is closed: ask for an invitation.", code="REGISTRATION")
    person = _checked(new, people.BASE)
    with db.transaction() as conn:
        failures.check(conn, address)
        failures.add(conn, address)  # whoever makes accounts by the dozen is told to wait, like who guesses
    return _add(people.stranger(address), person, new.password)


def claim(new: Newcomer, address: str, agent: str = "") -> tuple[Actor, str]:
    """Make the server one's own by the code of its first start, and sign the browser in: the owner, and the secret for
    the cookie. Raises as `register` does.
    """
    with db.read() as conn:
        if people.is_settled(conn):
            raise Denied("This server has its owner already.", code="REGISTRATION")
    _person, opened = _claimed(new, address, agent)
    if opened is None:
        raise Unauthenticated(signin.WRONG_CODE)
    return opened


def settle(actor: Actor, new: Newcomer) -> people.User:
    """Make the server the owner's at its own shell, before anybody can reach it: their email, name and password.

    What they are signed in with ends. Raises Invalid, Taken; Denied for anybody but an owner.
    """
    require(actor, grants.EVERYTHING)
    wanted = _checked(new, "owner")
    with hashing.place():
        made = hashing.make(new.password)
    with db.transaction() as conn:
        profile.rewrite(conn, people.get(conn, actor.user), wanted)
        passwords.store(conn, actor.user, made)
        devices.end_all(conn, actor, actor.user)
        record.audit(conn, actor, "server.claim", actor.user, {"name": wanted.name})
        return people.get(conn, actor.user)


def _claimed(new: Newcomer, address: str, agent: str | None) -> tuple[people.User, tuple[Actor, str] | None]:
    """The owner with the name, email and password of who has the code; with an agent their browser is signed in."""
    wanted = _checked(new, "owner")
    with hashing.place():
        with db.transaction() as conn:
            failures.check(conn, address)
        made = hashing.make(new.password)
    with db.transaction() as conn:
        owner = signin.spend(conn, new.code)
        if owner is not None:
            profile.rewrite(conn, owner, wanted)
            person = people.get(conn, owner.id)
            passwords.store(conn, person.id, made)
            record.audit(conn, people.stranger(address), "server.claim", person.id, {"name": person.name})
            return person, devices.open_browser(conn, person, address, agent) if agent is not None else None
        signin.refuse(conn, address)
    raise Unauthenticated(signin.WRONG_CODE)


def _add(actor: Actor, person: people.User, password: str) -> people.User:
    with hashing.place():
        made = hashing.make(password)
    with db.transaction() as conn:
        people.add(conn, actor, person)
        if not may(actor, "users:write"):
            people.claim(conn, actor, person.email)
        passwords.store(conn, person.id, made)
    return person


def _checked(new: Newcomer, role: str) -> people.User:
    if not new.email.strip():
        raise Invalid("email required", "email")
    person = people.fresh_user(new.name.strip() or new.email.partition("@")[0], new.email, role)
    strength.check(new.password, new.email, new.name)
    return person
