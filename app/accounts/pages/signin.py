"""Getting in: the first run, sign in with email and password or a one-time code, show again who one is, sign out."""

from __future__ import annotations

from typing import Any

from flask import Response, g, make_response, redirect, request, url_for

from app import __version__, config, csrf, slots, web
from app.accounts import bp, service
from app.errors import Invalid, Problem, Taken, Unauthenticated

HOME = "/"


@bp.get("/signin")
@web.public
def signin() -> Any:
    """The forms to get in by; somebody who is signed in goes on at once."""
    g.kind = "public_page"
    going = web.own_path(request.args.get("next", ""), "")
    if g.get("actor") is not None:
        return web.back(going or HOME)
    return _form(going=going)


@bp.get("/signin/<code>")
@web.public
def signin_link(code: str) -> Response:
    """A link with its code: a page with a button, so that a preview of the link spends nothing."""
    g.kind = "public_page"
    return _form(code=code[:100])


@bp.post("/signin")
@web.public
def signin_post() -> Any:
    """Spend the code, or try the email and password, and set the cookie of a new browser session."""
    g.kind = "public_page"
    csrf.check_sign_in(request.method, request.headers, web.own_origins())
    code, email = web.form("code"), web.form("email")
    going = web.own_path(web.form("next"), "")
    address, agent = request.remote_addr or "", request.user_agent.string
    try:
        if code or not email:
            _actor, sid = service.redeem(code, address, agent)
        else:
            _actor, sid = service.sign_in(email, request.form.get("password", ""), address, agent)
    except Unauthenticated as problem:
        return _form(401, code=code, email=email, problem=problem, going=going)
    return let_in(sid, going)


@bp.post("/signin/first")
@web.public
def first_run() -> Any:
    """Make the server one's own by the code of its first start."""
    g.kind = "public_page"
    csrf.check_sign_in(request.method, request.headers, web.own_origins())
    code, password = web.form("code"), request.form.get("password", "")
    new = service.Newcomer(web.form("email"), password, web.form("name"), code)
    try:
        _actor, sid = service.claim(new, request.remote_addr or "", request.user_agent.string)
    except (Invalid, Taken, Unauthenticated) as problem:
        return _form(problem.status, code=code, email=new.email, name=new.name, problem=problem)
    return let_in(sid, "")


@bp.get("/account/confirm")
def confirm() -> Response:
    """Show again who one is, before something that a browser left open must not do."""
    return _confirm(web.own_path(request.args.get("next", ""), HOME))


@bp.post("/account/confirm")
def confirm_post() -> Response:
    """Take the password, or a one-time code, and go on."""
    actor, going = web.actor(), web.own_path(web.form("next"), HOME)
    code = web.form("code")
    try:
        if code:
            service.prove_by_code(actor, code)
        else:
            service.prove(actor, request.form.get("password", ""))
    except Problem as problem:
        if problem.status not in (400, 429):
            raise
        return _confirm(going, problem)
    return web.back(going)


@bp.post("/signout")
def signout() -> Response:
    """End this browser's session and forget its cookie."""
    service.sign_out(web.actor(), web.session_cookie())
    response = make_response(redirect(url_for("accounts.signin"), 303))
    response.delete_cookie(web.cookie_name(), secure=request.is_secure, httponly=True, samesite="Lax", path="/")
    return response


def let_in(sid: str, going: str) -> Response:
    """Go on with the cookie of a new browser session, to a path of ours or to Home."""
    service.give_up(web.find_actor(), web.session_cookie())
    response: Response = make_response(redirect(going or HOME, 303))
    return web.keep_signed_in(response, sid)


def _form(
    status: int = 200,
    *,
    code: str = "",
    email: str = "",
    name: str = "",
    problem: Problem | None = None,
    going: str = "",
) -> Response:
    ways = service.sign_in_ways()
    settings = config.current()
    return web.page(
        "accounts/first_run.html" if ways.is_new else "accounts/signin.html",
        status,
        server="",
        address=request.host,
        version=__version__,
        ways=ways,
        registration=settings.registration,
        code=code,
        email=email,
        name=name,
        problem=problem,
        is_code=isinstance(problem, Unauthenticated) and not isinstance(problem, service.WrongPassword),
        next=going,
        data_dir=str(settings.data_dir),
        is_loopback=settings.is_loopback,
        **(slots.gather("first_run") if ways.is_new and settings.is_loopback else {}),
    )


def _confirm(going: str, problem: Problem | None = None) -> Response:
    return web.page(
        "accounts/confirm.html",
        problem.status if problem else 200,
        next=going,
        has_password=service.password_changed(web.actor()) is not None,
        ways=service.sign_in_ways(),
        problem=problem,
        address=request.host,
        version=__version__,
    )
