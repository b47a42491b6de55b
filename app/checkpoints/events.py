"""What checkpoints announce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app import record


@dataclass(frozen=True)
class CheckpointAdded(record.Event, kind="checkpoints.added"):
    """A checkpoint was made, or could not be (kind failed, the reason in note); `checkpoint` holds its
    columns.
    """

    session_id: str
    checkpoint: dict[str, Any]


@dataclass(frozen=True)
class DiffChanged(record.Event, kind="checkpoints.diff_changed"):
    """What the session changed is another now: {path, status, additions, deletions} of each file."""

    session_id: str
    files: list[dict[str, Any]]


@dataclass(frozen=True)
class FilesRestored(record.Event, kind="checkpoints.restored"):
    """Files were put back or removed; `number` is the automatic checkpoint that undoes it."""

    session_id: str
    number: int
    restored: list[str]
    removed: list[str]
