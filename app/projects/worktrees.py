"""The verbs of worktrees: one is made for a session, listed with what only it holds, and removed with care."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app import clearing, config, db, dispatch, git, ids, record
from app.accounts import service as accounts
from app.actor import SYSTEM, Actor, Scope
from app.errors import Conflict, Invalid, Problem, Unavailable
from app.projects import rows, trees
from app.projects.models import worktree as table
from app.projects.rows import Project
from app.projects.trees import Standing, Worktree

PREFIX = "signalcabin/"
LONGEST = 40
# What in a repository's git directory outlives the worktree, and runs or decides what runs: agents leave it alone.
KEPT = ("HEAD", "config", "config.worktree", "hooks", "index", "info", "modules", "worktrees")
MADE = ("hooks", "info", "logs", "modules")
_logger = logging.getLogger(__name__)
_count_busy: Callable[[str], int] = lambda _directory: 0  # noqa: E731


@dataclass(frozen=True)
class Beside:
    """What git needs outside a worktree: directories that commands may write, and what in those they may not."""

    also: tuple[Path, ...] = ()
    keep: tuple[Path, ...] = ()


def register_busy(count: Callable[[str], int]) -> None:
    """Say who counts the sessions at work in a directory."""
    global _count_busy
    _count_busy = count


def above() -> Path:
    """Return the directory that holds the worktrees of all projects."""
    return Path(os.path.realpath(config.current().data_dir)) / "worktrees"


def add_worktree(actor: Actor, project: Project, toplevel: Path, words: str) -> Worktree:
    """Make a worktree of a repository, on a branch of its own that is named after the words.

    Raises Invalid where there can be none, Unavailable when git says no; then nothing is left behind.
    """
    accounts.require(actor, "projects:read", project)
    accounts.require(actor, "sessions:write", Scope(actor.user, project.id))
    git_dir = _shared(project, toplevel)
    with _alone(project):
        name = _free_name(toplevel, above() / project.id, words)
        target, branch = above() / project.id / name, f"{PREFIX}{name}"
        admin = _make(toplevel, target, branch)
        new = _fresh(project, target, branch, toplevel, git_dir, admin, actor.user)
        with db.transaction() as conn:
            record.audit(conn, actor, "worktree.add", new.id, {"project": project.id, "branch": branch})
            return trees.insert(conn, new)


def list_worktrees(actor: Actor, project: Project) -> list[tuple[Worktree, Standing]]:
    """Return a project's worktrees, oldest first, each with how it stands."""
    accounts.require(actor, "projects:read", project)
    with db.read() as conn:
        found = trees.select(conn, table.c.project == project.id)
    return [(one, trees.look(one)) for one in found]


def directories_of(actor: Actor, project: Project) -> list[str]:
    """Return where a project's worktrees are, oldest first, without asking git how they stand."""
    accounts.require(actor, "projects:read", project)
    with db.read() as conn:
        return [one.directory for one in trees.select(conn, table.c.project == project.id)]


def get_worktree(actor: Actor, worktree_id: str) -> Worktree:
    """Return one worktree; raises NotFound."""
    with db.read() as conn:
        found = trees.get(conn, worktree_id)
    accounts.require(actor, "projects:read", found)
    return found


def find_worktrees(actor: Actor, project: Project) -> list[Worktree]:
    """Return a project's worktrees whose directories are there, oldest first, without asking git how they stand."""
    accounts.require(actor, "projects:read", project)
    with db.read() as conn:
        return trees.select(conn, table.c.project == project.id, table.c.missing.is_(None))


def remove_worktree(actor: Actor, worktree_id: str, typed: str = "") -> None:
    """Remove a worktree; its branch too, unless that holds commits of its own.

    Raises Conflict while a session works in it, and, in figures, when work would be lost and its name was not typed.
    """
    with db.read() as conn:
        one = trees.get(conn, worktree_id)
    accounts.require(actor, "sessions:write", one)
    busy = _count_busy(one.directory)
    if busy:
        raise Conflict(f"{busy} {'session works' if busy == 1 else 'sessions work'} in {one.name}. Stop it first.")
    standing = trees.look(one, fresh=True)
    if standing.would_lose and typed != one.name and one.path.exists():
        raise Conflict(f"{one.name} holds {standing.would_lose}. To remove it all the same, type its name.")
    _remove(actor, one, standing)


