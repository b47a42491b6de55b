"""Settings: profiles, a model under a name each, which Roo's clients switch between."""

from __future__ import annotations

from flask import Response, request, url_for

from app import web
from app.actor import Actor
from app.agent import bp, profiles, service
from app.agent.pages import placeless
from app.agent.providers.trial import Trial
from app.errors import Conflict, Invalid, Limited
from app.projects import service as projects


@bp.get("/settings/profiles")
def profiles_page() -> Response:
    """The person's profiles, and the chosen one to change."""
    actor = web.actor()
    return placeless.find(actor, "profiles") or _page(actor, request.args.get("profile", ""))


@bp.post("/settings/profiles")
def save_profile() -> Response:
    """Make a profile, or change one."""
    actor, wanted = web.actor(), web.form("id")
    provider, _slash, model = web.form("model").partition("/")
    try:
        saved = profiles.save(actor, projects.resolve(actor, None), web.form("name"), provider, model, wanted)
    except (Invalid, Conflict) as problem:
        given = {"name": web.form("name"), "model": web.form("model")}
        return _page(actor, wanted, problem.status, given=given, problem=problem.message)
    return web.back(url_for("agent.profiles_page", profile=saved.id))


@bp.post("/settings/profiles/<profile_id>/test")
def test_profile(profile_id: str) -> Response:
    """Ask its model one small question; what came of it is on the page that answers."""
    actor = web.actor()
    try:
        trial = profiles.test(actor, projects.resolve(actor, None), profile_id)
    except Limited as problem:
        return _page(actor, profile_id, problem.status, problem=problem.message)
    return _page(actor, profile_id, trial=trial)


@bp.post("/settings/profiles/<profile_id>/remove")
def remove_profile(profile_id: str) -> Response:
    """Delete a profile."""
    actor = web.actor()
    profiles.remove(actor, projects.resolve(actor, None), profile_id)
    return web.back(url_for("agent.profiles_page"))


@bp.post("/settings/profiles/use")
def use_profile() -> Response:
    """Make a profile the current one of the usual workspace."""
    actor = web.actor()
    place = projects.resolve(actor, None)
    profiles.switch(actor, place, profiles.get(actor, place, web.form("profile")).name)
    return web.back(url_for("agent.profiles_page"))


def _page(
    actor: Actor,
    chosen: str,
    status: int = 200,
    *,
    given: dict[str, str] | None = None,
    problem: str = "",
    trial: Trial | None = None,
) -> Response:
    place = projects.resolve(actor, None)
    every = profiles.list_all(actor, place)
    one = next((profile for profile in every if profile.id == chosen and not profile.is_built_in), None)
    written = {"name": one.name, "model": f"{one.provider}/{one.model}"} if one else {"name": "", "model": ""}
    models = [
        f"{provider.id}/{model.id}"
        for provider in service.list_standings(actor, place.directory, mine=True)
        if provider.is_connected
        for model in provider.models
    ]
    return web.page(
        "agent/profiles.html",
        status,
        rows=every,
        current=profiles.current(actor, place),
        place=place,
        chosen=one,
        given=given or written,
        models=models[:2000],
        problem=problem,
        row={"trial": trial},
    )
