"""The vault for people: what is kept for whom, who may use it, and forms that set, grant and delete; never a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, render_template, request, url_for

from app import live, slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.audit import service as audit
from app.errors import Invalid, NotFound, Problem
from app.secrets import bp, events, service
from app.secrets.service import Secret

LONGEST_SEARCH = 100
USES = 5
# What is kept for whom, as the form that adds one offers it.
WHOM = {"platform": "Server", "project": "Project", "app": "App"}


@dataclass(frozen=True)
class Row:
    """A secret in the list, in the words of people: its scope, and the projects whose commands get it."""

    one: Secret
    where: str
    projects: tuple[tuple[str, str], ...]
    by: str

    @property
    def is_providers(self) -> bool:
        """Whether the page of the providers looks after it."""
        return self.one.scope == service.PROVIDER

    @property
    def users(self) -> str:
        """Who may use it."""
        if self.is_providers:
            return "providers"
        return ", ".join(f"commands in {name}" for _id, name in self.projects)


@dataclass(frozen=True)
class Form:
    """What was typed into the form that adds a secret, but for its value, and what is wrong with it."""

    whom: str = "platform"
    app: str = ""
    project: str = ""
    name: str = ""
    problem: str = ""
    field: str = ""


@bp.get("/secrets")
def index() -> Response:
    """The secrets, by scope and name, the chosen one beside them."""
    actor = web.actor()
    form = Form() if "add" in request.args and accounts.may(actor, "secrets:write") else None
    return _page(actor, request.args.get("scope", ""), request.args.get("name", ""), form=form)


@bp.post("/secrets")
def add() -> Response:
    """Keep a new secret; what does not fit is told beside what was typed, without the value."""
    actor = web.actor()
    form = Form(*(web.form(name)[:200] for name in ("whom", "app", "project", "name")))
    try:
        kept = _add(actor, form)
    except Problem as problem:
        if problem.status in (401, 403, 404):
            raise
        told = Form(**{**vars(form), "problem": problem.message, "field": problem.field or ""})
        return _page(actor, "", "", problem.status, form=told)
    return _back(kept.scope, kept.name)


@bp.post("/secrets/replace")
def replace() -> Response:
    """Put another value in place of a secret's."""
    actor, scope, name = _asked()
    try:
        service.get(actor, scope, name)
        service.put(actor, scope, name, _value())
    except Invalid as problem:
        return _page(actor, scope, name, problem.status, problem=problem, of_value=problem.field == "value")
    return _back(scope, name)


@bp.post("/secrets/grant")
def grant() -> Response:
    """Let a project's commands use a secret."""
    actor, scope, name = _asked()
    try:
        service.grant(actor, scope, name, web.form("project"))
    except Invalid as problem:
        return _page(actor, scope, name, problem.status, problem=problem)
    return _back(scope, name)


@bp.post("/secrets/take-away")
def take_away() -> Response:
    """Let them no longer."""
    actor, scope, name = _asked()
    service.take_away(actor, scope, name, web.form("project"))
    return _back(scope, name)


@bp.post("/secrets/delete")
def delete() -> Response:
    """Forget a secret."""
    actor, scope, name = _asked()
    service.delete(actor, scope, name)
    return _back()


@slots.fill("stream")
def fill_stream(actor: Actor, watch: Mapping[str, str]) -> dict[str, Any]:
    """The list of an open page, with the secret that it shows."""
    return {"secrets": _List(actor, watch)} if "secrets" in watch else {}


class _List:
    """Draws the rows, and who may use the chosen one, whenever a secret changes."""

    def __init__(self, actor: Actor, watch: Mapping[str, str]) -> None:
        self._actor = actor
        self._chosen = watch.get("scope", ""), watch.get("name", "")
        self._words = watch.get("secrets", "")

    def keeps(self, fact: Any) -> bool:
        """Whether a fact changes the list."""
        return isinstance(fact.event, events.SecretChanged)

    def draw(self, fact: Any) -> list[str]:
        """All rows, which are few, and the grants of the one in the panel; its fields stay as they are."""
        if not self.keeps(fact) or not accounts.may(self._actor, "secrets:read"):
            return []
        shown = _shown(self._actor, *self._chosen, self._words)
        drawn = [live.partial("#secret-rows", "innerHTML", render_template("secrets/_rows.html", **shown))]
        if shown["chosen"] and (fact.event.scope, fact.event.name) == self._chosen:
            drawn.append(live.partial("#secret-grants", "outerHTML", render_template("secrets/_grants.html", **shown)))
        return drawn


