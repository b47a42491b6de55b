"""Reading a session's checkpoints: which there are, and what differs between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from app import db, git
from app.accounts import service as accounts
from app.actor import Actor
from app.checkpoints import compare, rows, steps, taking
from app.checkpoints.compare import FileDiff
from app.checkpoints.rows import Checkpoint
from app.checkpoints.shadow import Shadow
from app.errors import Conflict, NotFound
from app.sessions import service as sessions
from app.sessions.service import Message, Session


def of_session(actor: Actor, session_id: str) -> list[Checkpoint]:
    """Return a session's checkpoints, oldest first, failed ones too."""
    session = session_of(actor, session_id, "checkpoints:read")
    with db.read() as conn:
        return rows.of_session(conn, session.id)


def get(actor: Actor, checkpoint_id: str) -> Checkpoint:
    """Return one checkpoint; raises NotFound, in the same words for one of a session that the actor may not see."""
    with db.read() as conn:
        found = rows.get(conn, checkpoint_id)
    try:
        session_of(actor, found.session_id, "checkpoints:read")
    except NotFound:  # of whoever may not see the session, nobody learns its id either
        raise NotFound("checkpoint", checkpoint_id) from None
    return found


def diff(actor: Actor, session_id: str, message_id: str | None = None) -> list[FileDiff]:
    """Return what the agent's steps changed: in the whole session, or in one user message's turn."""
    session = session_of(actor, session_id, "checkpoints:read")
    messages, known = named(actor, session)
    chosen = steps.of_turn(known, messages, message_id) if message_id else standing(session, messages, known)
    if not chosen:
        return []
    return _diff(taking.shadow_of(session), chosen[0].base, chosen[-1].tree, only=steps.touched(chosen))


def diff_of(actor: Actor, checkpoint_id: str) -> list[FileDiff]:
    """Return what one checkpoint's step changed."""
    one = get(actor, checkpoint_id)
    if not one.tree or one.kind == "restore":
        return []
    only = {file["path"] for file in one.files}
    return _diff(Shadow.of(one.project), one.base, one.tree, only=only) if only else []


def compare_two(actor: Actor, session_id: str, first: int, last: int | None = None) -> list[FileDiff]:
    """Return what differs from one checkpoint of a session to another, by their numbers; to now without the second."""
    session = session_of(actor, session_id, "checkpoints:read")
    with db.read() as conn:
        found = [rows.find_number(conn, session.id, number) for number in (first, last) if number is not None]
    for one in found:
        insist_there(one)
    to = found[1].tree if last is not None else taking.snapshot(session, "").tree
    return _diff(taking.shadow_of(session), found[0].tree, to)


def changed_now(actor: Actor, session_id: str) -> list[dict[str, Any]]:
    """Return {path, status, additions, deletions} of what differs on disk from the newest checkpoint.

    Nothing without a checkpoint. Raises Unavailable when the directory is missing or can't be read.
    """
    session = session_of(actor, session_id, "checkpoints:read")
    with db.read() as conn:
        last = rows.find_last(conn, session.id)
    if last is None:
        return []
    try:
        found = taking.snapshot(session, "", unless=last.tree)
        return compare.summary(taking.shadow_of(session), last.tree, found.tree)
    except git.GitFailed as error:
        raise taking.unreadable(error) from error


def insist_there(target: Checkpoint) -> None:
    """Raise Conflict for a checkpoint that can't be gone back to."""
    if not target.tree:
        raise Conflict(f"Checkpoint #{target.number} could not be made: {target.note}")
    if target.lost:
        raise Conflict(f"Checkpoint #{target.number} can't be gone back to. {target.lost}")


def content_before(actor: Actor, session_id: str, path: str) -> bytes | None:
    """Return a file (relative to the session's directory) as it was before the first step that changed it.

    None when no step did, or it did not exist, or it is over 512 KiB.
    """
    session = session_of(actor, session_id, "checkpoints:read")
    messages, known = named(actor, session)
    for step in standing(session, messages, known):
        if path in step.touched:
            try:
                return compare.read(taking.shadow_of(session), step.base, path)
            except git.GitFailed as error:
                raise taking.unreadable(error) from error
    return None


def session_of(actor: Actor, session_id: str, key: str) -> Session:
    """Return a session whose checkpoints the actor may use that key on."""
    session = sessions.get(actor, session_id)
    accounts.require(actor, key, session)
    return session


def history(actor: Actor, session: Session) -> tuple[list[Message], list[Checkpoint]]:
    """Return the outline of a session's messages, and its checkpoints."""
    with db.read() as conn:
        known = rows.of_session(conn, session.id)
    return sessions.outline(actor, session.id), known


def named(actor: Actor, session: Session) -> tuple[list[Message], list[Checkpoint]]:
    """Return the same, of the messages those that the checkpoints name: all that is asked about steps alone."""
    with db.read() as conn:
        known = rows.of_session(conn, session.id)
    ids = {one.message_id for one in known if one.message_id}
    return sessions.outline(actor, session.id, ids), known


def standing(session: Session, messages: Sequence[Message], known: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Return the steps that count: those of messages still there and not reverted."""
    found = [one for one in steps.living(known, messages) if one.kind == "after"]
    if not session.revert or not session.revert.get("snapshot"):
        return found
    gone = steps.since_message(known, messages, session.revert["messageID"], session.revert.get("partID"))
    return [one for one in found if one not in gone]


def _diff(shadow: Shadow, tree_a: str, tree_b: str, *, only: Iterable[str] | None = None) -> list[FileDiff]:
    """Compare two trees; raises Unavailable with the reason when one of them can't be read."""
    try:
        return compare.diff(shadow, tree_a, tree_b, only=only)
    except git.GitFailed as error:
        raise taking.unreadable(error) from error
