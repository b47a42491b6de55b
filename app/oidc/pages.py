"""Pages of OIDC: going to a provider to sign in, connecting it to who one is here, and the providers of the server."""

from __future__ import annotations

from typing import Any

from flask import Response, g, request, url_for

from app import slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid, NotFound, Problem
from app.oidc import bp, service
from app.oidc.service import Metadata, Provider, Wanted

accounts.register_providers(lambda: [accounts.Provider(one.id, one.name) for one in service.offered()])


@bp.get("/signin/with/<provider_id>")
@web.public
def go(provider_id: str) -> Response:
    """Send somebody to a provider; they come back to where they wanted to go."""
    going = web.own_path(request.args.get("next", ""), "/")
    is_again = web.find_actor() is not None
    return _send(service.begin(provider_id, request.remote_addr or "", purpose="page", going=going, is_again=is_again))


@bp.get("/connect/<provider_id>")
def connect(provider_id: str) -> Response:
    """What connecting means, with the link that goes there."""
    return web.page("oidc/connect.html", provider=_offered(provider_id))


@bp.get("/connect/<provider_id>/go")
def go_and_connect(provider_id: str) -> Response:
    """Send a person to a provider so that they can sign in with it from then on."""
    user_id = _person(web.actor())
    begun = service.begin(provider_id, request.remote_addr or "", purpose="link", going="/", user_id=user_id)
    return _send(begun)


@bp.post("/account/identities/<identity_id>/disconnect")
def disconnect(identity_id: str) -> Response:
    """Sign in by it no more."""
    try:
        service.disconnect(web.actor(), identity_id)
    except Conflict:  # the page says why, beside what else there is
        return web.back(url_for("accounts.account", changed="last-way") + "#sign-in")
    return web.back(url_for("accounts.account", changed="disconnected") + "#sign-in")


@slots.fill("account")
def fill_account(actor: Actor) -> dict[str, Any]:
    """By which providers one signs in, and by which else one could."""
    mine = service.list_identities(actor)
    known = {one.provider for one in mine}
    return {"identities": mine, "connectable": [one for one in service.offered() if one.id not in known]}


@bp.get("/settings/sign-in")
def index() -> Response:
    """The providers, and one of them or the form for a new one beside them."""
    actor = web.actor()
    rows = service.list_providers(actor)
    chosen = request.args.get("provider", "")
    found = next((one for one in rows if one.id == chosen), None)
    if found is not None:
        return _page(actor, chosen=found, form=_form_of(found))
    return _page(actor, form=_blank() if "add" in request.args else None)


@bp.post("/settings/sign-in")
def save() -> Response:
    """Check a provider, and save it unless it was to be checked alone."""
    actor, wanted = web.actor(), _wanted()
    is_new = web.form("is_new") == "1"
    try:
        if web.form("act") == "check":
            return _page(actor, form=_typed(), said=service.check_provider(actor, wanted, is_new=is_new))
        service.save_provider(actor, wanted, is_new=is_new)
    except (Invalid, Denied, Conflict) as problem:
        return _page(actor, problem.status, form=_typed(), problem=problem)
    return web.back(url_for("oidc.index", provider=wanted.id, saved=1))


@bp.post("/settings/sign-in/<provider_id>/delete")
def delete(provider_id: str) -> Response:
    """Delete a provider; one that people sign in with only once that is said."""
    actor = web.actor()
    chosen = service.get_provider(actor, provider_id)
    try:
        service.delete_provider(actor, provider_id, force=web.form("force") == provider_id)
    except Conflict as problem:
        return _page(actor, problem.status, chosen=chosen, form=_form_of(chosen), losing=problem)
    return web.back(url_for("oidc.index"))


@bp.get("/settings/sign-in/<provider_id>/test")
def test(provider_id: str) -> Response:
    """Send the person to a provider to see what it says of them; nobody is signed in by it."""
    actor = web.actor()
    service.get_provider(actor, provider_id)
    going = url_for("oidc.index", provider=provider_id)
    user_id = _person(actor)
    begun = service.begin(provider_id, request.remote_addr or "", purpose="test", going=going, user_id=user_id)
    return _send(begun)


def _send(begun: service.Begun) -> Response:
    g.kind = "public_page"
    response = Response(status=303)
    response.headers["Location"] = begun.url
    return web.keep_for_return(response, begun.cookie, begun.key)


def _person(actor: Actor) -> str:
    """Who sits at this browser: a token has nobody who could be sent anywhere."""
    if actor.kind != "user":
        raise Denied("Only a person in a browser can do this.")
    return actor.user


def _offered(provider_id: str) -> Provider:
    found = next((one for one in service.offered() if one.id == provider_id), None)
    if found is None:
        raise NotFound("provider", provider_id)
    return found


def _page(
    actor: Actor,
    status: int = 200,
    *,
    chosen: Provider | None = None,
    form: dict[str, Any] | None = None,
    problem: Problem | None = None,
    said: Metadata | None = None,
    losing: Problem | None = None,
) -> Response:
    rows = service.list_providers(actor)
    chosen = chosen or next((one for one in rows if form and not form["is_new"] and one.id == form["id"]), None)
    return web.page(
        "oidc/providers.html",
        status,
        rows=rows,
        chosen=chosen,
        form=form,
        problem=problem,
        said=said,
        losing=losing,
        callback=service.callback(),
        has_secret=chosen is not None and service.has_secret(actor, chosen.id),
        roles=service.roles_to_give(actor),
        saved=bool(request.args.get("saved")) and problem is None,
        is_stale=form is not None and not accounts.is_fresh(actor),
    )


def _wanted() -> Wanted:
    lines = [line.partition("=") for line in request.form.get("role_map", "").splitlines() if line.strip()]
    return Wanted(
        id=web.form("id"),
        name=web.form("name"),
        issuer=web.form("issuer"),
        client_id=web.form("client_id"),
        secret="" if web.form("no_secret") else web.form("secret") or None,
        scopes=tuple(dict.fromkeys(web.form("scopes").split())) or service.SCOPES,
        auto_register=bool(web.form("auto_register")),
        default_role=web.form("default_role"),
        role_claim=web.form("role_claim"),
        role_map={value.strip(): role.strip() for value, _, role in lines},
        enabled=bool(web.form("enabled")),
    )


def _typed() -> dict[str, Any]:
    """The form as it was sent; a secret is not typed back."""
    words = ("id", "name", "issuer", "client_id", "scopes", "default_role", "role_claim")
    boxes = ("auto_register", "enabled", "no_secret")
    typed: dict[str, Any] = {name: web.form(name) for name in words}
    return {
        **typed,
        **{name: bool(web.form(name)) for name in boxes},
        "role_map": request.form.get("role_map", "").replace("\r\n", "\n"),
        "is_new": web.form("is_new") == "1",
    }


def _form_of(one: Provider) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "issuer": one.issuer,
        "client_id": one.client_id,
        "scopes": " ".join(one.scopes),
        "default_role": one.default_role,
        "role_claim": one.role_claim,
        "role_map": "\n".join(f"{value} = {role}" for value, role in one.role_map.items()),
        "auto_register": one.auto_register,
        "enabled": one.enabled,
        "no_secret": False,
        "is_new": False,
    }


def _blank() -> dict[str, Any]:
    words = dict.fromkeys(("id", "name", "issuer", "client_id", "role_claim", "role_map"), "")
    more = {"scopes": " ".join(service.SCOPES), "default_role": "member", "auto_register": True, "enabled": True}
    return {**words, **more, "no_secret": False, "is_new": True}
