"""The verbs of who sees a project: everybody, or only its people; and what these may do there with what others made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app import db, ids, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Invalid, NotFound
from app.projects import rows
from app.projects.events import ProjectClosed
from app.projects.models import member as table
from app.projects.models import project as projects
from app.projects.rows import Project
from app.projects.scratch import is_scratch

EVERYBODY, MEMBERS = "team", "members"
MOST = 500


@dataclass(frozen=True)
class Member:
    """Somebody who is in a project, since when (unix ms), and the keys that they were lent over what is in it."""

    user_id: str
    name: str
    added: int
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Access:
    """Who sees a project (`team`, `members` or, of a sandbox's, `private`), whose it is ("" for nobody who is here),
    and its people in the order in which they came.
    """

    visibility: str
    owner: str
    owner_name: str
    members: tuple[Member, ...]


def closed_to(user: sa.ColumnElement[str]) -> sa.Select[Any]:
    """The query for the ids of the projects that somebody neither owns nor is in, though only their people see them."""
    is_in = sa.exists().where(table.c.project == projects.c.id, table.c.user_id == user)
    return sa.select(projects.c.id).where(projects.c.visibility == MEMBERS, projects.c.owner != user, ~is_in)


def access_of(actor: Actor, project_id: str) -> Access:
    """Return who sees a project; raises NotFound."""
    accounts.require(actor, "users:read")
    with db.read() as conn:
        project = rows.get(conn, project_id)
        accounts.require(actor, "projects:read", project)
        return _access(conn, actor, project)


def set_visibility(actor: Actor, project_id: str, visibility: str) -> None:
    """Let everybody (`team`) or only its people (`members`) see a project and all that is in it, from now on.

    Whoever closes it is in it. Raises NotFound, Denied, Invalid, and Conflict for one that lies in another project,
    where its files would be read all the same, and for a sandbox's.
    """
    with db.transaction() as conn:
        project = _changeable(conn, actor, project_id)
        if visibility not in (EVERYBODY, MEMBERS):
            raise Invalid(f"visibility is one of {EVERYBODY}, {MEMBERS}.", "visibility")
        if visibility == project.visibility:
            return
        if visibility == MEMBERS:
            _check_alone(actor, project)
            if actor.user != project.owner and "*" not in actor.grants:
                _add(conn, actor, project, actor.user)
        record.audit(conn, actor, "project.visibility", project.id, {"before": project.visibility, "after": visibility})
        # Those who lose it are told first: what follows in the log is not for them any more.
        accounts.tell_all_but(conn, [project.owner, *_people(conn, project.id)])
        changed = rows.update(conn, project, visibility=visibility)
        if visibility == MEMBERS:
            record.event(conn, ProjectClosed(project.id), changed.scope)


def put_member(actor: Actor, project_id: str, user_id: str, keys: Iterable[str] = ()) -> None:
    """Take somebody into a project, or change what they may do there: exactly these keys over what others made.

    Raises NotFound for a project or person that is not there, Denied and Invalid for keys that the actor cannot lend.
    """
    with db.transaction() as conn:
        project = _changeable(conn, actor, project_id)
        if accounts.find_person(user_id) is None:
            raise NotFound("user", user_id)
        if user_id not in _people(conn, project.id):
            if (conn.scalar(_count(project.id)) or 0) >= MOST:
                raise Invalid(f"A project has at most {MOST} people.", "person")
            _add(conn, actor, project, user_id)
        lent = accounts.lend_in(conn, actor, project.id, user_id, keys)
        record.audit(conn, actor, "project.member", project.id, {"person": user_id, "keys": list(lent)})
        accounts.announce(conn, [user_id])


def remove_member(actor: Actor, project_id: str, user_id: str) -> None:
    """Take somebody out of a project, with all that they were lent there; raises NotFound for who is not in it."""
    with db.transaction() as conn:
        project = _changeable(conn, actor, project_id)
        this = table.c.project == project.id, table.c.user_id == user_id
        if not conn.execute(table.delete().where(*this)).rowcount:
            raise NotFound("member", user_id)
        accounts.lend_in(conn, actor, project.id, user_id, ())
        record.audit(conn, actor, "project.member_remove", project.id, {"person": user_id})
        accounts.announce(conn, [user_id])


def may_open_up(actor: Actor, project_id: str) -> bool:
    """Tell whether the actor may show what is in a project to people outside: in one that only its people see, whoever
    says who these are.
    """
    # From the row itself: one that was taken off the list keeps its sessions, and a page that opens may stay open.
    with db.read() as conn:
        found = next(iter(rows.select(conn, projects.c.id == project_id)), None)
    return found is None or found.visibility != MEMBERS or accounts.may(actor, "projects:write", found)


def place_names(actor: Actor) -> dict[str, str]:
    """Return the names of the projects that the actor sees, by id."""
    if not accounts.may(actor, "projects:read"):
        return {}
    return {one.id: one.name for one in rows.listed() if accounts.may(actor, "projects:read", one)}


def _changeable(conn: sa.Connection, actor: Actor, project_id: str) -> Project:
    """Return a project whose people the actor may choose, locked."""
    project = rows.get(conn, project_id, lock=True)
    accounts.require(actor, "projects:write", project)
    if is_scratch(project):
        raise Conflict("A sandbox is its owner's own affair.")
    return project


def _check_alone(actor: Actor, project: Project) -> None:
    """Insist that no other project holds this one's directory."""
    for one in rows.listed():
        if one.id != project.id and rows.is_below(project.path, one.path):
            name = one.name if accounts.may(actor, "projects:read", one) else "another project"
            raise Conflict(f"It lies in {name}, whose people read its files all the same.")


def _add(conn: sa.Connection, actor: Actor, project: Project, user_id: str) -> None:
    if user_id not in _people(conn, project.id):
        row = {"project": project.id, "user_id": user_id, "added_by": actor.user, "added": ids.now()}
        conn.execute(table.insert(), row)


def _people(conn: sa.Connection, project_id: str) -> list[str]:
    query = sa.select(table.c.user_id).where(table.c.project == project_id)
    return list(conn.scalars(query.order_by(table.c.added, table.c.user_id)))


def _count(project_id: str) -> sa.Select[int]:
    return sa.select(sa.func.count()).select_from(table).where(table.c.project == project_id)


def _access(conn: sa.Connection, actor: Actor, project: Project) -> Access:
    names = {one.id: one.name for one in accounts.list_users(actor) if one.revoked is None}
    lent = accounts.lent_in(conn, project.id)
    query = sa.select(table).where(table.c.project == project.id).order_by(table.c.added, table.c.user_id)
    members = tuple(
        Member(row.user_id, names[row.user_id], row.added, lent.get(row.user_id, ()))
        for row in conn.execute(query)
        if row.user_id in names
    )
    owner = project.owner if project.owner in names else ""
    return Access(project.visibility, owner, names.get(owner, ""), members)


accounts.register_closed(closed_to)
