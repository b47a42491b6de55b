"""OpenCode's routes of projects: which there are, and where a request works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app import config, git
from app.actor import Actor
from app.dialects import opencode
from app.projects import bp, service
from app.projects.service import Place, Project, Standing, Worktree

door = opencode.door(bp)


@door.get("/project", answer=list[dict[str, Any]])
def index(actor: Actor) -> list[dict[str, Any]]:
    """Every project the caller may see."""
    return [_project(actor, one, one.root) for one in service.list_all(actor) if one.state == "ready"]


@door.get("/project/current", answer=dict[str, Any])
def current(actor: Actor) -> dict[str, Any]:
    """The project of the request's directory."""
    place = service.resolve(actor, opencode.directory())
    return _project(actor, place.project, str(place.directory))


@door.get("/project/<project_id>/directories", answer=list[dict[str, str]])
def directories(actor: Actor, project_id: str) -> list[dict[str, str]]:
    """Where a project is worked on: its own directory, then its worktrees."""
    project = service.get(actor, project_id)
    trees = [{"directory": one.directory, "strategy": "git_worktree"} for one in service.find_worktrees(actor, project)]
    return [{"directory": _shown(project.root)}, *trees]


@door.get("/experimental/workspace", answer=list[dict[str, Any]])
def workspaces(actor: Actor) -> list[dict[str, Any]]:
    """The worktrees of the request's project."""
    project = service.resolve(actor, opencode.directory()).project
    return [_workspace(one) for one, _standing in service.list_worktrees(actor, project)]


@door.get("/experimental/workspace/status", answer=list[dict[str, str]])
def workspaces_status(actor: Actor) -> list[dict[str, str]]:
    """Whether each of them is there."""
    project = service.resolve(actor, opencode.directory()).project
    found = service.list_worktrees(actor, project)
    return [{"workspaceID": _workspace_id(one), "status": _status(standing)} for one, standing in found]


@door.get("/api/location", answer=dict[str, Any])
def location_here(actor: Actor) -> dict[str, Any]:
    """Where the request works, in the preview's form."""
    return location(service.resolve(actor, opencode.directory()))


@opencode.shapes("location")
def location(place: Place) -> dict[str, Any]:
    """A place as the preview's lists carry it."""
    project = {"id": place.project.id, "directory": _shown(place.project.root)}
    return {"directory": _shown(str(place.directory)), "project": project}


def _workspace(one: Worktree) -> dict[str, Any]:
    return {
        "id": _workspace_id(one),
        "type": "worktree",
        "name": one.name,
        "branch": one.branch,
        "directory": _shown(one.directory),
        "projectID": one.project,
        "timeUsed": one.created,
    }


def _workspace_id(one: Worktree) -> str:
    return f"wrk_{one.id.rpartition('_')[2]}"


def _status(standing: Standing) -> str:
    return "error" if standing.problem else "connected"


@door.get("/path", answer=dict[str, str])
def path(actor: Actor) -> dict[str, str]:
    """Where the request works, and where the server keeps its own things."""
    directory = _shown(str(service.resolve(actor, opencode.directory()).directory))
    data = str(config.current().data_dir.resolve())
    return {
        "home": str(Path.home()),
        "state": data,
        "config": data,
        "worktree": directory,
        "directory": directory,
    }


@door.get("/vcs", answer=dict[str, str])
def vcs(actor: Actor) -> dict[str, str]:
    """The branch checked out and the one others merge into; nothing without git."""
    directory = service.resolve(actor, opencode.directory()).directory
    if git.find_toplevel(directory) is None:
        return {}
    try:
        names = {"branch": git.branch(directory), "default_branch": git.default_branch(directory)}
    except git.GitFailed:
        return {}
    return {name: _shown(branch) for name, branch in names.items() if branch}


def _project(actor: Actor, project: Project, worktree: str) -> dict[str, Any]:
    time = {"created": project.created, "updated": project.initialized or project.created}
    if project.initialized:
        time["initialized"] = project.initialized
    shape = {
        "id": project.id,
        "name": project.name,
        "worktree": _shown(worktree),
        "time": time,
        "sandboxes": [_shown(directory) for directory in service.directories_of(actor, project)],
    }
    return {**shape, "vcs": "git"} if project.vcs else shape


def _shown(text: str) -> str:
    """Return text that JSON can hold, for names of the disk that are not Unicode."""
    return text.encode("utf-8", "replace").decode()
