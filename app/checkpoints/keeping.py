"""How long checkpoints are kept: what is older than the settings say goes, but for the newest of each session."""

from __future__ import annotations

import logging

from app import config, db, dispatch, git, ids
from app.actor import SYSTEM
from app.checkpoints import rows, steps
from app.checkpoints.rows import Checkpoint
from app.checkpoints.shadow import Shadow, base_of
from app.errors import NotFound
from app.sessions import service as sessions

DAY = 86_400_000
SWEEP = 3600.0
_logger = logging.getLogger(__name__)


@dispatch.actor("checkpoints.tidy")
@dispatch.every(SWEEP)
def tidy() -> None:
    """Drop the checkpoints that are too old, and free their space; nothing while the days are set to 0."""
    days = config.current().checkpoint_days
    if not days:
        return
    moment = ids.now() - days * DAY
    with db.read() as conn:
        found = rows.sessions_before(conn, moment)
    for project in {gone for session_id in found for gone in _drop(session_id, moment)}:
        try:
            Shadow.of(project).free()
        except git.GitFailed as error:
            _logger.warning("the space of old checkpoints of %s is not freed yet: %s", project, error.reason)


def _drop(session_id: str, moment: int) -> set[str]:
    """Drop a session's old checkpoints; returns the project whose space can be freed."""
    with db.read() as conn:
        known = rows.of_session(conn, session_id)
    first = _first_kept(session_id, known, moment)
    gone = [one for one in known if one.number < first]
    if not gone:
        return set()
    shadow, rest = Shadow.of(gone[0].project), [one for one in known if one.number >= first]
    # Names first, rows after: whoever is killed in between finds the rows again and begins anew.
    base = next((one for one in rest if one.base), None)
    if base is not None and base.base != base.tree and base.base in shadow.kept().values():
        shadow.keep(base_of(base.id), base.base)
    shadow.forget(one.id for one in gone)
    with db.transaction() as conn:
        rows.delete_below(conn, session_id, first)
    return {gone[0].project}


def _first_kept(session_id: str, known: list[Checkpoint], moment: int) -> int:
    """The number from which on a session's checkpoints stay."""
    most = config.current().checkpoint_keep
    newest = {one.number for one in known[-most:]} if most else set()
    stay = [one.number for one in known if one.created >= moment or one.number in newest]
    return min([*stay, *_needed(session_id, known)], default=known[-1].number + 1 if known else 0)


def _needed(session_id: str, known: list[Checkpoint]) -> list[int]:
    """The numbers that the undoing of a session's revert still needs."""
    try:
        session = sessions.get(SYSTEM, session_id)
    except NotFound:
        return []
    mark = session.revert
    if not mark:
        return []
    messages = sessions.outline(SYSTEM, session.id, {one.message_id for one in known if one.message_id})
    undone = steps.since_message(known, messages, mark["messageID"], mark.get("partID"))
    snapshots = [one for one in known if one.tree and one.tree == mark.get("snapshot")]
    return [one.number for one in (*undone, *snapshots)]
