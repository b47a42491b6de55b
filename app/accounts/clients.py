"""Programs that sign in for a person: short access tokens, and refresh tokens that are good once.

All tokens of one sign-in are a family. A refresh token that comes a second time was copied by somebody, so its family
ends; only the newest spent one may come again for ten seconds, for a client that lost the answer or asked twice at
once, and gets the very same successor. That is worked out from the spent secret, which only its holder has, and a salt,
which only the database has: neither of the two alone gives it away.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app import db, ids, record
from app.accounts import devices, digests, passwords, people
from app.accounts.models import access_token, client_session, refresh_token
from app.actor import Actor
from app.errors import Unauthenticated

ACCESS, REFRESH = "sca", "scr"
ACCESS_LIFE = 15 * 60 * 1000
REFRESH_LIFE = 30 * 24 * 3600 * 1000
GRACE = 10 * 1000


@dataclass(frozen=True)
class Tokens:
    """What a sign-in or a refresh gives: both secrets, the seconds that the access token lives, and whose they are."""

    access: str
    refresh: str
    expires_in: int
    user: people.User


def log_in(email: str, password: str, address: str, agent: str = "") -> Tokens:
    """Sign a program in for who has this email and password.

    Raises WrongPassword, the same for an email that nobody has, and Limited.
    """
    tried = passwords.attempt(email, password, address)
    with db.transaction() as conn:
        person = passwords.settle(conn, tried, address)
        if person is not None:
            return open_client(conn, person, address, agent)
    raise passwords.WrongPassword


def open_client(
    conn: sa.Connection, person: people.User, address: str, agent: str = "", *, is_lasting: bool = True
) -> Tokens:
    """Begin a family of tokens for a person who has shown who they are.

    One that does not last has no refresh token ("") and is over with its access token.
    """
    session_id, now = ids.random("dev"), ids.now()
    life = REFRESH_LIFE if is_lasting else ACCESS_LIFE
    _forget_expired(conn, now)
    row = {"id": session_id, "user_id": person.id, "address": address, "agent": devices.shortened(agent)}
    times = {"created": now, "seen": now, "expires": now + life, "proved": now}
    conn.execute(client_session.insert(), {**row, **times})
    devices.signed_in(conn, person, session_id, address)
    return _issue(conn, session_id, person, ids.secret(REFRESH) if is_lasting else "", ids.secret(ACCESS))


def refresh(secret: str, address: str) -> Tokens:
    """Spend a refresh token: a new one, and a new access token.

    Raises Unauthenticated for an access token, for one that nobody has or that is out of date, and for one that was
    spent before, whose family then ends.
    """
    if secret.startswith(f"{ACCESS}_"):
        raise Unauthenticated("not a refresh token")
    with db.transaction() as conn:
        session, found = _locked(conn, secret)
        if session is not None and session.ended is None and session.expires > ids.now():
            person = people.get(conn, session.user_id)
            if found.used is None:
                return _rotate(conn, session, person, secret)
            if found.used > ids.now() - GRACE and _is_newest(conn, session.id, secret, found.salt):
                return _again(conn, person, secret, found.salt)
            _end_family(conn, person, session, address)
    raise Unauthenticated("invalid token")


def log_out(secret: str, address: str) -> None:
    """End the family of a refresh token, its access tokens at once; a second time changes nothing."""
    with db.transaction() as conn:
        session, _found = _locked(conn, secret)
        if session is not None:
            if session.ended is None:
                person = people.get(conn, session.user_id)
                devices.end_one(conn, _self(person, session, address), session.id, person.id)
            return
    raise Unauthenticated("invalid token")


def _locked(conn: sa.Connection, secret: str) -> tuple[Any, Any]:
    """The family of a refresh token, which waits for nobody else until the end of the transaction, and its row."""
    mine = refresh_token.c.hash == digests.digest(secret)
    family = sa.select(refresh_token.c.session_id).where(mine).scalar_subquery()
    session = conn.execute(sa.select(client_session).where(client_session.c.id == family).with_for_update()).first()
    return session, conn.execute(sa.select(refresh_token).where(mine)).first()


def _rotate(conn: sa.Connection, session: Any, person: people.User, secret: str) -> Tokens:
    salt, now = secrets.token_hex(32), ids.now()
    spent = refresh_token.c.hash == digests.digest(secret)
    conn.execute(refresh_token.update().where(spent).values(used=now, salt=salt))
    conn.execute(client_session.update().where(client_session.c.id == session.id).values(seen=now))
    conn.execute(access_token.delete().where(access_token.c.session_id == session.id, access_token.c.expires <= now))
    return _issue(conn, session.id, person, _derived(REFRESH, secret, salt), _derived(ACCESS, secret, salt))


def _issue(conn: sa.Connection, session_id: str, person: people.User, new_refresh: str, new_access: str) -> Tokens:
    now = ids.now()
    if new_refresh:
        kept = {"hash": digests.digest(new_refresh), "session_id": session_id, "created": now, "salt": ""}
        conn.execute(refresh_token.insert(), kept)
    row = {"hash": digests.digest(new_access), "session_id": session_id, "expires": now + ACCESS_LIFE}
    conn.execute(access_token.insert(), row)
    return Tokens(new_access, new_refresh, ACCESS_LIFE // 1000, person)


def _is_newest(conn: sa.Connection, session_id: str, secret: str, salt: str) -> bool:
    """Whether the successor of a spent token has not been spent itself."""
    successor = refresh_token.c.hash == digests.digest(_derived(REFRESH, secret, salt))
    query = sa.select(refresh_token.c.hash).where(successor, refresh_token.c.used.is_(None))
    return conn.execute(query.where(refresh_token.c.session_id == session_id)).first() is not None


def _again(conn: sa.Connection, person: people.User, secret: str, salt: str) -> Tokens:
    access = _derived(ACCESS, secret, salt)
    query = sa.select(access_token.c.expires).where(access_token.c.hash == digests.digest(access))
    left = conn.execute(query).scalar_one() - ids.now()
    return Tokens(access, _derived(REFRESH, secret, salt), left // 1000, person)


def _end_family(conn: sa.Connection, person: people.User, session: Any, address: str) -> None:
    actor = _self(person, session, address)
    record.audit(conn, actor, "token.reuse", session.id, result="denied")
    devices.end_one(conn, actor, session.id, person.id)


def _self(person: people.User, session: Any, address: str) -> Actor:
    """The person, as who is written down for what came with one of their secrets alone."""
    return Actor(person.id, "user", person.id, person.name, (), address=address, device=session.id)


def _derived(kind: str, secret: str, salt: str) -> str:
    return f"{kind}_{hmac.new(salt.encode(), f'{kind} {secret}'.encode(), hashlib.sha256).hexdigest()}"


def _forget_expired(conn: sa.Connection, now: int) -> None:
    old = sa.select(client_session.c.id).where(client_session.c.expires <= now)
    for table in (access_token, refresh_token):
        conn.execute(table.delete().where(table.c.session_id.in_(old)))
    conn.execute(client_session.delete().where(client_session.c.expires <= now))
