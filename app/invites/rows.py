"""Links as rows: made, found, spent once, replaced and revoked."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app import ids
from app.accounts import service as accounts
from app.errors import NotFound
from app.invites.models import link as table
from app.invites.things import Gone, Invite, Kind, Made

KEEP = 30 * 24 * 3600 * 1000


def make(
    conn: sa.Connection,
    kind: Kind,
    email: str,
    roles: tuple[str, ...],
    made_by: str,
    life: int,
    *,
    redirect: str = "",
    address: str = "",
) -> Made:
    """Store a new link; those that ended a month ago are forgotten."""
    secret, now = ids.secret("inv"), ids.now()
    conn.execute(table.delete().where(table.c.expires <= now - KEEP))
    row = {"id": ids.random("inv"), "kind": kind, "email": email, "roles": list(roles), "hash": accounts.digest(secret)}
    more = {"made_by": made_by, "redirect": redirect, "address": address, "created": now, "expires": now + life}
    conn.execute(table.insert(), {**row, **more, "mail": "", "mail_said": "", "mail_tries": 0})
    return Made(get(conn, str(row["id"])), secret)


def renew(conn: sa.Connection, invite: Invite, life: int) -> Made:
    """Give an invite a new link in place of its old one, which lets nobody in any more. Raises NotFound."""
    secret, now = ids.secret("inv"), ids.now()
    times = {"created": now, "expires": now + life}
    values = {"hash": accounts.digest(secret), **times, "mail": "", "mail_said": "", "mail_tries": 0}
    waiting = table.c.id == invite.id, table.c.used.is_(None), table.c.revoked.is_(None)
    if not conn.execute(table.update().where(*waiting).values(values)).rowcount:
        raise NotFound("invite", invite.id)
    return Made(get(conn, invite.id), secret)


def revoke(conn: sa.Connection, *where: sa.ColumnElement[bool]) -> list[str]:
    """End links that nobody has used; their ids."""
    waiting = table.c.used.is_(None), table.c.revoked.is_(None)
    ended = table.update().where(*where, *waiting).values(revoked=ids.now()).returning(table.c.id)
    return list(conn.scalars(ended))


def find(conn: sa.Connection, secret: str) -> Invite:
    """The living link of a secret; raises Gone."""
    row = conn.execute(sa.select(table).where(table.c.hash == accounts.digest(secret))).first()
    if row is None or row.used is not None or row.revoked is not None or row.expires <= ids.now():
        raise Gone
    return _in_time(_read(row))


def spend(conn: sa.Connection, secret: str) -> Invite:
    """The link of a secret, which is used from now on; of many who try at once one gets it. Raises Gone."""
    now = ids.now()
    living = table.c.used.is_(None), table.c.revoked.is_(None), table.c.expires > now
    mine = table.c.hash == accounts.digest(secret)
    row = conn.execute(table.update().where(mine, *living).values(used=now).returning(table)).first()
    if row is None:
        raise Gone
    return _in_time(_read(row))


def get(conn: sa.Connection, invite_id: str) -> Invite:
    """One link by its id; raises NotFound."""
    row = conn.execute(sa.select(table).where(table.c.id == invite_id)).first()
    if row is None:
        raise NotFound("invite", invite_id)
    return _read(row)


def waiting(conn: sa.Connection, *where: sa.ColumnElement[bool]) -> list[Invite]:
    """The links that nobody has used or revoked, the newest first."""
    query = sa.select(table).where(table.c.used.is_(None), table.c.revoked.is_(None), *where)
    return [_read(row) for row in conn.execute(query.order_by(table.c.created.desc(), table.c.id))]


def _in_time(invite: Invite) -> Invite:
    """The link, unless who it is for was removed or has set a password since it was made; raises Gone."""
    if accounts.has_moved_on(invite.email, invite.created):
        raise Gone
    return invite


def _read(row: sa.Row[Any]) -> Invite:
    state = "open" if row.expires > ids.now() else "ended"
    return Invite(
        id=row.id,
        kind=row.kind,
        email=row.email,
        roles=tuple(row.roles),
        made_by=row.made_by,
        redirect=row.redirect,
        created=row.created,
        expires=row.expires,
        used=row.used,
        revoked=row.revoked,
        mail=row.mail,
        mail_said=row.mail_said,
        state="used" if row.used else "revoked" if row.revoked else state,  # type: ignore[arg-type]
    )
