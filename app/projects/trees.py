"""Worktrees as they are stored, and how each stands on disk."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app import git, record
from app.actor import Scope
from app.errors import NotFound
from app.lately import Lately
from app.projects.events import WorktreeAdded, WorktreeRemoved
from app.projects.models import worktree as table

FRESH = 3.0


@dataclass(frozen=True)
class Worktree:
    """A git worktree made for a session; created and missing (since when its directory is gone) in unix ms."""

    id: str
    project: str
    name: str
    directory: str
    branch: str
    repository: str
    git_dir: str
    admin: str
    owner: str
    created: int
    missing: int | None

    @property
    def visibility(self) -> str:
        """Whoever sees the project sees its worktrees."""
        return "team"

    @property
    def path(self) -> Path:
        """The directory as a path."""
        return Path(self.directory)


@dataclass(frozen=True)
class Standing:
    """How a worktree stands: its branch, commits ahead of and behind `base`, and what only it holds.

    dirty: files not committed; own: commits on no remote and no other branch. problem: why nobody can tell.
    """

    branch: str = ""
    base: str = ""
    ahead: int = 0
    behind: int = 0
    dirty: int = 0
    own: int = 0
    has_remote: bool = False
    problem: str = ""

    @property
    def would_lose(self) -> str:
        """What would be lost with it, in figures; "" for nothing."""
        if self.problem:
            return "work that nobody can count"
        words = [f"{self.own} {_noun(self.own, 'commit')} {self.where}"] if self.own else []
        words += [f"{self.dirty} {_noun(self.dirty, 'file')} not committed"] if self.dirty else []
        return ", ".join(words)

    @property
    def where(self) -> str:
        """What its own commits lack."""
        return "not pushed" if self.has_remote else "on no other branch"


_columns = [table.c[field.name] for field in dataclasses.fields(Worktree)]
_standings: Lately[str, Standing] = Lately(FRESH, 500)


def select(conn: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Worktree]:
    """Return the worktrees that meet the conditions, oldest first."""
    query = sa.select(*_columns).where(*conditions).order_by(table.c.created, table.c.id)
    return [Worktree(**row._asdict()) for row in conn.execute(query)]


def get(conn: sa.Connection, worktree_id: str) -> Worktree:
    """Return one worktree; raise NotFound."""
    found = select(conn, table.c.id == worktree_id)
    if not found:
        raise NotFound("worktree", worktree_id)
    return found[0]


def insert(conn: sa.Connection, new: Worktree) -> Worktree:
    """Store a worktree and announce it."""
    columns = dataclasses.asdict(new)
    conn.execute(table.insert().values(**columns))
    record.event(conn, WorktreeAdded(columns), _scope(new))
    return new


def update(conn: sa.Connection, old: Worktree, **changes: Any) -> None:
    """Change a worktree's columns."""
    conn.execute(table.update().where(table.c.id == old.id).values(**changes))


def delete(conn: sa.Connection, old: Worktree) -> None:
    """Forget a worktree and announce it."""
    conn.execute(table.delete().where(table.c.id == old.id))
    record.event(conn, WorktreeRemoved(old.id, old.project), _scope(old))


def look(one: Worktree, *, fresh: bool = False) -> Standing:
    """Return how a worktree stands, at most 3 seconds old; just now if `fresh`."""
    return _standings.get(one.id, lambda: _look(one), anew=fresh)


def _look(one: Worktree) -> Standing:
    """Ask git."""
    if not one.path.is_dir():
        return Standing(problem="The directory is missing.")
    if not git.is_toplevel(one.path):
        return Standing(problem="It is no worktree any more: its .git is gone.")
    try:
        branch, base = git.branch(one.path), git.default_branch(Path(one.repository))
        ahead, behind = git.apart(one.path, base) if base and git.has_branch(one.path, base) else (0, 0)
        own = git.count_own(one.path, list(dict.fromkeys(name for name in (branch, one.branch) if name)))
        dirty = len(git.status(one.path))
        has_remote = bool(git.text(["for-each-ref", "--count=1", "--format=x", "refs/remotes"], one.path))
    except git.GitFailed as error:
        return Standing(problem=f"Git can't read it: {error.reason}")
    return Standing(branch, base, ahead, behind, dirty, own, has_remote)


def _scope(one: Worktree) -> Scope:
    return Scope(one.owner, one.project, one.visibility)


def _noun(number: int, one: str) -> str:
    return one if number == 1 else f"{one}s"