def release(directory: str) -> None:
    """Remove the worktree of a session that is gone, if nothing is lost with it; else it stays and is listed."""
    with db.read() as conn:
        found = trees.select(conn, table.c.directory == directory)
    for one in found:
        standing = trees.look(one, fresh=True)
        if not standing.would_lose and not _count_busy(directory):
            try:
                _remove(SYSTEM, one, standing)
            except Problem as problem:
                _logger.warning("the worktree %s stays: %s", one.name, problem.message)


def beside(directory: str) -> Beside:
    """Return what git needs outside a directory: nothing, unless it is a worktree of ours."""
    if not Path(directory).is_relative_to(above()):
        return Beside()
    with db.read() as conn:
        found = trees.select(conn, table.c.directory == directory)
    if not found:
        return Beside()
    shared, own = Path(found[0].git_dir), Path(found[0].admin)
    if not shared.is_dir() or not own.is_dir():
        return Beside()
    for name in MADE:  # what isn't there can't be kept, and a clone of ours has none
        with suppress(OSError):
            (shared / name).mkdir(exist_ok=True)
    kept = tuple(shared / name for name in KEPT if _is_plain(shared / name))
    # Its own part lies within what is kept; but where it belongs is not for agents to say.
    kept += tuple(own / name for name in ("commondir", "gitdir", "config.worktree") if _is_plain(own / name))
    return Beside((shared, own), kept)


@dispatch.actor("projects.reconcile")
def reconcile() -> None:
    """At start: note which worktrees are gone, let their repositories forget them, and take in what was half made."""
    with db.read() as conn:
        known = trees.select(conn)
    for one in known:
        is_there = one.path.is_dir()
        if is_there == (one.missing is None):
            continue
        if not is_there:
            _logger.warning("the worktree %s is missing: %s", one.name, one.directory)
            _let_go(Path(one.repository), one.path)
        with db.transaction() as conn:
            trees.update(conn, one, missing=None if is_there else ids.now())
    for project in rows.listed():
        if project.vcs and project.state == "ready" and project.path.is_dir():
            _reconcile(project, {one.directory for one in known})


def _reconcile(project: Project, known: set[str]) -> None:
    """Compare what a project's repository says of our worktrees with what is there."""
    place = above() / project.id
    try:
        listed = [path for path in git.list_worktrees(project.path) if path.parent == place]
    except git.GitFailed as error:
        _logger.warning("the worktrees of %s can't be listed: %s", project.name, error.reason)
        return
    for path in listed:
        if not path.exists():
            _let_go(project.path, path)
        elif str(path) not in known and git.is_toplevel(path):
            with _alone(project):
                _take_in(project, path)


def _let_go(repository: Path, path: Path) -> None:
    """Let a repository forget a worktree that is missing; its branch stays.

    Only this one: a prune would also drop other people's worktrees, on disks that are not mounted now.
    """
    try:
        if repository.is_dir() and path in git.list_worktrees(repository):
            git.remove_worktree(repository, path)
    except git.GitFailed as error:
        _logger.warning("the worktree %s is left as it is: %s", path.name, error.reason)


def _take_in(project: Project, path: Path) -> None:
    """Store a worktree that a start which was killed had made, unless it was being made just now."""
    with db.read() as conn:
        if trees.select(conn, table.c.directory == str(path)):
            return
    try:
        git_dir, admin = _shared(project, project.path), git.own_dir(path)
    except (Problem, git.GitFailed) as error:
        _logger.warning("the worktree %s is left as it is: %s", path.name, error)
        return
    branch = git.branch(path) or f"{PREFIX}{path.name}"
    with db.transaction() as conn:
        trees.insert(conn, _fresh(project, path, branch, project.path, git_dir, admin, project.owner))


