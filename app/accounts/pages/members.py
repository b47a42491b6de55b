"""Members: who is here and with what roles, why somebody may do something, and taking somebody off."""

from __future__ import annotations

from typing import Any

from flask import Response, request, url_for

from app import slots, web
from app.accounts import bp, service
from app.accounts.service import Member
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid, NotFound, Problem


@bp.get("/members")
def members() -> Response:
    """Everybody, and one of them with their roles and rights."""
    return _page(web.actor(), request.args.get("person", ""))


@bp.post("/members/<user_id>/roles")
def set_roles(user_id: str) -> Response:
    """Give somebody exactly the roles that are ticked."""
    actor = web.actor()
    try:
        service.set_roles(actor, user_id, request.form.getlist("role"))
    except (Conflict, Denied, Invalid) as problem:
        return _page(actor, user_id, problem=problem)
    return web.back(url_for("accounts.members", person=user_id, told="roles"))


@bp.post("/members/<user_id>/remove")
def remove_member(user_id: str) -> Response:
    """Take somebody off, once their name was typed."""
    actor = web.actor()
    found = _find(actor, user_id)
    try:
        if web.form("typed") != found.user.name:
            raise Invalid(f"Type {found.user.name} to take them off.", "typed")
        service.revoke_user(actor, user_id)
    except (Conflict, Denied, Invalid) as problem:
        return _page(actor, user_id, problem=problem)
    return web.back(url_for("accounts.members"))


def _find(actor: Actor, user_id: str) -> Member:
    found = next((one for one in service.list_members(actor) if one.user.id == user_id), None)
    if found is None:
        raise NotFound("user", user_id)
    return found


def _page(actor: Actor, chosen: str, *, problem: Problem | None = None) -> Response:
    everybody = service.list_members(actor)
    one = next((found for found in everybody if found.user.id == chosen), None)
    if chosen and one is None:
        raise NotFound("user", chosen)
    roles = service.list_roles(actor)
    return web.page(
        "accounts/members.html",
        problem.status if problem else 200,
        members=everybody,
        chosen=one,
        open=one is not None,
        roles=roles,
        keys=service.KEYS,
        may_change=service.may(actor, "users:write"),
        is_stale=not service.is_fresh(actor),
        told=request.args.get("told", ""),
        problem=problem,
        ticked=request.form.getlist("role") if problem and request.form.getlist("role") else None,
        **_reason(actor, chosen),
        **slots.gather("members", actor),
    )


def _reason(actor: Actor, user_id: str) -> dict[str, Any]:
    """Why the chosen person may use the chosen key, once one was chosen."""
    key = request.args.get("key", "").strip()[:200]
    is_asked = bool(user_id and key)
    return {"key": key, "reason": service.why(actor, user_id, key) if is_asked else None}
