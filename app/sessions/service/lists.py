"""Lists of sessions: which ones the actor may see, filtered, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, TypedDict, Unpack

import sqlalchemy as sa
from orjson import Fragment

from app import db
from app.accounts import service as accounts
from app.actor import Actor
from app.sessions.service import index, rows
from app.sessions.service.rows import MESSAGES, PARTS, SESSIONS
from app.sessions.things import Part, Session, part_of, session_of
from app.spelling import Spelling

RARE = frozenset({"queued", "running", "waiting"})  # states in which few of many sessions are


class Wanted(TypedDict, total=False):
    """Which sessions a list shows.

    `only` is the id of the one that is asked about; `words` are sought in titles, with `in_messages` also in what was
    said and in the calls of tools; `state` is one or several by comma; `seen` is who sees them: private, team or
    shared; `parent_id` None means those without a parent; `before` is the (updated, id) of the last row shown, `since`
    the least `updated`, both in unix ms.
    """

    only: str
    words: str
    in_messages: bool
    state: str
    project: str
    directory: str
    owner: str
    seen: str
    parent_id: str | None
    archived: bool | None
    before: tuple[int, str] | None
    since: int
    limit: int


@dataclass(frozen=True)
class Begun:
    """A session among those that were begun; `said` is what was said first in it, None if no words were; times in
    unix ms, cost in dollars.
    """

    id: str
    title: str
    mode: str
    cost: float
    tokens: dict[str, Any]
    created: int
    updated: int
    said: str | None


def find_page(actor: Actor, **wanted: Unpack[Wanted]) -> list[Session]:
    """Sessions newest first that the actor may read."""
    given = _given(actor, **wanted)
    with db.read() as connection:
        return [session_of(row) for row in connection.execute(_page(tuple(given), keys=False), _values(given))]


def spell_page(actor: Actor, spelling: Spelling[Session], **wanted: Unpack[Wanted]) -> Fragment:
    """The same page as `find_page`, in a spelling that keeps what has not changed."""
    given = _given(actor, **wanted)
    with db.read() as connection:
        keys = db.fetch_words(connection, _page(tuple(given), keys=True), _values(given))
        return spelling.of(keys, lambda ids: rows.sessions(connection, ids))


def by_creation(actor: Actor, *, offset: int = 0, limit: int = 50, project: str = "") -> tuple[list[Begun], int]:
    """Sessions that no other began and nobody archived, the newest created first; and how many there are in all."""
    given = _given(actor, project=project, parent_id=None, archived=False, limit=limit)
    values = {**_values(given), "offset": offset}
    filters = tuple(name for name in given if name != "page")
    with db.read() as connection:
        # Whole results: a row at a time each would be fetched by a call of its own, and there may be a thousand.
        found = _begun(connection.execute(_beginnings(filters), values).all())
        if len(found) < limit and (found or not offset):
            return found, offset + len(found)
        count = sa.select(sa.func.count()).select_from(SESSIONS).where(*(_FILTERS[name] for name in filters))
        return found, connection.scalar(count, values) or 0


def newest(actor: Actor, *, directory: str, owner: str) -> Session | None:
    """The session created last of those that `by_creation` would list, in this directory and of this user."""
    given = _given(actor, directory=directory, owner=owner, parent_id=None, archived=False)
    query = sa.select(SESSIONS).where(*(_FILTERS[name] for name in given if name != "page"))
    with db.read() as connection:
        row = connection.execute(query.order_by(SESSIONS.c.id).limit(1), _values(given)).first()
        return session_of(row) if row else None


def find_words(actor: Actor, words: str, limit: int = 5) -> list[tuple[Session, index.Found]]:
    """Where these words stand in transcripts that the actor may read, newest first; a session's newest place only."""
    where = readable(actor)
    said = index.sought(words)
    if not said:
        return []
    with db.read() as connection:
        way = index.way_of(connection, said)
        these = sa.select(SESSIONS.c.id).where(index.said_by(way), *where)
        these = these.order_by(SESSIONS.c.updated.desc(), SESSIONS.c.id.desc()).limit(limit)
        newest = sa.select(sa.func.max(index.WORDS.c.id)).where(index.said_in(way), index.WORDS.c.session_id.in_(these))
        this = index.WORDS.c.id.in_(newest.group_by(index.WORDS.c.session_id))
        query = sa.select(index.WORDS).where(this).order_by(index.WORDS.c.id.desc())
        hits = connection.execute(query, {"said": said}).all()
        found = dict(rows.sessions(connection, [hit.session_id for hit in hits]))
    return [(found[hit.session_id], index.found(hit, words)) for hit in hits if hit.session_id in found]


