"""The vault: a master key seals a data key per scope, and that the values; only `reveal` gives one back."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from app import db, ids, record, redact
from app.accounts import service as accounts
from app.actor import Actor, Scope
from app.errors import Conflict, Invalid, NotFound
from app.secrets import holding, keys, master, models, sealing
from app.secrets.holding import derive, derive_all, held, hold, hold_once, let_go

__all__ = [
    "Secret",
    "check",
    "delete",
    "derive",
    "derive_all",
    "describe",
    "held",
    "hold",
    "hold_once",
    "let_go",
    "names",
    "put",
    "reveal",
    "rotate_key",
    "watch_all",
]
PROVIDER = "provider"
TABLE = "secret"
# What is secret by itself in a value that is a JSON object.
SECRET_FIELDS = ("key", "token", "access", "refresh")
LONGEST_NAME = 128
LONGEST_VALUE = 16 * 1024
_SCOPE = re.compile(r"[a-z]+(:[A-Za-z0-9_.-]+)?")
_NAME = re.compile(r"[A-Za-z0-9_./-]{1,128}")


@dataclass(frozen=True)
class Secret:
    """What may be shown of a secret; times in unix milliseconds, `by` the user who last set it."""

    scope: str
    name: str
    version: int
    by: str
    created: int
    updated: int


def put(actor: Actor | None, scope: str, name: str, value: str) -> Secret:
    """Keep a value, as a new version if there is one; scope is `provider`, `project:ID`, `user:ID`…"""
    actor = accounts.require(actor, "secrets:write", _thing(actor, scope))
    _check(scope, name, value)
    now = ids.now()
    with db.transaction() as conn:
        key_id, key = keys.for_writing(conn, scope)
        row = conn.execute(_row(scope, name).with_for_update()).one_or_none()
        version = row.version + 1 if row else 1
        sealed = sealing.seal(key, value.encode(), TABLE, scope, name, version)
        fresh = {"version": version, "key_id": key_id, "sealed": sealed, "by": actor.user, "updated": now}
        if row:
            conn.execute(models.secrets.update().where(*_at(scope, name)).values(fresh))
        else:
            conn.execute(models.secrets.insert().values(scope=scope, name=name, created=now, **fresh))
        record.audit(conn, actor, "secrets.put", f"{scope}/{name}", {"version": version})
    _watch(name, value)
    return Secret(scope, name, version, actor.user, row.created if row else now, now)


def reveal(actor: Actor | None, scope: str, name: str) -> str:
    """The value, for use inside the server, never for a page; it is redacted everywhere from now on.

    Raises NotFound, Conflict SECRET_UNREADABLE for a tampered row, Unavailable MASTER_KEY for a wrong key.
    """
    accounts.require(actor, "secrets:read", _thing(actor, scope))
    value = _opened(scope, name)
    _watch(name, value)
    return value


def names(actor: Actor | None, scope: str) -> list[str]:
    """The names of the scope's secrets."""
    return [secret.name for secret in describe(actor, scope)]


def describe(actor: Actor | None, scope: str) -> list[Secret]:
    """The scope's secrets by name, without their values."""
    accounts.require(actor, "secrets:read", _thing(actor, scope))
    table = models.secrets.c
    shown = sa.select(table.scope, table.name, table.version, table.by, table.created, table.updated)
    with db.read() as conn:
        rows = conn.execute(shown.where(table.scope == scope).order_by(table.name))
        return [Secret(*row) for row in rows]


def delete(actor: Actor | None, scope: str, name: str) -> None:
    """Forget a secret; raises NotFound."""
    actor = accounts.require(actor, "secrets:write", _thing(actor, scope))
    with db.transaction() as conn:
        if conn.execute(models.secrets.delete().where(*_at(scope, name))).rowcount == 0:
            raise NotFound("secret", name)
        record.audit(conn, actor, "secrets.delete", f"{scope}/{name}")


