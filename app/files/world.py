"""Where a name leads: into the workspace, its scratch directory or another registered root, and nowhere else.

People, clients and agents speak of the same world: relative names, `~` and `/home/user` are the workspace's, `/tmp` is
its scratch directory, registered roots and worktrees go by their absolute path. All else is as unknown.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app import config, git
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Denied, NotFound
from app.files.answers import shown
from app.files.paths import Root
from app.processes.spawn import Place as Ground
from app.projects import service as projects
from app.projects.service import Place, Project

SCRATCH = "/tmp"  # noqa: S108 - what agents call their scratch directory


@dataclass(frozen=True)
class Spot:
    """A name in its root, which belongs to a project."""

    root: Root
    name: str
    project: Project
    is_scratch: bool = False

    @property
    def path(self) -> str:
        """The absolute path, by the text alone."""
        return "/".join((self.root.path.rstrip("/"), *self.root.parts(self.name)))


def scratch_of(workspace: Path, private: Path, also: tuple[Path, ...] = ()) -> Root:
    """The scratch directory of a workspace, which agents and their commands know as /tmp; it may not exist yet."""
    return Root(Ground(workspace, private, also).scratch, aliases=(SCRATCH,))


def make(scratch: Root) -> Root:
    """The scratch directory, made if no command has run yet."""
    Path(scratch.path).mkdir(mode=0o700, parents=True, exist_ok=True)
    return scratch


def is_scratch(name: str, *roots: Root) -> bool:
    """Whether a name speaks of the scratch directory: a root that itself lies in /tmp goes before it."""
    return _is_below(SCRATCH, name) and not any(root.holds(name) for root in roots)


def locate(actor: Actor, place: Place, key: str, name: str) -> Spot:
    """The root in which a name lies, once the actor holds the key for it; raises NotFound for one that is nowhere."""
    root = Root(place.directory)
    accounts.require(actor, key, place.project)
    if not name.startswith("/") or root.holds(name):
        return Spot(root, name, place.project)
    other = max(_others(actor, name), key=lambda spot: len(spot.root.path), default=None)
    if other is not None:
        accounts.require(actor, key, other.project)
        return other
    if is_scratch(name):
        scratch = make(scratch_of(place.directory, projects.private_of(place.project)))
        return Spot(scratch, name, place.project, is_scratch=True)
    raise NotFound("file", shown(name))


def refuse_ours(root: Root, path: str, name: str) -> None:
    """Raise Denied for a path in the server's own data, which the root then holds."""
    if is_ours(root, path):
        raise Denied(f"{shown(name)} belongs to the server's own data.")


def refuse_open(root: Root, file: BinaryIO, name: str) -> None:
    """Raise Denied for an open file that lies in the server's own data, by whatever way it was opened."""
    refuse_ours(root, _path_of(file.fileno()) or os.path.realpath(root.absolute(name)), name)


def is_ours(root: Root, path: str) -> bool:
    """Whether a path lies in the server's own data, and its root does not."""
    data = _data_dir()
    return _is_below(data, path.casefold()) and not _is_below(data, root.path.casefold())


def holds_ours(root: Root) -> bool:
    """Whether the server's own data lies somewhere in the root."""
    return _is_below(root.path.casefold(), _data_dir()) and not _is_below(_data_dir(), root.path.casefold())


def refuse_protected(spot: Spot) -> None:
    """Raise Denied for what no caller may write: the server's own data, what holds it, and git's own files.

    What lies in `.git` makes git run commands, also for whoever looks at the repository next.
    """
    path = spot.path
    refuse_ours(spot.root, path, spot.name)
    if holds_ours(spot.root) and _is_below(path.casefold(), _data_dir()):
        raise Denied(f"{shown(spot.name)} holds the server's own data.")
    if ".git" in (part.casefold() for part in spot.root.parts(spot.name)):
        raise Denied(f"{shown(spot.name)} belongs to git, which alone may write there.")


def _others(actor: Actor, name: str) -> Iterator[Spot]:
    """The registered roots and worktrees that hold an absolute path, by the text alone."""
    for project in projects.list_all(actor):
        if actor.project not in (None, project.id) or project.state != "ready":
            continue
        if _is_below(project.root, name):
            yield Spot(Root(project.root), name, project)
        above = projects.worktrees_of(project)
        if _is_below(str(above), name):
            tree = above / name[len(str(above)) :].strip("/").partition("/")[0]
            if tree != above and tree.name != ".." and git.is_toplevel(tree):
                yield Spot(Root(tree), name, project)


def _path_of(descriptor: int) -> str:
    """Where an open file really lies, or "" on systems that don't tell."""
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return ""


def _is_below(top: str, path: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def _data_dir() -> str:
    return _real(str(config.current().data_dir))


@functools.lru_cache(maxsize=16)
def _real(path: str) -> str:
    return os.path.realpath(path).casefold()
