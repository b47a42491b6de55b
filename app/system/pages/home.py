"""Home, and the demo."""

from __future__ import annotations

from typing import Any

from flask import Response, request, url_for

from app import __version__, config, ids, slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.processes.spawn import sandbox_state
from app.projects import service as projects
from app.sessions import service as sessions
from app.system import bp

DEMO = ("demo", "walkthrough")
PLACES = ({"id": "", "name": "in place"}, {"id": "worktree", "name": "own worktree"})
SEEN = ({"id": "private", "name": "only me"}, {"id": "team", "name": "the team"})
PROMPT = (
    "Customers who change their plan in the middle of a period are sometimes billed a cent too much. "
    "Find the cause, fix it, and run the tests."
)


@bp.get("/")
def home() -> Response:
    """Start work, see what needs somebody; before the first model, the three ways to connect one."""
    actor = web.actor()
    if not accounts.may(actor, "projects:read"):
        return web.page("system/no_role.html", person=actor.name)
    given: dict[str, Any] = {
        "asks": [],
        "more": "",
        "failed": [],
        "running": [],
        "recent": [],
        "project_rows": [],
        "projects": [],
    }
    given |= slots.gather("home", actor)
    has_worked = any(given[part] for part in ("recent", "running", "failed", "asks"))
    is_first = not given.get("connected") and not has_worked
    chosen, directory = _place(actor, given["projects"])
    composer = {"modes": [], "models": [], "presets": [], **slots.gather("composer", actor, directory)}
    composer["model"] = request.args.get("model") or composer.get("model", "")
    return web.page(
        "system/home.html",
        **given,
        **composer,
        first=is_first or "connect" in request.args,
        today=ids.now(),
        project=chosen,
        places=PLACES if any(row.project.vcs for row in given["project_rows"]) else (),
        where=request.args.get("where", ""),
        seen=SEEN,
        visibility=sessions.default_visibility(actor.user),
        text=request.args.get("text", ""),
        problem=None,
        server=_server(),
        spend=None,
        steps=_steps(actor, given, has_worked),
    )


@bp.post("/demo")
def run_demo() -> Response:
    """Begin the demo on the sample project."""
    actor = web.actor()
    place = projects.resolve(actor, str(config.current().data_dir.resolve() / "sample"))
    provider, model = DEMO
    session = sessions.create(actor, place, provider=provider, model=model)
    sessions.send(actor, session.id, [{"type": "text", "text": PROMPT}])
    return web.back(url_for("sessions.show", session_id=session.id))


def _place(actor: Actor, offered: list[dict[str, str]]) -> tuple[str, str]:
    """The project that the composer begins with, and its directory."""
    wanted = request.args.get("project", "")
    if not offered:
        return "", ""
    if wanted in {one["id"] for one in offered}:
        return wanted, projects.get(actor, wanted).root
    place = projects.resolve(actor, None)
    return place.project.id, str(place.directory)


@slots.fill("first_run")
def tell_sandbox() -> dict[str, Any]:
    """Whoever makes the server theirs sees what holds agents in."""
    return {"sandbox": sandbox_state()}


def _server() -> dict[str, Any]:
    settings, state = config.current(), sandbox_state()
    return {
        "address": settings.public_url or request.host,
        "data": str(settings.data_dir),
        "version": __version__,
        "sandbox": f"on bubblewrap {state.version}" if state.on else f"off: {state.why}",
        "loopback": settings.is_loopback,
        "ports": [port for port in settings.ports if port.token],
    }


def _steps(actor: Actor, given: dict[str, Any], has_worked: bool) -> list[dict[str, Any]]:
    """What a new installation still lacks; nothing once all is there."""
    connected = given.get("connected") or []
    own = [row for row in given["project_rows"] if not row.sample]
    steps = [
        {"words": "Owner set up", "done": True, "note": actor.name, "href": ""},
        {
            "words": "Model connected",
            "done": bool(connected),
            "note": ", ".join(connected[:2]),
            "href": url_for("system.home", connect=1),
        },
        {
            "words": "Project added",
            "done": bool(own),
            "note": own[0].project.name if own else "",
            "href": url_for("projects.index"),
        },
        {"words": "First session", "done": has_worked, "note": "", "href": f"{url_for('system.home')}#words"},
    ]
    return [] if all(step["done"] for step in steps) else steps
