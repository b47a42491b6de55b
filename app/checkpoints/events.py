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
class FilesRestored(record.Event, kind="checkpoints.restored"):
    """Files were put back or removed; `number` is the automatic checkpoint that undoes it."""

    session_id: str
    number: int
    restored: list[str]
    removed: list[str]
