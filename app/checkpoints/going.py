"""Going back and forth: what a restore would do, doing it for files, conversation or both, and undoing it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app import db, git, record
from app.accounts import service as accounts
from app.actor import Actor
from app.checkpoints import compare, figures, putback, rows, steps, taking, talk
from app.checkpoints.compare import FileDiff
from app.checkpoints.events import FilesRestored
from app.checkpoints.looking import get, history, insist_there, named, session_of, standing
from app.checkpoints.putback import Plan
from app.checkpoints.rows import Checkpoint
from app.checkpoints.shadow import Skipped
from app.checkpoints.talk import Mark
from app.errors import Busy, Conflict, Problem
from app.sessions import service as sessions
from app.sessions.service import Message, Session

Scopes = Literal["code", "conversation", "both"]
DIFF_KEPT = 256 * 1024
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preview:
    """What a restore would do: patches lead from now to then; `ignored` files stay in any case.

    `messages` is how many messages count as gone then, if the conversation goes back too.
    """

    put_back: list[FileDiff]
    removed: list[FileDiff]
    kept: list[Skipped]
    ignored: list[str]
    messages: int = 0


def preview_revert(actor: Actor, session_id: str, message_id: str, part_id: str | None = None) -> Preview:
    """Say what `revert` would do to the files."""
    session = session_of(actor, session_id, "checkpoints:read")
    messages, known = named(actor, session)
    return _preview(session, _targets(session, messages, known, message_id, part_id))


def preview(actor: Actor, checkpoint_id: str) -> Preview:
    """Say what `restore` would do to the files, and to the conversation."""
    target = get(actor, checkpoint_id)
    session = session_of(actor, target.session_id, "checkpoints:read")
    messages, known = history(actor, session)
    insist_there(target)
    found = _preview(session, steps.targets(steps.since_checkpoint(known, target)))
    gone = talk.count_gone(messages, talk.mark_at(target, messages))
    return dataclasses.replace(found, messages=gone)


def revert(
    actor: Actor, session_id: str, message_id: str, part_id: str | None = None, *, scope: Scopes = "both"
) -> Session:
    """Go back to before a message, or a part of one; an unknown message changes nothing.

    Files go back at once, after an automatic checkpoint; the messages count as gone, and leave with the next
    prompt. Reverting again moves the point, forward too. Raises Conflict while the session is busy.
    """
    session = _changing(actor, session_id)
    messages, known = history(actor, session)
    if message_id not in {message.id for message in messages}:
        return session
    mark: dict[str, Any] = {"messageID": message_id, **({"partID": part_id} if part_id else {})}
    earlier = session.revert or {}
    mark |= {"snapshot": earlier.get("snapshot", ""), "diff": earlier.get("diff", "")}
    if scope == "conversation":
        return sessions.set_revert(actor, session_id, mark)
    targets = _targets(session, messages, known, message_id, part_id)
    if scope == "code":
        _go_back(actor, session, targets, "Before a step back of the files")
        return _recount(actor, session, messages, known)
    # The mark comes first: setting it proves that the session is idle, and a prompt sent meanwhile sees it.
    sessions.set_revert(actor, session_id, mark)
    if not targets:
        return sessions.get(actor, session_id)
    try:
        moved = {"was": session.revert, "now": mark}
        automatic = _go_back(actor, session, targets, "Before a step back", moved)
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
    messages, known = named(actor, session)
    old = steps.since_message(known, messages, session.revert["messageID"], session.revert.get("partID"))
    targets = {session.revert["snapshot"]: sorted(steps.touched(old))}
    _go_back(actor, session, targets, "Before a step forth", {"was": session.revert, "now": None})
    return _recount(actor, sessions.set_revert(actor, session_id, None), messages, known)


def restore(
    actor: Actor, checkpoint_id: str, paths: Iterable[str] | None = None, *, scope: Scopes = "code"
) -> Checkpoint:
    """Put files back to a checkpoint (only `paths` if given), the conversation or both; see `undo`.

    Returns the automatic checkpoint that undoes it: going back to that one undoes its restore. Raises Conflict
    while the session is busy, and for a checkpoint that could not be made or is lost.
    """
    target = get(actor, checkpoint_id)
    session = _changing(actor, target.session_id)
    insist_there(target)
    messages, known = history(actor, session)
    targets = {} if scope == "conversation" else steps.targets(steps.since_checkpoint(known, target))
    if paths is not None:
        wanted = set(paths)
        targets = {tree: [path for path in mine if path in wanted] for tree, mine in targets.items()}
    note = f"Before restore to #{target.number}"
    if scope == "code":
        automatic = _go_back(actor, session, targets, note)
    else:
        automatic = _move(actor, session, talk.mark_at(target, messages), targets, note)
    _recount(actor, sessions.get(actor, session.id), messages, known)
    return automatic


def undo(actor: Actor, checkpoint_id: str) -> Checkpoint:
    """Undo the restore that made this checkpoint by itself: its files, and its conversation if it moved that.

    Raises Conflict once the session went on: then what comes after would be undone with it.
    """
    target = get(actor, checkpoint_id)
    session = _changing(actor, target.session_id)
    messages, known = named(actor, session)
    why = why_not_undone(target, session, known)
    if why:
        raise Conflict(why)
    insist_there(target)
    targets = steps.targets(steps.since_checkpoint(known, target))
    note = f"Before undoing a restore, #{target.number}"
    if target.talk is None:
        automatic = _go_back(actor, session, targets, note)
    else:
        automatic = _move(actor, session, target.talk["was"], targets, note, is_undo=True)
    _recount(actor, sessions.get(actor, session.id), messages, known)
    return automatic


def why_not_undone(target: Checkpoint, session: Session, known: Sequence[Checkpoint]) -> str:
    """Say why a restore can't be undone in one act, "" if it can."""
    if target.kind != "restore":
        return "Only a restore can be undone."
    if any(one.kind == "after" and one.number > target.number for one in known):
        return "The agent changed files since. Look at what going back would do first."
    if target.talk is not None and not talk.is_same(session.revert, target.talk["now"]):
        return "The conversation went on since. The files can still go back."
    return ""


