"""OpenCode's routes of the system: its document, its health, lines for the server's log, and the remote control.

The remote control (`/tui/*`) steers the caller's own interfaces, not the server.
"""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import BaseModel, Field, RootModel, StringConstraints

from app import openapi, redact
from app.actor import Actor
from app.dialects import opencode
from app.dialects.door import read_json
from app.errors import Unavailable
from app.events.service import Fact
from app.streams import Awaited
from app.system import bp, service
from app.system.events import InterfaceTold

door = opencode.door(bp)
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
LONGEST = 4_000
NEXT_WAIT = 24 * 3600.0
_logger = logging.getLogger(__name__)


class LogLine(BaseModel):
    """POST /log."""

    service: str
    level: Literal["debug", "info", "error", "warn"]
    message: str
    extra: dict[str, Any] | None = None


Text = Annotated[str, StringConstraints(max_length=50_000)]
Short = Annotated[str, StringConstraints(max_length=2_000)]
SessionId = Annotated[str, StringConstraints(pattern=r"^ses", max_length=40)]


class Append(BaseModel):
    """POST /tui/append-prompt."""

    text: Text


class Execute(BaseModel):
    """POST /tui/execute-command."""

    command: Short


class Toast(BaseModel):
    """POST /tui/show-toast; `duration` in ms."""

    title: Short | None = None
    message: Short
    variant: Literal["info", "success", "warning", "error"]
    duration: Annotated[int, Field(gt=0, le=600_000)] = 5_000


class Select(BaseModel):
    """POST /tui/select-session."""

    sessionID: SessionId


class PublishAppend(BaseModel):
    """An event of POST /tui/publish: text for the prompt."""

    type: Literal["tui.prompt.append"]
    properties: Append


class PublishExecute(BaseModel):
    """An event of POST /tui/publish: a command, by the name that interfaces know it by."""

    type: Literal["tui.command.execute"]
    properties: Execute


class PublishToast(BaseModel):
    """An event of POST /tui/publish: a toast."""

    type: Literal["tui.toast.show"]
    properties: Toast


class PublishSelect(BaseModel):
    """An event of POST /tui/publish: a session to show."""

    type: Literal["tui.session.select"]
    properties: Select


class Publish(
    RootModel[Annotated[PublishAppend | PublishExecute | PublishToast | PublishSelect, Field(discriminator="type")]]
):
    """POST /tui/publish."""


@door.get("/doc", answer=dict[str, Any])
def doc(_actor: Actor) -> dict[str, Any]:
    """What OpenCode routes there are: the document itself."""
    return openapi.document("opencode")


@door.get("/global/health", answer=dict[str, Any])
def health(_actor: Actor) -> dict[str, Any]:
    """Whether the server is well, and the version it speaks."""
    return {"healthy": True, "version": opencode.VERSION}


@door.post("/log", body=LogLine, answer=bool)
def log(actor: Actor, body: LogLine) -> bool:
    """Write a line to the server's log."""
    said = [_quoted(body.service, 100), _quoted(body.message, LONGEST)]
    if body.extra:
        said.append(_quoted(body.extra, LONGEST))
    _logger.log(LEVELS[body.level], "client of %s says: %s", actor.user, " ".join(said))
    return True


@door.post("/tui/append-prompt", body=Append, answer=bool)
def append_prompt(actor: Actor, body: Append) -> bool:
    """Add text to the prompt."""
    return _tell(actor, "tui.prompt.append", body, "append-prompt")


@door.post("/tui/open-help", answer=bool)
def open_help(actor: Actor) -> bool:
    """Open the list of keys."""
    return _execute(actor, "help.show", "open-help")


@door.post("/tui/open-sessions", answer=bool)
def open_sessions(actor: Actor) -> bool:
    """Open the list of sessions."""
    return _execute(actor, "session.list", "open-sessions")


@door.post("/tui/open-themes", answer=bool)
def open_themes(actor: Actor) -> bool:
    """Open the list of themes."""
    return _execute(actor, "theme.switch", "open-themes")


