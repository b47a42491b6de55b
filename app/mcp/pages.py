"""MCP servers of a project: how they stand, what they offer and what of that is allowed, and the form that adds one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from flask import Response, render_template, request, url_for

from app import live, slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Invalid, Problem, Unavailable
from app.mcp import bp, events, service
from app.mcp.service import Shown, Tested, Wanted
from app.projects import service as projects
from app.projects.service import Place, Project

LONGEST = 120.0
_KINDS = ("local", "remote")
_STATES = {
    "connected": ("done", "Connected"),
    "connecting": ("running", "Connecting"),
    "disabled": ("idle", "Disconnected"),
    "failed": ("failed", "Failed"),
    "needs_auth": ("needs", "Needs a sign-in"),
    "needs_consent": ("needs", "Needs a yes"),
}


@dataclass(frozen=True)
class Row:
    """A server in the list; `said` is what stands to each of its tools, by the tool's id (see the slot `mcp`)."""

    one: Shown
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.one.server.name

    @property
    def glyph(self) -> str:
        """One of the six."""
        return _STATES[self.one.status.state][0]

    @property
    def words(self) -> str:
        """Its state in words."""
        return _STATES[self.one.status.state][1]

    @property
    def reached(self) -> str:
        """The exact command line, quoted as a shell would need it, or the address."""
        target = self.one.server.target
        return shlex.join(target) if self.one.server.kind == "local" else target[0]

    @property
    def allowed(self) -> int:
        """How many of its tools run without being asked about."""
        return sum(self.said[tool.id].state == "allowed" for tool in self.one.offer.tools if tool.id in self.said)

    @property
    def changed(self) -> int:
        """How many of its tools are others than those that were allowed."""
        return sum(self.said[tool.id].state == "changed" for tool in self.one.offer.tools if tool.id in self.said)


@dataclass(frozen=True)
class Form:
    """What was typed into the form that adds a server, and what is wrong with it; secrets are not typed back."""

    kind: str = "local"
    name: str = ""
    command: str = ""
    cwd: str = ""
    url: str = ""
    timeout: str = "5"
    problem: str = ""
    field: str = ""


@bp.get("/mcp-servers")
def index() -> Response:
    """The servers of a project, the chosen one beside them."""
    actor = web.actor()
    project = _project(actor, request.args.get("project", ""))
    if project is None:
        return web.page("mcp/none.html")
    kind = request.args.get("add", "")
    form = Form(kind) if kind in _KINDS and accounts.may(actor, "mcp:write", project) else None
    return _page(actor, _place(actor, project), request.args.get("server", ""), form=form)


@bp.post("/mcp-servers/<project_id>")
def add(project_id: str) -> Response:
    """Add a server and connect it; what does not fit is told beside what was typed."""
    actor, place = _asked(project_id)
    names = ("kind", "name", "command", "cwd", "url", "timeout")
    form = Form(**{name: request.form.get(name, "").replace("\r\n", "\n")[:8_000] for name in names})
    try:
        service.add(actor, place, form.name.strip(), _wanted(form, request.form))
    except Problem as problem:
        if problem.status in (401, 403, 404) and not isinstance(problem, accounts.Stale):
            raise
        told = Form(**{**vars(form), "problem": problem.message, "field": problem.field or ""})
        return _page(actor, place, "", problem.status, form=told)
    return _back(place, form.name.strip())


@bp.post("/mcp-servers/<project_id>/<name>/connect")
def connect(project_id: str, name: str) -> Response:
    """Connect one, however often it failed."""
    actor, place = _asked(project_id)
    service.connect(actor, place, name)
    return _back(place, name)


@bp.post("/mcp-servers/<project_id>/<name>/disconnect")
def disconnect(project_id: str, name: str) -> Response:
    """Disconnect one until somebody connects it again."""
    actor, place = _asked(project_id)
    service.disconnect(actor, place, name)
    return _back(place, name)


@bp.post("/mcp-servers/<project_id>/<name>/remove")
def remove(project_id: str, name: str) -> Response:
    """Forget one, with what the vault holds for it."""
    actor, place = _asked(project_id)
    service.remove(actor, place, name)
    return _back(place)


@bp.post("/mcp-servers/<project_id>/<name>/allow")
def allow_named(project_id: str, name: str) -> Response:
    """Say yes to a server that the repository names, exactly as it was shown, and connect it."""
    actor, place = _asked(project_id)
    typed = {key.removeprefix("value."): text for key, text in request.form.items() if key.startswith("value.")}
    try:
        service.allow_named(actor, place, name, web.form("mark"), typed)
    except (Conflict, Invalid) as problem:
        return _page(actor, place, "", problem.status, refused=problem.message)
    return _back(place, name)


@bp.post("/mcp-servers/<project_id>/<name>/signin")
def sign_in(project_id: str, name: str) -> Response:
    """Begin to sign in: the page then shows the link that leads there, so that people see where they go."""
    actor, place = _asked(project_id)
    try:
        begun = service.begin_sign_in(actor, place, name)
    except (Conflict, Invalid, Unavailable) as problem:
        return _page(actor, place, name, problem.status, problem=problem.message)
    return _page(actor, place, name, going=begun.url)


@bp.get("/mcp-servers/callback")
def come_back() -> Response:
    """Somebody comes back from where they signed in: what they bring is used once, and only by who began it."""
    actor = web.actor()
    state, refused = request.args.get("state", ""), request.args.get("error", "")
    if refused:
        place, server = service.give_up_sign_in(actor, state)
        return _page(actor, place, server.name, 400, problem=f"The sign-in was refused: {refused[:100]}.")
    place, server = service.come_back(actor, state, request.args.get("code", ""), request.args.get("iss"))
    return _back(place, server.name)


