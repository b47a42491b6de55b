"""The servers of projects as rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from app import db
from app.errors import NotFound
from app.mcp.models import server as table
from app.mcp.things import Server
from app.projects.service import Place

_columns = [table.c[field.name] for field in dataclasses.fields(Server) if field.name != "cwd"]


def insert(conn: sa.Connection, new: Server) -> None:
    """Store a server."""
    values = dataclasses.asdict(new)
    del values["cwd"]
    conn.execute(table.insert().values(**values | {"target": stored(new)}))


def stored(server: Server) -> Any:
    """Its target as it is kept: the argv or the URL alone, with the directory of a local one that has its own."""
    return {"argv": server.target, "cwd": server.cwd} if server.cwd else server.target


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


def select(conn: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Server]:
    """The servers for which all of this holds."""
    rows = conn.execute(sa.select(*_columns).where(*conditions).order_by(table.c.created, table.c.id))
    return [_server(row) for row in rows]


def _server(row: sa.Row[Any]) -> Server:
    values = row._asdict()
    if isinstance(values["target"], dict):
        values |= {"target": values["target"]["argv"], "cwd": values["target"]["cwd"]}
    return Server(**values)
