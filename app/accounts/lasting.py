"""What people hold open lasts no longer than what it was opened with: looked at every half minute.

Whoever is revoked is let go of at once (see events); here it is time that ends something: an access token after its
quarter of an hour, an API token at its date, a browser that nobody was at. Its client comes back with what is good by
then, and misses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from app import carrier, db, dispatch, ids
from app.accounts.identity import FIXED
from app.accounts.models import browser_session, client_session, token, user
from app.actor import Actor

EVERY = 30.0
AT_ONCE = 500


@dispatch.every(EVERY)
def let_go() -> None:
    """Close the streams and sockets of this process whose holder is signed in no more."""
    held: set[Actor] = carrier.holders()
    if held:
        carrier.let_go(ended(held))


def ended(actors: Iterable[Actor]) -> set[Actor]:
    """Which of these are signed in no more: gone, signed out, revoked, out of date, or idle for too long."""
    now = ids.now()
    asked = [one for one in actors if one.kind in ("user", "token", "agent")]
    idle_until = browser_session.c.seen + browser_session.c.idle
    with db.read() as conn:
        people = _living(conn, user, {one.user for one in asked}, user.c.revoked.is_(None))
        devices = {one.device for one in asked if one.device}
        open_ones = _living(conn, browser_session, devices, browser_session.c.expires > now, idle_until > now)
        open_ones |= _living(
            conn, client_session, devices - open_ones, client_session.c.expires > now, client_session.c.ended.is_(None)
        )
        tokens = _living(conn, token, {one.token for one in asked if one.token}, token.c.revoked.is_(None))
    return {
        one
        for one in asked
        if (one.until is not None and one.until <= now)
        or one.user not in people
        or (one.device and one.device not in open_ones)
        or (one.token and one.token != FIXED and one.token not in tokens)
    }


def _living(conn: sa.Connection, table: sa.Table, wanted: set[str], *where: sa.ColumnElement[bool]) -> set[str]:
    """Those of these ids whose rows are as they must be."""
    found: set[str] = set()
    for some in _batches(wanted):
        found.update(conn.scalars(sa.select(table.c.id).where(table.c.id.in_(some), *where)))
    return found


def _batches(words: set[str]) -> Iterator[list[str]]:
    ordered = sorted(words)
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]
