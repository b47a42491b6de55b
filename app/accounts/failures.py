"""Failed sign-ins are counted in the database: every process sees them, and a restart forgets none.

Beyond a limit nothing is tried and nothing stored any more, so that no flood can fill the disk. Whoever fails for
somebody else's email, or from everywhere, delays sign-ins from new addresses alone: one that this person is signed in
from has its own count.
"""

from __future__ import annotations

import ipaddress

import sqlalchemy as sa

from app import ids
from app.accounts import devices, digests
from app.accounts.models import signin_failure as table
from app.errors import Limited

PER_ACCOUNT = 10
PER_ADDRESS = 30
PER_SERVER = 300
WITHIN = 10 * 60 * 1000
# How long after the tenth failure of an account the next try has to wait, in ms; each further one doubles it.
FIRST_DELAY = 5_000


def check(conn: sa.Connection, address: str, *, is_known: bool = False) -> None:
    """Raise Limited if this client, or unless it is known all together, have failed too often within ten minutes."""
    since = ids.now() - WITHIN
    _refuse_beyond(conn, PER_ADDRESS, table.c.client == _client(address), table.c.at > since)
    if not is_known:
        _refuse_beyond(conn, PER_SERVER, table.c.at > since)


def add(conn: sa.Connection, address: str, account: str = "") -> int:
    """Count one failure and give its number; forget those that count no more."""
    now = ids.now()
    conn.execute(table.delete().where(table.c.at <= now - WITHIN))
    row = {"client": _client(address), "account": account, "at": now}
    number: int = conn.execute(table.insert().returning(table.c.id), row).scalar_one()
    return number


def charge(conn: sa.Connection, address: str, name: str, user_id: str) -> int:
    """Count a try as a failure before it is made, so that many at once are not one; `forgive` takes it back.

    The name is what somebody signs in by, the user who has it or "". Raises Limited instead, with the wait.
    """
    is_known = devices.is_signed_in_from(conn, user_id, address)
    check(conn, address, is_known=is_known)
    account = digests.digest(name)
    own = [table.c.client == _client(address)] if is_known else []
    _refuse_hurry(conn, table.c.account == account, *own)
    return add(conn, address, account)


def forgive(conn: sa.Connection, number: int) -> None:
    """Take back a charge: the try was right."""
    conn.execute(table.delete().where(table.c.id == number))


def _refuse_hurry(conn: sa.Connection, *which: sa.ColumnElement[bool]) -> None:
    now = ids.now()
    query = sa.select(sa.func.count(), sa.func.max(table.c.at)).where(*which, table.c.at > now - WITHIN)
    count, last = conn.execute(query).one()
    if count >= PER_ACCOUNT:
        until = last + min(FIRST_DELAY << (count - PER_ACCOUNT), WITHIN)
        if now < until:
            raise Limited(_WORDS, (until - now) // 1000 + 1, code="AUTH_RATE_LIMITED")


_WORDS = "Too many failed sign-ins; wait a little."


def _refuse_beyond(conn: sa.Connection, most: int, *which: sa.ColumnElement[bool]) -> None:
    count, first = conn.execute(sa.select(sa.func.count(), sa.func.min(table.c.at)).where(*which)).one()
    if count >= most:
        seconds = (first + WITHIN - ids.now()) // 1000 + 1
        raise Limited(_WORDS, seconds, code="AUTH_RATE_LIMITED")


def _client(address: str) -> str:
    """The address that counts: of IPv6 its /64, because one machine has all of it."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
