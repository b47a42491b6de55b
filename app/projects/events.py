"""What projects announce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app import record


@dataclass(frozen=True)
class ProjectAdded(record.Event, kind="projects.added"):
    """A directory was registered or a clone of one begun; `project` holds its columns."""

    project: dict[str, Any]


@dataclass(frozen=True)
class ProjectUpdated(record.Event, kind="projects.updated"):
    """A project's state, or how far its clone is, changed; `project` holds its columns."""

    project: dict[str, Any]


@dataclass(frozen=True)
class ProjectRemoved(record.Event, kind="projects.removed"):
    """A project was taken off the list; its files and sessions stay."""

    project_id: str


@dataclass(frozen=True)
class ProjectClosed(record.Event, kind="projects.closed"):
    """From now on only its people see the project and what is in it."""

    project_id: str


@dataclass(frozen=True)
class WorktreeAdded(record.Event, kind="projects.worktree_added"):
    """A worktree was made; `worktree` holds its columns."""

    worktree: dict[str, Any]


@dataclass(frozen=True)
class WorktreeRemoved(record.Event, kind="projects.worktree_removed"):
    """A worktree was removed."""

    worktree_id: str
    project_id: str


@dataclass(frozen=True)
class DirectoryRefused(record.Event, kind="projects.directory_refused"):
    """A client asked for a directory that is no project; told at most once a minute per directory."""

    path: str
    name: str
    via: str
