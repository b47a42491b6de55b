"""The people of the team, with what would end if one of them went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from app import db, ids
from app.accounts import devices, people
from app.accounts.authority import require
from app.accounts.models import browser_session, client_session, token
from app.accounts.people import User
from app.actor import Actor


@dataclass(frozen=True)
class Member:
    """A person who is here: when they were last seen (unix ms or None), their living tokens and signed-in devices."""

    user: User
    seen: int | None
    tokens: int
    devices: int


def list_members(actor: Actor) -> list[Member]:
    """Everybody who is here, oldest first."""
    require(actor, "users:read")
    now = ids.now()
    with db.read() as conn:
        browsers = _of_each(conn, browser_session, browser_session.c.seen, devices.is_present(now))
        clients = _of_each(
            conn,
            client_session,
            client_session.c.seen,
            client_session.c.ended.is_(None),
            client_session.c.expires > now,
        )
        is_living = sa.or_(token.c.expires.is_(None), token.c.expires > now)
        tokens = _of_each(conn, token, token.c.last_used, token.c.revoked.is_(None), is_living)
        users = [user for user in people.list_users(actor) if user.revoked is None]
    nothing = (0, None)
    return [
        Member(
            user,
            seen=max(filter(None, (one.get(user.id, nothing)[1] for one in (browsers, clients, tokens))), default=None)
            or user.signed_in,
            tokens=tokens.get(user.id, nothing)[0],
            devices=browsers.get(user.id, nothing)[0] + clients.get(user.id, nothing)[0],
        )
        for user in users
    ]


def _of_each(
    conn: sa.Connection, table: sa.Table, seen: sa.ColumnElement[int], *where: sa.ColumnElement[bool]
) -> Mapping[str, tuple[int, int | None]]:
    """How many rows each person has, and the latest of their times."""
    query = sa.select(table.c.user_id, sa.func.count(), sa.func.max(seen)).where(*where).group_by(table.c.user_id)
    return {user_id: (count, latest) for user_id, count, latest in conn.execute(query)}
