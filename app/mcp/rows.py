"""The servers of projects as rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from app import db
from app.errors import NotFound
from app.mcp.models import server as table
from app.mcp.things import Server, Terms
from app.projects.service import Place

_columns = [table.c[field.name] for field in dataclasses.fields(Server) if field.name not in ("cwd", "terms")]


def insert(conn: sa.Connection, new: Server) -> None:
    """Store a server."""
    values = dataclasses.asdict(new)
    del values["cwd"], values["terms"]
    conn.execute(table.insert().values(**values | {"target": stored(new)}))


def set_terms(conn: sa.Connection, server: Server, terms: Terms) -> None:
    """Store what holds for a server beside how it is reached."""
    target = stored(dataclasses.replace(server, terms=terms))
    conn.execute(table.update().where(table.c.id == server.id).values(target=target))


def stored(server: Server) -> Any:
    """Its target as it is kept: the argv or the URL alone, unless there is more to tell of it."""
    if not server.cwd and server.terms == Terms():
        return server.target
    terms = {} if server.terms == Terms() else {"terms": dataclasses.asdict(server.terms)}
    return {"argv": server.target, "cwd": server.cwd, **terms}


def of(place: Place) -> list[Server]:
    """The servers of a place's project, by their order of adding."""
    with db.read() as conn:
        return select(conn, table.c.project == place.project.id)


def find(conn: sa.Connection, place: Place, name: str) -> Server:
    """The server of this name; raises NotFound."""
    found = select(conn, table.c.project == place.project.id, table.c.name == name)
    if not found:
        raise NotFound("MCP server", name[:100])
    return found[0]


def select(conn: sa.Connection, *conditions: sa.ColumnElement[bool], lock: bool = False) -> list[Server]:
    """The servers for which all of this holds."""
    query = sa.select(*_columns).where(*conditions).order_by(table.c.created, table.c.id)
    rows = conn.execute(query.with_for_update() if lock else query)
    return [_server(row) for row in rows]


def _server(row: sa.Row[Any]) -> Server:
    values = row._asdict()
    if isinstance(kept := values["target"], dict):
        terms = Terms.read(kept["terms"]) if "terms" in kept else Terms()
        values |= {"target": kept["argv"], "cwd": kept["cwd"], "terms": terms}
    return Server(**values)
