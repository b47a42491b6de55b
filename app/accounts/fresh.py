"""A fresh sign-in: for the few acts that a browser left open must not do, one shows again who one is."""

from __future__ import annotations

import sqlalchemy as sa

from app import db, ids, record
from app.accounts import failures, signin
from app.accounts.models import browser_session, client_session
from app.actor import Actor
from app.errors import Denied, Invalid

FRESH_FOR = 15 * 60 * 1000


class Stale(Denied):
    """The act wants a fresh sign-in; pages lead to where one shows who one is, and back."""

    code = "SIGN_IN_AGAIN"

    def __init__(self) -> None:
        super().__init__("Show that it is you first: sign in again.")


def is_fresh(actor: Actor) -> bool:
    """Whether the person has shown who they are within a quarter of an hour.

    Asked of people's browsers and clients; a token needs its scope alone, and an agent is never fresh.
    """
    if actor.kind in ("agent", "visitor"):
        return False
    if not actor.device:
        return True
    with db.read() as conn:
        proved = max(
            conn.execute(sa.select(one.c.proved).where(one.c.id == actor.device)).scalar() or 0
            for one in (browser_session, client_session)
        )
    return ids.now() < proved + FRESH_FOR


def require_fresh(actor: Actor) -> None:
    """Raise Stale unless the sign-in is fresh."""
    if not is_fresh(actor):
        raise Stale


def require_fresh_browser(actor: Actor) -> None:
    """Raise Stale for a browser whose sign-in is not fresh; clients do it as RootCX has them do it, at any time.

    Asked before roles are given, and before a link is made: it gives roles too, and whom it lets in is fresh.
    """
    with db.read() as conn:
        row = conn.execute(sa.select(browser_session.c.proved).where(browser_session.c.id == actor.device)).first()
    if row is not None and ids.now() >= row.proved + FRESH_FOR:
        raise Stale


def prove_by_code(actor: Actor, text: str) -> None:
    """Show once more who one is by a one-time code of one's own: the device is fresh again. Raises Invalid, Limited."""
    with db.transaction() as conn:
        failures.check(conn, actor.address)
        person = signin.spend(conn, text)
        if person is not None and person.id == actor.user:
            mark(conn, actor, "code")
            return
        signin.refuse(conn, actor.address)
    raise Invalid(signin.WRONG_CODE, "code")


def mark(conn: sa.Connection, actor: Actor, how: str) -> None:
    """Write down that the person has just shown who they are."""
    for one in (browser_session, client_session):
        conn.execute(one.update().where(one.c.id == actor.device).values(proved=ids.now()))
    record.audit(conn, actor, "signin.again", actor.device, {"by": how})
