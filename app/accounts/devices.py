"""What people are signed in with: their browsers, and programs that have signed in for them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from app import db, ids, record
from app.accounts import digests, identity, people
from app.accounts.authority import may, require
from app.accounts.events import PrincipalRevoked, SignedIn
from app.accounts.identity import GRACE
from app.accounts.models import access_token, browser_session, client_session, user
from app.actor import Actor, Scope
from app.errors import NotFound

# Of what a browser says it is, so many characters are kept.
AGENT = 300


@dataclass(frozen=True)
class Device:
    """A signed-in browser, or a program that signed in with a password; created, seen and expires in unix ms."""

    id: str
    kind: Literal["browser", "client"]
    address: str
    agent: str
    created: int
    seen: int
    expires: int
    is_current: bool


def open_browser(
    conn: sa.Connection, person: people.User, address: str, agent: str = "", *, proved: int | None = None
) -> tuple[Actor, str]:
    """Sign a browser in as a person who has shown who they are: the actor, and the secret for the cookie.

    `proved` is when they showed it, in unix ms; just now without.
    """
    sid, device_id, now = ids.secret("sid"), ids.random("dev"), ids.now()
    idle, life = people.limits(conn)
    conn.execute(browser_session.delete().where(browser_session.c.expires <= now))
    row = {"id": device_id, "user_id": person.id, "hash": digests.digest(sid), "address": address}
    times = {"created": now, "seen": now, "idle": idle, "expires": now + life}
    times["proved"] = now if proved is None else proved
    conn.execute(browser_session.insert(), {**row, **times, "agent": shortened(agent)})
    return signed_in(conn, person, device_id, address), sid


def signed_in(conn: sa.Connection, person: people.User, device_id: str, address: str) -> Actor:
    """Write down and announce that a person signed in with a device, and give them as an actor."""
    conn.execute(user.update().where(user.c.id == person.id).values(signed_in=ids.now()))
    actor = Actor(
        id=person.id,
        kind="user",
        user=person.id,
        name=person.name,
        grants=person.grants,
        address=address,
        device=device_id,
    )
    record.audit(conn, actor, "signin", device_id)
    record.event(conn, SignedIn(person.id, device_id, address), Scope(person.id, "", "private"))
    return actor


def shortened(agent: str) -> str:
    """What a program says it is, as far as it is kept."""
    return "".join(letter for letter in agent[:AGENT] if letter.isprintable())


def sign_out(actor: Actor, sid: str) -> None:
    """End the actor's browser session that has or had just now this secret; a second time changes nothing, nor does a
    token.
    """
    if actor.kind != "user":
        return
    with db.transaction() as conn:
        query = sa.select(browser_session.c.id).where(
            identity.has_secret(digests.digest(sid), ids.now()), browser_session.c.user_id == actor.user
        )
        device_id = conn.execute(query).scalar()
        if device_id is not None:
            end_one(conn, actor, device_id, actor.user)


def give_up(actor: Actor | None, sid: str) -> None:
    """End the session that a browser had, by whose it was and its secret, because somebody has just signed in anew in
    it: nobody would hold that secret any more but who has copied it.
    """
    if actor is not None and sid:
        sign_out(actor, sid)


def revoke_device(actor: Actor, device_id: str) -> None:
    """End one of the actor's own devices, or with `users:write` one of somebody they outrank."""
    _require_person(actor)
    with db.transaction() as conn:
        found = next(iter(_living(conn, id=device_id)), None)
        if found is None or not _may_end(conn, actor, found.user_id):
            raise NotFound("device", device_id)
        end_one(conn, actor, device_id, found.user_id)


def revoke_other_devices(actor: Actor) -> int:
    """End all of the actor's devices but the one they act with; how many those were."""
    _require_person(actor)
    with db.transaction() as conn:
        return end_all(conn, actor, actor.user, but=actor.device)


def list_devices(actor: Actor, *, user_id: str | None = None) -> list[Device]:
    """The actor's devices, last seen first, or those of somebody they may sign out."""
    _require_person(actor)
    whose = user_id or actor.user
    with db.read() as conn:
        if not _may_end(conn, actor, whose):
            raise NotFound("user", whose)
        rows = _living(conn, user_id=whose)
    found = [_device(row, is_current=row.id == actor.device) for row in rows]
    return sorted(found, key=lambda one: (-one.seen, one.id))


def programs(actor: Actor, device_ids: Collection[str]) -> dict[str, str]:
    """What these devices say that they are, by their ids, for whoever reads the record; without those that are gone."""
    require(actor, "audit:read")
    with db.read() as conn:
        rows = [
            row
            for table in (browser_session, client_session)
            for row in conn.execute(sa.select(table.c.id, table.c.agent).where(table.c.id.in_(device_ids)))
        ]
    return {row.id: row.agent for row in rows}


