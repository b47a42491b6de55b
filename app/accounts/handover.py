"""Handing somebody who has signed in over to a client: by a nonce in the address, never by tokens there."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from app import db, ids
from app.accounts import digests
from app.accounts.models import handover as table
from app.errors import Invalid, Unauthenticated

LIFE = 30 * 1000
LONGEST = 2000


def hand_over(user_id: str) -> str:
    """What a client can take a person over for, once, within half a minute."""
    nonce, now = ids.secret("non"), ids.now()
    with db.transaction() as conn:
        conn.execute(table.delete().where(table.c.expires <= now))
        conn.execute(table.insert(), {"hash": digests.digest(nonce), "user_id": user_id, "expires": now + LIFE})
    return nonce


def way_back(url: str, field: str) -> SplitResult:
    """The parts of an address that a client may be handed a person at; raises Invalid for what is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    is_whole = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc and not parts.fragment
    if len(url) > LONGEST or not is_whole or "\\" in url or not url.isprintable() or " " in url:
        raise Invalid(f"{field} is not an http or https address to go back to.", field)
    return parts


def take_over(nonce: str) -> str:
    """The id of the person who was handed over for it; raises Unauthenticated for one that is wrong, old or used."""
    with db.transaction() as conn:
        row = conn.execute(table.delete().where(table.c.hash == digests.digest(nonce)).returning(table)).first()
    if row is None or row.expires <= ids.now():
        raise Unauthenticated("This nonce was used already, is older than 30 seconds, or never was.")
    return str(row.user_id)
