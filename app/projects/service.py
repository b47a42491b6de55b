"""The verbs of projects: which directories agents may work in, and which of them a request means."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from app import config, db, dispatch, git, ids, record
from app.accounts import service as accounts
from app.actor import SYSTEM, Actor
from app.errors import Conflict, Denied, Invalid, NotFound
from app.lately import Lately
from app.projects import clones, refusals, rows, sample, worktrees
from app.projects.members import (
    Access,
    Member,
    access_of,
    may_open_up,
    place_names,
    put_member,
    remove_member,
    set_visibility,
)
from app.projects.models import project as table
from app.projects.refusals import Refusal
from app.projects.rows import Project
from app.projects.scratch import close_scratch, is_scratch, open_scratch
from app.projects.trees import Standing, Worktree
from app.projects.worktrees import (
    Beside,
    beside,
    directories_of,
    find_worktrees,
    get_worktree,
    list_worktrees,
    reconcile,
    register_busy,
    release,
    remove_worktree,
)
from app.secrets import service as secrets

__all__ = [
    "Access",
    "Beside",
    "Condition",
    "Member",
    "Place",
    "Project",
    "Refusal",
    "Standing",
    "Worktree",
    "access_of",
    "add",
    "beside",
    "cancel",
    "close_scratch",
    "describe",
    "describe_directory",
    "directories_of",
    "ensure_defaults",
    "find_worktrees",
    "get",
    "get_worktree",
    "is_scratch",
    "list_all",
    "list_ready",
    "list_refusals",
    "list_worktrees",
    "may_open_up",
    "open_scratch",
    "place_names",
    "private_of",
    "put_member",
    "reconcile",
    "register_busy",
    "register_named",
    "release",
    "remove",
    "remove_member",
    "remove_worktree",
    "resolve",
    "resolve_project",
    "set_initialized",
    "set_visibility",
    "with_worktree",
    "worktrees_of",
]
FRESH = 3.0


@dataclass(frozen=True)
class Place:
    """Where a request works: `directory` is the registered root, a repository below it, or one of our
    worktrees.

    `root` is the registered root, or the worktree itself: the outermost directory this place opens.
    """

    project: Project
    directory: Path
    root: Path


@dataclass(frozen=True)
class Condition:
    """How a project's directory stands now; `dirty` counts changed files, None without git."""

    branch: str = ""
    upstream: str = ""
    ahead: int = 0
    behind: int = 0
    dirty: int | None = None
    is_missing: bool = False


def add(actor: Actor, path_or_url: str) -> Project:
    """Register a directory, or clone a URL in the background; one that is registered already is returned."""
    accounts.require(actor, "projects:write")
    where = path_or_url.strip()
    if clones.is_url(where):
        return _add_clone(actor, where)
    return _register(actor, _checked(where), actor.user)


def remove(actor: Actor, project_id: str) -> None:
    """Take a project off the list; its files and sessions stay, and adding it again brings them back."""
    with db.transaction() as conn:
        project = _own(conn, actor, project_id)
        _take_off(conn, actor, project)


def cancel(actor: Actor, project_id: str) -> None:
    """End a clone under way; what it fetched is deleted. Raises Conflict when it has ended by itself."""
    with db.transaction() as conn:
        project = _own(conn, actor, project_id)
        if project.state != "cloning":
            raise Conflict("This project is not being cloned any more.")
        _take_off(conn, actor, project)


def list_all(actor: Actor) -> list[Project]:
    """Return every project the actor may see, by name, also those being cloned."""
    accounts.require(actor, "projects:read")
    return [project for project in rows.listed() if accounts.may(actor, "projects:read", project)]


def get(actor: Actor, project_id: str) -> Project:
    """Return one project; raises NotFound."""
    with db.read() as conn:
        project = rows.get(conn, project_id)
    accounts.require(actor, "projects:read", project)
    return project


def resolve_project(actor: Actor, project_id: str) -> Place:
    """Return the place of a project's root, or the default one without an id; raises NotFound."""
    return resolve(actor, get(actor, project_id).root if project_id else None)


def set_initialized(actor: Actor, project_id: str) -> Project:
    """Note that the project's instructions file was written by a run."""
    project = get(actor, project_id)
    with db.transaction() as conn:
        return rows.update(conn, project, initialized=ids.now())


def list_refusals(actor: Actor) -> list[Refusal]:
    """Return the directories asked for and refused in the last day, newest first."""
    accounts.require(actor, "projects:write")
    return refusals.list_recent()


def list_ready(actor: Actor) -> list[Project]:
    """Return the projects that the actor can work in now, bound to one or not."""
    return [one for one in list_all(actor) if one.state == "ready" and actor.project in (None, one.id)]


