"""Failed sign-ins are counted in the database: every process sees them, and a restart forgets none.

Beyond a limit nothing is tried and nothing stored any more, so that no flood can fill the disk.
"""

from __future__ import annotations

import ipaddress

import sqlalchemy as sa

from app import ids
from app.accounts.models import signin_failure as table
from app.errors import Limited

PER_ADDRESS = 30
PER_SERVER = 300
WITHIN = 10 * 60 * 1000


def check(conn: sa.Connection, address: str) -> None:
    """Raise Limited if this client, or all together, have failed too often within ten minutes."""
    since = ids.now() - WITHIN
    _refuse_beyond(conn, PER_ADDRESS, table.c.client == _client(address), table.c.at > since)
    _refuse_beyond(conn, PER_SERVER, table.c.at > since)


def add(conn: sa.Connection, address: str) -> None:
    """Count one failure; forget those that count no more."""
    now = ids.now()
    conn.execute(table.delete().where(table.c.at <= now - WITHIN))
    conn.execute(table.insert().inline(), {"client": _client(address), "at": now})


def _refuse_beyond(conn: sa.Connection, most: int, *which: sa.ColumnElement[bool]) -> None:
    count, first = conn.execute(sa.select(sa.func.count(), sa.func.min(table.c.at)).where(*which)).one()
    if count >= most:
        seconds = (first + WITHIN - ids.now()) // 1000 + 1
        raise Limited("Too many failed sign-ins; wait a little.", seconds, code="AUTH_RATE_LIMITED")


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
