"""What was set over the API or on the page, for the server and for each project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from app import db, ids, redact
from app.actor import SYSTEM, Actor
from app.errors import NotFound, Problem
from app.projects import service as projects
from app.remembered import Remembered
from app.secrets import service as secrets
from app.settings import sealing
from app.settings.models import configurations as table

SERVER = "server"
HELD = "values"


_memory = Remembered[dict[str, Any]]()
_scopes = Remembered[frozenset[str]]()


@dataclass(frozen=True)
class Document:
    """A configuration with marks in place of its secrets, and these by place."""

    data: Mapping[str, Any]
    secrets: Mapping[str, Any]


def of(directory: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was set for the server and for the project of a directory, whole; not to be changed by who is given it."""
    scopes = _scopes.get("", _read_scopes) or frozenset()
    project = _project_of(directory) if directory is not None and scopes - {SERVER} else ""
    server, theirs = (_memory.get(scope, _read) if scope in scopes else {} for scope in (SERVER, project))
    return server or {}, theirs or {}


def forget() -> None:
    """Read it anew: somebody has changed it."""
    _scopes.forget()
    _memory.forget()


def _read_scopes(_key: str) -> frozenset[str]:
    with db.read() as conn:
        return frozenset(conn.scalars(sa.select(table.c.scope)))


def _read(scope: str) -> dict[str, Any]:
    found = get(scope)
    return sealing.put_back(found.data, found.secrets) if found.secrets else dict(found.data)


def get(scope: str) -> Document:
    """What was set for a scope."""
    with db.read() as conn:
        row = conn.execute(sa.select(table).where(table.c.scope == scope)).one_or_none()
        return _document(conn, row)


def get_for_update(conn: sa.Connection, scope: str) -> Document:
    """The same, for a change of it in the caller's transaction; others who change it wait, the first time too."""
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    none = {"document": {}, "sealed": False, "by": SYSTEM.user, "updated": ids.now()}
    conn.execute(insert(table).values(scope=scope, **none).on_conflict_do_nothing())
    row = conn.execute(sa.select(table).where(table.c.scope == scope).with_for_update()).one_or_none()
    return _document(conn, row)


def put(conn: sa.Connection, actor: Actor, scope: str, new: Document) -> None:
    """Keep a configuration in place of the one that the caller got for update in this transaction."""
    if new.secrets:
        secrets.hold(_held(scope), HELD, orjson.dumps(dict(new.secrets)).decode())
    else:
        secrets.let_go(_held(scope))
    row = {"document": dict(new.data), "sealed": bool(new.secrets), "by": actor.user, "updated": ids.now()}
    conn.execute(table.update().where(table.c.scope == scope).values(row))
    db.after_commit(forget)


def _document(conn: sa.Connection, row: sa.Row[Any] | None) -> Document:
    if row is None:
        return Document({}, {})
    return Document(row.document, _secrets(conn, row.scope) if row.sealed else {})


def _secrets(conn: sa.Connection, scope: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = orjson.loads(secrets.held(_held(scope), HELD, conn))
    except NotFound:
        return {}
    # Read where the document was, so that no key goes to the address of another state. Whoever uses one may have it
    # echoed back, and after a restart nobody else has told the redactor.
    for at, value in sealing.secrets_of(found):
        redact.watch(f"config {at}", value)
    return found


def _project_of(directory: Path) -> str:
    try:
        return projects.resolve(SYSTEM, str(directory)).project.id
    except Problem:
        return ""


def _held(scope: str) -> str:
    return f"config:{scope}"
