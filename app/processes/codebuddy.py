"""CodeBuddy's routes of processes: start, list, read, write, signal, end of input, size of a terminal."""

from __future__ import annotations

import codecs
from typing import Any

import orjson
from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app import bodies, redact, web
from app.actor import Actor
from app.dialects import codebuddy
from app.errors import NotFound
from app.processes import bp, service
from app.processes.service import Dropped, Ended, Live, Output, Size, Tap, Word
from app.streams import Feed, Stream

door = codebuddy.door(bp)
KEEPALIVE = 15.0
# How long a client that streams input may rest; one stream to each process at a time bounds the threads it costs.
REST = 600.0
BY_SIGNAL = 128


class Body(BaseModel):
    """What all bodies share: further fields are passed over."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Selector(Body):
    """One process, by its number or its tag."""

    pid: int | None = None
    tag: str | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Selector:
        if self.pid is None and not self.tag:
            raise ValueError("pid or tag is required")
        return self

    def find(self, actor: Actor) -> Live:
        """The process; NotFound."""
        return service.get(actor, self.pid if self.pid is not None else self.tag or "")

    def running(self, actor: Actor) -> Live:
        """The process if it runs; NotFound."""
        live = self.find(actor)
        if live.ended is not None:
            raise NotFound("process", str(self.pid or self.tag))
        return live


class ProcessConfig(Body):
    """A command as an exact argument vector."""

    cmd: str = Field(min_length=1, max_length=4096)
    args: list[str] = Field(default_factory=list, max_length=10_000)
    envs: dict[str, str] = Field(default_factory=dict, max_length=1000)
    cwd: str | None = Field(default=None, max_length=4096)


class TerminalSize(Body):
    """A terminal's size in characters."""

    cols: int = Field(ge=1, le=4096)
    rows: int = Field(ge=1, le=4096)


class Terminal(Body):
    """The terminal that a process gets."""

    size: TerminalSize


class Start(Body):
    """What to run; with `pty` in a terminal, and a tag by which it goes besides its number."""

    process: ProcessConfig
    pty: Terminal | None = None
    tag: str | None = Field(default=None, max_length=200)


class One(Body):
    """A process."""

    process: Selector


class Input(Body):
    """What it is to read: `stdin`, or `pty` for one with a terminal; both go to its input."""

    stdin: str | None = None
    pty: str | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Input:
        if self.stdin is None and self.pty is None:
            raise ValueError("stdin or pty is required")
        return self


class Send(One):
    """A process and its input."""

    input: Input


class Signal(One):
    """A process and a signal, by its number or its name."""

    signal: int | str


class Update(One):
    """A process and its terminal's new size."""

    pty: Terminal


class Which(BaseModel):
    """One process, by its number or its tag, in the address."""

    pid: int | None = None
    tag: str | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Which:
        if self.pid is None and not self.tag:
            raise ValueError("pid or tag is required")
        return self


@door.post("/api/v1/process/start", body=Start, answer=dict[str, Any])
def start_process(actor: Actor, body: Start) -> Response:
    """Start a process: `{pid, tag}`, or with Accept text/event-stream what it prints, up to its end."""
    given = body.process
    size = Size(body.pty.size.cols, body.pty.size.rows) if body.pty else None
    place = service.place_of(actor, given.cwd)
    command = [given.cmd, *given.args]
    live = service.start(actor, place, command, cwd=given.cwd, env=given.envs, pty=size, tag=body.tag)
    if "text/event-stream" in request.headers.get("Accept", ""):
        return _stream(live, service.attach(actor, live))
    return web.json({"data": {"pid": live.pid, "tag": live.tag}}, 202)


@door.get("/api/v1/process/list", answer=dict[str, Any])
def list_processes(actor: Actor) -> dict[str, Any]:
    """The processes that run."""
    return {"processes": [_shape(live) for live in service.list_all(actor) if live.ended is None]}


@door.post("/api/v1/process/connect", body=One)
def connect_process(actor: Actor, body: One) -> Response:
    """What a process has printed, as far as it is kept, and what it prints, up to its end."""
    live = body.process.find(actor)
    return _stream(live, service.attach(actor, live))


@door.post("/api/v1/process/input/send", body=Send, answer=dict[str, Any])
def send_input(actor: Actor, body: Send) -> dict[str, Any]:
    """Give a process something to read."""
    text = body.input.stdin if body.input.stdin is not None else body.input.pty or ""
    service.write(actor, body.process.running(actor), text.encode())
    return {}


@door.post("/api/v1/process/input/stream", query=Which, answer=dict[str, Any])
def stream_input(actor: Actor, query: Which) -> dict[str, Any]:
    """Give a process the body to read as it comes; its input stays open afterwards."""
    live = Selector(pid=query.pid, tag=query.tag).running(actor)
    service.feed(actor, live, bodies.pieces(request.environ, REST))
    return {}


@door.post("/api/v1/process/signal/send", body=Signal, answer=dict[str, Any])
def send_signal(actor: Actor, body: Signal) -> dict[str, Any]:
    """Send a signal to a process and all it has started."""
    service.signal(actor, body.process.running(actor), service.signal_number(body.signal))
    return {}


@door.post("/api/v1/process/stdin/close", body=One, answer=dict[str, Any])
def close_stdin(actor: Actor, body: One) -> dict[str, Any]:
    """End a process's input; there is none to end when it is closed, or a terminal."""
    live = body.process.running(actor)
    if live.size is not None:
        raise NotFound("process", str(live.pid))
    service.close_stdin(actor, live)
    return {}


@door.post("/api/v1/process/update", body=Update, answer=dict[str, Any])
def update_process(actor: Actor, body: Update) -> dict[str, Any]:
    """Give a process's terminal another size."""
    live = body.process.running(actor)
    if live.size is None:
        raise NotFound("process", str(live.pid))
    service.resize(actor, live, body.pty.size.cols, body.pty.size.rows)
    return {}


def _shape(live: Live) -> dict[str, Any]:
    cmd, *args = redact.data(list(live.argv))
    config = {"cmd": cmd, "args": args, "envs": redact.data(dict(live.env)), "cwd": str(live.cwd)}
    return {"config": config, "pid": live.pid, "tag": live.tag}


def _stream(live: Live, tap: Tap) -> Response:
    opening = _frame("start", {"pid": live.pid})
    feed = Feed(
        tap, opening, _Frames(), lambda: b": keepalive\n\n", KEEPALIVE, shared=True, comes_back=False, sent=tap.took
    )
    return Stream(feed)


class _Frames:
    """One stream's frames: bytes become text, and none is cut within a character."""

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")
        self._texts = {stream: decoder("replace") for stream in ("stdout", "stderr", "pty")}

    def __call__(self, word: Word) -> bytes:
        if isinstance(word, Dropped):
            return _frame("dropped", {"bytes": word.count})
        if isinstance(word, Ended):
            return _frame("end", _end(word))
        text = self._texts[word.stream].decode(word.data)
        return _frame("data", {_name(word): text}) if text else b""


def _name(word: Output) -> str:
    return "stderr" if word.stream == "stderr" else "stdout"


def _end(ended: Ended) -> dict[str, Any]:
    if ended.signal is None:
        return {"exitCode": ended.exit_code, "exited": True}
    why = f"Killed by {ended.signal}" + (f": {ended.why}" if ended.why else "")
    return {"exitCode": BY_SIGNAL, "exited": True, "error": why}


def _frame(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
