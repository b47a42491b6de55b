"""Handing somebody who has signed in over to a client: by a nonce in the address, never by tokens there."""

from __future__ import annotations

from app import db, ids
from app.accounts import digests
from app.accounts.models import handover as table
from app.errors import Unauthenticated

LIFE = 30 * 1000


def hand_over(user_id: str) -> str:
    """What a client can take a person over for, once, within half a minute."""
    nonce, now = ids.secret("non"), ids.now()
    with db.transaction() as conn:
        conn.execute(table.delete().where(table.c.expires <= now))
        conn.execute(table.insert(), {"hash": digests.digest(nonce), "user_id": user_id, "expires": now + LIFE})
    return nonce


def take_over(nonce: str) -> str:
    """The id of the person who was handed over for it; raises Unauthenticated for one that is wrong, old or used."""
    with db.transaction() as conn:
        row = conn.execute(table.delete().where(table.c.hash == digests.digest(nonce)).returning(table)).first()
    if row is None or row.expires <= ids.now():
        raise Unauthenticated("This nonce was used already, is older than 30 seconds, or never was.")
    return str(row.user_id)
