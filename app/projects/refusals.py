"""Directories that clients asked for and were refused, so that the Projects page can offer to add them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import sqlalchemy as sa

from app import db, ids, record
from app.actor import Actor, Scope
from app.projects.events import DirectoryRefused
from app.projects.models import refusal as table

KEPT = 100
DAY = 86_400_000
MINUTE = 60_000


@dataclass(frozen=True)
class Refusal:
    """A directory, how often it was asked for, and who asked last (name, dialect); first and last in unix
    ms.
    """

    path: str
    times: int
    user: str
    name: str
    via: str
    first: int
    last: int


_columns = [table.c[field.name] for field in dataclasses.fields(Refusal)]


def note(actor: Actor, path: str) -> None:
    """Write a refusal down, in the background; announce it once a minute."""
    text = path.encode("utf-8", "replace").decode()[:1024]
    db.append(lambda conn: _note(conn, actor, text))


def list_recent() -> list[Refusal]:
    """Return the refusals of the last day, newest first."""
    query = sa.select(*_columns).where(table.c.last > ids.now() - DAY).order_by(table.c.last.desc())
    with db.read() as conn:
        return [Refusal(**row._asdict()) for row in conn.execute(query)]


def _note(conn: sa.Connection, actor: Actor, path: str) -> None:
    """Count a refusal; keep no more than the newest hundred."""
    now = ids.now()
    latest = {"user": actor.user, "name": actor.name[:200], "via": actor.via, "last": now}
    known = conn.execute(sa.select(table.c.times, table.c.last).where(table.c.path == path)).first()
    if known is None:
        conn.execute(table.insert().values(path=path, times=1, first=now, **latest))
        stale = sa.select(table.c.path).order_by(table.c.last.desc()).offset(KEPT).limit(KEPT)
        conn.execute(table.delete().where(table.c.path.in_(stale)))
    else:
        # A day without a request starts the count anew.
        times = known.times + 1 if known.last > now - DAY else 1
        conn.execute(table.update().where(table.c.path == path).values(times=times, **latest))
    if known is None or known.last < now - MINUTE:
        record.event(conn, DirectoryRefused(path, actor.name, actor.via), Scope(actor.user, "", "private"))
