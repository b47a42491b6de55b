"""RootCX's sign-in: coming in, tokens, who somebody is, and who else is here.

A user's id has this server's form: whatever is no id of anybody's is not found.
"""

from __future__ import annotations

from typing import Annotated, Any

from flask import Response, request
from pydantic import AliasChoices, BaseModel, Field

from app import web
from app.accounts import service
from app.accounts.rootcx.door import door
from app.accounts.rootcx.shapes import person, tokens
from app.actor import Actor
from app.dialects import rootcx

Text = Annotated[str, Field(max_length=1_000_000)]


class Registration(BaseModel):
    """POST /auth/register; `code` is that of the server's first start, which only the first person needs."""

    email: Text
    password: Text
    display_name: Text | None = Field(None, validation_alias=AliasChoices("display_name", "displayName"))
    code: Text = ""


class Login(BaseModel):
    """POST /auth/login."""

    email: Text
    password: Text


class Refresh(BaseModel):
    """POST /auth/refresh and /auth/logout."""

    refreshToken: Text


@door.post("/api/v1/auth/register", body=Registration, answer=dict[str, Any])
@web.public
def register(actor: Actor | None, body: Registration) -> Response:
    """Make an account; it signs nobody in."""
    new = service.Newcomer(body.email, body.password, body.display_name or "", body.code)
    return rootcx.created({"user": person(service.register(actor, new, request.remote_addr or ""))})


@door.post("/api/v1/auth/login", body=Login, answer=dict[str, Any])
@web.public
def login(_actor: Actor | None, body: Login) -> dict[str, Any]:
    """Sign in with email and password, for an access token and a refresh token."""
    found = service.log_in(body.email, body.password, request.remote_addr or "", request.user_agent.string)
    return {**tokens(found), "user": person(found.user)}


@door.post("/api/v1/auth/refresh", body=Refresh, answer=dict[str, Any])
@web.public
def refresh(_actor: Actor | None, body: Refresh) -> dict[str, Any]:
    """Spend a refresh token, for a new access token and a new refresh token."""
    return tokens(service.refresh(body.refreshToken, request.remote_addr or ""))


@door.post("/api/v1/auth/logout", body=Refresh, answer=dict[str, str])
@web.public
def logout(_actor: Actor | None, body: Refresh) -> dict[str, str]:
    """End what a sign-in gave, its access tokens at once."""
    service.log_out(body.refreshToken, request.remote_addr or "")
    return rootcx.told("logged out")


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


@door.get("/api/v1/users", answer=list[dict[str, str]])
def users(actor: Actor) -> list[dict[str, Any]]:
    """Everybody who is here, by email."""
    found = [one for one in service.list_users(actor) if one.revoked is None]
    return [person(one) for one in sorted(found, key=lambda one: (one.email or "", one.id))]


@door.delete("/api/v1/users/<user_id>", answer=dict[str, str])
def delete_user(actor: Actor, user_id: str) -> dict[str, str]:
    """Remove a person, with all that they are signed in with."""
    service.revoke_user(actor, user_id)
    return rootcx.told("user deleted")
