"""The verbs of checkpoints: taking them around changing steps, what changed, and the way back and forth
again.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app import db, git, record
from app.accounts import service as accounts
from app.actor import Actor, Scope
from app.checkpoints import compare, figures, putback, rows, steps, taking
from app.checkpoints.compare import FileDiff
from app.checkpoints.events import FilesRestored
from app.checkpoints.putback import Outcome, Plan
from app.checkpoints.rows import Checkpoint
from app.checkpoints.shadow import Shadow, Skipped
from app.checkpoints.taking import after, before, settle
from app.errors import Conflict, Problem
from app.events import service as events
from app.sessions import events as session_events
from app.sessions import service as sessions
from app.sessions.service import Message, Session

__all__ = [
    "Checkpoint",
    "FileDiff",
    "Outcome",
    "Preview",
    "Scopes",
    "Skipped",
    "after",
    "before",
    "content_before",
    "diff",
    "diff_of",
    "get",
    "of_session",
    "preview",
    "preview_revert",
    "restore",
    "revert",
    "settle",
    "size_of",
    "start",
    "unrevert",
]
Scopes = Literal["code", "conversation", "both"]
DIFF_KEPT = 256 * 1024
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preview:
    """What a restore would do: patches lead from now to then; `ignored` files stay in any case."""

    put_back: list[FileDiff]
    removed: list[FileDiff]
    kept: list[Skipped]
    ignored: list[str]


def of_session(actor: Actor, session_id: str) -> list[Checkpoint]:
    """Return a session's checkpoints, oldest first, failed ones too."""
    session = _session(actor, session_id, "checkpoints:read")
    with db.read() as conn:
        return rows.of_session(conn, session.id)


def get(actor: Actor, checkpoint_id: str) -> Checkpoint:
    """Return one checkpoint; raises NotFound."""
    with db.read() as conn:
        found = rows.get(conn, checkpoint_id)
    _session(actor, found.session_id, "checkpoints:read")
    return found


def diff(actor: Actor, session_id: str, message_id: str | None = None) -> list[FileDiff]:
    """Return what the agent's steps changed: in the whole session, or in one user message's turn."""
    session = _session(actor, session_id, "checkpoints:read")
    messages, known = _history(actor, session)
    chosen = steps.of_turn(known, messages, message_id) if message_id else _standing(session, messages, known)
    if not chosen:
        return []
    return compare.diff(taking.shadow_of(session), chosen[0].base, chosen[-1].tree, only=steps.touched(chosen))


def diff_of(actor: Actor, checkpoint_id: str) -> list[FileDiff]:
    """Return what one checkpoint's step changed."""
    one = get(actor, checkpoint_id)
    if not one.tree or one.kind == "restore":
        return []
    only = {file["path"] for file in one.files}
    return compare.diff(Shadow.of(one.project), one.base, one.tree, only=only) if only else []


def content_before(actor: Actor, session_id: str, path: str) -> bytes | None:
    """Return a file (relative to the session's directory) as it was before the first step that changed it.

    None when no step did, or it did not exist, or it is over 512 KiB.
    """
    session = _session(actor, session_id, "checkpoints:read")
    messages, known = _history(actor, session)
    for step in _standing(session, messages, known):
        if path in step.touched:
            return compare.read(taking.shadow_of(session), step.base, path)
    return None


def preview_revert(actor: Actor, session_id: str, message_id: str, part_id: str | None = None) -> Preview:
    """Say what `revert` would do to the files."""
    session = _session(actor, session_id, "checkpoints:read")
    messages, known = _history(actor, session)
    return _preview(session, _targets(session, messages, known, message_id, part_id))


def preview(actor: Actor, checkpoint_id: str) -> Preview:
    """Say what `restore` would do to the files."""
    target = get(actor, checkpoint_id)
    session = _session(actor, target.session_id, "checkpoints:read")
    with db.read() as conn:
        known = rows.of_session(conn, session.id)
    return _preview(session, steps.targets(steps.since_checkpoint(known, target)))


