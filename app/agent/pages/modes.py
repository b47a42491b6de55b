"""Settings: modes, where each comes from, and the custom ones of this server to make and change."""

from __future__ import annotations

from typing import Any

from flask import Response, g, request, url_for

from app import web
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import bp, custom_modes, overview
from app.agent.overview import Matching, Row
from app.agent.pages import placeless
from app.errors import Conflict, Invalid, NotFound
from app.projects import service as projects
from app.projects.service import Place

GROUPS = ("read", "edit", "command", "mcp")
_TEXTS = ("slug", "name", "roleDefinition", "whenToUse", "description", "customInstructions")


@bp.get("/settings/modes")
def modes_page() -> Response:
    """The modes of a project, and the chosen one to look at or to change."""
    actor = web.actor()
    return placeless.find(actor, "modes") or _page(actor, _place(actor))


@bp.get("/settings/modes/matches")
def pattern_matches() -> Response:
    """What a pattern finds among the files of a project, in a line."""
    actor = web.actor()
    matching = _matching(actor, _place(actor), request.args.get("fileRegex", ""))
    return web.page("agent/_matches.html", matching=matching)


@bp.get("/settings/modes/export")
def export_modes() -> Response:
    """The custom modes of this server as a .roomodes file."""
    text = overview.exported(web.actor(), request.args.get("mode", ""))
    g.kind = "download"
    response = Response(text, content_type="application/yaml; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename=".roomodes"'
    return response


@bp.post("/settings/modes")
def save_mode() -> Response:
    """Make a custom mode of this server, or change one."""
    actor, given = web.actor(), _given()
    try:
        saved = custom_modes.save(actor, given, is_new=web.form("act") == "new")
    except (Invalid, Conflict) as problem:
        return _page(actor, _place(actor), problem.status, given=given, problem=problem)
    return web.back(url_for("agent.modes_page", project=web.form("project") or None, mode=saved.slug, saved=1))


@bp.post("/settings/modes/<slug>/remove")
def remove_mode(slug: str) -> Response:
    """Delete a custom mode of this server."""
    custom_modes.remove(web.actor(), slug)
    return web.back(url_for("agent.modes_page", project=web.form("project") or None))


def _given() -> dict[str, Any]:
    """The posted mode in Roo's spelling."""
    texts = {name: web.form(name).replace("\r\n", "\n") for name in _TEXTS}
    limits = {"fileRegex": web.form("fileRegex"), "description": web.form("files")}
    bounds = {key: value for key, value in limits.items() if value} if limits["fileRegex"] else {}
    groups = [[name, bounds] if name == "edit" and bounds else name for name in request.form.getlist("group")]
    return {**{key: value for key, value in texts.items() if value or key in _TEXTS[:3]}, "groups": groups}


def _place(actor: Actor) -> Place:
    project = request.args.get("project") or web.form("project")
    return projects.resolve_project(actor, project)


def _page(
    actor: Actor,
    place: Place,
    status: int = 200,
    *,
    given: dict[str, Any] | None = None,
    problem: Invalid | Conflict | None = None,
) -> Response:
    rows = overview.of(actor, place)
    wanted = given["slug"] if given and web.form("act") != "new" else request.args.get("mode", "")
    row = next((row for row in rows if row.mode.name == wanted), None)
    if wanted and row is None and given is None:
        raise NotFound("mode", wanted)
    may_write = custom_modes.may_write(actor)
    form = given or _written(row, is_new="new" in request.args) if may_write else None
    bounds = _bounds(form)
    return web.page(
        "agent/modes.html",
        status,
        rows=rows,
        chosen=row,
        place=place,
        offered=projects.list_ready(actor),
        may_write=may_write,
        form=form,
        is_new=bool(form) and (web.form("act") == "new" or "new" in request.args),
        groups=GROUPS,
        held=[one[0] if isinstance(one, list) else one for one in (form or {}).get("groups", ())],
        bounds=bounds,
        matching=_matching(actor, place, bounds.get("fileRegex", "")),
        fault=overview.fault_of_file(actor, place),
        problem=problem,
        saved=bool(request.args.get("saved")) and problem is None,
    )


def _matching(actor: Actor, place: Place, pattern: str) -> Matching | None:
    """What a pattern finds; nothing is told of files to somebody who may write modes and not read those."""
    may_look = pattern and accounts.may(actor, "files:read", place.project)
    return overview.matching(actor, place, pattern) if may_look else None


def _written(row: Row | None, *, is_new: bool) -> dict[str, Any] | None:
    """What stands in the form: a custom mode of this server, or a new one, perhaps as another one is."""
    if not is_new:
        return row.config.shown() if row and row.config else None
    if row is None:
        return {"slug": "", "name": "", "roleDefinition": "", "groups": ["read"]}
    return _copied(row)


def _copied(row: Row) -> dict[str, Any]:
    """A mode as the beginning of a new one."""
    mode = row.mode
    if row.config is not None:
        return {**row.config.shown(), "slug": ""}
    only = next(iter(mode.limits.only), None)
    bounds = {"fileRegex": only.pattern, "description": only.why} if only else {}
    groups = [["edit", bounds] if name == "edit" and bounds else name for name in row.groups]
    texts = {"name": mode.title or mode.name.capitalize(), "roleDefinition": mode.role, "groups": groups}
    more = {"whenToUse": mode.when, "customInstructions": mode.instructions, "description": mode.description}
    return {"slug": "", **texts, **{key: value for key, value in more.items() if value}}


def _bounds(form: dict[str, Any] | None) -> dict[str, str]:
    """What bounds the edits of what stands in the form: a pattern, and words for it."""
    pairs = (one for one in (form or {}).get("groups", ()) if isinstance(one, list))
    return next((pair[1] for pair in pairs if pair[0] == "edit"), {})
