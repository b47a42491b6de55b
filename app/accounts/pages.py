"""Pages of accounts: sign in with the one-time code, and sign out."""

from __future__ import annotations

from typing import Any

from flask import Response, g, make_response, redirect, request, url_for

from app import __version__, config, csrf, web
from app.accounts import bp, service
from app.errors import Problem, Unauthenticated

HOME = "/"
# The longest that a browser session lives; the server ends it earlier where it must.
COOKIE_LIFE = 30 * 24 * 3600


@bp.get("/signin")
@web.public
def signin() -> Any:
    """The form for the code; somebody who is signed in goes on at once."""
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
    """Spend the code and set the cookie of a new browser session."""
    g.kind = "public_page"
    csrf.check_sign_in(request.method, request.headers, web.own_origins())
    code, going = web.form("code"), web.own_path(web.form("next"), "")
    try:
        _actor, sid = service.redeem(code, request.remote_addr or "")
    except Unauthenticated as problem:
        return _form(401, code=code, problem=problem, going=going)
    response = make_response(redirect(going or HOME, 303))
    response.set_cookie(
        web.cookie_name(),
        sid,
        max_age=COOKIE_LIFE,
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
        path="/",
    )
    return response


@bp.post("/signout")
def signout() -> Response:
    """End this browser's session and forget its cookie."""
    service.sign_out(web.actor(), request.cookies.get(web.cookie_name(), ""))
    response = make_response(redirect(url_for("accounts.signin"), 303))
    response.delete_cookie(web.cookie_name(), secure=request.is_secure, httponly=True, samesite="Lax", path="/")
    return response


def _form(status: int = 200, *, code: str = "", problem: Problem | None = None, going: str = "") -> Response:
    settings = config.current()
    return web.page(
        "accounts/signin.html",
        status,
        server="",
        address=request.host,
        version=__version__,
        code=code,
        problem=problem.message if problem else None,
        next=going,
        local=settings.auth == "none",
    )