def resolve(actor: Actor, directory: str | None) -> Place:
    """Return the place a request means: the directory's, or the default one without a directory.

    Raises Denied, naming the page and the command that add it, when the directory is no project of the
    actor's.
    """
    found = [project for project in list_all(actor) if actor.project in (None, project.id)]
    if not directory:
        return _default(actor, found)
    path = _real(directory)
    place = _worktree(found, path) or _below(found, path)
    if place is None:
        if not _is_closed(actor, path):  # nobody can add it
            refusals.note(actor, str(path))
        raise Denied(f"{path} is not a project. Add it on the Projects page, or with: python -m app project add {path}")
    _on_named(actor, _ready(place))
    return place


def register_named(heard: Callable[[Actor, Place], None]) -> None:
    """Say who hears of each place that an actor named; given by the files room, which this one doesn't know."""
    global _on_named
    _on_named = heard


def describe(project: Project) -> Condition:
    """Return branch, ahead, behind and changed files of a project's root, at most 3 seconds old."""
    return describe_directory(project.path)


def describe_directory(directory: Path) -> Condition:
    """Return the same for any directory of a place."""
    return _conditions.get(directory, lambda: _look(directory))


def with_worktree(actor: Actor, project: Project, directory: Path, words: str) -> Place:
    """Return a place of its own in a project: a new worktree of the directory's repository, named after the words.

    Raises Invalid where there can be none: without git, without a commit, or below the top of a repository.
    """
    accounts.require(actor, "projects:read", project)
    made = worktrees.add_worktree(actor, project, directory, words)
    return Place(project, made.path, made.path)


def worktrees_of(project: Project) -> Path:
    """Return the directory that holds a project's worktrees; it may not exist yet."""
    return worktrees.above() / project.id


def private_of(project: Project) -> Path:
    """Return the directory that holds HOME and scratch of a project's commands; it may not exist yet."""
    return config.current().data_dir / "private" / project.id


def ensure_defaults() -> None:
    """At start: register the configured project and, the first time, the sample."""
    named = config.current().project
    if named is not None:
        try:
            _register(SYSTEM, _checked(str(named)), SYSTEM.user)
        except Invalid as error:
            logging.getLogger(__name__).error("SIGNALCABIN_PROJECT is left out: %s", error.message)
    if sample.create() or not _is_any():
        _register(SYSTEM, sample.root(), SYSTEM.user)
    dispatch.wake("projects.reconcile")


def _is_any() -> bool:
    """Tell whether a project was ever registered."""
    with db.read() as conn:
        return conn.execute(sa.select(table.c.id).limit(1)).first() is not None


_conditions: Lately[Path, Condition] = Lately(FRESH, 500)


def _look(directory: Path) -> Condition:
    """Ask git how a directory stands."""
    if not directory.is_dir():
        return Condition(is_missing=True)
    toplevel = git.find_toplevel(directory)
    if toplevel is None:
        return Condition()
    try:
        standing, changes = git.standing(toplevel), git.status(toplevel)
    except git.GitFailed:
        return Condition()
    return Condition(standing.branch, standing.upstream, standing.ahead, standing.behind, len(changes))


def _checked(text: str) -> Path:
    """Return the real path of a directory that may be registered; raises Invalid with the reason."""
    path = _real(text, expand=True)
    if not path.is_dir():
        raise Invalid(f"There is no directory {path}.", "path")
    if path == Path(path.anchor):
        raise Invalid("The whole file system can't be a project.", "path")
    data_dir = config.current().data_dir.resolve()
    ours = [data_dir / "projects", data_dir / "worktrees"]
    if path.is_relative_to(data_dir) and path != sample.root() and path.parent not in ours:
        raise Invalid("The server's own data directory can't be a project.", "path")
    return path


def _real(text: str, *, expand: bool = False) -> Path:
    """Return the real path a caller names; raises Invalid for what names no absolute path."""
    if len(text) > 4000 or any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise Invalid("This is not a path.", "directory")
    path = Path(text).expanduser() if expand and text.startswith("~") else Path(text)
    if not path.is_absolute():
        raise Invalid("Name the directory by its absolute path.", "directory")
    try:
        return Path(os.path.realpath(path))
    except OSError as error:
        raise Invalid("This is not a path.", "directory") from error


def _register(actor: Actor, root: Path, owner: str) -> Project:
    """Store a root, or return the project that has it."""
    with db.read() as conn:
        known = rows.select(conn, table.c.root == str(root), table.c.state != "removed")
    if known:
        return _known(actor, known[0])
    _refuse_closed(root)
    top = git.find_toplevel(root)
    is_git = top is not None and (top == root or bool(git.ls_files(root, untracked=False)))
    facts = {"vcs": is_git, "git_root": git.root_commit(root), "origin": git.origin(root)} if is_git else {}
    with db.transaction() as conn:
        known = rows.select(conn, table.c.root == str(root))
        if known and _known(actor, known[0]).state != "removed":
            return known[0]
        if known:
            project = rows.update(conn, known[0], state="ready", progress={}, **facts)
        else:
            project = rows.insert(conn, rows.fresh(root.name, root, owner, **facts))
        record.audit(conn, actor, "project.add", project.id, {"root": rows.shape(project)["root"]})
        return project


