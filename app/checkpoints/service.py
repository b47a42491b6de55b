"""The verbs of checkpoints: taking them around changing steps, what changed, and the way back and forth
again.
"""

from __future__ import annotations

from dataclasses import dataclass

from app import config, db, dispatch
from app.accounts import service as accounts
from app.actor import SYSTEM, Actor, Scope
from app.checkpoints import rows
from app.checkpoints.compare import FileDiff
from app.checkpoints.going import (
    Preview,
    Scopes,
    preview,
    preview_revert,
    restore,
    revert,
    undo,
    unrevert,
    why_not_undone,
)
from app.checkpoints.keeping import tidy
from app.checkpoints.looking import changed_now, compare_two, content_before, diff, diff_of, get, of_session
from app.checkpoints.putback import Outcome
from app.checkpoints.rows import Checkpoint
from app.checkpoints.shadow import Shadow, Skipped
from app.checkpoints.taking import after, before, settle
from app.events import service as events
from app.projects import service as projects
from app.sessions import events as session_events
from app.sessions import service as sessions

__all__ = [
    "Checkpoint",
    "FileDiff",
    "Held",
    "Outcome",
    "Preview",
    "Scopes",
    "Skipped",
    "after",
    "before",
    "changed_now",
    "compare_two",
    "content_before",
    "diff",
    "diff_of",
    "get",
    "held",
    "of_session",
    "preview",
    "preview_revert",
    "restore",
    "revert",
    "settle",
    "size_of",
    "start",
    "tidy",
    "undo",
    "unrevert",
    "why_not_undone",
]


@dataclass(frozen=True)
class Held:
    """What a project's checkpoints come to, and how long they stay: days (0: for good), and how many of the newest."""

    number: int
    octets: int
    days: int
    newest: int


def held(actor: Actor, project_id: str) -> Held:
    """Return how many checkpoints a project has, what they take on disk, and how long they are kept."""
    octets = size_of(actor, project_id)
    with db.read() as conn:
        number = rows.count(conn, project_id)
    settings = config.current()
    return Held(number, octets, settings.checkpoint_days, settings.checkpoint_keep)


def size_of(actor: Actor, project_id: str) -> int:
    """Return how many bytes a project's checkpoints take on disk."""
    accounts.require(actor, "checkpoints:read", Scope("", project_id))
    return Shadow.of(project_id).size()


def start() -> None:
    """At start: forget the checkpoints of sessions that are deleted, and those that became too old meanwhile."""
    events.listen(session_events.SessionDeleted, _forget)
    dispatch.wake("checkpoints.tidy")


def _forget(fact: session_events.SessionDeleted) -> None:
    """Delete a session's checkpoints and let their trees go; its worktree too, if nobody loses anything with it."""
    with db.transaction() as conn:
        gone = rows.delete_of(conn, fact.session_id)
    for project in {one.project for one in gone}:
        Shadow.of(project).forget(one.id for one in gone if one.project == project)
    directory = fact.session["directory"]
    if not sessions.find_page(SYSTEM, directory=directory, limit=1):
        projects.release(directory)
