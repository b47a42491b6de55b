"""The settings of sessions: who sees a new one, for all who have not chosen that for themselves."""

from __future__ import annotations

from typing import Any

from flask import Response, request, url_for

from app import config, slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.sessions import bp, service


@bp.get("/settings/sessions")
def defaults() -> Response:
    """Who sees a new session here."""
    actor = web.actor()
    accounts.require(actor, "settings:read")
    return web.page(
        "sessions/defaults.html",
        now=service.server_default(),
        operators=config.current().visibility,
        may_write=accounts.may(actor, "settings:write"),
        saved=bool(request.args.get("saved")),
    )


@bp.post("/settings/sessions")
def save_defaults() -> Response:
    """Set it."""
    service.set_server_default(web.actor(), web.form("visibility"))
    return web.back(url_for("sessions.defaults", saved=1))


@slots.fill("account")
def fill_account(_actor: Actor) -> dict[str, Any]:
    """What holds for a person who has not chosen, for their account's page."""
    return {"server_visibility": service.server_default()}
