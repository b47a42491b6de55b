"""Pages of invites: a link shows a button that uses it up; who may invite makes, resends and revokes them."""

from __future__ import annotations

from typing import Any

from flask import Response, g, request, url_for

from app import __version__, csrf, slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid, Problem
from app.invites import bp, service
from app.invites.service import Gone, Made


@bp.get("/join")
@web.public
def join() -> Response:
    """What a link is for, with a button; the link itself goes out of the address at once, and uses nothing up."""
    g.kind = "public_page"
    token = request.args.get("token", "")
    if token:
        return web.keep_for_return(web.back(url_for("invites.join")), service.COOKIE, token[:200])
    return _shown()


@bp.post("/join")
@web.public
def join_post() -> Response:
    """Use the link up, and let the browser in."""
    g.kind = "public_page"
    csrf.check_sign_in(request.method, request.headers, web.own_origins())
    secret, address = web.kept_for_return(service.COOKIE), request.remote_addr or ""
    name, password = web.form("name"), request.form.get("password", "")
    try:
        accepted = service.accept(secret, address, request.user_agent.string, name=name, password=password)
    except (Gone, Invalid) as problem:
        return _shown(problem, name)
    assert accepted.opened is not None
    accounts.give_up(web.find_actor(), web.session_cookie())
    if accepted.invite.redirect:
        where = web.with_query(accepted.invite.redirect, auth_nonce=accounts.hand_over(accepted.person.id))
        response = web.page("invites/going.html", where=where)
    else:
        response = web.back(url_for("system.home"))
    return web.forget_after_return(web.keep_signed_in(response, accepted.opened[1]), service.COOKIE)


@bp.post("/join/decline")
@web.public
def decline() -> Response:
    """End an invite that is not wanted."""
    g.kind = "public_page"
    csrf.check_sign_in(request.method, request.headers, web.own_origins())
    try:
        service.decline(web.kept_for_return(service.COOKIE), request.remote_addr or "")
    except Gone as problem:
        return _shown(problem)
    return web.forget_after_return(_page("invites/declined.html"), service.COOKIE)


@bp.post("/signin/link")
@web.public
def ask() -> Response:
    """Mail a sign-in link to who is here; the answer is the same for everybody else."""
    g.kind = "public_page"
    csrf.check_sign_in(request.method, request.headers, web.own_origins())
    service.ask(web.form("email")[:300], request.remote_addr or "")
    return _page("invites/mailed.html", email=web.form("email")[:300])


@bp.get("/invites")
def index() -> Response:
    """The invites that nobody has used yet, and the form for a new one."""
    return _list(web.actor())


@bp.post("/invites")
def create() -> Response:
    """Invite somebody."""
    actor, email = web.actor(), web.form("email")
    try:
        made = service.invite(actor, email, tuple(request.form.getlist("role")))
    except (Invalid, Conflict, Denied) as problem:
        return _list(actor, problem.status, problem=problem, email=email, given=web.form("role"))
    return _list(actor, made=made)


@bp.post("/invites/<invite_id>/resend")
def resend(invite_id: str) -> Response:
    """Give an invite a new link; the old one lets nobody in any more."""
    actor = web.actor()
    return _list(actor, made=service.resend(actor, invite_id))


@bp.post("/invites/<invite_id>/revoke")
def revoke(invite_id: str) -> Response:
    """End an invite."""
    service.revoke(web.actor(), invite_id)
    return web.back(url_for("invites.index"))


@slots.fill("members")
def of_members(actor: Actor) -> dict[str, Any]:
    """The open invites, for the page of members."""
    may_invite = accounts.may(actor, "users:write") or accounts.may(actor, "auth.invite")
    return {"invites": service.list_invites(actor) if may_invite else [], "may_invite": may_invite}


def _list(
    actor: Actor,
    status: int = 200,
    *,
    made: Made | None = None,
    problem: Problem | None = None,
    email: str = "",
    given: str = "",
) -> Response:
    return web.page(
        "invites/index.html",
        status,
        invites=service.list_invites(actor),
        may_invite=True,
        is_stale=not accounts.is_fresh(actor),
        roles=service.roles_to_give(actor),
        mails=service.mails(),
        made=made,
        url=service.url_of(made) if made else "",
        problem=problem,
        email=email,
        given=given,
    )


def _shown(problem: Problem | None = None, name: str = "") -> Response:
    """The page of the link that the browser holds, or that it lets nobody in."""
    try:
        shown = service.look(web.kept_for_return(service.COOKIE))
    except Gone as gone:
        return web.forget_after_return(_page("invites/gone.html", gone.status, problem=gone), service.COOKIE)
    status = problem.status if problem else 200
    return _page("invites/join.html", status, shown=shown, problem=problem, name=name)


def _page(template: str, status: int = 200, **context: Any) -> Response:
    return web.page(template, status, address=request.host, version=__version__, **context)
