"""Taking checkpoints around the steps of a run, and in front of a restore."""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app import db, dispatch, git, ids
from app.checkpoints import compare, figures, rows
from app.checkpoints.rows import Checkpoint
from app.checkpoints.shadow import Shadow, Snapshot
from app.errors import NoSpace, Problem, Unavailable
from app.sessions.service import Hold, Session

LOST = "The project's git dropped what it borrowed (git gc --prune) before it was copied."
_logger = logging.getLogger(__name__)
# A file system's clock may lag behind ours by a tick.
LAG = 1000


def before(hold: Hold, message_id: str, part_id: str, *, paths: Iterable[str] = ()) -> Checkpoint:
    """Make sure there is a checkpoint of the workspace as it is now, and return it; for before each
    changing step.

    `paths` names files the step will write, which are then kept even if ignored. Raises NoSpace or
    Unavailable
    when none could be made: the step must not run then.
    """
    session = hold.session
    with db.read() as conn:
        last = rows.find_last(conn, session.id)
    new = blank(session, "before", message_id, part_id)
    try:
        found = snapshot(session, new.id, also=paths, unless=last.tree if last else "")
    except Problem as problem:
        _note_failure(hold, new, problem)
        raise
    if last and last.tree == found.tree:
        return last
    files = _since(session, last, found) if last else None
    if last is None or files is None:
        return _store(hold, new, found, found.tree, [])
    return _store(hold, new, found, last.tree, files)


def after(hold: Hold, message_id: str, part_id: str, *, paths: Iterable[str] = ()) -> Checkpoint | None:
    """Make a checkpoint after a changing step and return it with the files that changed, None if none did."""
    session = hold.session
    with db.read() as conn:
        last = rows.find_last(conn, session.id)
    if last is None:
        before(hold, message_id, part_id, paths=paths)
        return None
    new = blank(session, "after", message_id, part_id)
    found = snapshot(session, new.id, also=paths, unless=last.tree)
    if found.tree == last.tree:
        return None
    files = _since(session, last, found)
    if files is None:
        _store(hold, dataclasses.replace(new, kind="before"), found, found.tree, [])
        return None
    for file in files:
        if file["status"] == "added" and _is_older(Path(session.directory) / file["path"], last.created):
            file["kept"] = True
    stored = _store(hold, new, found, last.tree, files)
    try:
        figures.set_in_run(hold, stored.tree)
    except git.GitFailed:
        # What the session began with is lost: its figures stay as they were.
        _logger.exception("the figures of session %s could not be counted", session.id)
    return stored


def snapshot(session: Session, keep: str, *, also: Iterable[str] = (), unless: str = "") -> Snapshot:
    """Store what the session's directory holds now; raises NoSpace or Unavailable with the reason."""
    directory = Path(session.directory)
    if not directory.is_dir():
        raise Unavailable(f"No checkpoint could be made: the directory {directory} is missing.")
    try:
        named = relative(directory, also)
        found = shadow_of(session).snapshot(directory, keep, also=named, unless=unless)
    except (git.GitFailed, OSError) as error:
        raise problem_of(error) from error
    if found.is_borrowing and found.is_first:
        dispatch.wake("checkpoints.settle", session.project)
    return found


def shadow_of(session: Session) -> Shadow:
    """Return the shadow of the session's project."""
    return Shadow.of(session.project)


def blank(session: Session, kind: str, message_id: str = "", part_id: str = "", note: str = "") -> Checkpoint:
    """Return a checkpoint that is not stored yet, without tree and files."""
    return Checkpoint(
        ids.ascending("chk"),
        session.id,
        session.project,
        session.directory,
        message_id,
        part_id,
        0,
        kind,
        tree="",
        base="",
        files=[],
        skipped=[],
        note=note[:500],
        lost="",
        talk=None,
        created=ids.now(),
    )


def filled(new: Checkpoint, found: Snapshot, base: str, files: list[dict[str, Any]]) -> Checkpoint:
    """Return the checkpoint with what the snapshot found."""
    skipped = [dataclasses.asdict(one) for one in found.skipped[:200]]
    return dataclasses.replace(new, tree=found.tree, base=base, files=files, skipped=skipped)


def relative(directory: Path, paths: Iterable[str]) -> list[str]:
    """Return paths below a directory relative to it; others are left out."""
    found = []
    for path in paths:
        whole = os.path.normpath(directory / path)
        if Path(whole).is_relative_to(directory):
            found.append(str(Path(whole).relative_to(directory)))
    return found


@dispatch.actor("checkpoints.settle")
def settle(project_id: str) -> None:
    """Copy what a project's shadow borrowed, so that the project's own clean-up can't take it away."""
    shadow = Shadow.of(project_id)
    try:
        try:
            shadow.settle()
        except git.GitFailed:
            if not note_lost(shadow):
                raise
            shadow.settle()
    except git.GitFailed as error:
        _logger.warning("checkpoints of %s still borrow: %s", project_id, error.reason)


def note_lost(shadow: Shadow) -> bool:
    """Write down which checkpoints of a shadow miss something, and let go of them; False if none does."""
    lost = shadow.lost()
    if not lost:
        return False
    _logger.warning("%s checkpoints are lost: the project's git dropped what they borrowed", len(lost))
    with db.transaction() as conn:
        rows.mark_lost(conn, lost, LOST)
    shadow.forget(lost)
    return True


def unreadable(error: git.GitFailed) -> Problem:
    """Return what to tell people about a checkpoint that can't be read."""
    return Unavailable(f"A checkpoint can't be read: {error.reason.rstrip('.')}.")


def _since(session: Session, last: Checkpoint, found: Snapshot) -> list[dict[str, Any]] | None:
    """Return the files that differ from the last checkpoint; None if what that one held is lost."""
    shadow = shadow_of(session)
    try:
        return compare.summary(shadow, last.tree, found.tree)
    except git.GitFailed as error:
        if not note_lost(shadow):
            raise unreadable(error) from error
        return None


def _store(hold: Hold, new: Checkpoint, found: Snapshot, base: str, files: list[dict[str, Any]]) -> Checkpoint:
    """Store a run's checkpoint while its lease is held."""
    with db.transaction() as conn:
        hold.check(conn)
        return rows.insert(conn, filled(new, found, base, files), hold.session)


def _note_failure(hold: Hold, new: Checkpoint, problem: Problem) -> None:
    """Leave a line in the session's checkpoints that says why there is none."""
    with db.transaction() as conn:
        hold.check(conn)
        rows.insert(conn, dataclasses.replace(new, kind="failed", note=problem.message[:500]), hold.session)


def _is_older(path: Path, moment: int) -> bool:
    """Tell whether a file was there unchanged before a moment, such as one that was ignored until now."""
    try:
        return path.lstat().st_ctime_ns // 1_000_000 < moment - LAG
    except OSError:
        return False


def problem_of(error: git.GitFailed | OSError, what: str = "No checkpoint could be made") -> Problem:
    """Return what to tell people about a snapshot or restore that failed."""
    text = error.stderr if isinstance(error, git.GitFailed) else str(error)
    if "No space left" in text or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(f"{what}: the disk is full.")
    reason = error.reason if isinstance(error, git.GitFailed) else error.strerror or "the disk refused"
    return Unavailable(f"{what}: {reason.rstrip('.')}.")