def revert(
    actor: Actor, session_id: str, message_id: str, part_id: str | None = None, *, scope: Scopes = "both"
) -> Session:
    """Go back to before a message, or a part of one; an unknown message changes nothing.

    Files go back at once, after an automatic checkpoint; the messages count as gone, and leave with the next
    prompt. Reverting again moves the point, forward too. Raises Conflict while the session is busy.
    """
    session = _changing(actor, session_id)
    messages, known = _history(actor, session)
    if message_id not in {message.id for message in messages}:
        return session
    mark: dict[str, Any] = {"messageID": message_id, **({"partID": part_id} if part_id else {})}
    earlier = session.revert or {}
    mark |= {"snapshot": earlier.get("snapshot", ""), "diff": earlier.get("diff", "")}
    if scope == "conversation":
        return sessions.set_revert(actor, session_id, mark)
    targets = _targets(session, messages, known, message_id, part_id)
    if scope == "code":
        _go_back(actor, session, targets, f"Before going back to {message_id}")
        return _recount(actor, session, messages, known)
    # The mark comes first: setting it proves that the session is idle, and a prompt sent meanwhile sees it.
    sessions.set_revert(actor, session_id, mark)
    if not targets:
        return sessions.get(actor, session_id)
    try:
        automatic = _go_back(actor, session, targets, f"Before reverting {message_id}")
    except Exception:
        sessions.set_revert(actor, session_id, session.revert)
        raise
    first = mark["snapshot"] or automatic.tree
    done = sessions.set_revert(actor, session_id, {**mark, "snapshot": first, "diff": _text(session, first)})
    return _recount(actor, done, messages, known)


def unrevert(actor: Actor, session_id: str) -> Session:
    """Undo a revert: files as before it, after an automatic checkpoint, and the messages count again."""
    session = _changing(actor, session_id)
    if not session.revert:
        return session
    if not session.revert.get("snapshot"):
        return sessions.set_revert(actor, session_id, None)
    messages, known = _history(actor, session)
    old = steps.since_message(known, messages, session.revert["messageID"], session.revert.get("partID"))
    targets = {session.revert["snapshot"]: sorted(steps.touched(old))}
    _go_back(actor, session, targets, "Before undoing a revert")
    return _recount(actor, sessions.set_revert(actor, session_id, None), messages, known)


def restore(actor: Actor, checkpoint_id: str, paths: Iterable[str] | None = None) -> Checkpoint:
    """Put files back to a checkpoint (only `paths` if given); returns the automatic one that undoes it.

    Going back to an automatic checkpoint undoes its restore. Raises Conflict while the session is busy.
    """
    target = get(actor, checkpoint_id)
    session = _changing(actor, target.session_id)
    messages, known = _history(actor, session)
    targets = steps.targets(steps.since_checkpoint(known, target))
    if paths is not None:
        wanted = set(paths)
        targets = {tree: [path for path in mine if path in wanted] for tree, mine in targets.items()}
    automatic = _go_back(actor, session, targets, f"Before restore to #{target.number}")
    _recount(actor, session, messages, known)
    return automatic


def size_of(actor: Actor, project_id: str) -> int:
    """Return how many bytes a project's checkpoints take on disk."""
    accounts.require(actor, "checkpoints:read", Scope("", project_id))
    return Shadow.of(project_id).size()


def start() -> None:
    """At start: forget the checkpoints of sessions that are deleted."""
    events.listen(session_events.SessionDeleted, _forget)


def _forget(fact: session_events.SessionDeleted) -> None:
    """Delete a session's checkpoints and let their trees go."""
    with db.transaction() as conn:
        gone = rows.delete_of(conn, fact.session_id)
    for project in {one.project for one in gone}:
        Shadow.of(project).forget(one.id for one in gone if one.project == project)


def _session(actor: Actor, session_id: str, key: str) -> Session:
    """Return a session whose checkpoints the actor may use that key on."""
    session = sessions.get(actor, session_id)
    accounts.require(actor, key, session)
    return session


def _changing(actor: Actor, session_id: str) -> Session:
    """Return a session whose files the actor may put back now."""
    session = _session(actor, session_id, "checkpoints:write")
    accounts.require(actor, "sessions:write", session)
    if session.is_busy:
        raise Conflict("The session is busy; stop it first.")
    return session


def _history(actor: Actor, session: Session) -> tuple[list[Message], list[Checkpoint]]:
    """Return a session's messages and checkpoints."""
    with db.read() as conn:
        known = rows.of_session(conn, session.id)
    return sessions.transcript(actor, session.id), known


