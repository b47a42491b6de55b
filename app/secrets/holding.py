"""What other rooms have us hold: values that belong to one of their things, sealed like any secret, gone with it.

Nobody asks for these by name, so they are no verbs: the room that holds them has asked whether its actor may.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from contextlib import nullcontext

import sqlalchemy as sa

from app import db, ids
from app.actor import SYSTEM
from app.errors import NotFound
from app.secrets import keys, master, models, sealing

TABLE = "secret"
# Scopes that begin so are held for other rooms; the redactor does not look for their values.
PREFIX = "held:"


def derive(purpose: str, name: str) -> str:
    """A secret of ours, in hex, that is stored nowhere: the same for a purpose and a name while the master key is."""
    return derive_all(purpose, [name])[0]


def derive_all(purpose: str, names: Iterable[str]) -> list[str]:
    """The same for many names, with one look at the master key."""
    key = next(iter((master.ring() or master.create()).values()))
    return [hmac.new(key, f"{purpose}\0{name}".encode(), hashlib.sha256).hexdigest() for name in names]


def hold(scope: str, name: str, value: str) -> None:
    """Keep a value in place of an earlier one, within the caller's transaction."""
    whole = PREFIX + scope
    with db.transaction() as conn:
        key_id, key = keys.for_writing(conn, whole)
        at = models.secrets.c.scope == whole, models.secrets.c.name == name
        version = conn.scalar(sa.select(models.secrets.c.version).where(*at).with_for_update()) or 0
        sealed = sealing.seal(key, value.encode(), TABLE, whole, name, version + 1)
        conn.execute(models.secrets.delete().where(*at))
        conn.execute(
            models.secrets.insert().values(
                scope=whole, name=name, version=version + 1, key_id=key_id, sealed=sealed,
                by=SYSTEM.user, created=ids.now(), updated=ids.now(),
            )
        )  # fmt: skip


def hold_once(scope: str, name: str, value: str) -> str:
    """Keep a value unless one is kept, and give the one that is; whoever does so at the same time gets the same."""
    with db.transaction() as conn:
        keys.for_writing(conn, PREFIX + scope)  # whoever comes at the same time waits here
        try:
            return held(scope, name, conn)
        except NotFound:
            hold(scope, name, value)
    return value


def held(scope: str, name: str, conn: sa.Connection | None = None) -> str:
    """A value that is kept. With a connection it is as old as what else was read there.

    Raises NotFound, Conflict SECRET_UNREADABLE, Unavailable MASTER_KEY.
    """
    try:
        return _read(PREFIX + scope, name, conn)
    except (keys.MasterGone, keys.Changed):  # a rotation may have come between two of our reads
        return _read(PREFIX + scope, name, conn)


def _read(whole: str, name: str, conn: sa.Connection | None) -> str:
    query = sa.select(models.secrets).where(models.secrets.c.scope == whole, models.secrets.c.name == name)
    with nullcontext(conn) if conn is not None else db.read() as reading:
        row = reading.execute(query).one_or_none()
        if row is None:
            raise NotFound("secret", name)
        try:
            key = keys.for_reading(reading, whole, row.key_id)
            return sealing.unseal(key, row.sealed, TABLE, whole, name, row.version).decode()
        except sealing.Unreadable:
            raise keys.Changed(name) from None


def let_go_old(prefix: str, name: str, before: int) -> None:
    """Forget what was kept under this name, in scopes that begin so, before a moment (unix ms), and their keys."""
    table = models.secrets.c
    old = (table.scope.startswith(PREFIX + prefix, autoescape=True), table.name == name, table.updated < before)
    with db.read() as conn:
        scopes = list(conn.scalars(sa.select(table.scope).where(*old)))
    for scope in scopes:
        with db.transaction() as conn:
            keys.lock(conn)
            # One that was put in its place meanwhile stays, with the key that it is sealed with.
            if conn.execute(models.secrets.delete().where(table.scope == scope, *old[1:])).rowcount:
                left = sa.exists().where(table.scope == scope)
                conn.execute(models.keys.delete().where(models.keys.c.scope == scope, ~left))


def let_go(scope: str) -> None:
    """Forget all that is kept of a scope, and its key."""
    with db.transaction() as conn:
        keys.lock(conn)  # else its key could go while something is sealed with it, or a rotation makes a new one
        conn.execute(models.secrets.delete().where(models.secrets.c.scope == PREFIX + scope))
        conn.execute(models.keys.delete().where(models.keys.c.scope == PREFIX + scope))
