"""What was chosen for the whole server on its pages, by a name that its room gives it."""

from __future__ import annotations

import sqlalchemy as sa

from app import db, ids, record
from app.accounts import service as accounts
from app.actor import Actor, Scope
from app.settings.models import choices as table

_by_name = sa.select(table.c.value).where(table.c.name == sa.bindparam("name"))
_SERVER = Scope(owner="", project="")


def choice(name: str) -> str:
    """What was chosen; "" for nothing."""
    with db.read() as conn:
        return conn.scalar(_by_name, {"name": name}) or ""


def choose(actor: Actor | None, name: str, value: str) -> None:
    """Choose it for the server; "" takes the choice back."""
    actor = accounts.require(actor, "settings:write", _SERVER)
    with db.transaction() as conn:
        row = {"value": value, "by": actor.user, "updated": ids.now()}
        if not conn.execute(table.update().where(table.c.name == name).values(row)).rowcount:
            _insert(conn, name, row)
        record.audit(conn, actor, "settings.set", "server", {"keys": [name], "value": value})


def _insert(conn: sa.Connection, name: str, row: dict[str, object]) -> None:
    try:
        with conn.begin_nested():
            conn.execute(table.insert().values(name=name, **row))
    except sa.exc.IntegrityError:  # somebody chose it at the same time
        conn.execute(table.update().where(table.c.name == name).values(row))
