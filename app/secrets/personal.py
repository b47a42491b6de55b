"""What a person keeps for themselves alone: no list shows it to others, and no verb gives its value to anybody.

Others, the owner of the place too, learn no more than that there is one (`holders`). It goes with its person.
"""

from __future__ import annotations

import sqlalchemy as sa

from app import db, ids, record, redact
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Denied, Invalid, NotFound
from app.secrets import keys, models, rows, sealing
from app.secrets.rows import Secret

KEY = "keys:write"
MOST = 50  # of one person


def keep_own(actor: Actor | None, name: str, value: str) -> Secret:
    """Keep a value for the actor alone, in place of an earlier one.

    Raises Invalid for too many, for one that is too long, or too short to be masked.
    """
    actor = _person(actor, KEY)
    rows.check_value(value)
    if len(value) < redact.SHORTEST:
        raise Invalid(f"A value under {redact.SHORTEST} characters cannot be masked.", "value")
    scope, now = rows.own(actor.user), ids.now()
    with db.transaction() as conn:
        # Whoever removes this person waits for us, or we find nobody here any more: nothing is left behind.
        accounts.hold_person(conn, actor.user)
        key_id, key = keys.for_writing(conn, scope)
        before = conn.execute(rows.row_of(scope, name).with_for_update()).one_or_none()
        if before is None and _count(conn, scope) >= MOST:
            raise Invalid(f"Keep at most {MOST} of them.", "value")
        version = before.version + 1 if before else 1
        sealed = sealing.seal(key, value.encode(), rows.TABLE, scope, name, version)
        fresh = {"version": version, "key_id": key_id, "sealed": sealed, "by": actor.user, "updated": now}
        if before:
            conn.execute(models.secrets.update().where(*rows.at(scope, name)).values(**fresh, used=None))
        else:
            conn.execute(models.secrets.insert().values(scope=scope, name=name, created=now, **fresh))
        record.audit(conn, actor, "secrets.own_put", name, {"version": version})
        rows.announce(conn, actor, scope, name)
    rows.watch(name, value)
    return Secret(scope, name, version, actor.user, before.created if before else now, now)


def forget_own(actor: Actor | None, name: str) -> None:
    """Forget one of the actor's own; raises NotFound."""
    actor = _person(actor, KEY)
    scope = rows.own(actor.user)
    with db.transaction() as conn:
        if conn.execute(models.secrets.delete().where(*rows.at(scope, name))).rowcount == 0:
            raise NotFound("key", name)
        record.audit(conn, actor, "secrets.own_delete", name)
        rows.announce(conn, actor, scope, name)


def list_own(actor: Actor | None) -> list[Secret]:
    """The actor's own, by name, without their values."""
    actor = _person(actor, "keys:read")
    table = models.secrets.c
    shown = (table.scope, table.name, table.version, table.by, table.created, table.updated, table.used)
    with db.read() as conn:
        rows_ = conn.execute(sa.select(*shown).where(table.scope == rows.own(actor.user)).order_by(table.name))
        return [Secret(*row) for row in rows_]


def holders(actor: Actor | None) -> dict[str, list[str]]:
    """The ids of those who keep one, by its name: that there is one is all that others learn."""
    accounts.require(actor, "users:write")
    table = models.secrets.c
    query = sa.select(table.name, table.scope).where(table.scope.startswith(rows.OWN, autoescape=True))
    found: dict[str, list[str]] = {}
    with db.read() as conn:
        for name, scope in conn.execute(query.order_by(table.name, table.scope)):
            found.setdefault(name, []).append(scope.removeprefix(rows.OWN))
    return found


def own_names(user: str) -> list[str]:
    """The names of what a person keeps. It is no verb: the server asks, to work for them."""
    query = sa.select(models.secrets.c.name).where(models.secrets.c.scope == rows.own(user))
    with db.read() as conn:
        return list(conn.scalars(query.order_by(models.secrets.c.name)))


def own_value(user: str, name: str) -> str:
    """One of a person's own, to work for them with it, masked from now on. It is no verb, like `own_names`.

    Raises NotFound, Conflict SECRET_UNREADABLE, Unavailable MASTER_KEY.
    """
    value = rows.opened(rows.own(user), name)
    rows.watch(name, value)
    return value


def note_own_use(user: str, name: str) -> None:
    """A person's own is used now: a list that only looks whether it fits does not count."""
    rows.taken(rows.own(user), name)


def end_of_person(conn: sa.Connection, user: str) -> None:
    """Forget what a person kept, and its key, in the transaction that removes them."""
    scope = rows.own(user)
    keys.lock(conn)  # a rotation that is at this scope would leave a new key behind
    for table in (models.secrets, models.keys):
        conn.execute(table.delete().where(table.c.scope == scope))


def _person(actor: Actor | None, key: str) -> Actor:
    actor = accounts.require(actor, key)
    if actor.kind not in ("user", "token"):
        raise Denied("Only a person keeps keys of their own.")
    return actor


def _count(conn: sa.Connection, scope: str) -> int:
    query = sa.select(sa.func.count()).select_from(models.secrets).where(models.secrets.c.scope == scope)
    return conn.scalar(query) or 0


accounts.register_end(end_of_person)
