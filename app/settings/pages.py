"""The configuration of the server and of each project as text, beside what the files of a repository say."""

from __future__ import annotations

from flask import Response, request, url_for

from app import web
from app.accounts import service as accounts
from app.accounts.service import Stale
from app.actor import Actor
from app.errors import Conflict, Invalid, Problem
from app.projects import service as projects
from app.projects.service import Place
from app.settings import bp, service


@bp.get("/settings")
def index() -> Response:
    """The first page of the settings that the person may read."""
    accounts.require(web.actor(), "settings:read")
    return web.back(url_for("agent.providers"))


@bp.get("/settings/configuration")
def configuration() -> Response:
    """What is set for the server, or for a project."""
    actor = web.actor()
    return _page(actor, _place(actor, request.args.get("project", "")))


@bp.post("/settings/configuration")
def save() -> Response:
    """Set the server's."""
    return _save(web.actor(), None)


@bp.post("/settings/configuration/<project_id>")
def save_of_project(project_id: str) -> Response:
    """Set a project's."""
    actor = web.actor()
    return _save(actor, _place(actor, project_id))


def _save(actor: Actor, place: Place | None) -> Response:
    text = request.form.get("text", "").replace("\r\n", "\n")
    try:
        service.replace(actor, place, text, web.form("stamp"))
    except (Invalid, Conflict, Stale) as problem:
        return _page(actor, place, problem.status, typed=text, problem=problem)
    return web.back(url_for("settings.configuration", project=place.project.id if place else None, saved=1))


def _page(
    actor: Actor, place: Place | None, status: int = 200, *, typed: str = "", problem: Problem | None = None
) -> Response:
    written = service.written(actor, place)
    return web.page(
        "settings/configuration.html",
        status,
        project=place.project if place else None,
        text=typed if problem else written.text,
        # Who was overtaken keeps the old stamp: only opening the page anew shows what would be lost.
        stamp=web.form("stamp") if problem else written.stamp,
        written=written,
        faults=problem.message.split("\n") if problem and not isinstance(problem, Stale) else [],
        is_unsaved=isinstance(problem, Stale),
        is_overtaken=isinstance(problem, Conflict),
        may_write=service.may_set(actor, place),
        is_stale=not accounts.is_fresh(actor),
        saved=bool(request.args.get("saved")) and not problem,
        offered=projects.list_ready(actor),
    )


def _place(actor: Actor, project_id: str) -> Place | None:
    return projects.resolve(actor, projects.get(actor, project_id).root) if project_id else None
