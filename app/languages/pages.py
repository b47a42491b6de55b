"""Settings: the language servers of a project, how each stands, and starting, stopping and testing them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Response, render_template, request, url_for

from app import live, slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.languages import bp, events, service
from app.languages.service import Standing, Trial
from app.projects import service as projects
from app.projects.service import Place


@dataclass(frozen=True)
class Row:
    """A server, and what its last test showed."""

    one: Standing
    trial: Trial | None


@bp.get("/settings/languages")
def index() -> Response:
    """The servers of a directory, that of the first project if none is named."""
    actor = web.actor()
    accounts.require(actor, service.READ)
    if not projects.list_ready(actor):
        return web.page("settings/no_project.html", tab="languages")
    place = projects.resolve(actor, request.args.get("directory") or None)
    return web.page(
        "languages/index.html",
        place=place,
        places=_places(actor, place),
        rows=_rows(actor, place),
        refusal=service.refusal(actor, place),
        may_run=accounts.may(actor, service.RUN, place.project),
        watch={"languages": str(place.directory)},
    )


@bp.post("/settings/languages/<server>/start")
def start(server: str) -> Response:
    """Begin one."""
    actor, place = _asked()
    service.begin(actor, place, server, web.form("root"))
    return _shown(actor, place)


@bp.post("/settings/languages/<server>/restart")
def restart(server: str) -> Response:
    """End one and begin it anew."""
    actor, place = _asked()
    service.restart(actor, place, server, web.form("root"))
    return _shown(actor, place)


@bp.post("/settings/languages/<server>/stop")
def stop(server: str) -> Response:
    """End one."""
    actor, place = _asked()
    service.end(actor, place, server, web.form("root"))
    return _shown(actor, place)


@bp.post("/settings/languages/<server>/test")
def test(server: str) -> Response:
    """Ask one for the symbols of a file; to HTMX what came."""
    actor, place = _asked()
    root = web.form("root")
    found = service.try_server(actor, place, server, root)
    if not web.is_htmx():
        return _shown(actor, place)
    return Response("".join((render_template("languages/_trial.html", trial=found), *_drawn(actor, place))))


@slots.draws(events.ServersChanged, events.Diagnosed)
def draw_servers(actor: Actor, fact: Any) -> list[str]:
    """How the servers of the directory stand that a page shows."""
    directory = request.args.get("languages", "")
    if not directory or fact.event.directory != directory:
        return []
    return _drawn(actor, projects.resolve(actor, directory))


def _asked() -> tuple[Actor, Place]:
    actor = web.actor()
    return actor, projects.resolve(actor, web.form("directory") or None)


def _shown(actor: Actor, place: Place) -> Response:
    if web.is_htmx():
        return Response("".join(_drawn(actor, place)))
    return web.back(url_for("languages.index", directory=str(place.directory)))


def _drawn(actor: Actor, place: Place) -> list[str]:
    """The parts of the page that change, each for its place."""
    given: dict[str, Any] = {
        "place": place,
        "refusal": service.refusal(actor, place),
        "may_run": accounts.may(actor, service.RUN, place.project),
    }
    return [
        live.partial(f"#server-{row.one.key}", "outerHTML", render_template("languages/_server.html", row=row, **given))
        for row in _rows(actor, place)
    ]


def _rows(actor: Actor, place: Place) -> list[Row]:
    return [Row(one, service.last_trial(actor, place, one)) for one in service.list_standings(actor, place)]


def _places(actor: Actor, shown: Place) -> list[dict[str, str]]:
    """The directories to choose from: each project and its worktrees."""
    found = [{"id": str(shown.directory), "name": shown.project.name}]
    for project in projects.list_ready(actor):
        found.append({"id": project.root, "name": project.name})
        trees = projects.list_worktrees(actor, project)
        found += [
            {"id": one.directory, "name": f"{project.name} · {one.name}"}
            for one, standing in trees
            if not one.missing and not standing.problem
        ]
    return list({Path(one["id"]): one for one in found}.values())
