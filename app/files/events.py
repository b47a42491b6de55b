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


@dataclass(frozen=True)
class FileSeen(Event, kind="files.seen"):
    """The watcher saw that a file or a folder changed, whoever did it: its absolute path, and add, change or unlink.

    It only passes: it is told to those who follow the `directory`, and not kept. When very much changes at once, it is
    the folders that are told as changed, or the directory itself.
    """

    directory: str
    file: str
    change: str
