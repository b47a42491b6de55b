"""RootCX's magic links: a program makes one to deliver; opening it shows a button, a POST uses it up."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from werkzeug.exceptions import MethodNotAllowed

from app import web
from app.actor import Actor
from app.dialects import rootcx
from app.invites import bp, service

door = rootcx.door(bp)
Text = Annotated[str, Field(max_length=4000)]


class NewLink(BaseModel):
    """POST /auth/magic-link/generate; `token_delivery` is taken, and always means a nonce."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    email: Text
    roles: list[Text] = []
    redirect_uri: Text | None = None
    expires_in_seconds: Annotated[int, Field(ge=-(2**53), le=2**53)] | None = None
    token_delivery: Text | None = None


class Link(BaseModel):
    """POST /auth/magic-link/consume."""

    token: Text


class Opened(BaseModel):
    """GET /auth/magic-link/consume."""

    token: Text = ""


@door.post("/api/v1/auth/magic-link/generate", body=NewLink, answer=dict[str, str])
def generate(actor: Actor, body: NewLink) -> Response:
    """A link that lets somebody in once, with roles that the caller holds; the caller delivers it."""
    life = None if body.expires_in_seconds is None else body.expires_in_seconds * 1000
    made = service.generate(actor, body.email, tuple(dict.fromkeys(body.roles)), body.redirect_uri or "", life)
    return rootcx.created({"magicLinkUrl": service.url_of(made), "expiresAt": rootcx.time(made.invite.expires)})


@door.post("/api/v1/auth/magic-link/consume", body=Link, answer=dict[str, Any])
@web.public
def consume(_actor: Actor | None, body: Link) -> dict[str, Any]:
    """Use a link up, for an access token and a refresh token."""
    accepted = service.accept(body.token, request.remote_addr or "", request.user_agent.string, for_client=True)
    assert accepted.tokens is not None
    given, person = accepted.tokens, accepted.person
    return {
        "accessToken": given.access,
        "refreshToken": given.refresh,
        "expiresIn": given.expires_in,
        "user": {
            "id": person.id,
            "email": person.email or "",
            "displayName": person.name,
            "createdAt": rootcx.time(person.created),
        },
        "redirectUri": accepted.invite.redirect or None,
    }


@door.get("/api/v1/auth/magic-link/consume", query=Opened)
@web.public
def open_link(_actor: Actor | None, query: Opened) -> Response:
    """A browser is shown a button; a program is told to POST, so that no preview of a link uses it up."""
    if "text/html" not in request.headers.get("Accept", ""):
        raise MethodNotAllowed(["POST"])
    return web.keep_for_return(web.back(web.page_path("invites.join")), service.COOKIE, query.token[:200])
