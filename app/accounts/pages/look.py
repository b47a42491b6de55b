"""How pages look: a person's own choice, or the browser's where they have made none or nobody is signed in."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from flask import Response, g, request, url_for

from app import csrf, web
from app.accounts import bp, service

COOKIE = "look"
LIFE = 365 * 24 * 3600


class Shown:
    """What stands on the page's root; looked up when a template asks for it. "" is as the system has it."""

    @property
    def theme(self) -> str:
        """`light`, `dark` or ""."""
        return "" if self.chosen.theme == "system" else self.chosen.theme

    @property
    def density(self) -> str:
        """`compact` or ""."""
        return "compact" if self.chosen.density == "compact" else ""

    @cached_property
    def chosen(self) -> service.Look:
        """What the person chose, filled up with what this browser was told."""
        theme, _dot, density = request.cookies.get(COOKIE, "").partition(".")
        actor = g.get("actor")
        own = service.look_of(actor.user) if actor is not None and actor.kind == "user" else service.Look()
        return service.Look(
            own.theme or (theme if theme in service.THEMES else ""),
            own.density or (density if density in service.DENSITIES else ""),
            own.visibility,
        )


@bp.app_context_processor
def around() -> dict[str, Any]:
    """How every page looks."""
    return {"look": Shown()}


@bp.post("/account/look")
def change_look() -> Response:
    """Choose theme and density, for oneself and for this browser while nobody is signed in."""
    chosen = service.change_look(web.actor(), web.form("theme"), web.form("density"))
    return _kept(web.back(url_for("accounts.account", changed="look") + "#look"), chosen.theme, chosen.density)


@bp.post("/account/visibility")
def change_visibility() -> Response:
    """Choose who sees one's new sessions."""
    service.change_visibility(web.actor(), web.form("visibility"))
    return web.back(url_for("accounts.account", changed="visibility") + "#sessions")


@bp.post("/look")
@web.public
def change_browsers_look() -> Response:
    """Choose the theme of this browser before anybody has signed in; it is a cookie and nothing else."""
    g.kind = "public_page"
    csrf.check_sign_in(request.method, request.headers, web.own_origins())
    theme, _dot, density = request.cookies.get(COOKIE, "").partition(".")
    wanted = web.form("theme")
    going = web.own_path(web.form("next"), url_for("accounts.signin"))
    return _kept(web.back(going), wanted if wanted in service.THEMES else theme, density)


def _kept(response: Response, theme: str, density: str) -> Response:
    known = theme if theme in service.THEMES else "", density if density in service.DENSITIES else ""
    response.set_cookie(
        COOKIE, ".".join(known), max_age=LIFE, secure=request.is_secure, httponly=True, samesite="Lax", path="/"
    )
    return response
