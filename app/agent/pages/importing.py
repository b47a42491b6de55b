"""Settings: a file of Roo's, looked at item by item, and what is ticked of it taken over."""

from __future__ import annotations

import re
from collections.abc import Mapping

from flask import Response, request, url_for

from app import web
from app.agent import bp, importing
from app.agent.importing import Plan
from app.agent.pages import placeless
from app.errors import Conflict, Invalid, NotFound, Problem, TooLarge
from app.projects import service as projects
from app.projects.service import Place

# How the page puts the items together, in the order in which they are done.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Providers and their keys": ("provider",),
    "Profiles": ("profile",),
    "Modes": ("mode",),
    "Settings of yours": ("instructions", "switches", "current"),
    "MCP servers": ("server",),
    "Other settings": ("setting",),
}
LONGEST_VALUE = 4_000


@bp.get("/settings/import")
def import_page() -> Response:
    """Where a file is given, and what came of the last one."""
    actor = web.actor()
    if page := placeless.find(actor, "import", "projects:read"):
        return page
    return _page(projects.resolve_project(actor, request.args.get("project", "")))


@bp.post("/settings/import")
def look_at_import() -> Response:
    """Take a file, or its text, and show what it would change; nothing is changed by that."""
    actor = web.actor()
    place = projects.resolve_project(actor, web.form("project"))
    try:
        data = _given()
        importing.plan(actor, place, data)
    except (Invalid, TooLarge) as problem:
        return _page(place, problem)
    importing.hold(actor, data)
    return web.back(url_for("agent.import_plan", project=place.project.id))


@bp.get("/settings/import/plan")
def import_plan() -> Response:
    """What the file would change."""
    actor = web.actor()
    place = projects.resolve_project(actor, request.args.get("project", ""))
    try:
        data = importing.held(actor)
    except NotFound:
        return web.back(url_for("agent.import_page", project=place.project.id))
    return _plan(place, importing.plan(actor, place, data))


@bp.post("/settings/import/plan")
def take_import() -> Response:
    """Take over what is ticked, unless something was changed since it was shown."""
    actor = web.actor()
    place = projects.resolve_project(actor, web.form("project"))
    data, keys, values = importing.held(actor), request.form.getlist("key"), _values()
    try:
        done = importing.apply(actor, place, data, keys, stamp=web.form("stamp"), values=values)
    except (Conflict, Invalid) as problem:
        return _plan(place, importing.plan(actor, place, data), set(keys), problem)
    importing.drop(actor)
    left = len(done.plan.items) - len(done.items) - done.plan.count("same")
    return web.back(url_for("agent.import_page", project=place.project.id, done=len(done.items), left=left))


@bp.post("/settings/import/discard")
def discard_import() -> Response:
    """Forget the file."""
    actor = web.actor()
    importing.drop(actor)
    return web.back(url_for("agent.import_page", project=web.form("project") or None))


def _page(place: Place, problem: Problem | None = None) -> Response:
    counts = {name: request.args.get(name, "") for name in ("done", "left")}
    return web.page(
        "agent/import.html",
        problem.status if problem else 200,
        place=place,
        offered=projects.list_ready(web.actor()),
        problem=problem,
        counts={name: int(text) for name, text in counts.items() if re.fullmatch(r"[0-9]{1,4}", text)},
    )


def _plan(place: Place, plan: Plan, ticked: set[str] | None = None, problem: Problem | None = None) -> Response:
    told = [one for one in plan.items if one.why != importing.NOWHERE]
    return web.page(
        "agent/import_plan.html",
        problem.status if problem else 200,
        place=place,
        plan=plan,
        groups={name: [one for one in told if one.kind in kinds] for name, kinds in GROUPS.items()},
        nowhere=[one.name for one in plan.items if one.why == importing.NOWHERE],
        ticked=set(plan.usual) if ticked is None else ticked,
        problem=problem,
    )


def _given() -> bytes:
    """The file that was chosen, else the text; raises Invalid."""
    file = request.files.get("file")
    if file is not None and file.filename:
        return file.stream.read(importing.LARGEST + 1)
    text = request.form.get("text", "").strip()
    if not text:
        raise Invalid("Choose a file, or paste its text.", "file")
    return text.encode("utf-8", "replace")


def _values() -> dict[str, str]:
    """What was typed for the variables that MCP servers want."""
    given = {name.removeprefix("value."): text for name, text in request.form.items() if name.startswith("value.")}
    return {name: text for name, text in given.items() if text and len(text) <= LONGEST_VALUE}
