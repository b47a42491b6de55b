"""Settings: the providers with their keys and tests, and their models with windows and prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Response, render_template, request, url_for

from app import live, web
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import bp, service
from app.agent.providers.known import ModelInfo
from app.agent.providers.standing import Standing
from app.agent.providers.trial import Trial
from app.errors import Invalid, NotFound
from app.projects import service as projects
from app.projects.service import Place

LONGEST_SEARCH = 200
SHOWN = 300
# What a model may be asked to be able to do, by the words of the filter.
ABLE = {"pictures": "images", "tools": "tools", "thinks": "reasoning"}


@dataclass(frozen=True)
class Row:
    """A provider in the list, with what its last test showed and who set its key."""

    one: Standing
    trial: Trial | None
    by: str

    @property
    def key(self) -> str:
        """Its id in the form that a selector takes."""
        return self.one.id.replace(".", "__")


@dataclass(frozen=True)
class ModelRow:
    """A model and its provider."""

    provider: Standing
    one: ModelInfo

    @property
    def name(self) -> str:
        """What a session calls it."""
        return f"{self.provider.id}/{self.one.id}"


@bp.get("/settings/providers")
def providers() -> Response:
    """The list, and the chosen provider with its key and its test."""
    return _page(web.actor(), request.args.get("provider", ""))


@bp.post("/settings/providers")
def add_provider() -> Response:
    """Connect a server of one's own by its address."""
    actor = web.actor()
    try:
        added = service.add_provider(actor, web.form("name"), web.form("base_url"), web.form("key"))
    except Invalid as problem:
        given = {"name": web.form("name"), "base_url": web.form("base_url")}
        return _page(actor, "", problem.status, adding=given, problem=problem)
    return web.back(url_for("agent.providers", provider=added))


@bp.post("/settings/providers/<provider>/key")
def keep_key(provider: str) -> Response:
    """Keep a provider's key in the vault."""
    actor = web.actor()
    try:
        service.keep_key(actor, provider, web.form("key"))
    except Invalid as problem:
        return _page(actor, provider, problem.status, problem=problem)
    return web.back(url_for("agent.providers", provider=provider))


@bp.post("/settings/providers/<provider>/remove")
def remove_key(provider: str) -> Response:
    """Forget a provider's key or login; one that was never kept is as good as forgotten."""
    actor = web.actor()
    service.forget_login(actor, provider)
    known = {one.id for one in service.list_standings(actor)}
    return web.back(url_for("agent.providers", provider=provider if provider in known else None))


@bp.post("/settings/providers/<provider>/test")
def test_provider(provider: str) -> Response:
    """Ask a provider for one word; to HTMX what came of it, and the provider's row."""
    actor = web.actor()
    service.try_provider(actor, provider, web.form("model"))
    if not web.is_htmx():
        return web.back(url_for("agent.providers", provider=provider, _anchor="trial"))
    row = _row(actor, service.get_standing(actor, provider), _people(actor))
    state = render_template("agent/_provider_state.html", row=row)
    shown = render_template("agent/_trial.html", row=row)
    return Response(
        render_template("agent/_last.html", row=row)
        + live.partial(f"#state-{row.key}", "innerHTML", state)
        + live.partial(f"#trial-{row.key}", "innerHTML", shown)
    )


@bp.get("/settings/models")
def models() -> Response:
    """The models of all that is connected, here or in a project, by search, provider and what they can do."""
    actor = web.actor()
    place = _place(actor, request.args.get("directory", ""))
    directory = place.directory if place else None
    connected = [one for one in service.list_standings(actor, directory, mine=True) if one.is_connected]
    words = " ".join(request.args.get("q", "").split())[:LONGEST_SEARCH]
    provider, able = request.args.get("provider", ""), request.args.get("can", "")
    rows = [ModelRow(one, model) for one in connected for model in one.models]
    found = [row for row in rows if _fits(row, words, provider, able)]
    shown: dict[str, Any] = {
        "q": words,
        "provider": provider,
        "can": able,
        "connected": connected,
        "rows": sorted(found, key=_order)[:SHOWN],
        "more": max(0, len(found) - SHOWN),
        "total": len(rows),
        "default": service.default_of(actor, directory),
        "directory": str(directory or ""),
        "places": _places(actor),
        "may_set": service.may_set_default(actor, place),
    }
    if web.is_htmx():
        return web.fragment("agent/models.html", "found", **shown)
    return web.page("agent/models.html", **shown)


@bp.post("/settings/models/default")
def set_default() -> Response:
    """Set the model of sessions that name none, for the server or a project."""
    actor = web.actor()
    place = _place(actor, web.form("directory"))
    service.set_default_model(actor, place, web.form("model"))
    return web.back(url_for("agent.models", directory=str(place.directory) if place else None))


def _place(actor: Actor, directory: str) -> Place | None:
    return projects.resolve(actor, directory) if directory else None


def _places(actor: Actor) -> list[dict[str, str]]:
    if not accounts.may(actor, "projects:read"):
        return []
    return [{"id": one.root, "name": one.name} for one in projects.list_ready(actor)]


def _page(
    actor: Actor,
    provider: str,
    status: int = 200,
    *,
    adding: dict[str, str] | None = None,
    problem: Invalid | None = None,
) -> Response:
    people = _people(actor)
    rows = [_row(actor, one, people) for one in service.list_standings(actor)]
    wanted = next((row for row in rows if row.one.id == provider), None)
    if provider and wanted is None:
        raise NotFound("provider", provider)
    is_adding = adding is not None or (not provider and "add" in request.args)
    return web.page(
        "agent/providers.html",
        status,
        rows=rows,
        chosen=None if is_adding else wanted or rows[0],
        open=wanted is not None or is_adding,
        adding=adding or ({} if is_adding else None),
        problem=problem,
        may_write=accounts.may(actor, "secrets:write"),
        default=service.default_of(actor),
    )


def _row(actor: Actor, one: Standing, people: dict[str, str]) -> Row:
    return Row(one, service.last_trial(actor, one.id), people.get(one.kept.by, "") if one.kept else "")


def _people(actor: Actor) -> dict[str, str]:
    if not accounts.may(actor, "users:read"):
        return {}
    return {person.id: person.name for person in accounts.list_users(actor)}


def _fits(row: ModelRow, words: str, provider: str, able: str) -> bool:
    text = f"{row.name} {row.one.name} {row.provider.name}".lower()
    if provider and row.provider.id != provider:
        return False
    if able in ABLE and not getattr(row.one, ABLE[able]):
        return False
    return all(word in text for word in words.lower().split())


def _order(row: ModelRow) -> tuple[Any, ...]:
    """By provider, what to begin with there first, then by name."""
    return row.provider.id == "demo", row.provider.name.lower(), row.one.id != row.provider.first, row.one.id