def busy_ids(actor: Actor) -> dict[str, str]:
    """The state of every session that isn't idle, by id."""
    busy = find_page(actor, state="queued,running,waiting", limit=1000)
    return {session.id: session.state for session in busy}


def retries(actor: Actor, session_ids: list[str]) -> dict[str, Part]:
    """Of these sessions those whose model failed and is asked again: the part that says so, by session."""
    answering = (
        sa.select(MESSAGES.c.id)
        .join(SESSIONS, SESSIONS.c.id == MESSAGES.c.session_id)
        .where(MESSAGES.c.session_id.in_(session_ids), MESSAGES.c.role == "assistant", MESSAGES.c.completed.is_(None))
        .where(*readable(actor))
    )
    last = sa.select(sa.func.max(PARTS.c.id)).where(PARTS.c.message_id.in_(answering)).group_by(PARTS.c.message_id)
    with db.read() as connection:
        found = connection.execute(sa.select(PARTS).where(PARTS.c.id.in_(last), PARTS.c.type == "retry"))
        return {row.session_id: part_of(row) for row in found}


def readable(actor: Actor) -> list[sa.ColumnElement[bool]]:
    """Which sessions the actor may read: the same rule as accounts.may, in SQL."""
    accounts.require(actor, "sessions:read")
    where: list[sa.ColumnElement[bool]] = []
    if actor.project is not None:
        where.append(SESSIONS.c.project == actor.project)
    if not accounts.sees_private(actor):
        where.append(_open_to(actor.user))
    if actor.closed:
        where.append(SESSIONS.c.project.not_in(actor.closed))
    return where


def _open_to(reader: Any) -> sa.ColumnElement[bool]:
    return sa.or_(SESSIONS.c.owner == reader, SESSIONS.c.visibility.in_(["team", "shared"]))


def _visible(actor: Actor) -> dict[str, dict[str, Any]]:
    visible: dict[str, dict[str, Any]] = {}
    if actor.project is not None:
        visible["bound"] = {"bound": actor.project}
    if not accounts.sees_private(actor):
        visible["visible"] = {"reader": actor.user}
    if actor.closed:
        visible["closed"] = {"closed": list(actor.closed)}
    return visible


def _given(
    actor: Actor,
    *,
    only: str = "",
    words: str = "",
    state: str = "",
    project: str = "",
    directory: str = "",
    owner: str = "",
    seen: str = "",
    parent_id: str | None = "",
    before: tuple[int, str] | None = None,
    since: int = 0,
    limit: int = 50,
    archived: bool | None = None,
    in_messages: bool = False,
) -> dict[str, dict[str, Any]]:
    """The filters that the actor's rights and wishes call for, by name, each with its values."""
    accounts.require(actor, "sessions:read")
    given = _visible(actor)
    exact = {"only": only, "project": project, "directory": directory, "owner": owner, "since": since}
    given |= {name: {name: value} for name, value in exact.items() if value}
    if seen in _SEEN:
        given[f"seen by {seen}"] = {}
    if words:
        given |= _seek(words, in_messages)
    if archived is not None:
        given["archived" if archived else "unarchived"] = {}
    if state:
        states = state.split(",")
        given["busy on sqlite" if _is_rare(states) else "state"] = {"states": states}
    if parent_id is None:
        given["root"] = {}
    elif parent_id:
        given["parent"] = {"parent": parent_id}
    if before:
        given["before"] = {"before_updated": before[0], "before_id": before[1]}
    given["page"] = {"limit": limit}
    return given


def _is_rare(states: list[str]) -> bool:
    """Whether SQLite, which reads from the newest session down otherwise, shall go by these states: they are rare."""
    return len(states) > 1 and RARE.issuperset(states) and db.current().is_sqlite


def _values(given: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: value for values in given.values() for name, value in values.items()}


def _seek(words: str, in_messages: bool) -> dict[str, dict[str, Any]]:
    said = index.sought(words) if in_messages else ""
    pattern = {"pattern": _pattern(words)}
    if not said:
        return {f"titled on {'sqlite' if db.current().is_sqlite else 'postgresql'}": pattern}
    with db.read() as connection:
        return {f"said {index.way_of(connection, said)}": {**pattern, "said": said}}


def _pattern(words: str) -> str:
    return "%" + words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


