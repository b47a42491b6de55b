"""Sharing: one session on a public page for whoever has its address, until somebody ends that.

An address is as good as the right of whoever gave it: once they are gone, or may share no more, it opens nothing. It
may have an end: from then on it opens nothing, whoever sweeps it up later. In a project that only its people see,
nobody else is shown anything but by who says who these are.
The end of the address is stored as it is, unlike the secrets of accounts: everybody who may read the session is to see
its address again, and whoever can read the row reads the transcript beside it, which is all that it opens.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app import config, db, dispatch, ids, record
from app.accounts import service as accounts
from app.accounts.events import PrincipalRevoked, RightsChanged
from app.actor import SYSTEM, Actor
from app.errors import Conflict, Denied, Invalid
from app.events import service as hub
from app.events.service import Fact, Subscription
from app.projects import service as projects
from app.projects.events import ProjectClosed
from app.sessions import events
from app.sessions.service import rows, visibility
from app.sessions.service.rows import SESSIONS
from app.sessions.things import Session, Share, session_of
from app.settings import service as settings

PATH = "/s/"
BYTES = 18  # of chance in an address, 144 bits: nobody finds one by trying
KEY = "sessions:share"
# What somebody who comes by a link may do with the one session that it leads to.
GRANTS = ("sessions:read", "events:read")
OF_FEW = "Only its people see this project; who says who they are may share what is in it."
AS_IT_IS = 0
SWEEP = 10.0
LONGEST = 366 * 86_400_000
_SLUG = re.compile(r"[A-Za-z0-9_-]{24}")
_shared = sa.select(SESSIONS.c.share_slug, SESSIONS.c.share).where(SESSIONS.c.share_slug.is_not(None))
_by_slug = sa.select(SESSIONS).where(SESSIONS.c.share_slug == sa.bindparam("slug"))


def share(actor: Actor, session_id: str, *, output: bool | None = None, until: int | None = AS_IT_IS) -> Session:
    """Give the session a public address, or leave it the one that it has; the team sees it from then on, too.

    With `output` its page also shows what tools gave back, such as what commands printed; None leaves that as it is,
    at first off. `until` (unix ms) is when it ends by itself, None never; AS_IT_IS is at first never. Raises Denied
    where the server shares nothing, or for somebody else's private session; Conflict below a private one; Invalid for
    an end that is past or more than a year away.
    """
    if until and not ids.now() < until <= ids.now() + LONGEST:
        raise Invalid("A link ends some time within a year.", "until")
    with db.transaction() as connection:
        session = visibility.hold_still(connection, session_id)
        accounts.require(actor, KEY, session)
        _check_open(connection, actor, session)
        if not is_shared_here(session.directory):
            where = "for this project" if config.current().share else "on this server"
            raise Denied(f"Sharing is switched off {where}.")
        if not projects.may_open_up(actor, session.project):
            raise Denied(OF_FEW)
        was = share_of(session)
        is_good = was is not None and _is_good(was, session)
        kept = was if is_good else None
        ends = (kept.until if kept else None) if until == AS_IT_IS else until
        if kept is not None and output in (None, kept.output) and ends == kept.until:
            return session
        shows = (kept.output if kept else False) if output is None else output
        before = was.was if was else session.visibility
        new = Share(ids.now(), actor.user, _name(actor), shows, before, ends)
        detail = {"output": new.output, **({"until": ends} if ends else {})}
        record.audit(connection, actor, "session.share", session_id, detail)
        slug = session.share_slug if kept else secrets.token_urlsafe(BYTES)
        stored = {name: value for name, value in asdict(new).items() if name != "until"}
        if ends:
            dispatch.later(ends, f"share:{session_id}", end_shares)
        return visibility.change(connection, session, "shared", share_slug=slug, share=stored, share_until=ends)


def unshare(actor: Actor, session_id: str) -> Session:
    """End the session's public address for good, and every page that is open there; a second time changes nothing.

    From then on those see it who did before.
    """
    with db.transaction() as connection:
        session = visibility.hold_still(connection, session_id)
        accounts.require(actor, KEY, session)
        return _end(connection, actor, session) if session.share_slug is not None else session


@dispatch.every(SWEEP)
def end_shares() -> None:
    """End the addresses whose time is over; a second time finds none."""
    over = SESSIONS.c.share_until <= ids.now()
    with db.read() as connection:
        found = list(connection.scalars(sa.select(SESSIONS.c.id).where(over)))
    for session_id in found:
        with db.transaction() as connection:
            session = visibility.find_still(connection, session_id)
            if session is not None and session.share_until is not None and session.share_until <= ids.now():
                _end(connection, SYSTEM, session)


def _end(connection: sa.Connection, actor: Actor, session: Session) -> Session:
    was = share_of(session)
    before = was.was if was and session.visibility == "shared" else session.visibility
    record.audit(connection, actor, "session.unshare", session.id)
    return visibility.change(connection, session, "team" if before == "shared" else before)


def _check_open(connection: sa.Connection, actor: Actor, session: Session) -> None:
    """Nobody opens to the world what its owner keeps to themselves."""
    if session.visibility == "private" and actor.user != session.owner:
        raise Denied("This session is private: its owner alone opens it.", key=KEY)
    if visibility.is_below_private(connection, session.parent_id):
        raise Conflict("The session above it is private: open that one first.")


def is_shared_here(directory: str = "") -> bool:
    """Whether the operator lets sessions be shared on this server, and the configuration those of a directory."""
    if not config.current().share:
        return False
    return settings.merged(settings.of_directory(Path(directory) if directory else None)).get("share") != "disabled"


def may_share(actor: Actor, session: Session) -> bool:
    """Whether the actor may give the session a public address here."""
    return (
        is_shared_here(session.directory)
        and accounts.may(actor, KEY, session)
        and projects.may_open_up(actor, session.project)
    )


def share_of(session: Session) -> Share | None:
    """How the session is shared, if it is."""
    return Share(**session.share, until=session.share_until) if session.share_slug and session.share else None


def share_url(session: Session | dict[str, Any]) -> str:
    """The public address of a session or its row; "" while it has none, or the server opens none."""
    slug = session.get("share_slug") if isinstance(session, dict) else session.share_slug
    return f"{config.current().url}{PATH}{slug}" if slug and config.current().share else ""


def find_visitor(slug: str) -> tuple[Actor, Session] | None:
    """Who comes by an address, and to which session: the address is the proof. None for one that ended or never was."""
    if not config.current().share or not _SLUG.fullmatch(slug):
        return None
    with db.read() as connection:
        row = connection.execute(_by_slug, {"slug": slug}).first()
    session = session_of(row) if row else None
    share = share_of(session) if session else None
    if session is None or share is None or not _is_good(share, session):
        return None
    if not is_shared_here(session.directory):
        return None
    return Actor(_id(slug), "visitor", _id(slug), "A visitor", GRANTS, session=session.id), session


def follow_shared(visitor: Actor, after: str | None) -> Subscription | None:
    """The facts of the visitor's session from now on or after a cursor; None if its address has ended meanwhile."""

    def keep(fact: Fact) -> bool:
        return fact.event.kind.startswith("sessions.")

    subscription = hub.subscribe(visitor, after, keep)
    # Looked up once more: an end that came before this subscription has not closed it.
    if find_visitor(visitor.id.removeprefix(_id(""))) is None:
        subscription.close()
        return None
    return subscription


