"""Projects as they are stored: reading rows, changing them, and announcing the change in one transaction."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app import db, ids, record
from app.actor import Scope
from app.errors import NotFound
from app.projects.events import ProjectAdded, ProjectRemoved, ProjectUpdated
from app.projects.models import project as table


@dataclass(frozen=True)
class Project:
    """A directory agents may work in; created and initialized in unix ms.

    state: ready, cloning, failed, or removed (off the list, but its id is kept for its sessions).
    progress of a clone: {phase, percent, done, total, bytes} or {error}.
    """

    id: str
    name: str
    root: str
    git_root: str
    vcs: bool
    origin: str
    state: str
    progress: dict[str, Any]
    owner: str
    visibility: str
    created: int
    initialized: int | None

    @property
    def project(self) -> str:
        """Its own id: a project is a thing of itself."""
        return self.id

    @property
    def path(self) -> Path:
        """The root as a path."""
        return Path(self.root)

    @property
    def scope(self) -> Scope:
        """Its rights-bearing part."""
        return Scope(self.owner, self.id, self.visibility)


_columns = [table.c[field.name] for field in dataclasses.fields(Project)]


def select(conn: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Project]:
    """Return the projects that fulfil the conditions, by name."""
    query = sa.select(*_columns).where(*conditions).order_by(table.c.name, table.c.id)
    return [Project(**row._asdict()) for row in conn.execute(query)]


def listed() -> list[Project]:
    """Return the projects on the list; remembered for a second, read anew after a change of this process."""
    generation, (database, until, found) = _memory.generation, _memory.known
    if database is db.current() and time.monotonic() < until:
        return found
    with db.read() as conn:
        found = select(conn, table.c.state != "removed")
    if generation == _memory.generation:
        _memory.known = (db.current(), time.monotonic() + 1, found)
    return found


class _Memory:
    """The projects last listed, of which database and until when; forgetting moves the generation on."""

    def __init__(self) -> None:
        self.generation = 0
        self.known: tuple[db.Database | None, float, list[Project]] = (None, 0.0, [])

    def forget(self) -> None:
        """Read anew the next time."""
        self.generation += 1
        self.known = (None, 0.0, [])


_memory = _Memory()
_forget = _memory.forget


def get(conn: sa.Connection, project_id: str, *, lock: bool = False) -> Project:
    """Return a project that is on the list; raise NotFound. With `lock` nobody else changes it meanwhile."""
    if lock:
        conn.execute(sa.select(table.c.id).where(table.c.id == project_id).with_for_update())
    found = select(conn, table.c.id == project_id, table.c.state != "removed")
    if not found:
        raise NotFound("project", project_id)
    return found[0]


def insert(conn: sa.Connection, new: Project) -> Project:
    """Store a new project and announce it."""
    conn.execute(table.insert().values(**dataclasses.asdict(new), beat=0))
    db.after_commit(_forget)
    record.event(conn, ProjectAdded(shape(new)), new.scope)
    return new


def update(conn: sa.Connection, old: Project, **changes: Any) -> Project:
    """Change a project's columns and announce it; coming back to the list counts as being added."""
    new = dataclasses.replace(old, **changes)
    conn.execute(table.update().where(table.c.id == old.id).values(**changes))
    db.after_commit(_forget)
    fact = ProjectAdded if old.state == "removed" else ProjectUpdated
    record.event(conn, fact(shape(new)), new.scope)
    return new


def remove(conn: sa.Connection, old: Project) -> None:
    """Take a project off the list and announce it."""
    conn.execute(table.update().where(table.c.id == old.id).values(state="removed", progress={}))
    db.after_commit(_forget)
    record.event(conn, ProjectRemoved(old.id), old.scope)


def is_below(path: Path, top: Path) -> bool:
    """Tell whether a directory is another one or lies in it, by the text alone."""
    return path == top or path.is_relative_to(top)


def fresh(name: str, root: Path, owner: str, **columns: Any) -> Project:
    """Return a project that is not stored yet, ready unless told otherwise."""
    known = {
        "git_root": "", "vcs": False, "origin": "", "state": "ready", "progress": {}, "visibility": "team", **columns,
    }  # fmt: skip
    return Project(
        ids.random("prj"),
        name[:100],
        str(root),
        owner=owner,
        created=ids.now(),
        initialized=None,
        **known,
    )


def shape(project: Project) -> dict[str, Any]:
    """Return the columns as an event carries them; the path as text that JSON can hold."""
    columns = dataclasses.asdict(project)
    return {**columns, "root": project.root.encode("utf-8", "replace").decode()}
