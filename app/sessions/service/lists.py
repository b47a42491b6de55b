"""Lists of sessions: which ones the actor may see, filtered, newest first, a page at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypedDict, Unpack

import sqlalchemy as sa
from orjson import Fragment

from app import db
from app.accounts import service as accounts
from app.actor import Actor
from app.sessions.service import rows
from app.sessions.service.rows import PARTS, SESSIONS
from app.sessions.things import Session, session_of
from app.spelling import Spelling


class Wanted(TypedDict, total=False):
    """Which sessions a list shows.

    `words` are sought in titles, with `in_messages` also in what was said and in the calls of tools; `state` is
    one or several by comma; `parent_id` None means those without a parent; `before` is the (updated, id) of the
    last row shown, `since` the least `updated`, both in unix ms.
    """

    words: str
    in_messages: bool
    state: str
    project: str
    directory: str
    owner: str
    parent_id: str | None
    archived: bool | None
    before: tuple[int, str] | None
    since: int
    limit: int


def find_page(actor: Actor, **wanted: Unpack[Wanted]) -> list[Session]:
    """Sessions newest first that the actor may read."""
    given = _given(actor, **wanted)
    with db.read() as connection:
        return [session_of(row) for row in connection.execute(_page(tuple(given), keys=False), _values(given))]


def spell_page(actor: Actor, spelling: Spelling[Session], **wanted: Unpack[Wanted]) -> list[Fragment]:
    """The same page as `find_page`, in a spelling that keeps what has not changed."""
    given = _given(actor, **wanted)
    with db.read() as connection:
        keys = db.fetch_words(connection, _page(tuple(given), keys=True), _values(given))
        return spelling.of(keys, lambda ids: rows.sessions(connection, ids))


def busy_ids(actor: Actor) -> dict[str, str]:
    """The state of every session that isn't idle, by id."""
    busy = find_page(actor, state="queued,running,waiting", limit=1000)
    return {session.id: session.state for session in busy}


def readable(actor: Actor) -> list[sa.ColumnElement[bool]]:
    """Which sessions the actor may read: the same rule as accounts.may, in SQL."""
    accounts.require(actor, "sessions:read")
    where: list[sa.ColumnElement[bool]] = []
    if actor.project is not None:
        where.append(SESSIONS.c.project == actor.project)
    if "*" not in actor.grants:
        where.append(_open_to(actor.user))
    return where


def _open_to(reader: Any) -> sa.ColumnElement[bool]:
    return sa.or_(SESSIONS.c.owner == reader, SESSIONS.c.visibility.in_(["team", "shared"]))


def _visible(actor: Actor) -> dict[str, dict[str, Any]]:
    visible: dict[str, dict[str, Any]] = {}
    if actor.project is not None:
        visible["bound"] = {"bound": actor.project}
    if "*" not in actor.grants:
        visible["visible"] = {"reader": actor.user}
    return visible


def _given(
    actor: Actor,
    *,
    words: str = "",
    state: str = "",
    project: str = "",
    directory: str = "",
    owner: str = "",
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
    for name, value in (("project", project), ("directory", directory), ("owner", owner), ("since", since)):
        if value:
            given[name] = {name: value}
    if words:
        given["said" if in_messages else "titled"] = {"pattern": _pattern(words)}
    if archived is not None:
        given["archived" if archived else "unarchived"] = {}
    if state:
        given["state"] = {"states": state.split(",")}
    if parent_id is None:
        given["root"] = {}
    elif parent_id:
        given["parent"] = {"parent": parent_id}
    if before:
        given["before"] = {"before_updated": before[0], "before_id": before[1]}
    given["page"] = {"limit": limit}
    return given


def _values(given: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: value for values in given.values() for name, value in values.items()}


def _pattern(words: str) -> str:
    return "%" + words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def _like(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return column.ilike(sa.bindparam("pattern", type_=sa.Text), escape="\\")


_titled = _like(SESSIONS.c.title)
_called = sa.and_(PARTS.c.type == "tool", _like(sa.cast(PARTS.c.data, sa.Text)))
_said = sa.select(PARTS.c.session_id).where(sa.or_(_like(PARTS.c.text), _called))
_FILTERS: dict[str, sa.ColumnElement[bool]] = {
    "bound": SESSIONS.c.project == sa.bindparam("bound"),
    "visible": _open_to(sa.bindparam("reader")),
    "project": SESSIONS.c.project == sa.bindparam("project"),
    "directory": SESSIONS.c.directory == sa.bindparam("directory"),
    "owner": SESSIONS.c.owner == sa.bindparam("owner"),
    "since": SESSIONS.c.updated >= sa.bindparam("since"),
    "titled": _titled,
    "said": sa.or_(_titled, SESSIONS.c.id.in_(_said)),
    "archived": SESSIONS.c.archived.is_not(None),
    "unarchived": SESSIONS.c.archived.is_(None),
    "state": SESSIONS.c.state.in_(sa.bindparam("states", expanding=True)),
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
