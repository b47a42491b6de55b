"""Making roles and giving them: nobody gives, makes or widens what they do not hold themselves.

Whoever does it in a browser has shown lately who they are, else it raises Stale.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from app import db, ids, record
from app.accounts import devices, fresh, grants, identity, people, roles
from app.accounts.authority import require
from app.accounts.events import RightsChanged
from app.accounts.models import role as table
from app.accounts.models import role_assignment
from app.accounts.roles import Role
from app.actor import Actor, Scope
from app.errors import Conflict, Denied, Invalid, NotFound

MOST_ROLES = 200
MOST_PERMISSIONS = 200
MOST_INHERITED = 32


@dataclass(frozen=True)
class Assignment:
    """That a person holds a role; assigned in unix ms."""

    user_id: str
    role: str
    assigned: int


def create_role(
    actor: Actor,
    name: str,
    *,
    description: str = "",
    inherits: Iterable[str] = (),
    permissions: Iterable[str] = (),
) -> Role:
    """Make a role of grants that the actor holds. An owner may have it inherit roles that are not there yet.

    Raises Invalid for a name that is taken, a permission that has not the form, and a ring; Denied.
    """
    require(actor, "users:write")
    fresh.require_fresh_browser(actor)
    new = Role(_name(name), _description(description), _parents(inherits), _permissions(permissions))
    with db.transaction() as conn:
        among = roles.known(conn, lock=True)
        if any(roles.is_like(new.name, one) for one in among):
            raise Invalid(f"role '{new.name}' already exists", "name")
        if len(among) >= MOST_ROLES:
            raise Invalid(f"There are {MOST_ROLES} roles, and no more can be made.", "name")
        _check_parents(actor, new, among)
        _check(actor, new, {**among, new.name: new})
        row = {**_row(new), "created": ids.now()}
        if not _is_new(conn, table, row):
            raise Invalid(f"role '{new.name}' already exists", "name")
        record.audit(conn, actor, "role.create", new.name, {"after": _row(new)})
        # A role that named this one before it was there has grown by it.
        _tell(conn, new.name, {**among, new.name: new})
    return new


def update_role(
    actor: Actor,
    name: str,
    *,
    description: str | None = None,
    inherits: Iterable[str] | None = None,
    permissions: Iterable[str] | None = None,
) -> Role:
    """Change a role that was made here, whose grants the actor holds before and after.

    Raises NotFound, Invalid for a built-in role, for nothing to change, a wrong permission and a ring, and Denied.
    """
    require(actor, "users:write")
    fresh.require_fresh_browser(actor)
    changes: dict[str, Any] = {}
    if description is not None:
        changes["description"] = _description(description)
    if inherits is not None:
        changes["inherits"] = _parents(inherits)
    if permissions is not None:
        changes["permissions"] = _permissions(permissions)
    if not changes:
        raise Invalid("nothing to update")
    with db.transaction() as conn:
        among = roles.known(conn, lock=True)
        old = _made_here(among, name)
        new = dataclasses.replace(old, **changes)
        _check(actor, old, among)
        if new.inherits != old.inherits:
            _check_parents(actor, new, among)
        _check(actor, new, {**among, name: new})
        if new == old:
            return old
        conn.execute(table.update().where(table.c.name == name).values(_row(new)))
        record.audit(conn, actor, "role.update", name, {"before": _row(old), "after": _row(new)})
        _tell(conn, name, among)
    return new


def set_permissions(actor: Actor, wanted: Mapping[str, Iterable[str]]) -> None:
    """Give several roles new permissions, all or none; raises what changing each of them would."""
    require(actor, "users:write")
    with db.transaction():
        for name in sorted(wanted):
            update_role(actor, name, permissions=wanted[name])


def delete_role(actor: Actor, name: str) -> None:
    """Delete a role that was made here, and take it from everybody. Roles that inherit it go on naming it.

    Raises NotFound, Invalid for a built-in role, Denied.
    """
    require(actor, "users:write")
    with db.transaction() as conn:
        among = roles.known(conn, lock=True)
        old = _made_here(among, name)
        _check(actor, old, among)
        _tell(conn, name, among)
        holders = conn.scalars(role_assignment.delete().where(role_assignment.c.role == name).returning(_user)).all()
        conn.execute(table.delete().where(table.c.name == name))
        record.audit(conn, actor, "role.delete", name, {"before": _row(old), "held_by": sorted(holders)})


def assign_role(actor: Actor, user_id: str, role: str) -> None:
    """Give somebody a role whose grants the actor holds; a second time changes nothing.

    Raises Invalid for a role that is not there, Conflict for somebody who is not here, Denied.
    """
    require(actor, "users:write")
    fresh.require_fresh_browser(actor)
    with db.transaction() as conn:
        among = roles.known(conn, lock=True)
        if role not in among:
            raise Invalid(f"role '{role}' is not defined", "role")
        person = people.find(conn, user_id, lock=True)
        if person is None:
            raise Conflict("Nobody with this id is here.")
        _check(actor, among[role], among)
        if _is_new(conn, role_assignment, {"user_id": user_id, "role": role, "assigned": ids.now()}):
            _changed(conn, actor, "role.assign", person)


def revoke_role(actor: Actor, user_id: str, role: str) -> None:
    """Take a role from somebody whom the actor outranks; the last owner stays one.

    Raises NotFound for a role that they do not hold, Conflict for the last owner, Denied.
    """
    require(actor, "users:write")
    with db.transaction() as conn:
        held = role_assignment.c.user_id == user_id, role_assignment.c.role == role
        person = people.find(conn, user_id, lock=True)
        if person is None or role not in person.roles:
            raise NotFound("assignment")
        people.outranks(actor, person)
        if role == "owner":
            people.keep_an_owner(conn, code="LAST_OWNER_ROLE")
        if not conn.execute(role_assignment.delete().where(*held)).rowcount:
            raise NotFound("assignment")
        _changed(conn, actor, "role.revoke", person)


def set_roles(actor: Actor, user_id: str, wanted: Iterable[str]) -> None:
    """Give somebody exactly these roles, all or nothing; raises what giving and taking each of them would."""
    require(actor, "users:write")
    with db.transaction() as conn:
        roles.known(conn, lock=True)
        person, names = people.get(conn, user_id, lock=True), dict.fromkeys(wanted)
        for role in names:
            if role not in person.roles:
                assign_role(actor, user_id, role)
        for role in person.roles:
            if role not in names:
                revoke_role(actor, user_id, role)


def list_assignments(actor: Actor) -> list[Assignment]:
    """Who holds which role, the newest first."""
    require(actor, "users:write")
    query = sa.select(role_assignment).order_by(
        role_assignment.c.assigned.desc(), role_assignment.c.user_id, role_assignment.c.role
    )
    with db.read() as conn:
        return [Assignment(row.user_id, row.role, row.assigned) for row in conn.execute(query)]


def announce(conn: sa.Connection, user_ids: Iterable[str]) -> None:
    """Say that the rights of these people have changed, and forget them in this process once that is committed."""
    changed = list(user_ids)
    devices.make_due(conn, changed)
    for user_id in changed:
        record.event(conn, RightsChanged(user_id), Scope(owner=user_id, project="", visibility="private"))
    db.after_commit(identity.forget)


def _changed(conn: sa.Connection, actor: Actor, action: str, before: people.User) -> None:
    after = roles.of(conn, before.id)
    record.audit(conn, actor, action, before.id, {"before": list(before.roles), "after": list(after)})
    announce(conn, [before.id])


def _tell(conn: sa.Connection, changed: str, among: roles.Known) -> None:
    """Announce everybody who holds the role, by whatever other role."""
    # With those beyond what a role comes to: they come to it, or leave it, when others of it change.
    holding = {name for name in among if changed in roles.expand([name], among, most=len(among))}
    query = sa.select(_user).where(role_assignment.c.role.in_(sorted(holding))).distinct().order_by(_user)
    announce(conn, conn.scalars(query).all())


def _check(actor: Actor, role: Role, among: roles.Known) -> None:
    """Raise Invalid if the role comes back to itself, Denied if it comes to more than the actor holds."""
    if role.name in roles.expand(role.inherits, among, most=len(among)):
        raise Invalid(f"role '{role.name}' would inherit itself: a cycle", "inherits")
    if not grants.covers_all(actor.grants, roles.at_most(role.name, among)):
        raise Denied(f"You can give, make and change only rights that you hold; {role.name} has more.")


def _check_parents(actor: Actor, role: Role, among: roles.Known) -> None:
    """Raise Denied if it waits for a role that is not there: whatever that comes to grant, its holders get."""
    unknown = next((name for name in role.inherits if name not in among), None)
    if unknown is not None and grants.EVERYTHING not in actor.grants:
        raise Denied(f"There is no role '{unknown}' yet; only who holds everything builds on it before.")


def _made_here(among: roles.Known, name: str) -> Role:
    if name not in among:
        raise NotFound("role", name)
    if among[name].is_built_in:
        raise Invalid(f"role '{name}' is built in, and cannot be changed or deleted", "name")
    return among[name]


def _is_new(conn: sa.Connection, into: sa.Table, row: dict[str, Any]) -> bool:
    """Store the row, unless somebody was faster."""
    insert = postgresql.insert(into) if conn.dialect.name == "postgresql" else sqlite.insert(into)
    key = next(iter(into.primary_key))
    return conn.execute(insert.values(row).on_conflict_do_nothing().returning(key)).first() is not None


def _row(role: Role) -> dict[str, Any]:
    return {
        "name": role.name,
        "description": role.description,
        "inherits": list(role.inherits),
        "permissions": list(role.permissions),
    }


def _name(name: str) -> str:
    cleaned = " ".join(name.split())
    if not cleaned:
        raise Invalid("role name is required", "name")
    if len(cleaned) > 64 or not cleaned.isprintable() or "/" in cleaned:
        raise Invalid("A role's name has 1 to 64 printable characters and no slash.", "name")
    return cleaned


def _description(text: str) -> str:
    cleaned = db.storable(text).strip()
    if len(cleaned) > 500:
        raise Invalid("A description has 500 characters at most.", "description")
    return cleaned


def _parents(names: Iterable[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(_name(name) for name in names))
    if len(found) > MOST_INHERITED:
        raise Invalid(f"A role inherits {MOST_INHERITED} others at most.", "inherits")
    return found


def _permissions(keys: Iterable[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(key.strip() for key in keys))
    if len(found) > MOST_PERMISSIONS:
        raise Invalid(f"A role has {MOST_PERMISSIONS} permissions at most.", "permissions")
    for key in found:
        if not grants.is_permission(key):
            raise Invalid(f"invalid permission key '{key[:80]}'", "permissions")
    return found


_user = role_assignment.c.user_id