@door.post("/tui/open-models", answer=bool)
def open_models(actor: Actor) -> bool:
    """Open the list of models."""
    return _execute(actor, "model.list", "open-models")


@door.post("/tui/submit-prompt", answer=bool)
def submit_prompt(actor: Actor) -> bool:
    """Send the prompt."""
    return _execute(actor, "prompt.submit", "submit-prompt")


@door.post("/tui/clear-prompt", answer=bool)
def clear_prompt(actor: Actor) -> bool:
    """Empty the prompt."""
    return _execute(actor, "prompt.clear", "clear-prompt")


@door.post("/tui/execute-command", body=Execute, answer=bool)
def execute_command(actor: Actor, body: Execute) -> bool:
    """Have a command executed; one that nobody knows is told without its name, as by the real servers."""
    return _execute(actor, service.dotted(body.command), "execute-command", body.model_dump())


@door.post("/tui/show-toast", body=Toast, answer=bool)
def show_toast(actor: Actor, body: Toast) -> bool:
    """Show a toast."""
    return _tell(actor, "tui.toast.show", body, "show-toast")


@door.post("/tui/publish", body=Publish, answer=bool)
def publish(actor: Actor, body: Publish) -> bool:
    """Send one of the events of the remote control."""
    event = body.root
    if isinstance(event, PublishSelect):
        return _select(actor, event.properties, "publish", event.model_dump())
    return _tell(actor, event.type, event.properties, "publish", event.model_dump(exclude_none=True))


@door.post("/tui/select-session", body=Select, answer=bool)
def select_session(actor: Actor, body: Select) -> bool:
    """Show a session."""
    return _select(actor, body, "select-session", body.model_dump())


@door.get("/tui/control/next", answer=dict[str, Any])
def control_next(actor: Actor) -> dict[str, Any] | Response:
    """Wait for the next request to the interfaces: its path and its body."""
    directory = opencode.directory()
    subscription = service.follow(actor, directory)
    found: list[Fact] = []
    try:
        found += next(([fact] for fact in subscription.replay()), [])
    except BaseException:
        subscription.close()
        raise
    if found:
        subscription.close()
        return _request(service.give(actor, directory, found[0]))

    def is_it(fact: Fact) -> bool:
        found.append(fact)
        return True

    def answer() -> Response:
        if not found:
            raise Unavailable("Nothing was asked for meanwhile; ask again.", retry_after=1)
        return opencode.accent.answer(_request(service.give(actor, directory, found[0])))

    return Awaited(subscription, is_it, answer, NEXT_WAIT)


@door.post("/tui/control/response", answer=bool)
def control_response(actor: Actor) -> bool:
    """Answer the request that was given last."""
    service.answer(actor, opencode.directory(), read_json())
    return True


@opencode.encodes(InterfaceTold)
def encode_told(fact: Fact) -> list[dict[str, Any]]:
    """What an interface is to do."""
    told: InterfaceTold = fact.event  # type: ignore[assignment]
    return [{"type": told.type, "properties": told.properties}]


def _tell(actor: Actor, kind: str, properties: BaseModel, name: str, body: Any = None) -> bool:
    said = properties.model_dump(exclude_none=True)
    service.tell(actor, opencode.directory(), kind, said, f"/tui/{name}", body or said)
    return True


def _execute(actor: Actor, command: str | None, name: str, body: Any = None) -> bool:
    said = {"command": command} if command else {}
    service.tell(actor, opencode.directory(), "tui.command.execute", said, f"/tui/{name}", body or {})
    return True


def _select(actor: Actor, wanted: Select, name: str, body: Any) -> bool:
    service.select(actor, opencode.directory(), wanted.sessionID, f"/tui/{name}", body)
    return True


def _request(told: InterfaceTold) -> dict[str, Any]:
    return {"path": told.path, "body": told.body}


def _quoted(value: Any, most: int) -> str:
    """Spell a client's words on one line, without secrets and without anything a terminal would obey."""
    quoted = repr(redact.data(value))
    return quoted if len(quoted) <= most else f"{quoted[:most]}..."