_SEEN = {
    "private": sa.and_(SESSIONS.c.visibility == "private", SESSIONS.c.share_slug.is_(None)),
    "team": sa.and_(SESSIONS.c.visibility == "team", SESSIONS.c.share_slug.is_(None)),
    "shared": SESSIONS.c.share_slug.is_not(None),
}
_sought = sa.bindparam("pattern", type_=sa.Text)
# SQLite's LIKE minds no case by itself; to lower each title first would cost a third more.
_TITLED = {
    "on sqlite": SESSIONS.c.title.like(_sought, escape="\\"),
    "on postgresql": SESSIONS.c.title.ilike(_sought, escape="\\"),
}
_in_states = SESSIONS.c.state.in_(sa.bindparam("states", expanding=True))
_FILTERS: dict[str, sa.ColumnElement[bool]] = {
    **{f"seen by {name}": which for name, which in _SEEN.items()},
    "bound": SESSIONS.c.project == sa.bindparam("bound"),
    "visible": _open_to(sa.bindparam("reader")),
    "closed": SESSIONS.c.project.not_in(sa.bindparam("closed", expanding=True)),
    "only": SESSIONS.c.id == sa.bindparam("only"),
    "project": SESSIONS.c.project == sa.bindparam("project"),
    "directory": SESSIONS.c.directory == sa.bindparam("directory"),
    "owner": SESSIONS.c.owner == sa.bindparam("owner"),
    "since": SESSIONS.c.updated >= sa.bindparam("since"),
    **{f"titled {engine}": titled for engine, titled in _TITLED.items()},
    **{f"said {way}": sa.or_(_TITLED[way.removeprefix("often ")], index.said_by(way)) for way in index.WAYS},
    "archived": SESSIONS.c.archived.is_not(None),
    "unarchived": SESSIONS.c.archived.is_(None),
    "state": _in_states,
    "busy on sqlite": sa.func.unlikely(_in_states),
    "root": SESSIONS.c.parent_id.is_(None),
    "parent": SESSIONS.c.parent_id == sa.bindparam("parent"),
    "before": sa.tuple_(SESSIONS.c.updated, SESSIONS.c.id)
    < sa.tuple_(sa.bindparam("before_updated"), sa.bindparam("before_id")),
}


@lru_cache(maxsize=256)
def _page(filters: tuple[str, ...], *, keys: bool) -> sa.Select[Any]:
    """The statement with these filters, built once: that costs more than to run it."""
    query = sa.select(rows.SESSION_KEY) if keys else sa.select(SESSIONS)
    query = query.where(*(_FILTERS[name] for name in filters if name != "page"))
    newest = (SESSIONS.c.updated.desc(), SESSIONS.c.id.desc())
    return query.order_by(*newest).limit(sa.bindparam("limit", type_=sa.Integer))


_BEGUN = tuple(SESSIONS.c[one.name] for one in fields(Begun) if one.name != "said")


@lru_cache(maxsize=64)
def _beginnings(filters: tuple[str, ...]) -> sa.Select[Any]:
    """A row for each text that was said first in a session, or one without any; built once, as above.

    Ids of sessions sort by creation, the newest first.
    """
    mine = (MESSAGES.c.session_id == SESSIONS.c.id, MESSAGES.c.role == "user")
    first = sa.select(MESSAGES.c.id).where(*mine).order_by(MESSAGES.c.id).limit(1).correlate(SESSIONS)
    query = sa.select(*_BEGUN, first.scalar_subquery().label("first")).where(*(_FILTERS[name] for name in filters))
    bounds = (sa.bindparam(name, type_=sa.Integer) for name in ("offset", "limit"))
    page = query.order_by(SESSIONS.c.id).offset(next(bounds)).limit(next(bounds)).subquery()
    said = page.outerjoin(PARTS, sa.and_(PARTS.c.message_id == page.c.first, PARTS.c.type == "text"))
    shown = (page.c[column.name] for column in _BEGUN)
    return sa.select(*shown, PARTS.c.text, PARTS.c.data).select_from(said).order_by(page.c.id, PARTS.c.id)


def _begun(found: Iterable[Any]) -> list[Begun]:
    return [_with_words(list(mine)) for _, mine in groupby(found, key=itemgetter(0))]


def _with_words(found: list[Any]) -> Begun:
    """Of the rows of one session; words that no person said don't count."""
    *about, _text, _data = found[0]
    said = [text or "" for *_, text, data in found if data is not None and not data.get("synthetic")]
    return Begun(*[*about, "\n".join(filter(None, said)) if said else None])
