"""Sandboxes as they are stored."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from app.actor import Actor
from app.errors import NotFound
from app.sandboxes.models import sandbox as table

State = Literal["running", "paused", "ending"]
OnTimeout = Literal["kill", "pause"]


@dataclass(frozen=True)
class Sandbox:
    """A workspace for a while; started and ends (when it is taken down or paused by itself) in unix ms.

    reach: whether its commands may have a network, None where its maker said nothing. metadata is its maker's, text by
    text. key is what its maker called the request, so that a repeated one is known.
    """

    id: str
    owner: str
    project: str
    directory: str
    template: str
    metadata: dict[str, str]
    state: State
    on_timeout: OnTimeout
    reach: bool | None
    started: int
    ends: int
    salt: str
    token: str
    key: str | None

    @property
    def visibility(self) -> str:
        """A sandbox is its owner's own affair."""
        return "private"

    @property
    def path(self) -> Path:
        """Its directory as a path."""
        return Path(self.directory)


_columns = [table.c[field.name] for field in dataclasses.fields(Sandbox)]


def select(conn: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Sandbox]:
    """Return the sandboxes that meet the conditions, oldest first."""
    query = sa.select(*_columns).where(*conditions).order_by(table.c.started, table.c.id)
    return [Sandbox(**row._asdict()) for row in conn.execute(query)]


def of(actor: Actor) -> list[sa.ColumnElement[bool]]:
    """What an actor's own sandboxes have: a token that is bound to a project has only those of that project."""
    return [table.c.owner == actor.user, *([table.c.project == actor.project] if actor.project is not None else [])]


def own(conn: sa.Connection, actor: Actor, sandbox_id: str) -> Sandbox:
    """Return one of the actor's sandboxes; raise NotFound for those of others and those being taken down, too."""
    found = select(conn, table.c.id == sandbox_id, table.c.state != "ending", *of(actor))
    if not found:
        raise NotFound("sandbox", sandbox_id[:100])
    return found[0]


def insert(conn: sa.Connection, new: Sandbox) -> None:
    """Store a new sandbox."""
    conn.execute(table.insert().values(**dataclasses.asdict(new)))


def update(conn: sa.Connection, old: Sandbox, **changes: Any) -> Sandbox:
    """Change a sandbox's columns."""
    conn.execute(table.update().where(table.c.id == old.id).values(**changes))
    return dataclasses.replace(old, **changes)


def delete(conn: sa.Connection, sandbox_id: str) -> None:
    """Forget a sandbox."""
    conn.execute(table.delete().where(table.c.id == sandbox_id))
