"""Settings: what the agents of a person are told in a project, and in which order."""

from __future__ import annotations

from flask import Response, request, url_for

from app import web
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import bp, chosen, instructions, modes, service
from app.agent.pages import placeless
from app.errors import Invalid
from app.projects import service as projects
from app.projects.service import Place


@bp.get("/settings/instructions")
def instructions_page() -> Response:
    """The person's own instructions, and everything that is in force for a mode."""
    actor = web.actor()
    if page := placeless.find(actor, "instructions"):
        return page
    place = projects.resolve_project(actor, request.args.get("project", ""))
    saved = bool(request.args.get("saved"))
    return _page(actor, place, request.args.get("mode", ""), chosen.get(actor, place).instructions, saved=saved)


@bp.post("/settings/instructions")
def save_instructions() -> Response:
    """Set or clear the person's own instructions."""
    actor = web.actor()
    place = projects.resolve_project(actor, web.form("project"))
    text = "" if web.form("act") == "clear" else request.form.get("text", "").replace("\r\n", "\n")
    try:
        chosen.choose(actor, place, instructions=text)
    except Invalid as problem:
        return _page(actor, place, web.form("mode"), text, problem.status, problem=problem.message)
    mode = web.form("mode") or None
    return web.back(url_for("agent.instructions_page", project=place.project.id, mode=mode, saved=1))


def _page(
    actor: Actor, place: Place, mode: str, text: str, status: int = 200, *, saved: bool = False, problem: str = ""
) -> Response:
    every = service.list_modes(actor, place.directory)
    known = [one for one in every if not one.hidden]
    named = next((one for one in known if one.name == mode), None) or modes.named(every, chosen.mode(actor, place))
    found = instructions.of_place(actor, place, named.name, named.instructions)
    return web.page(
        "agent/instructions.html",
        status,
        place=place,
        mode=named.name,
        modes=known,
        text=text,
        in_force=found,
        told=sum(len(one.told) for one in found if one.text),
        longest=chosen.LONGEST,
        saved=saved,
        problem=problem,
        may_write=accounts.may(actor, "sessions:write"),
        offered=projects.list_ready(actor),
    )
