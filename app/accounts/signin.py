"""Signing in with a browser: one-time codes, browser sessions and their ends."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from app import config, db, ids, record
from app.accounts import digests, failures, grants, people
from app.accounts.authority import require
from app.accounts.events import PrincipalRevoked, SignedIn
from app.accounts.models import browser_session, code, user
from app.actor import SYSTEM, Actor, Scope
from app.errors import NotFound, Unauthenticated

CODE_LIFE = 10 * 60 * 1000


@dataclass(frozen=True)
class Device:
    """A signed-in browser; created, seen and expires in unix ms."""

    id: str
    address: str
    created: int
    seen: int
    expires: int
    is_current: bool


def first_start() -> str | None:
    """Make sure there is an owner; while nobody has signed in, give a new one-time code for them.

    An earlier code ends. None once somebody has signed in, and when no sign-in is needed.
    """
    with db.transaction() as conn:
        person = people.owner(conn)
        if people.is_settled(conn) or config.current().auth == "none":
            return None
        return _new_code(conn, SYSTEM, person.id)


def sign_in_code(actor: Actor, user_id: str | None = None) -> str:
    """A new one-time code for a person whom the actor outranks, by default the owner."""
    require(actor, "users:write")
    with db.transaction() as conn:
        person = people.get(conn, user_id) if user_id else people.owner(conn)
        people.outranks(actor, person)
        return _new_code(conn, actor, person.id)


def redeem(code_text: str, address: str) -> tuple[Actor, str]:
    """Spend a one-time code and open a browser session: the person, and the secret for the cookie.

    Raises Unauthenticated for a code that is wrong, used or older than ten minutes, and Limited.
    """
    with db.transaction() as conn:
        failures.check(conn, address)
        person = _spend(conn, code_text.strip())
        if person is not None:
            return _open(conn, person, address)
        stranger = Actor(id="", kind="user", user="", name="", grants=(), address=address)
        failures.add(conn, address)
        record.audit(conn, stranger, "signin.code", result="denied")
    raise Unauthenticated("This sign-in link was used already, is older than ten minutes, or is not whole.")


def sign_out(actor: Actor, sid: str) -> None:
    """End the actor's browser session with this secret; a second time changes nothing."""
    with db.transaction() as conn:
        query = sa.select(browser_session.c.id).where(
            browser_session.c.hash == digests.digest(sid), browser_session.c.user_id == actor.user
        )
        device_id = conn.execute(query).scalar()
        if device_id is not None:
            _close(conn, actor, device_id)


def revoke_device(actor: Actor, device_id: str) -> None:
    """End one of the actor's own browser sessions."""
    _require_person(actor)
    with db.transaction() as conn:
        query = sa.select(browser_session.c.user_id).where(browser_session.c.id == device_id)
        if conn.execute(query).scalar() != actor.user:
            raise NotFound("device", device_id)
        _close(conn, actor, device_id)


def list_devices(actor: Actor, sid: str | None = None) -> list[Device]:
    """The actor's signed-in browsers, last seen first; `sid` marks the present one."""
    _require_person(actor)
    now = ids.now()
    query = (
        sa.select(browser_session)
        .where(
            browser_session.c.user_id == actor.user,
            browser_session.c.expires > now,
            browser_session.c.seen + browser_session.c.idle > now,
        )
        .order_by(browser_session.c.seen.desc(), browser_session.c.id)
    )
    current = digests.digest(sid) if sid else ""
    with db.read() as conn:
        rows = conn.execute(query).all()
    return [Device(row.id, row.address, row.created, row.seen, row.expires, row.hash == current) for row in rows]


def _require_person(actor: Actor) -> None:
    # A token acts for its user but has no business with the user's browsers.
    if actor.kind != "user":
        raise NotFound("device")


def _new_code(conn: sa.Connection, actor: Actor, user_id: str) -> str:
    secret, now = ids.secret("in"), ids.now()
    conn.execute(code.delete().where(sa.or_(code.c.user_id == user_id, code.c.expires <= now)))
    row = {"id": ids.random("cod"), "user_id": user_id, "hash": digests.digest(secret)}
    conn.execute(code.insert(), {**row, "created": now, "expires": now + CODE_LIFE})
    record.audit(conn, actor, "signin.code", user_id)
    return secret


def _spend(conn: sa.Connection, text: str) -> people.User | None:
    now = ids.now()
    spent = conn.execute(
        code.update()
        .where(code.c.hash == digests.digest(text), code.c.used.is_(None), code.c.expires > now)
        .values(used=now)
        .returning(code.c.user_id)
    ).scalar()
    return people.get(conn, spent) if spent else None


def _open(conn: sa.Connection, person: people.User, address: str) -> tuple[Actor, str]:
    sid, device_id, now = ids.secret("sid"), ids.random("dev"), ids.now()
    idle, life = people.limits(conn)
    conn.execute(browser_session.delete().where(browser_session.c.expires <= now))
    row = {"id": device_id, "user_id": person.id, "hash": digests.digest(sid), "address": address}
    conn.execute(browser_session.insert(), {**row, "created": now, "seen": now, "idle": idle, "expires": now + life})
    conn.execute(user.update().where(user.c.id == person.id).values(signed_in=now))
    held = grants.ROLES[person.role]
    actor = Actor(id=person.id, kind="user", user=person.id, name=person.name, grants=held, address=address)
    record.audit(conn, actor, "signin", device_id)
    record.event(conn, SignedIn(person.id, device_id, address), Scope(person.id, "", "private"))
    return actor, sid


def _close(conn: sa.Connection, actor: Actor, device_id: str) -> None:
    conn.execute(browser_session.delete().where(browser_session.c.id == device_id))
    record.audit(conn, actor, "signout", device_id)
    people.announce_end(conn, PrincipalRevoked(actor.user, "device", actor.user))
