"""Model keys: which providers a person keeps a key of their own for, and what that opens."""

from __future__ import annotations

from typing import Any

from flask import Response, url_for

from app import config, web
from app.accounts import service as accounts
from app.agent import bp, model_keys
from app.errors import Invalid


@bp.get("/account/model-keys")
def model_keys_page() -> Response:
    """The person's own keys, without their values, and the providers that they can be for."""
    return _page()


@bp.post("/account/model-keys")
def keep_own_key() -> Response:
    """Keep a key of one's own, in place of an earlier one for this provider."""
    provider = web.form("provider")
    try:
        model_keys.keep_key(web.actor(), provider, web.form("key"))
    except Invalid as problem:
        return _page(problem.status, provider=provider, problem=problem)
    return web.back(url_for("agent.model_keys_page", _anchor=f"key-{provider}"))


@bp.post("/account/model-keys/<provider>/remove")
def remove_own_key(provider: str) -> Response:
    """Forget one; one that was never kept is as good as forgotten."""
    model_keys.forget(web.actor(), provider)
    return web.back(url_for("agent.model_keys_page"))


@bp.post("/account/model-keys/<provider>/test")
def test_own_key(provider: str) -> Response:
    """Ask the provider for one word with the person's own key."""
    try:
        model_keys.try_key(web.actor(), provider, web.form("model"))
    except Invalid as problem:
        return _page(problem.status, provider=provider, problem=problem)
    return web.back(url_for("agent.model_keys_page", _anchor=f"key-{provider}"))


def _page(status: int = 200, *, provider: str = "", problem: Invalid | None = None) -> Response:
    actor = web.actor()
    rows = model_keys.list_mine(actor)
    shown: dict[str, Any] = {
        "kept": [one for one in rows if one.kept],
        "open": [one for one in rows if not one.kept],
        "given": provider,
        "problem": problem,
        "others": model_keys.holders(actor) if accounts.may(actor, "users:write") else {},
        "server_keys": config.current().server_keys,
        "may_write": accounts.may(actor, "keys:write"),
    }
    return web.page("agent/model_keys.html", status, **shown)
