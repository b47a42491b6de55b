"""What this room announces."""

from __future__ import annotations

from dataclasses import dataclass

from app.record import Event


@dataclass(frozen=True)
class ServerChanged(Event, kind="mcp.server"):
    """A server of a project was added, removed, switched, connected or failed, or offers something else.

    `directory` is the project's, `server` the name.
    """

    directory: str
    server: str
