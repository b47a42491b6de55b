"""Members > Roles: what each role grants, and making, changing and deleting those of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Response, request, url_for

from app import slots, web
from app.accounts import bp, service
from app.accounts.service import Cell, Member, Role
from app.actor import Actor
from app.errors import Denied, Invalid, NotFound, Problem


@dataclass(frozen=True)
class Typed:
    """A role as it stands in the form: inherits and permissions as names."""

    name: str
    description: str
    inherits: tuple[str, ...]
    permissions: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """What saving would change of a role: the keys and the inherited roles that come and go, and who holds it."""

    role: Role
    new: Typed
    come: tuple[str, ...]
    go: tuple[str, ...]
    holders: tuple[str, ...]


@bp.get("/members/roles")
def roles_page() -> Response:
    """What each role grants, and the form of one of them or of a new one."""
    return _page(web.actor(), request.args.get("role", ""))


@bp.post("/members/roles")
def create_role() -> Response:
    """Make a role."""
    actor, typed = web.actor(), _typed(web.form("name"))
    try:
        made = service.create_role(
            actor,
            typed.name,
            description=typed.description,
            inherits=typed.inherits,
            permissions=typed.permissions,
        )
    except (Denied, Invalid) as problem:
        return _page(actor, "", typed=typed, problem=problem)
    return web.back(url_for("accounts.roles_page", role=made.name))


@bp.post("/members/roles/matrix")
def change_matrix() -> Response:
    """Show what the ticks of the matrix would change, then change it."""
    actor, ticks = web.actor(), request.form.getlist("held")
    cells = service.role_matrix(actor)
    wanted = [_ticked(role, cells[role.name], ticks) for role in service.list_roles(actor) if not role.is_built_in]
    members = service.list_members(actor)
    changes = [_change(members, role, new) for role, new in wanted if set(new.permissions) != set(role.permissions)]
    if not web.form("save"):
        return _page(actor, "", changes=changes, ticks=ticks)
    try:
        service.set_permissions(actor, {change.role.name: change.new.permissions for change in changes})
    except (Denied, Invalid) as problem:
        return _page(actor, "", changes=changes, ticks=ticks, problem=problem)
    return web.back(url_for("accounts.roles_page"))


@bp.post("/members/roles/<name>")
def change_role(name: str) -> Response:
    """Show what would change of a role, then change it."""
    actor, typed = web.actor(), _typed(name)
    change = _change(service.list_members(actor), _role(actor, name), typed)
    if not web.form("save"):
        return _page(actor, name, typed=typed, change=change)
    try:
        service.update_role(
            actor, name, description=typed.description, inherits=typed.inherits, permissions=typed.permissions
        )
    except (Denied, Invalid) as problem:
        return _page(actor, name, typed=typed, change=change, problem=problem)
    return web.back(url_for("accounts.roles_page", role=name))


@bp.post("/members/roles/<name>/delete")
def delete_role(name: str) -> Response:
    """Delete a role; everybody who holds it loses it."""
    service.delete_role(web.actor(), name)
    return web.back(url_for("accounts.roles_page"))


def _typed(name: str) -> Typed:
    words = request.form.get("permissions", "").split()
    return Typed(name, web.form("description"), tuple(request.form.getlist("inherits")), tuple(dict.fromkeys(words)))


def _role(actor: Actor, name: str) -> Role:
    found = next((one for one in service.list_roles(actor) if one.name == name), None)
    if found is None:
        raise NotFound("role", name)
    return found


def _ticked(role: Role, cells: Mapping[str, Cell], ticks: list[str]) -> tuple[Role, Typed]:
    """A role as the ticks would have it: what stands in no box of the matrix stays."""
    boxes = [key for key, cell in cells.items() if cell != "by more"]
    kept = tuple(key for key in role.permissions if key not in boxes)
    ticked = tuple(key for key in boxes if f"{key} {role.name}" in ticks)
    return role, Typed(role.name, role.description, role.inherits, (*kept, *ticked))


def _change(members: list[Member], role: Role, new: Typed) -> Change:
    old_keys, new_keys = (*role.inherits, *role.permissions), (*new.inherits, *new.permissions)
    return Change(
        role,
        new,
        come=tuple(key for key in new_keys if key not in old_keys),
        go=tuple(key for key in old_keys if key not in new_keys),
        holders=tuple(one.user.name for one in members if role.name in one.user.roles),
    )


def _page(
    actor: Actor,
    chosen: str,
    *,
    typed: Typed | None = None,
    change: Change | None = None,
    changes: list[Change] | None = None,
    ticks: list[str] | None = None,
    problem: Problem | None = None,
) -> Response:
    members, roles, cells = service.list_members(actor), service.list_roles(actor), service.role_matrix(actor)
    one = _role(actor, chosen) if chosen else None
    if typed is None:
        typed = Typed(one.name, one.description, one.inherits, one.permissions) if one else Typed("", "", (), ())
    return web.page(
        "accounts/roles.html",
        problem.status if problem else 200,
        members=members,
        roles=roles,
        rows=[(key, [(role, _cell(role, key.key, cells, ticks)) for role in roles]) for key in service.KEYS],
        chosen=one,
        open=changes is None and bool(one or problem or "new" in request.args),
        typed=typed,
        change=change,
        changes=changes,
        may_change=service.may(actor, "users:write"),
        is_stale=not service.is_fresh(actor),
        problem=problem,
        **slots.gather("members", actor),
    )


def _cell(role: Role, key: str, cells: Mapping[str, Mapping[str, Cell]], ticks: list[str] | None) -> str:
    """How a cell is drawn: "yes" or "" for one that is only told, "ticked" or "free" for a box."""
    cell = cells[role.name][key]
    if role.is_built_in or cell == "by more":
        return "yes" if cell else ""
    is_ticked = cell == "itself" if ticks is None else f"{key} {role.name}" in ticks
    return "ticked" if is_ticked else "free"