@contextmanager
def _alone(project: Project) -> Iterator[None]:
    """Make or take in worktrees of a project one at a time, among the threads and processes of this machine."""
    above().mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(above() / f"{project.id}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _free_name(toplevel: Path, place: Path, words: str) -> str:
    """Return the first name made of the words that neither a directory nor a branch has."""
    for name in _names(words):
        if not (place / name).exists() and not git.has_branch(toplevel, f"{PREFIX}{name}"):
            return name
    raise Conflict("There are too many worktrees of this name.")


def _fresh(
    project: Project, path: Path, branch: str, repository: Path, git_dir: Path, admin: Path, owner: str
) -> Worktree:
    """Return a worktree that is not stored yet."""
    return Worktree(
        id=ids.random("wtr"),
        project=project.id,
        name=path.name,
        directory=str(path),
        branch=branch,
        repository=str(repository),
        git_dir=str(git_dir),
        admin=str(admin),
        owner=owner,
        created=ids.now(),
        missing=None,
    )


def _shared(project: Project, toplevel: Path) -> Path:
    """Return the git directory that worktrees of a repository share; raises Invalid where there can be none."""
    if not git.is_toplevel(toplevel):
        raise Invalid(f"{toplevel} is not the top of a git repository, so a session works in place there.", "worktree")
    try:
        if not git.layout(toplevel).head:
            raise Invalid("A worktree needs a first commit to begin with.", "worktree")
        shared = Path(os.path.realpath(git.common_dir(toplevel)))
    except git.GitFailed as error:
        raise Unavailable(f"No worktree could be made: {error.reason}") from error
    # Commands in the worktree may write there: a .git file must not lead them out of the project.
    if not shared.is_relative_to(os.path.realpath(project.root)):
        raise Invalid(
            "This repository keeps its git directory outside the project, so it has no worktrees.", "worktree"
        )
    return shared


def _make(toplevel: Path, target: Path, branch: str) -> Path:
    """Make a worktree and return its own git directory; what was begun is taken back when git says no."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        git.add_worktree(toplevel, target, branch)
        # Without the directory there would be nothing to keep agents from making one.
        (git.common_dir(toplevel) / "hooks").mkdir(exist_ok=True)
        return git.own_dir(target)
    except (git.GitFailed, OSError) as error:
        _take_back(toplevel, target, branch)
        reason = error.reason if isinstance(error, git.GitFailed) else error.strerror or "the disk refused"
        raise Unavailable(f"No worktree could be made: {reason.rstrip('.')}.") from error


def _take_back(toplevel: Path, target: Path, branch: str) -> None:
    """Take back as much of a worktree as was made."""
    try:
        if target in git.list_worktrees(toplevel):
            git.remove_worktree(toplevel, target)
        if git.has_branch(toplevel, branch):
            git.remove_branch(toplevel, branch)
    except git.GitFailed as error:
        _logger.warning("a worktree that could not be made is left at %s: %s", target, error.reason)


def _remove(actor: Actor, one: Worktree, standing: Standing) -> None:
    """Remove the directory, what the repository knows of it, and a branch with nothing of its own."""
    repository = Path(one.repository)
    try:
        # By ourselves: git would first read what an agent may have made of the worktree's .git.
        if one.path.exists():
            clearing.remove(one.path)
        if repository.is_dir() and one.path in git.list_worktrees(repository):
            git.remove_worktree(repository, one.path)
        if not standing.own and not standing.problem and git.has_branch(repository, one.branch):
            git.remove_branch(repository, one.branch)
    except (git.GitFailed, OSError) as error:
        reason = error.reason if isinstance(error, git.GitFailed) else error.strerror or "the disk refused"
        raise Unavailable(f"{one.name} could not be removed whole: {reason.rstrip('.')}.") from error
    with db.transaction() as conn:
        trees.delete(conn, one)
        record.audit(conn, actor, "worktree.remove", one.id, {"branch": one.branch, "lost": standing.would_lose})


def _names(words: str) -> Iterator[str]:
    """Yield names for a worktree: the words as one, then with a number."""
    letters = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    name = letters[:LONGEST].rpartition("-")[0] if len(letters) > LONGEST and "-" in letters[:LONGEST] else letters
    name = name[:LONGEST].strip("-") or ids.random("w").lower().replace("_", "-")[:12]
    yield name
    yield from (f"{name}-{number}" for number in range(2, 100))


def _is_plain(path: Path) -> bool:
    return path.exists() and not path.is_symlink()
