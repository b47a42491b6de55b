"""OpenCode's routes of the system: its document, its health, and lines for the server's log."""

from __future__ import annotations

import logging
from typing import Any, Literal

from pydantic import BaseModel

from app import openapi, redact
from app.actor import Actor
from app.dialects import opencode
from app.system import bp

door = opencode.door(bp)
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
LONGEST = 4_000
_logger = logging.getLogger(__name__)


class LogLine(BaseModel):
    """POST /log."""

    service: str
    level: Literal["debug", "info", "error", "warn"]
    message: str
    extra: dict[str, Any] | None = None


@door.get("/doc", answer=dict[str, Any])
def doc(_actor: Actor) -> dict[str, Any]:
    """What OpenCode routes there are: the document itself."""
    return openapi.document("opencode")


@door.get("/global/health", answer=dict[str, Any])
def health(_actor: Actor) -> dict[str, Any]:
    """Whether the server is well, and the version it speaks."""
    return {"healthy": True, "version": opencode.VERSION}


@door.get("/experimental/capabilities", answer=dict[str, bool])
def capabilities(_actor: Actor) -> dict[str, bool]:
    """What the server can do beyond the rest: a subagent holds the agent that called it until it has ended."""
    return {"backgroundSubagents": False}


@door.get("/experimental/console", answer=dict[str, Any])
def console(_actor: Actor) -> dict[str, Any]:
    """What OpenCode's own cloud manages here: no provider, and no organization to switch to."""
    return {"consoleManagedProviders": [], "switchableOrgCount": 0}


@door.post("/log", body=LogLine, answer=bool)
def log(actor: Actor, body: LogLine) -> bool:
    """Write a line to the server's log."""
    said = [_quoted(body.service, 100), _quoted(body.message, LONGEST)]
    if body.extra:
        said.append(_quoted(body.extra, LONGEST))
    _logger.log(LEVELS[body.level], "client of %s says: %s", actor.user, " ".join(said))
    return True


def _quoted(value: Any, most: int) -> str:
    """Spell a client's words on one line, without secrets and without anything a terminal would obey."""
    quoted = repr(redact.data(value))
    return quoted if len(quoted) <= most else f"{quoted[:most]}..."