def is_signed_in_from(conn: sa.Connection, user_id: str, address: str) -> bool:
    """Whether a person has a living device at this address."""
    return bool(_living(conn, user_id=user_id, address=address))


def end_all(conn: sa.Connection, actor: Actor, user_id: str, *, but: str = "") -> int:
    """End a person's devices within an open transaction, all but one; how many those were."""
    ending = [row.id for row in _living(conn, user_id=user_id) if row.id != but]
    for device_id in ending:
        end_one(conn, actor, device_id, user_id)
    return len(ending)


def end_one(conn: sa.Connection, actor: Actor, device_id: str, user_id: str) -> None:
    """End one device of a person within an open transaction: its secrets are worth nothing, its streams close."""
    conn.execute(browser_session.delete().where(browser_session.c.id == device_id))
    conn.execute(client_session.update().where(client_session.c.id == device_id).values(ended=ids.now()))
    conn.execute(access_token.delete().where(access_token.c.session_id == device_id))
    record.audit(conn, actor, "signout", device_id)
    people.announce_end(conn, PrincipalRevoked(user_id, "device", user_id))


def renew(conn: sa.Connection, device_id: str) -> str | None:
    """Give a browser session a new secret, and say which; None for what is no browser session.

    No earlier one is good any more, not even for the moment that one lasts which another has just taken the place of;
    and what was opened with one closes: whoever copied it comes back with nothing, its browser with the new one.
    """
    sid = ids.secret("sid")
    fresh = {"hash": digests.digest(sid), "proved": ids.now(), "previous": "", "is_due": False}
    mine = browser_session.update().where(browser_session.c.id == device_id)
    user_id = conn.execute(mine.values(**fresh).returning(browser_session.c.user_id)).scalar()
    if user_id is None:
        return None
    people.announce_end(conn, PrincipalRevoked(user_id, "device", user_id))
    return sid


def make_due(conn: sa.Connection, user_ids: Sequence[str]) -> None:
    """Have these people's browsers get new secrets with their next page, because their rights change."""
    theirs = browser_session.c.user_id.in_(user_ids)
    conn.execute(browser_session.update().where(theirs).values(is_due=True))


def renew_due(actor: Actor, sid: str) -> str | None:
    """The new secret of a browser session that is due for one, given with a page; None for one that is not.

    The one before stays good for ten seconds, for what is under way, and leads to the very same new one.
    """
    now, before = ids.now(), digests.digest(sid)
    with db.transaction() as conn:
        mine = browser_session.c.id == actor.device
        row = conn.execute(sa.select(browser_session).where(mine).with_for_update()).first()
        if row is not None and row.previous == before and row.renewed > now - GRACE:
            return _successor(sid, row.salt)
        if row is None or row.hash != before or not row.is_due:
            return None
        salt = secrets.token_hex(32)
        fresh = _successor(sid, salt)
        given = {"hash": digests.digest(fresh), "previous": before, "salt": salt, "renewed": now, "is_due": False}
        conn.execute(browser_session.update().where(mine).values(**given))
        db.after_commit(identity.forget)
    return fresh


def _successor(sid: str, salt: str) -> str:
    return f"sid_{hmac.new(salt.encode(), sid.encode(), hashlib.sha256).hexdigest()}"


def _device(row: Any, *, is_current: bool) -> Device:
    return Device(row.id, row.kind, row.address, row.agent, row.created, row.seen, row.expires, is_current)


def is_present(now: int) -> sa.ColumnElement[bool]:
    """The condition for a browser that is signed in: neither over nor idle for too long."""
    table = browser_session.c
    return sa.and_(table.expires > now, table.seen + table.idle > now)


def _living(conn: sa.Connection, **which: str) -> list[Any]:
    """The rows of living devices with these values."""
    now = ids.now()
    browsers = _columns(browser_session, "browser").where(is_present(now))
    clients = _columns(client_session, "client").where(client_session.c.expires > now, client_session.c.ended.is_(None))
    return [*conn.execute(browsers.filter_by(**which)).all(), *conn.execute(clients.filter_by(**which)).all()]


def _columns(table: sa.Table, kind: str) -> sa.Select[Any]:
    names = ("id", "user_id", "address", "agent", "created", "seen", "expires")
    return sa.select(*(table.c[name] for name in names), sa.literal(kind).label("kind"))


def _may_end(conn: sa.Connection, actor: Actor, user_id: str) -> bool:
    if user_id == actor.user:
        return True
    if not may(actor, "users:write"):
        return False
    people.outranks(actor, people.get(conn, user_id))
    return True


def _require_person(actor: Actor) -> None:
    # A token acts for its user but has no business with the user's browsers.
    if actor.kind != "user":
        raise NotFound("device")