def rotate_key(actor: Actor | None) -> str:
    """Seal everything anew, with new data keys under a new master key, while others read; that key's id.

    Where the operator keeps the master key, the first of the given ones is taken. Until the rows have
    changed, the file holds both keys, so that a crash at any moment loses nothing.
    """
    actor = accounts.require(actor, "secrets:write", _thing(actor, PROVIDER))
    check()
    with master.rotation():
        newest = next(iter(master.ring() if master.is_given() else master.prepend()), "")
        with db.transaction() as conn:
            keys.use_master(conn, newest)
            for scope in conn.scalars(sa.select(models.keys.c.scope)).all():
                _reseal(conn, scope)
            record.audit(conn, actor, "secrets.rotate_key", newest)
        if not master.is_given():
            master.keep_only(newest)
    return newest


def check() -> None:
    """At start-up: raises Unavailable MASTER_KEY, naming the key's id, if what is stored can't be opened."""
    with db.read() as conn:
        keys.check(conn)


def watch_all() -> None:
    """At start-up: let the redactor know every value, so that none shows even before it is used."""
    with db.read() as conn:
        ours = models.secrets.c.scope.not_like(f"{holding.PREFIX}%")
        rows = conn.execute(sa.select(models.secrets.c.scope, models.secrets.c.name).where(ours)).all()
    for row in rows:
        _watch(row.name, _opened(row.scope, row.name))


def _watch(name: str, value: str) -> None:
    """Hide a value from now on; of one that is an object its words beside addresses and names, which are secret."""
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError:
        data = None
    words = [data.get(key) for key in SECRET_FIELDS] if isinstance(data, dict) else []
    for word in (value, *words):
        if isinstance(word, str) and word:
            redact.watch(name, word)


def _opened(scope: str, name: str) -> str:
    try:
        return _read(scope, name)
    except (keys.MasterGone, Conflict):  # a rotation may have come between two of our reads
        return _read(scope, name)


def _read(scope: str, name: str) -> str:
    with db.read() as conn:
        row = conn.execute(_row(scope, name)).one_or_none()
        if row is None:
            raise NotFound("secret", name)
        return _unsealed(conn, row)


def _unsealed(conn: sa.Connection, row: sa.Row[Any]) -> str:
    """The value of a row; a row that was moved, cut or changed doesn't open."""
    try:
        key = keys.for_reading(conn, row.scope, row.key_id)
        return sealing.unseal(key, row.sealed, TABLE, row.scope, row.name, row.version).decode()
    except sealing.Unreadable:
        message = f"The secret {row.name} can't be read: its row was changed from outside. Set it again."
        raise Conflict(message, code="SECRET_UNREADABLE") from None


def _reseal(conn: sa.Connection, scope: str) -> None:
    """New data key, same values and versions; a row that can't be read stays as it is."""
    rows = conn.execute(sa.select(models.secrets).where(models.secrets.c.scope == scope)).all()
    values = {}
    for row in rows:
        with suppress(Conflict):
            values[row.name, row.version] = _unsealed(conn, row)
    if rows and not values:
        return
    key_id, key = keys.renew(conn, scope)
    for (name, version), value in values.items():
        sealed = sealing.seal(key, value.encode(), TABLE, scope, name, version)
        fresh = {"key_id": key_id, "sealed": sealed}
        conn.execute(models.secrets.update().where(*_at(scope, name)).values(fresh))


def _row(scope: str, name: str) -> sa.Select[Any]:
    return sa.select(models.secrets).where(*_at(scope, name))


def _at(scope: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return models.secrets.c.scope == scope, models.secrets.c.name == name


def _thing(actor: Actor | None, scope: str) -> Scope:
    """What rights are asked about: a project's secrets bind to it, a user's are private."""
    kind, _, owner = scope.partition(":")
    if kind == "user":
        return Scope(owner=owner, project="", visibility="private")
    return Scope(owner=actor.user if actor else "", project=owner if kind == "project" else "")


def _check(scope: str, name: str, value: str) -> None:
    if not _SCOPE.fullmatch(scope) or len(scope) > LONGEST_NAME:
        raise Invalid("A scope is a word, or a word and an id with a colon between.", "scope")
    if not _NAME.fullmatch(name):
        raise Invalid("A secret's name has 1 to 128 letters, digits and . _ - /", "name")
    if not value or len(value.encode()) > LONGEST_VALUE:
        raise Invalid(f"A secret has 1 to {LONGEST_VALUE} bytes.", "value")
