"""By which providers somebody signs in: their own identities, and taking one back."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from app import db, mail, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Denied, NotFound
from app.oidc import providers
from app.oidc.models import identity as table

LAST_WAY = "LAST_WAY_IN"


@dataclass(frozen=True)
class Identity:
    """Who somebody is at a provider: its name, the address it knows, when they last came by it (unix ms).

    `is_on` is whether one can sign in by it now; `is_last` whether it is the only way in that there is.
    """

    id: str
    provider: str
    name: str
    email: str
    seen: int
    is_on: bool
    is_last: bool


def list_identities(actor: Actor) -> list[Identity]:
    """The actor's own, the oldest first; none for what is no person."""
    if actor.kind != "user":
        return []
    with db.read() as conn:
        rows = list(conn.execute(_mine(actor)))
    named, on = _known()
    return [
        Identity(
            row.id,
            row.provider,
            named.get(row.provider, row.provider),
            row.email,
            row.seen,
            row.provider in on,
            not _has_other_way(actor, [other.provider for other in rows if other.id != row.id]),
        )
        for row in rows
    ]


def disconnect(actor: Actor, identity_id: str) -> None:
    """Sign in by an identity of one's own no more; what is signed in stays so.

    Raises Stale, NotFound; Conflict (LAST_WAY_IN) if one could not come back then.
    """
    if actor.kind != "user":
        raise Denied("Only a person in a browser can do this.")
    accounts.require_fresh(actor)
    with db.transaction() as conn:
        # All of theirs, so that of two at once the second one knows of the first.
        rows = list(conn.execute(_mine(actor).with_for_update()))
        found = next((row for row in rows if row.id == identity_id), None)
        if found is None:
            raise NotFound("identity", identity_id)
        if not _has_other_way(actor, [row.provider for row in rows if row.id != identity_id]):
            raise Conflict("It is the only way in that you have: set a password first.", code=LAST_WAY)
        conn.execute(table.delete().where(table.c.id == identity_id))
        record.audit(conn, actor, "oidc.disconnect", actor.user, {"provider": found.provider, "identity": identity_id})


def _mine(actor: Actor) -> sa.Select[tuple[str, str, str, int]]:
    query = sa.select(table.c.id, table.c.provider, table.c.email, table.c.seen)
    return query.where(table.c.user_id == actor.user).order_by(table.c.created, table.c.id)


def _has_other_way(actor: Actor, others: list[str]) -> bool:
    """Whether somebody comes in without the identity in question: by a password, a provider, or a mailed link."""
    if accounts.password_changed(actor) is not None or set(others) & _known()[1]:
        return True
    return mail.is_on() and accounts.me(actor).email is not None


def _known() -> tuple[dict[str, str], set[str]]:
    """The names of the providers that are on, by their ids, and these."""
    named = {one.id: one.name for one in providers.offered()}
    return named, set(named)
