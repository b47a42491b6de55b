"""The directories agents may work in: the list, adding by path or clone URL, taking off."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, render_template, request, url_for

from app import live, slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid
from app.projects import bp, events, sample, service
from app.projects.service import Condition, Project, Standing, Worktree

REFUSED = 5


@dataclass(frozen=True)
class Row:
    """A project in the list: how its directory stands, and its sessions; updated in unix ms."""

    project: Project
    branch: str
    changed: int
    missing: bool
    running: int
    sessions: int
    updated: int | None
    sample: bool
    worktrees: Sequence[tuple[Worktree, Standing]] = ()

    @property
    def unpushed(self) -> int:
        """How many of its worktrees hold work that is nowhere else."""
        return sum(1 for _one, standing in self.worktrees if standing.would_lose)


@bp.get("/projects")
def index() -> Response:
    """The projects, the chosen one's worktrees, and the directories that clients asked for in vain."""
    return _index(web.actor(), chosen=request.args.get("project", ""))


@bp.post("/projects")
def add() -> Response:
    """Add a directory of this server, or begin a clone."""
    actor, source = web.actor(), web.form("source")
    try:
        service.add(actor, source)
    except (Invalid, Denied) as problem:
        return _index(actor, problem.status, source=source, problem=problem.message)
    return web.back(url_for("projects.index"))


@bp.post("/projects/<project_id>/remove")
def remove(project_id: str) -> Response:
    """Take a project off the list; its files and sessions stay."""
    service.remove(web.actor(), project_id)
    return web.back(url_for("projects.index"))


@bp.post("/projects/<project_id>/cancel")
def cancel(project_id: str) -> Response:
    """End a clone under way."""
    service.cancel(web.actor(), project_id)
    return web.back(url_for("projects.index"))


@bp.post("/projects/<project_id>/worktrees/<worktree_id>/remove")
def remove_worktree(project_id: str, worktree_id: str) -> Response:
    """Remove a worktree; one with work of its own only if its name was typed."""
    actor = web.actor()
    try:
        service.remove_worktree(actor, worktree_id, web.form("typed"))
    except Conflict as problem:
        return _index(actor, problem.status, chosen=project_id, refused_tree=(worktree_id, problem.message))
    return web.back(url_for("projects.index", project=project_id))


@bp.post("/projects/<project_id>/visibility")
def set_visibility(project_id: str) -> Response:
    """Let everybody or only its people see a project."""
    return _changed(project_id, lambda actor: service.set_visibility(actor, project_id, web.form("visibility")))


@bp.post("/projects/<project_id>/members")
def put_member(project_id: str) -> Response:
    """Take somebody into a project, or change what they may do there."""
    keys = request.form.getlist("key")
    return _changed(project_id, lambda actor: service.put_member(actor, project_id, web.form("person"), keys))


@bp.post("/projects/<project_id>/members/<user_id>/remove")
def remove_member(project_id: str, user_id: str) -> Response:
    """Take somebody out of a project."""
    return _changed(project_id, lambda actor: service.remove_member(actor, project_id, user_id))


@slots.draws(events.ProjectUpdated)
def draw_row(actor: Actor, fact: Any) -> list[str]:
    """The row of a project while it is cloned, and after."""
    project = service.get(actor, fact.event.project["id"])
    row = _row(project, _figures(actor), service.list_worktrees(actor, project))
    return [live.partial(f"#project-{project.id}", "outerHTML", render_template("projects/_row.html", row=row))]


@slots.draws(events.ProjectAdded)
def draw_added(actor: Actor, fact: Any) -> list[str]:
    """A further row."""
    project = service.get(actor, fact.event.project["id"])
    row = render_template("projects/_row.html", row=_row(project, _figures(actor)))
    return [live.partial("#projects", "upsert", row)]


@slots.draws(events.ProjectRemoved)
def draw_removed(_actor: Actor, fact: Any) -> list[str]:
    """The row goes."""
    return [live.partial(f"#project-{fact.event.project_id}", "delete")]


