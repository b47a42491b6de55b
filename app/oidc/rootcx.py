"""RootCX's routes of OIDC: its providers, the way to them and back, and what a client gets in the end."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Response, g, request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app import web
from app.accounts import service as accounts
from app.actor import Actor
from app.dialects import rootcx
from app.errors import Limited
from app.oidc import bp, service
from app.oidc.service import Brought, Ended, Refused, Wanted

door = rootcx.door(bp)
NO_REFERRER = {"Referrer-Policy": "no-referrer"}
Text = Annotated[str, Field(max_length=4000)]


class Body(BaseModel):
    """Names in camelCase; what is not known is passed over, as the real server does."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class NewProvider(Body):
    """A provider to add, or to have in place of the one of this id."""

    id: Text
    display_name: Text
    issuer_url: Text
    client_id: Text
    client_secret: Text | None = None
    scopes: list[Text] | None = None
    auto_register: bool = True
    default_role: Text | None = "base"
    role_claim: Text | None = None
    role_map: dict[Text, Text] | None = None
    enabled: bool = True


class Deleting(BaseModel):
    """Whether people may lose their way in."""

    force: bool = False


class Going(BaseModel):
    """Where a client wants the browser back; `token_delivery` is taken, and always means a nonce."""

    redirect_uri: Text = ""
    token_delivery: Text = ""


class Coming(BaseModel):
    """What a provider sent the browser back with."""

    state: Text = ""
    code: Text = ""
    iss: Text | None = None
    error: Text = ""
    error_description: Text = ""


class Token(Body):
    """A token that a provider gave a client."""

    provider_id: Text
    id_token: Annotated[str, Field(max_length=64_000)]


@door.get("/api/v1/auth/oidc/providers", answer=list[dict[str, str]])
@web.public
def list_providers(_actor: Actor | None) -> list[dict[str, str]]:
    """The providers that people can sign in with."""
    return [{"id": one.id, "displayName": one.name} for one in service.offered()]


@door.post("/api/v1/auth/oidc/providers", body=NewProvider, answer=dict[str, str])
def save_provider(actor: Actor, body: NewProvider) -> dict[str, str]:
    """Add or change a provider, once its discovery document is as it has to be."""
    wanted = Wanted(
        id=body.id,
        name=body.display_name,
        issuer=body.issuer_url,
        client_id=body.client_id,
        secret=body.client_secret,
        scopes=tuple(dict.fromkeys(body.scopes)) if body.scopes else service.SCOPES,
        auto_register=body.auto_register,
        default_role=body.default_role or "base",
        role_claim=body.role_claim or "",
        role_map=body.role_map,
        enabled=body.enabled,
    )
    service.save_provider(actor, wanted)
    return rootcx.told(f"oidc provider '{body.id}' saved")


@door.delete("/api/v1/auth/oidc/providers/<provider_id>", query=Deleting, answer=dict[str, str])
def delete_provider(actor: Actor, query: Deleting, provider_id: str) -> dict[str, str]:
    """Delete a provider; with people who sign in with it only by force."""
    service.delete_provider(actor, provider_id, force=query.force)
    return rootcx.told(f"oidc provider '{provider_id}' deleted")


@door.get("/api/v1/auth/oidc/<provider_id>/authorize", query=Going)
@web.public
def authorize(_actor: Actor | None, query: Going, provider_id: str) -> Response:
    """Send the browser to a provider."""
    address = request.remote_addr or ""
    begun = service.begin(provider_id, address, purpose="api", going=query.redirect_uri)
    response = Response(status=307, headers={"Location": begun.url, **NO_REFERRER})
    return web.keep_for_return(response, begun.cookie, begun.key)


@door.get("/api/v1/auth/oidc/callback", query=Coming)
@web.public
def callback(actor: Actor | None, query: Coming) -> Response:
    """Where a provider sends the browser back to: signed in, back at the client with a nonce, or told why not."""
    brought = Brought(
        state=query.state,
        code=query.code,
        issuer=query.iss,
        error=query.error_description or query.error,
        key=web.kept_for_return(service.cookie_of(query.state)),
        address=request.remote_addr or "",
    )
    try:
        ended = service.come_back(brought, user_id=actor.user if actor and actor.kind == "user" else "")
    except Refused as problem:
        return _refused(problem)
    except Limited:
        g.kind = "public_page"  # what came is most often somebody's browser, and is told on a page then
        raise
    return web.forget_after_return(_answer(ended), service.cookie_of(query.state))


@door.post("/api/v1/auth/oidc/token-exchange", body=Token, answer=dict[str, Any])
@web.public
def exchange_token(_actor: Actor | None, body: Token) -> dict[str, Any]:
    """An access token for an ID token that a provider gave a client; nothing to renew it with."""
    address = request.remote_addr or ""
    person = service.exchange(body.provider_id, body.id_token, address)
    found = accounts.let_client_in(person.id, address, request.user_agent.string, is_lasting=False)
    return {"accessToken": found.access, "expiresIn": found.expires_in}


def _answer(ended: Ended) -> Response:
    if ended.pending.purpose == "test":
        g.kind = "page"
        return web.page("oidc/tested.html", ended=ended)
    assert ended.person is not None
    if ended.pending.purpose == "link":
        g.kind = "page"
        return web.page("oidc/connected.html", ended=ended)
    if ended.pending.purpose == "page":
        address, agent = request.remote_addr or "", request.user_agent.string
        _actor, sid = accounts.let_in(ended.person.id, address, agent, proved=ended.claims.proved)
        accounts.give_up(web.find_actor(), web.session_cookie())
        return web.keep_signed_in(web.back(ended.pending.going), sid)
    if not ended.pending.going:
        found = accounts.let_client_in(ended.person.id, request.remote_addr or "", request.user_agent.string)
        return web.json({"accessToken": found.access, "refreshToken": found.refresh, "expiresIn": found.expires_in})
    nonce = accounts.hand_over(ended.person.id)
    where = web.with_query(ended.pending.going, auth_nonce=nonce)
    return Response(status=307, headers={"Location": where, **NO_REFERRER})


def _refused(problem: Refused) -> Response:
    """For a browser a page that says what went wrong and where to go; for a program the dialect's error."""
    if "text/html" not in request.headers.get("Accept", ""):
        raise problem
    g.kind = "public_page"
    return web.page("oidc/refused.html", problem.status, problem=problem, provider_id=problem.provider)
