"""What this room announces. `ask` holds the whole ask as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.record import Event


@dataclass(frozen=True)
class Asked(Event, kind="approvals.asked"):
    """A tool call, or the agent with a question, waits for a human."""

    session_id: str
    ask: dict[str, Any]


@dataclass(frozen=True)
class Answered(Event, kind="approvals.answered"):
    """Somebody answered, or a rule that was just added did."""

    session_id: str
    ask: dict[str, Any]


@dataclass(frozen=True)
class Withdrawn(Event, kind="approvals.withdrawn"):
    """What asked was stopped or deleted: nobody needs to answer any more; `ask` without what was asked."""

    session_id: str
    ask: dict[str, Any]