@slots.fill("home")
def fill_home(actor: Actor) -> dict[str, Any]:
    """The projects as rows, and those to choose from, for Home."""
    found = service.list_all(actor)
    figures = _figures(actor)
    ready = [{"id": project.id, "name": project.name} for project in found if project.state == "ready"]
    return {"project_rows": [_row(project, figures) for project in found], "projects": ready}


@slots.fill("names")
def fill_names(actor: Actor, targets: Collection[str]) -> dict[str, Any]:
    """What those of the targets are called that are projects."""
    if not accounts.may(actor, "projects:read") or not any(one.startswith("prj_") for one in targets):
        return {}
    return {project.id: project.name for project in service.list_all(actor) if project.id in targets}


@slots.fill("account")
@slots.fill("members")
def fill_place_names(actor: Actor) -> dict[str, Any]:
    """What the projects are called in which somebody was lent something."""
    return {"place_names": service.place_names(actor)}


@slots.fill("secrets")
def fill_secrets(actor: Actor) -> dict[str, Any]:
    """The projects whose sessions' commands may be lent a secret."""
    if not accounts.may(actor, "projects:read"):
        return {"projects": []}
    return {"projects": [{"id": project.id, "name": project.name} for project in service.list_all(actor)]}


def _changed(project_id: str, change: Callable[[Actor], None]) -> Response:
    """The panel with who sees the project by now, or with what is wrong."""
    actor = web.actor()
    try:
        change(actor)
    except (Conflict, Invalid) as problem:
        return _index(actor, problem.status, chosen=project_id, refused_access=problem.message)
    except Denied as problem:
        if not accounts.may(actor, "projects:write"):
            raise
        return _index(actor, problem.status, chosen=project_id, refused_access=problem.message)
    return web.back(url_for("projects.index", project=project_id, _anchor="who"))


def _index(
    actor: Actor,
    status: int = 200,
    *,
    source: str = "",
    problem: str | None = None,
    chosen: str = "",
    refused_tree: tuple[str, str] = ("", ""),
    refused_access: str = "",
) -> Response:
    figures = _figures(actor)
    rows = [_row(project, figures, service.list_worktrees(actor, project)) for project in service.list_all(actor)]
    refused = service.list_refusals(actor)[:REFUSED] if accounts.may(actor, "projects:write") else []
    wanted = next((row for row in rows if row.project.id == chosen), None)
    ready = sorted((row for row in rows if row.project.state == "ready"), key=lambda row: -(row.updated or 0))
    shown = wanted or next(iter(ready), None)
    places = [one.directory for one, _standing in shown.worktrees] if shown else []
    return web.page(
        "projects/index.html",
        status,
        rows=rows,
        source=source,
        problem=problem,
        refused=refused,
        chosen=shown,
        open=wanted is not None,
        refused_tree=refused_tree,
        refused_access=refused_access,
        **_who(actor, shown),
        sessions_in=slots.gather("worktrees", actor, places).get("sessions_in", {}),
    )


def _who(actor: Actor, shown: Row | None) -> dict[str, Any]:
    """Who sees the shown project, and who else could be let in."""
    if shown is None or not accounts.may(actor, "users:read"):
        return {"access": None}
    access = service.access_of(actor, shown.project.id)
    inside = {access.owner, *(one.user_id for one in access.members)}
    people = [one for one in accounts.list_users(actor) if one.revoked is None and one.id not in inside]
    return {"access": access, "people": people, "lendable": accounts.LENDABLE}


def _figures(actor: Actor) -> dict[str, Any]:
    found: dict[str, Any] = slots.gather("projects", actor).get("sessions", {})
    return found


def _row(project: Project, figures: dict[str, Any], trees: Sequence[tuple[Worktree, Standing]] = ()) -> Row:
    standing = figures.get(project.id)
    condition = service.describe(project) if project.state == "ready" else Condition()
    return Row(
        project=project,
        branch=condition.branch,
        changed=condition.dirty or 0,
        missing=condition.is_missing,
        running=standing.running if standing else 0,
        sessions=standing.sessions if standing else 0,
        updated=standing.updated if standing else None,
        sample=project.root == str(sample.root()),
        worktrees=trees,
    )
