"""Who sees a session: its owner alone, the team, or whoever has its link too.

`private` and `team` are chosen; `shared` is what a session is while it has a public link, for the team sees it then as
well. Whose it is says so, nobody else: others may end a link at most. What subagents do in it follows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from app import config, db, record
from app.accounts import service as accounts
from app.actor import Actor, Scope
from app.errors import Conflict, Denied, Invalid, NotFound
from app.sessions import events
from app.sessions.service import rows
from app.sessions.service.rows import RUNS, SESSIONS
from app.sessions.things import Session, session_of
from app.settings import service as settings

CHOICES = config.VISIBILITIES
SETTING = "visibility"
Follow = Callable[[sa.Connection, Session], None]
_followers: list[Follow] = []


def register_follower(follow: Follow) -> None:
    """Say how another room's own copies of who sees a session are changed, in the transaction of the change."""
    if follow not in _followers:
        _followers.append(follow)


def checked(visibility: str) -> str:
    """One of the choices; raises Invalid for anything else."""
    if visibility not in CHOICES:
        raise Invalid(f"visibility is one of {', '.join(CHOICES)}; a link is shared on its own.", "visibility")
    return visibility


def default(user: str) -> str:
    """Who sees a new session of a person where nobody says: as they have chosen, else as the server has it."""
    return accounts.look_of(user).visibility or server_default()


def server_default() -> str:
    """What holds for those who have not chosen: what was set on this server, else what its operator's settings say."""
    chosen = settings.choice(SETTING)
    return chosen if chosen in CHOICES else config.current().visibility


def set_server_default(actor: Actor | None, visibility: str) -> None:
    """Set it for all who have not chosen; "" goes back to the operator's settings. Raises Invalid."""
    settings.choose(actor, SETTING, checked(visibility) if visibility else "")


def choose(connection: sa.Connection, actor: Actor, session: Session, visibility: str) -> Session:
    """Have the session, locked with `hold_still`, seen so; its link ends. Raises Denied, Conflict, Invalid."""
    _require_owner(actor, session)
    checked(visibility)
    _require_top(connection, session)
    if (session.visibility, session.share_slug) == (visibility, None):
        return session
    detail = {"from": session.visibility, "to": visibility}
    record.audit(connection, actor, "session.visibility", session.id, detail)
    return change(connection, session, visibility)


def _require_owner(actor: Actor, session: Session) -> None:
    """Raise Denied unless it is the session's owner who acts, and no agent."""
    if actor.kind == "agent":
        raise Denied("An agent never changes what it may do, or who sees it.")
    if actor.user != session.owner:
        raise Denied("Who sees a session is for its owner alone to say.")


def _require_top(connection: sa.Connection, session: Session) -> None:
    """Raise Conflict for a session that follows the one above it."""
    if session.parent_id and _owner_of(connection, session.parent_id) == session.owner:
        raise Conflict("It is seen by those who see the session above it: change that one.")


def is_below_private(connection: sa.Connection, parent_id: str | None) -> bool:
    """Whether a session below this one is below one that is its owner's alone."""
    query = sa.select(SESSIONS.c.visibility).where(SESSIONS.c.id == parent_id)
    return parent_id is not None and connection.scalar(query) == "private"


def words_for_all(words: str, visibility: str, parent_id: str | None) -> str:
    """What of a new session's words may stand where all who see its project look, as in the name of a branch: nothing
    of one that is its owner's alone.
    """
    if visibility == "private":
        return ""
    with db.read() as connection:
        return "" if is_below_private(connection, parent_id) else words


def scope_of(connection: sa.Connection, session: Session) -> Scope:
    """Who may see a session by now, for a fact about it; it stays so until this transaction ends."""
    query = sa.select(SESSIONS.c.owner, SESSIONS.c.project, SESSIONS.c.visibility).where(SESSIONS.c.id == session.id)
    row = connection.execute(query.with_for_update(read=True)).first()
    return Scope(*row) if row else Scope(session.owner, session.project, "private")


def hold_still(connection: sa.Connection, session_id: str) -> Session:
    """Lock a session and first its runs and those below: what they write from now on goes to those who may see it."""
    family = [session_id, *_ids_below(connection, session_id)]
    # Of those whose writes hold their run; locked from the parent down, and before the sessions, as everywhere.
    running = sa.select(RUNS.c.id).where(RUNS.c.session_id.in_(family), RUNS.c.state == "running")
    connection.execute(running.order_by(RUNS.c.id).with_for_update()).all()
    return rows.session(connection, session_id, lock=True)


def find_still(connection: sa.Connection, session_id: str) -> Session | None:
    """The same; None for one that is gone."""
    try:
        return hold_still(connection, session_id)
    except NotFound:
        return None


def change(connection: sa.Connection, session: Session, visibility: str, **values: Any) -> Session:
    """Write who sees a session, and with it who sees what is below; without a link in `values` the one it has ends."""
    for one in _below(connection, session):
        if visibility == "private" and one.visibility != "private":
            _write(connection, one, "private", {})
        elif visibility != "private" and one.visibility == "private":
            _write(connection, one, "team", {})
    return _write(connection, session, visibility, values)


def _write(connection: sa.Connection, was: Session, visibility: str, values: dict[str, Any]) -> Session:
    is_private = visibility == "private"
    values = {"share_slug": None, "share": None, "share_until": None, "visibility": visibility, **values}
    if is_private != (was.visibility == "private"):
        record.rescope(connection, was.id, Scope(was.owner, was.project, visibility))
        if is_private:
            record.event(connection, events.SessionHidden(was.id), was)
    now = rows.change(connection, was, touch=False, **values)
    if was.visibility == "private" and not is_private:
        record.event(connection, events.SessionShown(was.id), now)
    if was.share_slug is not None and was.share_slug != now.share_slug:
        record.event(connection, events.ShareEnded(was.id, was.share_slug), now)
    for follow in _followers:
        follow(connection, now)
    return now


def _below(connection: sa.Connection, session: Session) -> list[Session]:
    """The sessions below one that are its owner's, locked; what somebody else began there is theirs to show."""
    ids = _ids_below(connection, session.id)
    if not ids:
        return []
    query = sa.select(SESSIONS).where(SESSIONS.c.id.in_(ids), SESSIONS.c.owner == session.owner)
    locked = query.order_by(SESSIONS.c.created, SESSIONS.c.id).with_for_update(key_share=True)
    return [session_of(row) for row in connection.execute(locked)]


def _ids_below(connection: sa.Connection, session_id: str) -> list[str]:
    below = sa.select(SESSIONS.c.id).where(SESSIONS.c.parent_id == session_id).cte("family", recursive=True)
    further = sa.select(SESSIONS.c.id).join(below, SESSIONS.c.parent_id == below.c.id)
    return list(connection.scalars(sa.select(below.union(further).c.id)))


def _owner_of(connection: sa.Connection, session_id: str) -> str | None:
    owner: str | None = connection.scalar(sa.select(SESSIONS.c.owner).where(SESSIONS.c.id == session_id))
    return owner
