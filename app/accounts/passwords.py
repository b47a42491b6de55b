"""Passwords: signing in with one, changing one's own, and setting somebody's anew."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from app import db, ids, record
from app.accounts import devices, failures, fresh, hashing, people, strength
from app.accounts.authority import require
from app.accounts.models import code, handover
from app.accounts.models import password as table
from app.actor import Actor
from app.errors import Invalid, NotFound, Unauthenticated


class WrongPassword(Unauthenticated):
    """Nobody has this email with this password; which of the two it is stays unsaid."""

    code = "INVALID_CREDENTIALS"

    def __init__(self) -> None:
        super().__init__("Nobody has this email with this password.")


@dataclass(frozen=True)
class Tried:
    """A password that was tried and counted: whose it would be, what was kept of theirs, and whether it was right."""

    person: people.User | None
    kept: str | None
    charge: int
    is_right: bool
    better: str | None


def sign_in(email: str, given: str, address: str, agent: str = "") -> tuple[Actor, str]:
    """Open a browser session for who has this email and password: the person, and the secret for the cookie.

    Raises WrongPassword, the same for an email that nobody has, and Limited.
    """
    tried = attempt(email, given, address)
    with db.transaction() as conn:
        person = settle(conn, tried, address)
        if person is not None:
            return devices.open_browser(conn, person, address, agent)
    raise WrongPassword


def attempt(email: str, given: str, address: str) -> Tried:
    """Try a password for an email, which takes the same work whether somebody has it or not; `settle` says the rest.

    Raises Limited while too many are tried, or this email or address has failed too often.
    """
    name = db.storable(email).strip().lower()[:300]
    with db.read() as conn:
        person = people.find_by_email(conn, name)
    return _try(person, name, given, address)


def settle(conn: sa.Connection, tried: Tried, address: str) -> people.User | None:
    """Who has shown who they are, in the open transaction; None after a wrong password, which is written down.

    What was tried outside of the transaction is looked at again: a password that was changed meanwhile is wrong.
    """
    person = tried.person
    if person is not None and tried.is_right and _held(conn, person.id) == tried.kept:
        failures.forgive(conn, tried.charge)
        if tried.better is not None:
            conn.execute(table.update().where(table.c.user_id == person.id).values(hash=tried.better))
        return people.get(conn, person.id)
    record.audit(conn, people.stranger(address), "signin.password", person.id if person else "", result="denied")
    return None


def change_password(actor: Actor, old: str, new: str) -> str | None:
    """Change the actor's own password, and sign all their other devices out.

    The old one is asked for; who has none yet must have signed in lately. Gives the new secret of the present browser
    session. Raises Invalid for a wrong old one (`old`) or a weak new one (`password`), Stale, Limited.
    """
    if actor.kind != "user":
        raise NotFound("user", actor.user)
    with db.read() as conn:
        person = people.get(conn, actor.user)
        kept = _kept(conn, person.id)
    if kept is None:
        fresh.require_fresh(actor)
    strength.check(new, person.email or "", person.name)
    tried = _try(person, person.email or person.id, old, actor.address) if kept is not None else None
    with hashing.place():
        made = hashing.make(new) if tried is None or tried.is_right else ""
    with db.transaction() as conn:
        is_right = settle(conn, tried, actor.address) is not None if tried else _kept(conn, person.id) is None
        if is_right:
            store(conn, person.id, made)
            ended = devices.end_all(conn, actor, person.id, but=actor.device)
            record.audit(conn, actor, "password.change", person.id, {"devices": ended})
            return devices.renew(conn, actor.device)
    raise Invalid("This is not your present password.", "old")


def reset_password(actor: Actor, user_id: str, new: str) -> None:
    """Set the password of a person whom the actor outranks, and sign all their devices out."""
    require(actor, "users:write")
    with db.read() as conn:
        person = people.get(conn, user_id)
    people.outranks(actor, person)
    strength.check(new, person.email or "", person.name)
    with hashing.place():
        made = hashing.make(new)
    with db.transaction() as conn:
        store(conn, user_id, made)
        ended = devices.end_all(conn, actor, user_id)
        record.audit(conn, actor, "password.reset", user_id, {"devices": ended})


def password_changed(actor: Actor) -> int | None:
    """When the actor's password was set, in unix ms; None for who has none."""
    with db.read() as conn:
        return conn.execute(sa.select(table.c.changed).where(table.c.user_id == actor.user)).scalar()


def store(conn: sa.Connection, user_id: str, made: str) -> None:
    """Keep the hash of a person's password in place of an earlier one, and end what would let them in without it.

    Those are one-time codes and nonces; a link made before is worth nothing either (`admission.has_moved_on`).
    """
    for kept in (code, handover):
        conn.execute(kept.delete().where(kept.c.user_id == user_id))
    row = {"hash": made, "changed": ids.now()}
    if not conn.execute(table.update().where(table.c.user_id == user_id).values(**row)).rowcount:
        conn.execute(table.insert(), {"user_id": user_id, **row})


def prove(actor: Actor, given: str) -> None:
    """Show once more who one is by one's password: the device is fresh again. Raises Invalid, Limited."""
    with db.read() as conn:
        person = people.get(conn, actor.user)
    tried = _try(person, person.email or person.id, given, actor.address)
    with db.transaction() as conn:
        if settle(conn, tried, actor.address) is not None:
            fresh.mark(conn, actor, "password")
            return
    raise Invalid("This is not your password.", "password")


def _try(person: people.User | None, name: str, given: str, address: str) -> Tried:
    with hashing.place():
        with db.transaction() as conn:
            kept = _kept(conn, person.id) if person else None
            charge = failures.charge(conn, address, name, person.id if person else "")
        is_right = not hashing.is_too_long(given) and hashing.is_right(kept, given)
        better = hashing.make(given) if is_right and kept and hashing.is_weak(kept) else None
    return Tried(person, kept, charge, is_right, better)


def _kept(conn: sa.Connection, user_id: str) -> str | None:
    return conn.execute(sa.select(table.c.hash).where(table.c.user_id == user_id)).scalar()


def _held(conn: sa.Connection, user_id: str) -> str | None:
    """The same, which nobody changes before the end of the transaction."""
    return conn.execute(sa.select(table.c.hash).where(table.c.user_id == user_id).with_for_update()).scalar()
