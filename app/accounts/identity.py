"""From what a request brought to the actor it stands for: one query for who it is, one for how far they come."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa

from app import config, db, ids
from app.accounts import digests, grants, reach
from app.accounts.models import access_token, browser_session, client_session, role_assignment, token, user
from app.accounts.reach import Reach
from app.actor import Actor, Credentials, Signed
from app.remembered import Remembered

BASIC_USER = "opencode"
ACCESS = "sca_"
TOUCH_EVERY = 60_000
FIXED = "admin_token"
GRACE = 10_000

Proof = Literal["bearer", "basic", "port", "cookie", "open"]


@dataclass(frozen=True)
class Identity:
    """An actor, and what proved it: the CSRF check asks that of everything but a bearer."""

    actor: Actor
    proof: Proof


_memory = Remembered[Actor]()
_reaches = Remembered[Reach]()
_NOWHERE = Reach()


def forget() -> None:
    """Drop every remembered answer: somebody's rights have changed."""
    _memory.forget()
    _reaches.forget()


def authenticate(credentials: Credentials, *, dialect: str = "", address: str = "") -> Actor | None:
    """The actor that the credentials stand for, or None."""
    found = identify(credentials, dialect=dialect, address=address)
    return found.actor if found else None


def identify(credentials: Credentials, *, dialect: str = "", address: str = "") -> Identity | None:
    """The actor and its proof, or None: a wrong bearer or password is never saved by a cookie.

    On a port that acts as a token the browser's cookie counts for nothing, and a token that was lent for one dialect
    is none in others.
    """
    actor, proof = _prove(credentials)
    if actor is None and _is_open(address):
        actor, proof = _memory.get("open", _open_door), "open"
    if actor is None or actor.via not in ("", dialect):
        return None
    return _seen(actor, proof, dialect, address)


@lru_cache(maxsize=1024)  # thousands of streams of one client share what they are
def _seen(actor: Actor, proof: Proof, dialect: str, address: str) -> Identity:
    return Identity(dataclasses.replace(actor, via=dialect, address=address), proof)


def is_current(actor: Actor) -> bool:
    """Whether the same projects are closed to the actor's person as when they came, and they hold no less.

    Asked by what goes on after a request, once it can be ended: a change that came before ends nothing of it. What was
    remembered will do, because whoever hears of a change forgets first and ends what is open then.
    """
    if actor.kind in ("system", "visitor"):
        return True
    now = _reaches.get(actor.user, _reach)
    return now is not None and now.closed == actor.closed and grants.covers_all(now.grants, actor.grants)


def _reach(user_id: str) -> Reach:
    with db.read() as conn:
        return reach.of(conn, user_id)


def register_signatures(find: Callable[[Signed], str | None]) -> None:
    """Say who knows the secret that an address was signed with."""
    global _find_signer
    _find_signer = find


_find_signer: Callable[[Signed], str | None] = lambda _signed: None  # noqa: E731


def _prove(brought: Credentials) -> tuple[Actor | None, Proof]:
    if brought.bearer is not None:
        return _by_secret(brought.bearer), "bearer"
    if brought.signed is not None:
        secret = _find_signer(brought.signed)
        return (_by_secret(secret) if secret else None), "bearer"
    if brought.basic_password is not None:
        is_ours = brought.basic_user == BASIC_USER
        return (_by_secret(brought.basic_password) if is_ours else None), "basic"
    if brought.port_token is not None:
        return _memory.get(f"name:{brought.port_token}", _by_name), "port"
    if brought.cookie is not None:
        return _memory.get(f"sid:{digests.digest(brought.cookie)}", _by_browser), "cookie"
    return None, "open"


def _by_secret(secret: str) -> Actor | None:
    fixed = config.current().admin_token
    if fixed and digests.is_same(secret, fixed):
        return _memory.get("admin", _by_admin_token)
    if secret.startswith(ACCESS):
        return _memory.get(f"access:{digests.digest(secret)}", _by_access)
    return _memory.get(f"hash:{digests.digest(secret)}", _by_hash)


def _by_hash(key: str) -> Actor | None:
    return _token(token.c.hash == key.removeprefix("hash:"))


def _by_name(key: str) -> Actor | None:
    return _token(token.c.name == key.removeprefix("name:"))