def _standing(session: Session, messages: Sequence[Message], known: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Return the steps that count: those of messages still there and not reverted."""
    found = [one for one in steps.living(known, messages) if one.kind == "after"]
    if not session.revert or not session.revert.get("snapshot"):
        return found
    gone = steps.since_message(known, messages, session.revert["messageID"], session.revert.get("partID"))
    return [one for one in found if one not in gone]


def _targets(
    session: Session,
    messages: Sequence[Message],
    known: Sequence[Checkpoint],
    message_id: str,
    part_id: str | None,
) -> dict[str, list[str]]:
    """Return tree -> paths of a revert; what an earlier revert took and this one doesn't goes forth again."""
    new = steps.since_message(known, messages, message_id, part_id)
    found = {tree: paths for tree, paths in steps.targets(new).items() if paths}
    if session.revert and session.revert.get("snapshot"):
        old = steps.since_message(known, messages, session.revert["messageID"], session.revert.get("partID"))
        again = sorted(steps.touched(old) - steps.touched(new))
        if again:
            found.setdefault(session.revert["snapshot"], []).extend(again)
    return found


def _planned(session: Session, targets: dict[str, list[str]], keep: str) -> Plan:
    """Take a snapshot of now and plan against it."""
    touched = [path for paths in targets.values() for path in paths]
    found = taking.snapshot(session, keep, also=touched)
    planned = putback.plan(taking.shadow_of(session), found.tree, targets)
    return dataclasses.replace(planned, kept=(*planned.kept, *found.skipped))


def _preview(session: Session, targets: dict[str, list[str]]) -> Preview:
    """Draw a plan with its patches."""
    if not any(targets.values()):
        return Preview([], [], [], [])
    shadow = taking.shadow_of(session)
    try:
        planned = _planned(session, targets, "")
        files: list[FileDiff] = []
        for tree, paths in targets.items():
            files += compare.diff(shadow, planned.now, tree, only=paths)
        ignored = shadow.ignored(Path(session.directory))
    except git.GitFailed as error:
        raise taking.problem_of(error) from error
    files.sort(key=lambda file: file.path)
    put_back = [file for file in files if file.status != "deleted"]
    removed = [file for file in files if file.status == "deleted"]
    return Preview(put_back, removed, list(planned.kept), ignored)


def _go_back(actor: Actor, session: Session, targets: dict[str, list[str]], note: str) -> Checkpoint:
    """Take the automatic checkpoint, put the files back, and say so; returns that checkpoint."""
    shadow = taking.shadow_of(session)
    with shadow.locked():
        new = taking.blank(session, "restore", note=note)
        try:
            planned = _planned(session, targets, new.id)
        except git.GitFailed as error:
            raise taking.problem_of(error) from error
        new = dataclasses.replace(new, tree=planned.now, base=planned.now, files=_files(planned))
        with db.transaction() as conn:
            new = rows.insert(conn, new, session)
            record.audit(conn, actor, "checkpoint.restore", session.id, {"number": new.number, "note": note})
        try:
            done = putback.carry_out(shadow, Path(session.directory), planned)
        except (git.GitFailed, OSError) as error:
            raise taking.problem_of(error) from error
    with db.transaction() as conn:
        fact = FilesRestored(session.id, new.number, list(done.restored), list(done.removed))
        record.event(conn, fact, Scope(session.owner, session.project, session.visibility))
    return new


def _recount(actor: Actor, session: Session, messages: Sequence[Message], known: Sequence[Checkpoint]) -> Session:
    """Count anew what the session changed, as it stands now.

    The files went back already: that nobody could count must not look like a failed restore.
    """
    try:
        now = taking.snapshot(session, "").tree
        return figures.refresh(actor, session, _standing(session, messages, known), now)
    except (Problem, git.GitFailed):
        _logger.exception("the figures of session %s could not be counted", session.id)
        return session


def _files(planned: Plan) -> list[dict[str, Any]]:
    """Return the files a plan changes, as a checkpoint stores them."""
    shown = putback.paths_of(planned)
    return [{"path": path, "status": status, "additions": 0, "deletions": 0} for path, status in shown]


def _text(session: Session, tree: str) -> str:
    """Return the patch from a tree to the files as they are now, at most 256 KiB of it."""
    found = taking.snapshot(session, "", unless=tree)
    files = compare.diff(taking.shadow_of(session), tree, found.tree)
    return "".join(file.patch for file in files)[:DIFF_KEPT]