def shared_below(actor: Actor, session_id: str) -> dict[str, str]:
    """The public addresses, within this server, of those subagents of a session that are shared themselves, by id."""
    query = sa.select(SESSIONS.c.id, SESSIONS.c.share_slug).where(
        SESSIONS.c.parent_id == session_id, SESSIONS.c.share_slug.is_not(None)
    )
    with db.read() as connection:
        accounts.require(actor, "sessions:read", rows.session(connection, session_id))
        return {row.id: row.share_slug for row in connection.execute(query)}


def start() -> None:
    """Close the streams of an address in every server process when it ends."""
    hub.listen(events.ShareEnded, _on_end)
    end_shares()
    hub.listen(PrincipalRevoked, _on_revoked)
    hub.listen(RightsChanged, _on_changed)
    hub.listen(ProjectClosed, _on_closed)


def _on_end(fact: events.ShareEnded) -> None:
    hub.close(_id(fact.slug))


def _on_revoked(fact: PrincipalRevoked) -> None:
    """What somebody shared who is gone is open no longer."""
    if fact.what == "user":
        _close_all(fact.user_id)


def _on_changed(fact: RightsChanged) -> None:
    """Visitors of what somebody shared come back, if that person still may share it."""
    _close_all(fact.user_id)


def _on_closed(fact: ProjectClosed) -> None:
    """Visitors come back, if what they look at was shared by who may do that in a project of few."""
    with db.read() as connection:
        for row in connection.execute(_shared.where(SESSIONS.c.project == fact.project_id)).all():
            hub.close(_id(row.share_slug))


def _close_all(user_id: str) -> None:
    with db.read() as connection:
        shared = connection.execute(_shared).all()
    for row in shared:
        if row.share and row.share["by"] == user_id:
            hub.close(_id(row.share_slug))


def _is_good(share: Share, session: Session) -> bool:
    if share.until is not None and share.until <= ids.now():
        return False
    person = accounts.acting_for(share.by, "system")
    if person is None or not accounts.may(person, KEY, session):
        return False
    return projects.may_open_up(person, session.project)


def _id(slug: str) -> str:
    return f"share:{slug}"


def _name(actor: Actor) -> str:
    """The name of whoever the actor acts for: a token has one of its own, which is nobody's."""
    person = accounts.acting_for(actor.user, "system")
    return person.name if person else actor.name