def _known(actor: Actor, project: Project) -> Project:
    """Return the project that a directory is, if the actor may see it: there cannot be two of one directory."""
    if not accounts.may(actor, "projects:read", project):
        raise Invalid("This directory belongs to a project that is not open to you.", "path")
    return project


def _is_closed(actor: Actor, path: Path) -> bool:
    """Tell whether a path lies in a project that is closed to the actor."""
    closed = [one for one in rows.listed() if not accounts.is_open(actor, one.id)]
    return any(rows.is_below(path, top) for one in closed for top in (one.path, worktrees_of(one)))


def _refuse_closed(root: Path) -> None:
    """Insist that a new root neither holds nor lies in a project that only its people see: all would read its files."""
    with db.read() as conn:
        closed = rows.select(conn, table.c.visibility == "members", table.c.root != str(root))
    for one in closed:
        if rows.is_below(one.path, root):
            raise Invalid("A project that only some people see lies in this directory.", "path")
        if rows.is_below(root, one.path) or rows.is_below(root, worktrees_of(one)):
            raise Invalid("This directory lies in a project that only some people see.", "path")


def _add_clone(actor: Actor, url: str) -> Project:
    """Begin a clone; one that failed is begun again in its place."""
    clones.check(url)
    with db.transaction() as conn:
        known = rows.select(conn, table.c.origin == url, table.c.state.in_(("failed", "cloning")))
        known = [one for one in known if accounts.may(actor, "projects:read", one)]
        if known and known[0].state == "cloning":
            return known[0]
        if known:
            conn.execute(table.update().where(table.c.id == known[0].id).values(beat=0))
            project = rows.update(conn, known[0], state="cloning", progress={})
        else:
            root = clones.place_for(conn, clones.name_of(url))
            new = rows.fresh(root.name, root, actor.user, origin=url, state="cloning", vcs=True)
            project = rows.insert(conn, new)
        record.audit(conn, actor, "project.clone", project.id, {"url": url})
        dispatch.wake("projects.clone", project.id)
        return project


def _own(conn: sa.Connection, actor: Actor, project_id: str) -> Project:
    """Return a project the actor may change."""
    project = rows.get(conn, project_id)
    accounts.require(actor, "projects:write", project)
    return project


def _take_off(conn: sa.Connection, actor: Actor, project: Project) -> None:
    """Mark a project as removed and say so; its commands lose what the vault lent them."""
    rows.remove(conn, project)
    secrets.end_of_project(conn, actor, project.id)
    record.audit(conn, actor, "project.remove", project.id)


def _default(actor: Actor, found: list[Project]) -> Place:
    """Return the place of a request that names none: the token's project, the configured one, the sample,
    any.
    """
    ready = [project for project in found if project.state == "ready"]
    if not ready:
        raise NotFound("project", actor.project or "")
    chosen = _usual({project.root: project for project in ready}) if actor.project is None else None
    if chosen is None:
        chosen = min(ready, key=is_scratch)
    return Place(chosen, chosen.path, chosen.path)


def _usual(by_root: dict[str, Project]) -> Project | None:
    """Return the configured project, or the sample, of those with these roots."""
    named = config.current().project
    # Roots have no links in them: one that is named as it is need not be looked up with every request.
    found = by_root.get(str(named)) or by_root.get(os.path.realpath(named)) if named else None
    return found or by_root.get(str(sample.root()))


def _below(found: list[Project], path: Path) -> Place | None:
    """Return the place of a root, or of a directory below it, by the innermost root."""
    text = f"{path}/"
    holding = [project for project in found if text.startswith(f"{project.root}/")]
    if not holding:
        return None
    if not path.is_dir():
        raise Invalid(f"The directory {path} is missing.", "directory")
    project = max(holding, key=lambda one: len(one.root))
    inner = path
    while inner != project.path and not git.is_toplevel(inner):
        inner = inner.parent
    return Place(project, inner, project.path)


def _worktree(found: list[Project], path: Path) -> Place | None:
    """Return the place of one of our worktrees, or of a directory in it."""
    above = worktrees.above()
    parts = path.relative_to(above).parts if path.is_relative_to(above) else ()
    if len(parts) < 2 or not git.is_toplevel(above / parts[0] / parts[1]):
        return None
    tree = above / parts[0] / parts[1]
    return next((Place(project, tree, tree) for project in found if project.id == parts[0]), None)


_on_named: Callable[[Actor, Place], None] = lambda _actor, _place: None  # noqa: E731


def _ready(place: Place) -> Place:
    """Insist that the project is there to work in."""
    if place.project.state == "cloning":
        raise Conflict(f"{place.project.name} is still being cloned.")
    if place.project.state == "failed":
        raise Conflict(f"{place.project.name} could not be cloned. See the Projects page.")
    return place
