"""RootCX's sign-in: who somebody is, and how people can come in."""

from __future__ import annotations

from typing import Any

from app import web
from app.accounts import service
from app.accounts.rootcx.door import door
from app.accounts.rootcx.shapes import person
from app.actor import Actor


@door.get("/api/v1/auth/me", answer=dict[str, str])
def me(actor: Actor) -> dict[str, Any]:
    """The person who asks, or whom the asking token acts for."""
    return person(service.me(actor))


@door.get("/api/v1/auth/mode", answer=dict[str, Any])
@web.public
def mode(_actor: Actor | None) -> dict[str, Any]:
    """How people sign in here, and whether somebody has yet to make the server theirs."""
    ways = service.sign_in_ways()
    return {
        "authRequired": ways.is_required,
        "setupRequired": ways.is_new,
        "passwordLoginEnabled": ways.password,
        "magicLinkEnabled": ways.magic_link,
        "providers": [{"id": one.id, "displayName": one.name} for one in ways.providers],
    }
