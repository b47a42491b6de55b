"""OpenCode's terminals: `/pty`, a WebSocket of plain text each, tickets for it, and their events."""

from __future__ import annotations

import functools
from pathlib import PurePath
from typing import Annotated, Any

import orjson
from flask import Response, g, request
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from app import sockets, web
from app.actor import Actor
from app.dialects import opencode
from app.events.service import Fact
from app.terminals import bp, events, service
from app.terminals.service import Output, Size, Terminal
from app.terminals.talk import Conversation

door = opencode.door(bp)
HERE = "/pty/<terminal_id>"
FROM_NOW = -1
Cells = Annotated[StrictInt, Field(ge=1, le=4096)]


class Create(BaseModel):
    """A new terminal: a shell unless a command is given."""

    model_config = ConfigDict(extra="forbid")
    command: StrictStr = ""
    args: list[StrictStr] = []
    cwd: StrictStr | None = None
    title: StrictStr = ""
    env: dict[StrictStr, StrictStr] = {}


class NewSize(BaseModel):
    """Rows and columns."""

    model_config = ConfigDict(extra="forbid")
    rows: Cells
    cols: Cells


class Update(BaseModel):
    """What changes."""

    model_config = ConfigDict(extra="forbid")
    title: StrictStr | None = None
    size: NewSize | None = None


class Where(BaseModel):
    """From which place in its output a connection begins: 0 is all that is kept, -1 only what comes."""

    cursor: int | None = None


@door.get("/pty/shells", answer=list[dict[str, Any]])
def shells(actor: Actor) -> list[dict[str, Any]]:
    """The shells that a terminal can have here."""
    return [{"path": path, "name": PurePath(path).name, "acceptable": True} for path in service.list_shells(actor)]


@door.get("/pty", answer=list[dict[str, Any]])
def index(actor: Actor) -> list[dict[str, Any]]:
    """Every terminal of the directory's project."""
    place, _ = service.find_place(actor, opencode.directory(), None)
    return [_pty(one.shape()) for one in service.list_all(actor) if one.project == place.project.id]


@door.post("/pty", body=Create, answer=dict[str, Any])
def create(actor: Actor, body: Create) -> dict[str, Any]:
    """Open a terminal."""
    place, cwd = service.find_place(actor, opencode.directory(), body.cwd)
    command = [body.command or service.shell(), *body.args]
    made = service.create(actor, place, command=command, cwd=cwd, title=body.title, env=body.env)
    return _pty(made.shape())


@door.get(HERE, answer=dict[str, Any])
def show(actor: Actor, terminal_id: str) -> dict[str, Any]:
    """One of them."""
    return _pty(service.get(actor, terminal_id).shape())


@door.put(HERE, body=Update, answer=dict[str, Any])
def update(actor: Actor, body: Update, terminal_id: str) -> dict[str, Any]:
    """Another title or size."""
    one = service.get(actor, terminal_id)
    if body.size is not None:
        one = service.resize(actor, terminal_id, Size(body.size.cols, body.size.rows), is_told=body.title is None)
    if body.title is not None:
        one = service.rename(actor, terminal_id, body.title)
    return _pty(one.shape())


@door.delete(HERE, answer=bool)
def remove(actor: Actor, terminal_id: str) -> bool:
    """End it."""
    service.end(actor, terminal_id)
    return True


@door.post(f"{HERE}/connect-token", answer=dict[str, Any])
def connect_token(actor: Actor, terminal_id: str) -> dict[str, Any]:
    """A ticket that opens one WebSocket within 30 s."""
    given = service.ticket(actor, terminal_id)
    return {"ticket": given.secret, "expires_in": given.seconds}


@door.get(f"{HERE}/connect", query=Where)
def connect(actor: Actor, query: Where, terminal_id: str) -> Response:
    """Its output and input as text on a WebSocket."""
    terminal = service.check_room(actor, terminal_id)
    end = terminal.live.ring.end
    after = end if query.cursor == FROM_NOW else min(max(0, query.cursor or 0), end)
    return sockets.Upgrade(sockets.handshake(), Plain(actor, terminal.id, after))


@bp.before_request
def by_ticket() -> None:
    """A connection's ticket says who asks; it is spent even where credentials say so too."""
    if request.endpoint == f"{bp.name}.{door.dialect.name}.{connect.__name__}" and "ticket" in request.args:
        found = service.redeem(request.args["ticket"], (request.view_args or {}).get("terminal_id", ""))
        if web.dialect() and found is not None and g.get("actor") is None:
            g.actor, g.proof = found, "bearer"


class Plain(Conversation):
    """The conversation in plain text. A binary message of a NUL and JSON tells the client its cursor: after the replay,
    and whenever it cannot count it, because it counts characters and we bytes.
    """

    def __init__(self, actor: Actor, terminal_id: str, after: int) -> None:
        super().__init__(actor, terminal_id, after)
        self._replays_to: int | None = None

    def greet(self, terminal: Terminal) -> None:
        """Note where the replay ends; with nothing to replay it has ended."""
        self._replays_to = terminal.live.ring.end
        self._tell_cursor(self._after or 0, is_exact=True)

    def show(self, word: Output) -> None:
        """The text as it is."""
        text = word.data.decode("utf-8", "replace")
        if self._speaker is not None:
            self._speaker.say(text, functools.partial(self.taken, len(word.data)))
        self._tell_cursor(word.end, is_exact=len(text.encode("utf-16-le")) == 2 * len(word.data))

    def heard(self, message: str | bytes) -> None:
        """Everything is typed."""
        self.type(message.encode("utf-8", "replace") if isinstance(message, str) else message)

    def _tell_cursor(self, at: int, *, is_exact: bool) -> None:
        is_replayed = self._replays_to is not None and at >= self._replays_to
        if self._speaker is not None and (is_replayed or not is_exact):
            self._speaker.say(b"\0" + orjson.dumps({"cursor": at}))
        if is_replayed:
            self._replays_to = None


@opencode.encodes(events.TerminalCreated)
def encode_created(fact: Fact) -> list[dict[str, Any]]:
    """A terminal was opened."""
    return [{"type": "pty.created", "properties": {"info": _pty(_told(fact).terminal)}}]


@opencode.encodes(events.TerminalUpdated)
def encode_updated(fact: Fact) -> list[dict[str, Any]]:
    """It has another title or size."""
    return [{"type": "pty.updated", "properties": {"info": _pty(_told(fact).terminal)}}]


@opencode.encodes(events.TerminalExited)
def encode_exited(fact: Fact) -> list[dict[str, Any]]:
    """What ran in it has ended."""
    return [{"type": "pty.exited", "properties": {"id": _told(fact).terminal_id, "exitCode": _told(fact).exit_code}}]


@opencode.encodes(events.TerminalDeleted)
def encode_deleted(fact: Fact) -> list[dict[str, Any]]:
    """It is there no more."""
    return [{"type": "pty.deleted", "properties": {"id": _told(fact).terminal_id}}]


def _told(fact: Fact) -> Any:
    return fact.event


def _pty(shape: dict[str, Any]) -> dict[str, Any]:
    """A terminal as OpenCode has it, from what its events carry."""
    told = {
        "id": shape["id"],
        "title": shape["title"] or f"Terminal {shape['id'][-4:]}",
        "command": shape["command"][0],
        "args": shape["command"][1:],
        "cwd": shape["cwd"],
        "status": "running" if shape["exit_code"] is None else "exited",
        "pid": shape["pid"],
    }
    return told if shape["exit_code"] is None else {**told, "exitCode": shape["exit_code"]}
