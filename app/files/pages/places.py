"""Where a page of files is: the project or worktree that its URL names, and the URLs of what lies in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from flask import url_for

from app.actor import Actor
from app.errors import NotFound
from app.files.service import Root
from app.projects import service as projects
from app.projects.service import Place, Project, Worktree

KEPT_AS_THEY_ARE = "/!$'()*,:@~"


@dataclass(frozen=True)
class Opened:
    """A place under the key by which URLs name it: the id of a project, or of one of its worktrees."""

    key: str
    place: Place
    worktree: Worktree | None
    base: str

    @property
    def project(self) -> Project:
        """The project."""
        return self.place.project

    @property
    def label(self) -> str:
        """What the place is called: the project, or its worktree's branch too."""
        return f"{self.project.name}, {self.worktree.branch}" if self.worktree else self.project.name

    def url(self, path: str = "", **query: Any) -> str:
        """The page of a file or folder; url_for would be most of a long list's time."""
        asked = urlencode({name: value for name, value in query.items() if value not in (None, "", False)})
        return "/".join(filter(None, (self.base, quote(path, KEPT_AS_THEY_ARE)))) + (f"?{asked}" if asked else "")

    def path(self, name: str) -> str:
        """A name as the path that it means, relative to the place; raises Invalid, Denied."""
        return "/".join(Root(self.place.directory).parts(name))


def find(actor: Actor, key: str) -> Opened:
    """The place of a key; raises NotFound, and Conflict while it is being cloned."""
    worktree = projects.get_worktree(actor, key) if key.startswith("wtr_") else None
    root = worktree.directory if worktree else projects.get(actor, key).root
    return _opened(key, projects.resolve(actor, root), worktree)


def first(actor: Actor) -> Opened | None:
    """The place that a request means which names none; None where there is no project yet."""
    try:
        place = projects.resolve(actor, None)
    except NotFound:
        return None
    return _opened(place.project.id, place, None)


def at(actor: Actor, directory: str, name: str) -> tuple[Opened, str]:
    """The place that holds a directory, and the path of a name in that directory; raises Denied, Invalid."""
    found = projects.resolve(actor, directory)
    worktrees = projects.find_worktrees(actor, found.project) if found.root != found.project.path else []
    worktree = next((one for one in worktrees if one.path == found.root), None)
    root = worktree.path if worktree else found.project.path
    opened = _opened(worktree.id if worktree else found.project.id, Place(found.project, root, root), worktree)
    path = "/".join(Root(found.directory).parts(name))
    below = found.directory.relative_to(root).as_posix()
    return opened, path if below == "." else f"{below}/{path}".rstrip("/")


def picks(actor: Actor, opened: Opened) -> dict[str, list[dict[str, str]]]:
    """What else can be opened: the projects that are ready, and the places of this one."""
    ready = [one for one in projects.list_all(actor) if one.state == "ready"]
    trees = projects.find_worktrees(actor, opened.project)
    own = [{"id": opened.project.id, "name": "in place"}] if trees else []
    return {
        "projects": [{"id": one.id, "name": one.name} for one in ready],
        "trees": [*own, *({"id": one.id, "name": one.branch} for one in trees)],
    }


def _opened(key: str, place: Place, worktree: Worktree | None) -> Opened:
    return Opened(key, place, worktree, url_for("files.show", key=key))