def _token(where: sa.ColumnElement[bool]) -> Actor | None:
    now = ids.now()
    query = (
        sa.select(token)
        .join(user, user.c.id == token.c.user_id)
        .where(where, token.c.revoked.is_(None), user.c.revoked.is_(None))
    )
    with db.read() as conn:
        row = conn.execute(query).first()
        held = reach.of(conn, row.user_id).within(row.scopes) if row is not None else _NOWHERE
    if row is None or (row.expires is not None and row.expires <= now):
        return None
    if row.last_used is None or now - row.last_used >= TOUCH_EVERY:
        _touch(token.update().where(token.c.id == row.id).values(last_used=now))
    return Actor(
        id=row.id,
        kind="agent" if row.is_agent else "token",
        user=row.user_id,
        name=row.name,
        grants=held.grants,
        token=row.id,
        project=row.project,
        via=row.only_in,
        closed=held.closed,
        lent=held.lent,
        until=row.expires,
    )


def _by_browser(key: str) -> Actor | None:
    now = ids.now()
    query = (
        sa.select(browser_session, user.c.name)
        .join(user, user.c.id == browser_session.c.user_id)
        .where(has_secret(key.removeprefix("sid:"), now), user.c.revoked.is_(None))
    )
    with db.read() as conn:
        row = conn.execute(query).first()
        held = reach.of(conn, row.user_id) if row is not None else _NOWHERE
    if row is None or row.expires <= now or row.seen + row.idle <= now:
        return None
    if now - row.seen >= TOUCH_EVERY:
        _touch(browser_session.update().where(browser_session.c.id == row.id).values(seen=now))
    person = _person(row.user_id, row.name, held, row.id, row.expires)
    # Who comes with the one before has not got the new one yet.
    is_due = row.is_due or row.hash != key.removeprefix("sid:")
    return dataclasses.replace(person, is_due=True) if is_due else person


def has_secret(known: str, now: int) -> sa.ColumnElement[bool]:
    """Whether it is the session's secret, or was until just now."""
    is_former = sa.and_(browser_session.c.previous == known, browser_session.c.renewed > now - GRACE)
    return sa.or_(browser_session.c.hash == known, is_former)


def _by_access(key: str) -> Actor | None:
    now = ids.now()
    query = (
        sa.select(client_session, user.c.name, access_token.c.expires.label("until"))
        .join(access_token, access_token.c.session_id == client_session.c.id)
        .join(user, user.c.id == client_session.c.user_id)
        .where(
            access_token.c.hash == key.removeprefix("access:"),
            access_token.c.expires > now,
            client_session.c.ended.is_(None),
            client_session.c.expires > now,
            user.c.revoked.is_(None),
        )
    )
    with db.read() as conn:
        row = conn.execute(query).first()
        held = reach.of(conn, row.user_id) if row is not None else _NOWHERE
    if row is None:
        return None
    if now - row.seen >= TOUCH_EVERY:
        _touch(client_session.update().where(client_session.c.id == row.id).values(seen=now))
    return _person(row.user_id, row.name, held, row.id, row.until)


def _by_admin_token(_key: str) -> Actor | None:
    with db.read() as conn:
        row = conn.execute(_first_owner).first()
    if row is None:
        return None
    return Actor(
        id=FIXED,
        kind="token",
        user=row.id,
        name="ADMIN_TOKEN",
        grants=grants.ROLES["owner"],
        token=FIXED,
    )


def _open_door(_key: str) -> Actor | None:
    with db.read() as conn:
        row = conn.execute(_first_owner).first()
    return _person(row.id, row.name, Reach(grants.ROLES["owner"])) if row else None


def _person(user_id: str, name: str, held: Reach, device: str = "", until: int | None = None) -> Actor:
    return Actor(
        id=user_id,
        kind="user",
        user=user_id,
        name=name,
        grants=held.grants,
        device=device,
        until=until,
        closed=held.closed,
        lent=held.lent,
    )


_first_owner = (
    sa.select(user.c.id, user.c.name)
    .join(role_assignment, role_assignment.c.user_id == user.c.id)
    .where(role_assignment.c.role == "owner", user.c.revoked.is_(None))
    .order_by(user.c.created, user.c.id)
    .limit(1)
)


def _is_open(address: str) -> bool:
    if config.current().auth != "none" or not config.current().is_loopback:
        return False
    try:
        peer = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(peer, "ipv4_mapped", None)
    return bool((mapped or peer).is_loopback)


def _touch(statement: sa.Update) -> None:
    def write(conn: sa.Connection) -> Any:
        return conn.execute(statement).rowcount

    db.append(write)
