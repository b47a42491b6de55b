"""What this room announces."""

from __future__ import annotations

from dataclasses import dataclass

from app.record import Event


@dataclass(frozen=True)
class Diagnosed(Event, kind="languages.diagnosed"):
    """What a language server finds in a file (absolute path) is other than before. `directory` is the project's."""

    directory: str
    server: str
    path: str


@dataclass(frozen=True)
class ServersChanged(Event, kind="languages.servers"):
    """A language server of a directory began, failed or ended."""

    directory: str