def _page(
    actor: Actor,
    scope: str,
    name: str,
    status: int = 200,
    *,
    form: Form | None = None,
    problem: Invalid | None = None,
    of_value: bool = False,
) -> Response:
    words = " ".join(request.args.get("q", "").split())[:LONGEST_SEARCH]
    shown = _shown(actor, scope, name, words)
    if name and shown["chosen"] is None:
        raise NotFound("secret", name)
    keys = service.keys_in_use(actor)
    return web.page(
        "secrets/index.html",
        status,
        **shown,
        q=words,
        form=form,
        problem=problem,
        of_value=of_value,
        whom=WHOM,
        open=form is not None or bool(name),
        current=next((key for key in keys if key.is_current), None),
        older=[key for key in keys if not key.is_current and key.scopes],
        uses=_uses(actor, shown["chosen"]),
        watch={"secrets": words, "scope": scope, "name": name},
    )


def _shown(actor: Actor, scope: str, name: str, words: str) -> dict[str, Any]:
    """The rows that fit the words, and the named one."""
    projects = slots.gather("secrets", actor).get("projects", [])
    names = {project["id"]: project["name"] for project in projects}
    people = _people(actor)
    every = [_row(one, names, people) for one in service.list_all(actor)]
    found = [row for row in every if words.lower() in f"{row.one.name} {row.where} {row.users}".lower()]
    chosen = next((row for row in every if (row.one.scope, row.one.name) == (scope, name)), None)
    grantable = projects
    if chosen is not None:
        taken = {project for project, _name in chosen.projects}
        own = chosen.one.scope.partition("project:")[2]
        grantable = [one for one in projects if one["id"] not in taken and own in ("", one["id"])]
    return {
        "rows": found,
        "every": len(every),
        "chosen": chosen,
        "projects": projects,
        "grantable": grantable,
        "may_write": accounts.may(actor, "secrets:write"),
    }


def _row(one: Secret, projects: Mapping[str, str], people: Mapping[str, str]) -> Row:
    kind, _, owner = one.scope.partition(":")
    where = {"platform": "Server", "provider": "Server", "app": f"App: {owner}"}.get(
        kind, f"Project: {projects.get(owner, owner)}"
    )
    granted = tuple((project, projects.get(project, project)) for project in one.projects)
    return Row(one, where, granted, people.get(one.by, ""))


def _uses(actor: Actor, chosen: Row | None) -> list[audit.Entry]:
    """To which runs it went lately, for those who may read the record."""
    if chosen is None or not accounts.may(actor, "audit:read"):
        return []
    target = f"{chosen.one.scope}/{chosen.one.name}"
    wanted = [audit.Condition("action", "secrets.lend"), audit.Condition("target", target)]
    return audit.entries(actor, wanted, limit=USES)


def _add(actor: Actor, form: Form) -> Secret:
    if form.whom == "app":
        return service.put_app(actor, form.app, form.name, _value())
    if form.whom == "project":
        return service.put_project(actor, form.project, form.name, _value())
    return service.put_platform(actor, form.name, _value())


def _value() -> str:
    """The value that was typed, as it is but for a browser's line ends."""
    return request.form.get("value", "").replace("\r\n", "\n")


def _asked() -> tuple[Actor, str, str]:
    """Who asks, and about which secret."""
    return web.actor(), web.form("scope"), web.form("name")


def _people(actor: Actor) -> dict[str, str]:
    if not accounts.may(actor, "users:read"):
        return {}
    return {person.id: person.name for person in accounts.list_users(actor)}


def _back(scope: str = "", name: str = "") -> Response:
    return web.back(url_for("secrets.index", scope=scope or None, name=name or None))