@bp.post("/mcp-servers/<project_id>/<name>/signout")
def sign_out(project_id: str, name: str) -> Response:
    """Forget what a sign-in got."""
    actor, place = _asked(project_id)
    service.sign_out(actor, place, name)
    return _back(place, name)


@bp.post("/mcp-servers/<project_id>/<name>/test")
def test(project_id: str, name: str) -> Response:
    """Connect one and list what it offers: one line says what came of it."""
    actor, place = _asked(project_id)
    tested = service.test(actor, place, name)
    if web.is_htmx():
        return web.page("mcp/_tested.html", tested=tested)
    return _page(actor, place, name, tested=tested)


@slots.fill("stream")
def fill_stream(actor: Actor, watch: Mapping[str, str]) -> dict[str, Any]:
    """The servers of an open page, with the one that it shows."""
    if not watch.get("mcp"):
        return {}
    return {"mcp": _List(actor, _place(actor, projects.get(actor, watch["mcp"])), watch.get("server", ""))}


class _List:
    """Draws the rows, and what stands about the chosen server, whenever one changes."""

    def __init__(self, actor: Actor, place: Place, chosen: str) -> None:
        self._actor = actor
        self._place = place
        self._chosen = chosen

    def keeps(self, fact: Any) -> bool:
        """Whether a fact changes the list."""
        event = fact.event
        return isinstance(event, events.ServerChanged) and event.directory == str(self._place.project.path)

    def draw(self, fact: Any) -> list[str]:
        """All rows, which are few, and the facts of the one in the panel; its forms stay as they are."""
        if not self.keeps(fact):
            return []
        shown = _shown(self._actor, self._place, self._chosen, only_look=True)
        partials = [live.partial("#mcp-rows", "innerHTML", render_template("mcp/_rows.html", **shown))]
        if shown["chosen"] is not None and fact.event.server == self._chosen:
            partials.append(live.partial("#mcp-about", "outerHTML", render_template("mcp/_about.html", **shown)))
            partials.append(live.partial("#mcp-switch", "outerHTML", render_template("mcp/_switch.html", **shown)))
        return partials


def _page(
    actor: Actor,
    place: Place,
    name: str,
    status: int = 200,
    *,
    form: Form | None = None,
    tested: Tested | None = None,
    going: str = "",
    problem: str = "",
    refused: str = "",
) -> Response:
    shown = _shown(actor, place, name, is_open=form is None)
    return web.page(
        "mcp/index.html",
        status,
        **shown,
        form=form,
        tested=tested,
        going=going,
        there=urlsplit(going).netloc,
        problem=problem,
        is_stale=form is not None and not accounts.is_fresh(actor),
        named=service.named(actor, place),
        refused=refused,
        open=form is not None or bool(name and shown["chosen"]),
        offered=projects.list_ready(actor),
        watch={"mcp": place.project.id, "server": shown["chosen"].name if shown["chosen"] else ""},
    )


def _shown(actor: Actor, place: Place, name: str, *, only_look: bool = False, is_open: bool = True) -> dict[str, Any]:
    """The rows, and of them the named one, else the first if the panel is for one."""
    servers = service.list_servers(actor, place, only_look=only_look)
    tools = {tool.id: tool.definition for one in servers for tool in one.offer.tools}
    said = slots.gather("mcp", actor, place.project, tools).get("said", {})
    rows = [Row(one, said) for one in servers]
    chosen = next((row for row in rows if row.name == name), None)
    if chosen is None and is_open and not name:
        chosen = next(iter(rows), None)
    return {"rows": rows, "chosen": chosen, "project": place.project}


def _project(actor: Actor, wanted: str) -> Project | None:
    """The project that is asked for, else the usual one; None when there is none yet."""
    if wanted:
        return projects.get(actor, wanted)
    ready = projects.list_ready(actor)
    usual = projects.resolve(actor, None).project.id if ready else ""
    return next((one for one in ready if one.id == usual), None)


def _asked(project_id: str) -> tuple[Actor, Place]:
    """Who asks, and about which project."""
    actor = web.actor()
    return actor, _place(actor, projects.get(actor, project_id))


def _place(actor: Actor, project: Project) -> Place:
    return projects.resolve(actor, project.root)


def _back(place: Place, name: str = "") -> Response:
    return web.back(url_for("mcp.index", project=place.project.id, server=name or None))


def _wanted(form: Form, given: Mapping[str, str]) -> Wanted:
    """The server that the form describes; raises Invalid."""
    if form.kind not in _KINDS:
        raise Invalid("A server is a local command or a remote address.", "kind")
    try:
        seconds = float(form.timeout or 5)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST:
        raise Invalid(f"The time to connect is at most {LONGEST:g} s.", "timeout")
    if form.kind == "remote":
        headers = _pairs(given.get("headers", ""), ":", "headers")
        return Wanted("remote", (form.url.strip(),), headers, timeout=int(seconds * 1_000))
    words = tuple(line for line in form.command.split("\n") if line)
    environment = _pairs(given.get("environment", ""), "=", "environment")
    return Wanted("local", words, environment, timeout=int(seconds * 1_000), cwd=form.cwd.strip())


def _pairs(text: str, between: str, name: str) -> dict[str, str]:
    """One pair on each line; what is wrong is told by the line's number, never by its text."""
    found: dict[str, str] = {}
    for number, line in enumerate(re.split(r"\r?\n", text), 1):
        if not line.strip():
            continue
        key, sign, value = line.partition(between)
        if not sign or not key.strip():
            raise Invalid(f"Line {number} has no name and value with '{between}' between them.", name)
        found[key.strip()] = value.strip() if between == ":" else value
    return found
