"""A session's +/- figures: in what the files that its steps touched differ, from before the first step to a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from app import db, record
from app.actor import Actor
from app.checkpoints import compare, rows, steps
from app.checkpoints.events import DiffChanged
from app.checkpoints.rows import Checkpoint
from app.checkpoints.shadow import Shadow
from app.sessions import service as sessions
from app.sessions.service import Hold, Session


def set_in_run(hold: Hold, tree: str) -> None:
    """Store the figures while the run's lease is held; raises Fenced without it, git.GitFailed."""
    with db.read() as conn:
        mine = [one for one in rows.of_session(conn, hold.session.id) if one.kind == "after"]
    found = _changed(hold.session, mine, tree)
    with db.transaction() as conn:
        hold.check(conn)
        _store(conn, hold.actor, hold.session, found)


def refresh(actor: Actor, session: Session, standing: Sequence[Checkpoint], tree: str) -> Session:
    """Store the figures of the steps that still count, after files were put back; raises git.GitFailed."""
    found = _changed(session, standing, tree)
    with db.transaction() as conn:
        return _store(conn, actor, session, found)


def _store(conn: sa.Connection, actor: Actor, session: Session, files: list[dict[str, Any]]) -> Session:
    """Lines added, lines removed and files go to the session; which files these are is announced."""
    added, removed = (sum(file[name] for file in files) for name in ("additions", "deletions"))
    now = sessions.set_figures(actor, session.id, added, removed, len(files))
    record.event(conn, DiffChanged(session.id, files), now)
    return now


def _changed(session: Session, mine: Sequence[Checkpoint], tree: str) -> list[dict[str, Any]]:
    """The files that differ, of those that the steps touched."""
    if not mine:
        return []
    paths = steps.touched(mine)
    files = compare.summary(Shadow.of(session.project), mine[0].base, tree)
    return [file for file in files if file["path"] in paths]
