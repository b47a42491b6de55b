"""CodeBuddy's terminals: create, list, look, write, resize, end, and what they show as a stream or by WebSocket."""

from __future__ import annotations

import signal
from typing import Annotated, Any

import orjson
from flask import Response, request
from pydantic import BaseModel, Field, StrictInt, StrictStr

from app import sockets
from app.actor import Actor
from app.dialects import codebuddy
from app.streams import Feed, Stream, frame
from app.terminals import bp, service
from app.terminals.service import Dropped, Ended, Output, Size, Terminal, Word
from app.terminals.talk import Talk

door = codebuddy.door(bp)
KEEPALIVE = 15.0
Cells = Annotated[StrictInt, Field(ge=1, le=4096)]


class Create(BaseModel):
    """A new terminal; the directory is the default project's unless named."""

    cols: Cells = 80
    rows: Cells = 24
    cwd: StrictStr | None = None


class Typed(BaseModel):
    """What is typed."""

    data: StrictStr


class NewSize(BaseModel):
    """Columns and rows."""

    cols: Cells
    rows: Cells


@door.post("/api/v1/pty", body=Create, answer=dict[str, Any])
def create(actor: Actor, body: Create) -> dict[str, Any]:
    """Open a terminal with a shell."""
    place, cwd = service.find_place(actor, None, body.cwd)
    made = service.create(actor, place, cwd=cwd, size=Size(body.cols, body.rows))
    return {
        "sessionId": made.id,
        "cols": made.size.cols,
        "rows": made.size.rows,
        "cwd": str(made.live.cwd),
        "shell": made.shell,
    }


@door.get("/api/v1/pty", answer=dict[str, Any])
def index(actor: Actor) -> dict[str, Any]:
    """Those that run."""
    return {"sessions": [_row(one) for one in service.list_all(actor) if one.ended is None]}


@door.get("/api/v1/pty/<terminal_id>", answer=dict[str, Any])
def show(actor: Actor, terminal_id: str) -> dict[str, Any]:
    """One that runs, or has ended within the last 10 minutes."""
    one = service.get(actor, terminal_id)
    return {
        "sessionId": one.id,
        "cols": one.size.cols,
        "rows": one.size.rows,
        "cwd": one.front().cwd,
        "createdAt": one.created,
    }


@door.delete("/api/v1/pty/<terminal_id>")
def destroy(actor: Actor, terminal_id: str) -> Response:
    """End what runs in it."""
    service.end(actor, terminal_id)
    return Response(status=204)


@door.get("/api/v1/pty/<terminal_id>/output", answer=str)
def output(actor: Actor, terminal_id: str) -> Response:
    """What it shows: first what is kept, or what came after Last-Event-ID, then what comes, then how it ended."""
    last = request.headers.get("Last-Event-ID", "")
    after = int(last) if last.isdecimal() and last.isascii() and len(last) < 16 else None
    watching = service.watch(actor, terminal_id, after)
    return Stream(
        Feed(
            source=watching,
            opening=b"",
            frame=_frame,
            beat=lambda: b"event: keepalive\ndata: {}\n\n",
            every=KEEPALIVE,
            shared=True,
            comes_back=False,
            sent=watching.taken,
        )
    )


@door.post("/api/v1/pty/<terminal_id>/input/send", body=Typed, answer=dict[str, Any])
def send(actor: Actor, body: Typed, terminal_id: str) -> dict[str, Any]:
    """Write as if typed."""
    service.write(actor, terminal_id, body.data)
    return {}


@door.post("/api/v1/pty/<terminal_id>/resize", body=NewSize, answer=dict[str, Any])
def resize(actor: Actor, body: NewSize, terminal_id: str) -> dict[str, Any]:
    """Give it another size."""
    service.resize(actor, terminal_id, Size(body.cols, body.rows))
    return {}


@door.get("/api/v1/pty/<terminal_id>/ws")
def connect(actor: Actor, terminal_id: str) -> Response:
    """Both directions on one WebSocket; several may be open, one of them writes."""
    terminal = service.check_room(actor, terminal_id)
    return sockets.Upgrade(sockets.handshake(), Talk(actor, terminal.id))


def _row(one: Terminal) -> dict[str, Any]:
    return {
        "id": one.id,
        "cols": one.size.cols,
        "rows": one.size.rows,
        "cwd": one.front().cwd,
        "createdAt": one.created,
        "shell": one.shell,
        "hasClient": bool(one.seats.viewers),
        "viewers": len(one.seats.viewers),
    }


def _frame(word: Word) -> bytes:
    if isinstance(word, Output):
        text = word.data.decode("utf-8", "replace")
        return b"event: output\n" + frame(orjson.dumps({"data": text}), str(word.end))
    if isinstance(word, Dropped):
        return b"event: output\n" + frame(orjson.dumps({"data": word.marker.decode()}))
    return b"event: exit\n" + frame(orjson.dumps(_exit(word)))


def _exit(word: Ended) -> dict[str, Any]:
    told: dict[str, Any] = {"code": word.exit_code}
    if word.signal is not None:
        told["signal"] = signal.Signals[word.signal].value
    return told
