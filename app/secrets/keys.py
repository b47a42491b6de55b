"""Data keys, one per scope, sealed with the master key whose id the database holds."""

from __future__ import annotations

import os
from contextlib import suppress

import sqlalchemy as sa

from app import ids
from app.errors import Conflict, Unavailable
from app.secrets import master, models, sealing

KEY_BYTES = 32
TABLE = "secret_key"
_known: master.Ring = {}


class MasterGone(Unavailable):
    """Something is sealed with a master key that we don't have."""

    def __init__(self, master_id: str) -> None:
        message = f"The master key {master_id} is missing: put it back into {master.key_file()}."
        super().__init__(message, code="MASTER_KEY")


class Changed(Conflict):
    """A row that was moved, cut or changed from outside; nobody can read it."""

    def __init__(self, name: str) -> None:
        message = f"The secret {name} can't be read: its row was changed from outside. Set it again."
        super().__init__(message, code="SECRET_UNREADABLE")


def for_writing(conn: sa.Connection, scope: str) -> tuple[str, bytes]:
    """The id and the key of a scope, made if there is none; waits for a rotation that is going on."""
    master_id = _locked_master(conn) or _adopt_master(conn)
    row = conn.execute(sa.select(models.keys).where(models.keys.c.scope == scope)).one_or_none()
    if row is None:
        return _make(conn, scope, master_id)
    return row.id, _opened(row)


def for_reading(conn: sa.Connection, scope: str, key_id: str) -> bytes:
    """The key of a scope; raises Unreadable if it isn't the wanted one or was tampered with, MasterGone."""
    row = conn.execute(sa.select(models.keys).where(models.keys.c.scope == scope)).one_or_none()
    if row is None or row.id != key_id:
        raise sealing.Unreadable
    return _opened(row)


def lock(conn: sa.Connection) -> None:
    """Let no other transaction seal anything until this one has ended."""
    _locked_master(conn)


def carry_over(conn: sa.Connection, scope: str) -> None:
    """Seal the key of a scope, whose values can't be read, with the master key in use; a broken one stays broken."""
    row = conn.execute(sa.select(models.keys).where(models.keys.c.scope == scope)).one()
    master_id, sealed = _locked_master(conn), row.sealed
    with suppress(sealing.Unreadable):
        sealed = sealing.seal(_master(master_id), _opened(row), TABLE, scope, row.id, master_id)
    conn.execute(models.keys.update().where(models.keys.c.scope == scope).values(master_id=master_id, sealed=sealed))


def renew(conn: sa.Connection, scope: str) -> tuple[str, bytes]:
    """Replace the key of a scope by a new one under the master key in use."""
    conn.execute(models.keys.delete().where(models.keys.c.scope == scope))
    return _make(conn, scope, _locked_master(conn))


def use_master(conn: sa.Connection, master_id: str) -> None:
    """From the end of this transaction on, this master key is in use; others wait until then."""
    if not _locked_master(conn):
        conn.execute(models.masters.insert().values(id=1, master_id=master_id))
    conn.execute(models.masters.update().values(master_id=master_id))


def check(conn: sa.Connection) -> None:
    """Raise MasterGone if the master key in use isn't ours, Unavailable if its file is open to others."""
    ring = master.ring()
    master_id = conn.scalar(sa.select(models.masters.c.master_id))
    if master_id and master_id not in ring:
        raise MasterGone(master_id)


def _make(conn: sa.Connection, scope: str, master_id: str) -> tuple[str, bytes]:
    key_id, key = ids.random("key"), os.urandom(KEY_BYTES)
    sealed = sealing.seal(_master(master_id), key, TABLE, scope, key_id, master_id)
    conn.execute(models.keys.insert().values(
        scope=scope, id=key_id, master_id=master_id, sealed=sealed, created=ids.now()))  # fmt: skip
    return key_id, key


def _opened(row: sa.Row[tuple[str, str, str, bytes, int]]) -> bytes:
    return sealing.unseal(_master(row.master_id), row.sealed, TABLE, row.scope, row.id, row.master_id)


def _locked_master(conn: sa.Connection) -> str:
    return conn.scalar(sa.select(models.masters.c.master_id).with_for_update()) or ""


def _adopt_master(conn: sa.Connection) -> str:
    """The first secret ever: take the key that is there, or make one."""
    master_id = next(iter(master.ring() or master.create()))
    try:
        with conn.begin_nested():
            conn.execute(models.masters.insert().values(id=1, master_id=master_id))
    except sa.exc.IntegrityError:
        return _locked_master(conn)  # another process was quicker
    return master_id


def _master(master_id: str) -> bytes:
    if master_id not in _known:
        _known.update(master.ring())
    if master_id not in _known:
        raise MasterGone(master_id)
    return _known[master_id]
