"""Rotation: everything is sealed anew under a new master key, scope by scope, while others read and write.

The master key in use changes first, then each scope in a transaction of its own; until the last one has changed, the
file holds both keys. Whoever is killed on the way has lost nothing, and the next rotation goes on where that one was.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa

from app import db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict
from app.secrets import keys, master, models, rows, sealing

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class KeyUse:
    """A master key: whether new values are sealed with it, whether we have it, how many scopes and values need it."""

    id: str
    is_current: bool
    is_here: bool
    scopes: int
    values: int


def rotate_key(actor: Actor | None, progress: Progress = lambda _done, _all: None) -> str:
    """Seal everything anew, with new data keys under a new master key, while others read and write; that key's id.

    A rotation that was broken off is gone on with, under the key that it began with. Where the operator keeps the
    master key, the first of the given ones is taken. `progress` is told (scopes done, of all).
    """
    actor = accounts.require(actor, "secrets:write", rows.thing(actor, "provider"))
    check()
    with master.rotation():
        newest = _begun() or _begin(actor)
        left = _left(newest)
        for done, scope in enumerate(left):
            progress(done, len(left))
            with db.transaction() as conn:
                _reseal(conn, scope)
        progress(len(left), len(left))
        with db.transaction() as conn:
            record.audit(conn, actor, "secrets.rotate_key", newest, {"scopes": len(left)})
        if not master.is_given():
            master.keep_only(newest)
    return newest


def keys_in_use(actor: Actor | None) -> list[KeyUse]:
    """The master keys that something is sealed with, and those that we have; the current one first."""
    accounts.require(actor, "secrets:read")
    ring, current = master.ring(), _current()
    with db.read() as conn:
        scopes = sa.select(models.keys.c.master_id, sa.func.count()).group_by(models.keys.c.master_id)
        by_scope = {row[0]: row[1] for row in conn.execute(scopes)}
        joined = models.keys.join(models.secrets, models.secrets.c.scope == models.keys.c.scope)
        values = sa.select(models.keys.c.master_id, sa.func.count()).select_from(joined)
        by_value = {row[0]: row[1] for row in conn.execute(values.group_by(models.keys.c.master_id))}
    known = dict.fromkeys([*([current] if current else []), *by_scope, *ring])
    return [KeyUse(key, key == current, key in ring, by_scope.get(key, 0), by_value.get(key, 0)) for key in known]


def check() -> None:
    """At start-up: raises Unavailable MASTER_KEY, naming the key's id, if what is stored can't be opened."""
    with db.read() as conn:
        keys.check(conn)


def _begun() -> str:
    """The key of a rotation that was broken off; "" if none was."""
    current, ring = _current(), master.ring()
    if not current or next(iter(ring)) != current:
        return ""
    # A file of ours holds further keys only while a rotation is under way; an operator's may hold any.
    return current if _left(current) or (len(ring) > 1 and not master.is_given()) else ""


def _begin(actor: Actor) -> str:
    """Use a new key from now on: a fresh one, or the one that a rotation made which got no further."""
    ring, current = master.ring(), _current()
    newest = next(iter(ring), "")
    if newest in ("", current) or not current:
        if master.is_given() and current:
            raise Conflict(f"Put a new key in front of the others in {master.VARIABLE} first.", code="MASTER_KEY")
        newest = newest if master.is_given() else next(iter(master.prepend()))
    with db.transaction() as conn:
        keys.use_master(conn, newest)
        record.audit(conn, actor, "secrets.rotate_key_begin", newest)
    return newest


def _current() -> str:
    """The id of the master key in use; "" before the first secret."""
    with db.read() as conn:
        return conn.scalar(sa.select(models.masters.c.master_id)) or ""


def _left(newest: str) -> list[str]:
    """The scopes whose keys are not yet sealed with the new key."""
    scopes = sa.select(models.keys.c.scope).where(models.keys.c.master_id != newest).order_by(models.keys.c.scope)
    with db.read() as conn:
        return list(conn.scalars(scopes))


def _reseal(conn: sa.Connection, scope: str) -> None:
    """New data key, same values and versions; what can't be read stays as it is, under the new master key."""
    keys.lock(conn)
    found = conn.execute(sa.select(models.secrets).where(models.secrets.c.scope == scope)).all()
    values = {}
    for row in found:
        with suppress(Conflict):
            values[row.name, row.version] = rows.unsealed(conn, row)
    if found and not values:
        keys.carry_over(conn, scope)
        return
    key_id, key = keys.renew(conn, scope)
    for (name, version), value in values.items():
        sealed = sealing.seal(key, value.encode(), rows.TABLE, scope, name, version)
        fresh = {"key_id": key_id, "sealed": sealed}
        conn.execute(models.secrets.update().where(*rows.at(scope, name)).values(fresh))
