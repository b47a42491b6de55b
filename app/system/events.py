"""What the system announces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from app.record import Event


@dataclass(frozen=True)
class InterfaceTold(Event, kind="system.interface_told"):
    """Somebody's interfaces are to do something: `type` and `properties` as OpenCode's stream says it.

    `path` and `body` are the request that asked for it, as the next reader of the control queue gets it; `directory`
    is the one whose interfaces are meant, "" for all of theirs.
    """

    is_personal: ClassVar[bool] = True

    type: str
    properties: dict[str, Any]
    path: str
    body: Any
    directory: str


@dataclass(frozen=True)
class ControlAnswered(Event, kind="system.control_answered"):
    """Whoever reads somebody's control queue answered the request that it was given last ("" if it was given none)."""

    is_personal: ClassVar[bool] = True

    path: str
    body: Any
    directory: str
