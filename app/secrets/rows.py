"""Rows of the vault: whose they are, what they open to, and when they were last used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from app import db, ids, record, redact
from app.actor import Actor, Scope
from app.errors import Invalid, NotFound
from app.secrets import holding, keys, models, sealing
from app.secrets.events import SecretChanged

TABLE = "secret"
# What is secret by itself in a value that is a JSON object.
SECRET_FIELDS = ("key", "token", "access", "refresh")
# Scopes that begin so are a person's own: see personal, the one module that reads and writes them.
OWN = "own:"
# Every (name, word) of the vault that this process hides: what is stored no more goes from here, see fading.
_seen: dict[tuple[str, str], None] = {}
_before: dict[tuple[str, str], None] = {}
LONGEST_VALUE = 16 * 1024  # bytes: all spellings of each are looked for in all that is shown
USED_EVERY = 60_000  # ms: the time of the last use is no more exact than this


@dataclass(frozen=True)
class Secret:
    """What may be shown of a secret: `by` the user who last set it, `used` when its value was last given out.

    Times in unix milliseconds; `projects` are the ids of those whose sessions' commands may use it.
    """

    scope: str
    name: str
    version: int
    by: str
    created: int
    updated: int
    used: int | None = None
    projects: tuple[str, ...] = ()


def at(scope: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    """The condition for one row."""
    return models.secrets.c.scope == scope, models.secrets.c.name == name


def row_of(scope: str, name: str) -> sa.Select[Any]:
    """The query for one row."""
    return sa.select(models.secrets).where(*at(scope, name))


def own(user: str) -> str:
    """The scope of what a person keeps for themselves."""
    return f"{OWN}{user}"


def thing(actor: Actor | None, scope: str) -> Scope:
    """What rights are asked about: a project's secrets bind to it.

    Raises NotFound for what a person keeps for themselves and what is held for other rooms: no verb that takes a scope
    reaches it, not even an owner's.
    """
    if scope.startswith((OWN, holding.PREFIX)):
        raise NotFound("secret", scope)
    kind, _, owner = scope.partition(":")
    if kind == "user":
        return Scope(owner=owner, project="", visibility="private")
    return Scope(owner=actor.user if actor else "", project=owner if kind == "project" else "")


def check_value(value: str) -> None:
    """Raise Invalid for what is no value to keep."""
    if not value or len(value.encode()) > LONGEST_VALUE:
        raise Invalid(f"A secret has 1 to {LONGEST_VALUE} bytes.", "value")
    if "\0" in value:
        raise Invalid("A secret holds no NUL.", "value")


def opened(scope: str, name: str) -> str:
    """The value; raises NotFound, Conflict SECRET_UNREADABLE, Unavailable MASTER_KEY."""
    return _opened(scope, name)[0]


def taken(scope: str, name: str) -> str:
    """The value, to be used now and masked from now on: the time of its last use is kept, and nobody waits for that."""
    value, used = _opened(scope, name)
    watch(name, value)
    now = ids.now()
    if used is None or now - used >= USED_EVERY:
        db.append(lambda conn: conn.execute(models.secrets.update().where(*at(scope, name)).values(used=now)))
    return value


def unsealed(conn: sa.Connection, row: sa.Row[Any]) -> str:
    """The value of a row; a row that was moved, cut or changed doesn't open."""
    try:
        key = keys.for_reading(conn, row.scope, row.key_id)
        return sealing.unseal(key, row.sealed, TABLE, row.scope, row.name, row.version).decode()
    except sealing.Unreadable:
        raise keys.Changed(row.name) from None


def watch(name: str, value: str) -> None:
    """Hide a value from now on; of one that is an object its words beside addresses and names, which are secret."""
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError:
        data = None
    words = [data.get(key) for key in SECRET_FIELDS] if isinstance(data, dict) else []
    for word in (value, *words):
        if isinstance(word, str) and word:
            redact.watch(name, word)
            _seen[name, word] = None


def forget_unseen() -> None:
    """Begin a look at what is stored: whatever `watch` is not told of until `stale` is asked is stored no more."""
    _before.update(_seen)
    _seen.clear()


def stale() -> list[tuple[str, str]]:
    """What was hidden before `forget_unseen` and is stored no more."""
    found = [one for one in _before if one not in _seen]
    _before.clear()
    return found


def announce(conn: sa.Connection, actor: Actor, scope: str, name: str) -> None:
    """Say that something about a secret has changed, to those who may see that there is one."""
    is_own = scope.startswith(OWN)
    who = Scope(actor.user, "", "private") if is_own else thing(actor, scope)
    record.event(conn, SecretChanged(scope, name), who)


def _opened(scope: str, name: str) -> tuple[str, int | None]:
    try:
        return _read(scope, name)
    except (keys.MasterGone, keys.Changed):  # a rotation may have come between two of our reads
        return _read(scope, name)


def _read(scope: str, name: str) -> tuple[str, int | None]:
    with db.read() as conn:
        row = conn.execute(row_of(scope, name)).one_or_none()
        if row is None:
            raise NotFound("secret", name)
        return unsealed(conn, row), row.used