def _changing(actor: Actor, session_id: str) -> Session:
    """Return a session whose files the actor may put back now."""
    session = session_of(actor, session_id, "checkpoints:write")
    accounts.require(actor, "sessions:write", session)
    if session.is_busy:
        raise Busy(session_id)
    return session


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
    shadow = taking.shadow_of(session)
    try:
        planned = _planned(session, targets, "")
        files: list[FileDiff] = []
        for tree, paths in targets.items():
            files += compare.diff(shadow, planned.now, tree, only=paths)
        ignored = shadow.ignored(Path(session.directory))
    except git.GitFailed as error:
        raise taking.unreadable(error) from error
    files.sort(key=lambda file: file.path)
    put_back = [file for file in files if file.status != "deleted"]
    removed = [file for file in files if file.status == "deleted"]
    return Preview(put_back, removed, list(planned.kept), ignored)


def _move(
    actor: Actor,
    session: Session,
    mark: Mark | None,
    targets: dict[str, list[str]],
    note: str,
    *,
    is_undo: bool = False,
) -> Checkpoint:
    """Move the conversation's mark and put the files back; the mark comes first, as in `revert`."""
    was = session.revert
    if mark and not is_undo:
        earlier = was or {}
        mark = {**mark, "snapshot": earlier.get("snapshot", ""), "diff": earlier.get("diff", "")}
    sessions.set_revert(actor, session.id, mark)
    try:
        automatic = _go_back(actor, session, targets, note, {"was": was, "now": mark})
    except Exception:
        sessions.set_revert(actor, session.id, was)
        raise
    if mark and any(targets.values()) and not is_undo:
        first = mark["snapshot"] or automatic.tree
        sessions.set_revert(actor, session.id, {**mark, "snapshot": first, "diff": _text(session, first)})
    return automatic


def _go_back(
    actor: Actor, session: Session, targets: dict[str, list[str]], note: str, moved: Mark | None = None
) -> Checkpoint:
    """Take the automatic checkpoint, put the files back, and say so; returns that checkpoint.

    `moved` is how the conversation's mark moves with it: {was, now}.
    """
    shadow = taking.shadow_of(session)
    with shadow.locked():
        new = dataclasses.replace(taking.blank(session, "restore", note=note), talk=moved)
        try:
            planned = _planned(session, targets, new.id)
        except git.GitFailed as error:
            raise taking.unreadable(error) from error
        new = dataclasses.replace(new, tree=planned.now, base=planned.now, files=_files(planned))
        with db.transaction() as conn:
            new = rows.insert(conn, new, session)
            record.audit(conn, actor, "checkpoint.restore", session.id, {"number": new.number, "note": note})
        try:
            done = putback.carry_out(shadow, Path(session.directory), planned)
        except git.GitFailed as error:
            raise taking.unreadable(error) from error
        except OSError as error:
            raise taking.problem_of(error, "Not all files could be put back") from error
    with db.transaction() as conn:
        fact = FilesRestored(session.id, new.number, list(done.restored), list(done.removed))
        record.event(conn, fact, sessions.scope_of(conn, session))
    return new


def _recount(actor: Actor, session: Session, messages: Sequence[Message], known: Sequence[Checkpoint]) -> Session:
    """Count anew what the session changed, as it stands now.

    The files went back already: that nobody could count must not look like a failed restore.
    """
    try:
        now = taking.snapshot(session, "").tree
        return figures.refresh(actor, session, standing(session, messages, known), now)
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
