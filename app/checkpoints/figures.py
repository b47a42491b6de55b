"""A session's +/- figures: in what the files that its steps touched differ, from before the first step to a tree."""

from __future__ import annotations

from collections.abc import Sequence

from app import db
from app.actor import Actor
from app.checkpoints import compare, rows, steps
from app.checkpoints.rows import Checkpoint
from app.checkpoints.shadow import Shadow
from app.sessions import service as sessions
from app.sessions.service import Hold, Session


def set_in_run(hold: Hold, tree: str) -> None:
    """Store the figures while the run's lease is held; raises Fenced without it, git.GitFailed."""
    with db.read() as conn:
        mine = [one for one in rows.of_session(conn, hold.session.id) if one.kind == "after"]
    found = _count(hold.session, mine, tree)
    with db.transaction() as conn:
        hold.check(conn)
        sessions.set_figures(hold.actor, hold.session.id, *found)


def refresh(actor: Actor, session: Session, standing: Sequence[Checkpoint], tree: str) -> Session:
    """Store the figures of the steps that still count, after files were put back; raises git.GitFailed."""
    return sessions.set_figures(actor, session.id, *_count(session, standing, tree))


def _count(session: Session, mine: Sequence[Checkpoint], tree: str) -> tuple[int, int, int]:
    """Lines added, lines removed, and files."""
    if not mine:
        return 0, 0, 0
    paths = steps.touched(mine)
    files = compare.summary(Shadow.of(session.project), mine[0].base, tree)
    files = [file for file in files if file["path"] in paths]
    return sum(file["additions"] for file in files), sum(file["deletions"] for file in files), len(files)
