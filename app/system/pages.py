"""Home, the demo, and what stands around every page: who is signed in, what waits, what runs."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from flask import Response, g, request, url_for

from app import __version__, config, ids, slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import service as approvals
from app.events import service as events
from app.processes.spawn import sandbox_state
from app.projects import service as projects
from app.sessions import service as sessions
from app.system import bp

DEMO = ("demo", "walkthrough")
PROMPT = (
    "Customers who change their plan in the middle of a period are sometimes billed a cent too much. "
    "Find the cause, fix it, and run the tests."
)


class Shell:
    """What base.html shows around a page; each figure is looked up when the template asks for it."""

    kind = "user"
    team = theme = density = ""
    keys = True

    @property
    def is_open(self) -> bool:
        """Whether nobody has to sign in here."""
        return config.current().auth == "none"

    def __init__(self, actor: Actor, cursor: str) -> None:
        self._actor = actor
        self.person = actor.name
        self.cursor = cursor

    @cached_property
    def waiting(self) -> int:
        """How many asks wait for this person."""
        return approvals.count_waiting(self._actor) if accounts.may(self._actor, "approvals:read") else 0

    @cached_property
    def running(self) -> int:
        """How many sessions run or wait for their turn."""
        if not accounts.may(self._actor, "sessions:read"):
            return 0
        counts = sessions.count_by_state(self._actor)
        return counts.get("running", 0) + counts.get("queued", 0)


@bp.before_app_request
def note_cursor() -> None:
    """Read the log's end before the page reads anything: its stream then misses nothing."""
    if g.get("actor") is not None and web.dialect() == "" and request.method == "GET":
        g.cursor = events.latest()


@bp.app_context_processor
def around() -> dict[str, Any]:
    """The shell and the id of whoever is signed in."""
    actor = g.get("actor")
    return {"shell": Shell(actor, g.get("cursor", "")), "me": actor.id} if actor is not None else {}


@bp.get("/")
def home() -> Response:
    """Start work, see what needs somebody; before the first model, the three ways to connect one."""
    actor = web.actor()
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
    has_worked = bool(given["recent"] or given["running"] or given["asks"])
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
        {"words": "First session", "done": has_worked, "note": "", "href": f"{url_for('system.home')}#new"},
    ]
    return [] if all(step["done"] for step in steps) else steps
