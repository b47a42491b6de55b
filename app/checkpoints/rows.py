"""Checkpoints as they are stored."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app import record
from app.checkpoints.events import CheckpointAdded
from app.checkpoints.models import checkpoint as table
from app.errors import NotFound
from app.sessions import service as sessions
from app.sessions.service import Session


@dataclass(frozen=True)
class Checkpoint:
    """A state of a session's directory; created in unix ms.

    kind: before or after a changing step, restore (made by itself before a restore), or failed (see note).
    base is the tree that files were counted against: what the step found, for a restore the tree itself.
    files: {path, status, additions, deletions}, and kept: true where the agent can't have written it.
    skipped: {path, reason} of what was left out. lost: why it can't be gone back to any more, or "".
    talk: the session's revert mark before and after a restore that moved it ({was, now}), else None.
    """

    id: str
    session_id: str
    project: str
    directory: str
    message_id: str
    part_id: str
    number: int
    kind: str
    tree: str
    base: str
    files: list[dict[str, Any]]
    skipped: list[dict[str, str]]
    note: str
    lost: str
    talk: dict[str, Any] | None
    created: int

    @property
    def touched(self) -> list[str]:
        """The paths this step changed, or this restore put back."""
        if self.kind not in ("after", "restore"):
            return []
        return [file["path"] for file in self.files if not file.get("kept")]

    @property
    def additions(self) -> int:
        """Lines added."""
        return sum(file["additions"] for file in self.files)

    @property
    def deletions(self) -> int:
        """Lines removed."""
        return sum(file["deletions"] for file in self.files)


_columns = [table.c[field.name] for field in dataclasses.fields(Checkpoint)]


def of_session(conn: sa.Connection, session_id: str) -> list[Checkpoint]:
    """Return a session's checkpoints, oldest first."""
    query = sa.select(*_columns).where(table.c.session_id == session_id).order_by(table.c.number)
    return [Checkpoint(**row._asdict()) for row in conn.execute(query)]


def get(conn: sa.Connection, checkpoint_id: str) -> Checkpoint:
    """Return one checkpoint; raise NotFound."""
    row = conn.execute(sa.select(*_columns).where(table.c.id == checkpoint_id)).first()
    if row is None:
        raise NotFound("checkpoint", checkpoint_id)
    return Checkpoint(**row._asdict())


def find_number(conn: sa.Connection, session_id: str, number: int) -> Checkpoint:
    """Return a session's checkpoint by its number; raise NotFound."""
    query = sa.select(*_columns).where(table.c.session_id == session_id, table.c.number == number)
    row = conn.execute(query).first()
    if row is None:
        raise NotFound("checkpoint", f"#{number}")
    return Checkpoint(**row._asdict())


def find_last(conn: sa.Connection, session_id: str) -> Checkpoint | None:
    """Return the newest checkpoint that has a tree, and has it still."""
    mine = sa.select(*_columns).where(table.c.session_id == session_id, table.c.tree != "", table.c.lost == "")
    row = conn.execute(mine.order_by(table.c.number.desc()).limit(1)).first()
    return Checkpoint(**row._asdict()) if row else None


def insert(conn: sa.Connection, new: Checkpoint, session: Session) -> Checkpoint:
    """Store a checkpoint under the session's next number and announce it."""
    newest = sa.select(sa.func.max(table.c.number)).where(table.c.session_id == session.id)
    last = conn.scalar(newest)
    stored = dataclasses.replace(new, number=0 if last is None else last + 1)
    conn.execute(table.insert().values(**dataclasses.asdict(stored)))
    record.event(conn, CheckpointAdded(session.id, dataclasses.asdict(stored)), sessions.scope_of(conn, session))
    return stored


def delete_of(conn: sa.Connection, session_id: str) -> list[Checkpoint]:
    """Delete a session's checkpoints and return them."""
    gone = of_session(conn, session_id)
    conn.execute(table.delete().where(table.c.session_id == session_id))
    return gone


def count(conn: sa.Connection, project: str) -> int:
    """Return how many checkpoints a project has."""
    made = sa.select(sa.func.count()).where(table.c.project == project, table.c.kind != "failed")
    return conn.scalar(made) or 0


def sessions_before(conn: sa.Connection, moment: int) -> list[str]:
    """Return the sessions that have checkpoints from before a moment."""
    return list(conn.scalars(sa.select(table.c.session_id).where(table.c.created < moment).distinct()))


def delete_below(conn: sa.Connection, session_id: str, number: int) -> None:
    """Delete a session's checkpoints below a number."""
    conn.execute(table.delete().where(table.c.session_id == session_id, table.c.number < number))


def mark_lost(conn: sa.Connection, checkpoint_ids: list[str], why: str) -> None:
    """Note that what these held is gone."""
    conn.execute(table.update().where(table.c.id.in_(checkpoint_ids), table.c.lost == "").values(lost=why[:200]))
