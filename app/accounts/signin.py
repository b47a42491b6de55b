"""Signing in with a browser, by a one-time code."""

from __future__ import annotations

import sqlalchemy as sa

from app import config, db, ids, record
from app.accounts import devices, digests, failures, people
from app.accounts.authority import require
from app.accounts.models import code
from app.actor import SYSTEM, Actor
from app.errors import Unauthenticated

CODE_LIFE = 10 * 60 * 1000
WRONG_CODE = "This sign-in link was used already, is older than ten minutes, or is not whole."


def first_start() -> str | None:
    """Make sure there is an owner; while nobody has signed in, give a new one-time code for them.

    An earlier code ends. None once somebody has signed in, and when no sign-in is needed.
    """
    with db.transaction() as conn:
        person = people.owner(conn)
        if config.current().auth == "none":
            record.audit(conn, SYSTEM, "server.open")
            return None
        if people.is_settled(conn):
            return None
        return _new_code(conn, SYSTEM, person.id)


def sign_in_code(actor: Actor, user_id: str | None = None) -> str:
    """A new one-time code for a person whom the actor outranks, by default the owner."""
    require(actor, "users:write")
    with db.transaction() as conn:
        person = people.get(conn, user_id) if user_id else people.owner(conn)
        people.outranks(actor, person)
        return _new_code(conn, actor, person.id)


def redeem(code_text: str, address: str, agent: str = "") -> tuple[Actor, str]:
    """Spend a one-time code and open a browser session: the person, and the secret for the cookie.

    Raises Unauthenticated for a code that is wrong, used or older than ten minutes, and Limited.
    """
    with db.transaction() as conn:
        failures.check(conn, address)
        person = spend(conn, code_text)
        if person is not None:
            return devices.open_browser(conn, person, address, agent)
        refuse(conn, address)
    raise Unauthenticated(WRONG_CODE)


def spend(conn: sa.Connection, text: str) -> people.User | None:
    """Whose one-time code this was, until now; None for one that is worth nothing."""
    now = ids.now()
    spent = conn.execute(
        code.update()
        .where(code.c.hash == digests.digest(text.strip()), code.c.used.is_(None), code.c.expires > now)
        .values(used=now)
        .returning(code.c.user_id)
    ).scalar()
    return people.get(conn, spent) if spent else None


def refuse(conn: sa.Connection, address: str) -> None:
    """Count and write down a code that was worth nothing."""
    failures.add(conn, address)
    record.audit(conn, people.stranger(address), "signin.code", result="denied")


def _new_code(conn: sa.Connection, actor: Actor, user_id: str) -> str:
    secret, now = ids.secret("in"), ids.now()
    conn.execute(code.delete().where(sa.or_(code.c.user_id == user_id, code.c.expires <= now)))
    row = {"id": ids.random("cod"), "user_id": user_id, "hash": digests.digest(secret)}
    conn.execute(code.insert(), {**row, "created": now, "expires": now + CODE_LIFE})
    record.audit(conn, actor, "signin.code", user_id)
    return secret
