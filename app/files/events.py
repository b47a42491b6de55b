"""What this room announces."""

from __future__ import annotations

from dataclasses import dataclass

from app.record import Event


@dataclass(frozen=True)
class FileChanged(Event, kind="files.changed"):
    """Somebody changed a file or a folder through a door: its absolute path, and what became of it: add, change or
    unlink. `directory` is the root that it lies in.
    """

    directory: str
    file: str
    change: str
