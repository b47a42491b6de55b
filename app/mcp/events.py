"""What this room announces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from app.record import Event


@dataclass(frozen=True)
class ServerChanged(Event, kind="mcp.server"):
    """A server of a project was added, removed, switched, connected or failed, or offers something else.

    `directory` is the project's, `server` the name.
    """

    directory: str
    server: str


@dataclass(frozen=True)
class SignInWanted(Event, kind="mcp.signin_wanted"):
    """A person's own client began to sign in to a server: they are to go to this address."""

    is_personal: ClassVar[bool] = True
    directory: str
    server: str
    url: str


@dataclass(frozen=True)
class SignInEnded(Event, kind="mcp.signin_ended"):
    """A person's sign-in to a server ended, whatever came of it."""

    is_personal: ClassVar[bool] = True
    directory: str
    server: str
