"""envd's Process service: commands started, listed, spoken to, signalled; their output as Connect streams."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from typing import Annotated, Any

from flask import Response, request
from pydantic import Field, field_validator

from app import streams
from app.actor import Actor
from app.dialects import connect, e2b
from app.dialects.connect import Bytes, DeadlineExceeded, Message
from app.errors import Invalid, Limited, Problem, Unavailable
from app.processes import bp, service
from app.processes.service import Dropped, Ended, Live, Output, Size, Tap, Word
from app.sandboxes import service as sandboxes
from app.sandboxes.service import Workspace

door = e2b.door(bp)
# How long a call waits for a command to read what it is given.
READS_WITHIN = 30.0
KILLED_WITHIN = 2.0
# An input stream holds a thread while it is open; its client may say nothing for longer than the 50 seconds after which
# it shows that it lives.
MOST_TYPING, SILENT = 64, 120.0
_typing = threading.BoundedSemaphore(MOST_TYPING)
AUTO = "proc-"
SIGNALS = {"SIGNAL_SIGTERM": signal.SIGTERM, "SIGNAL_SIGKILL": signal.SIGKILL}
Text = Annotated[str, Field(max_length=128 * 1024)]
Side = Annotated[int, Field(ge=0, le=65_535)]
OVER = DeadlineExceeded("The time that was given is over.")
# Clients ask then whether the sandbox still runs, and tell it as that.
ENDED = Unavailable("The stream was ended by the server.")


class Config(Message):
    """What is run."""

    cmd: Annotated[str, Field(min_length=1, max_length=4096)]
    args: Annotated[list[Text], Field(max_length=10_000, default_factory=list)]
    envs: Annotated[dict[str, Text], Field(max_length=1_000, default_factory=dict)]
    cwd: str | None = None


class Sides(Message):
    """The size of a terminal."""

    cols: Side = 0
    rows: Side = 0


class Pty(Message):
    """A terminal."""

    size: Sides = Sides()

    def as_size(self) -> Size:
        """Return the size, with what is usual for what is not said."""
        return Size(self.size.cols or 80, self.size.rows or 24)


class Start(Message):
    """Start; without a word about stdin there is one, as older clients expect."""

    process: Config
    pty: Pty | None = None
    tag: Annotated[str, Field(max_length=200)] | None = None
    stdin: bool = True


class Selector(Message):
    """A process by its pid or its tag."""

    pid: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = None
    tag: Annotated[str, Field(max_length=200)] | None = None


class Chosen(Message):
    """Connect and CloseStdin."""

    process: Selector = Selector()


class Nothing(Message):
    """List."""


class Input(Message):
    """What a process is given to read."""

    stdin: Bytes | None = None
    pty: Bytes | None = None


class SendInput(Chosen):
    """SendInput."""

    input: Input = Input()


class SendSignal(Chosen):
    """SendSignal; the signal by its name, or its number in the schema."""

    signal: str = ""

    @field_validator("signal", mode="before")
    @classmethod
    def _by_number(cls, given: Any) -> Any:
        return next((name for name, number in SIGNALS.items() if number == given and given is not True), given)


class Update(Chosen):
    """Update."""

    pty: Pty | None = None


class StreamInput(Message):
    """One of the messages of StreamInput: first which process, then what it reads; a keepalive says nothing."""

    start: Chosen | None = None
    data: SendInput | None = None


@door.stream("/process.Process/Start", body=Start)
def start(actor: Actor, body: Start) -> Response:
    """Start a command and stream its output; it goes on without a reader, and ends when its time is over."""
    seconds = connect.timeout_of(request)
    workspace = _workspace(actor)
    live = service.start(
        actor,
        workspace.place,
        [body.process.cmd, *body.process.args],
        cwd=body.process.cwd,
        env={**sandboxes.environment_of(workspace), **body.process.envs},
        pty=body.pty.as_size() if body.pty else None,
        tag=body.tag,
        stdin=body.stdin,
        at_home=True,
        reach=sandboxes.may_reach(workspace),
    )
    if seconds is not None:
        service.at_time(live, seconds, live.kill)
    return _stream(live, service.attach(actor, live), seconds)


@door.stream("/process.Process/Connect", body=Chosen)
def connect_to(actor: Actor, body: Chosen) -> Response:
    """Stream what a command prints from now on."""
    live = _find(actor, body.process)
    return _stream(live, service.attach(actor, live, live.ring.end), connect.timeout_of(request))


@door.unary("/process.Process/List", body=Nothing, answer=dict[str, Any])
def index(actor: Actor, _body: Nothing) -> dict[str, Any]:
    """What runs in the sandbox."""
    workspace = _workspace(actor)
    ours = {**service.environment_at_home(workspace.place), **sandboxes.environment_of(workspace)}
    return {"processes": [_process(live, ours) for live in service.list_within(actor, workspace.place)]}


@door.unary("/process.Process/SendInput", body=SendInput, answer=dict[str, Any])
def send_input(actor: Actor, body: SendInput) -> dict[str, Any]:
    """Give a command something to read."""
    _write(actor, _find(actor, body.process), body.input)
    return {}


@door.client_stream("/process.Process/StreamInput", body=StreamInput)
def stream_input(actor: Actor) -> Response:
    """Give a command what comes, as it comes."""
    if not _typing.acquire(blocking=False):
        raise Limited(f"At most {MOST_TYPING} input streams are open at once.", retry_after=5)
    try:
        _type(actor)
    finally:
        _typing.release()
    return Response(connect.envelope({}) + connect.last(), content_type=connect.STREAM)


def _type(actor: Actor) -> None:
    live: Live | None = None
    for given in connect.messages(SILENT):
        message = connect.parsed(StreamInput, given)
        if message.start is not None:
            live = _find(actor, message.start.process)
        elif message.data is not None and live is None:
            raise Invalid("The first message says which process is meant.", "start")
        elif message.data is not None and live is not None:
            _write(actor, live, message.data.input)


@door.unary("/process.Process/SendSignal", body=SendSignal, answer=dict[str, Any])
def send_signal(actor: Actor, body: SendSignal) -> dict[str, Any]:
    """Send a signal to a command and all it has started; one that was killed is gone when this is answered."""
    if body.signal not in SIGNALS:
        raise Invalid(f"A signal is one of {', '.join(SIGNALS)}.", "signal")
    live = _find(actor, body.process)
    service.signal(actor, live, SIGNALS[body.signal])
    if body.signal == "SIGNAL_SIGKILL":
        live.wait(KILLED_WITHIN)
    return {}


@door.unary("/process.Process/CloseStdin", body=Chosen, answer=dict[str, Any])
def close_stdin(actor: Actor, body: Chosen) -> dict[str, Any]:
    """End what a command reads; twice is once."""
    live = _find(actor, body.process)
    if live.takes_input:
        service.close_stdin(actor, live)
    return {}


@door.unary("/process.Process/Update", body=Update, answer=dict[str, Any])
def update(actor: Actor, body: Update) -> dict[str, Any]:
    """Give a command's terminal another size."""
    live = _find(actor, body.process)
    if body.pty is not None:
        size = body.pty.as_size()
        service.resize(actor, live, size.cols, size.rows)
    return {}


@dataclass(frozen=True)
class _Feed(streams.Feed):
    """The words of a command as envelopes; how the stream ends is known when it does."""

    told: _Told | None = None

    def last(self) -> bytes:
        """Return the last envelope."""
        return self.told.last() if self.told else b""


class _Told:
    """What a stream has told: whether the command's end, and whether its time was over before."""

    def __init__(self, live: Live) -> None:
        self._apart = "pty" if live.size else "stderr"
        self.is_ended = False
        self.is_late = False

    def frame(self, word: Word) -> bytes:
        """Return a word's envelope."""
        if isinstance(word, Ended):
            self.is_ended = True
            return _event({"end": _end(word)})
        if isinstance(word, Dropped):
            return _event({"data": {self._apart: connect.encoded(word.marker)}})
        return _event({"data": {word.stream: connect.encoded(word.data)}})

    def last(self) -> bytes:
        """Return the envelope that says how the stream ends."""
        problem: Problem | None = None if self.is_ended else OVER if self.is_late else ENDED
        return connect.last(connect.error(problem) if problem else None)


def _stream(live: Live, tap: Tap, seconds: float | None) -> Response:
    """A stream of what the reader is handed, until the command ends or the client's time is over."""
    told = _Told(live)

    def end() -> None:
        told.is_late = True
        tap.end()

    if seconds is not None:
        service.at_time(live, seconds, end)
    return streams.Stream(
        _Feed(
            source=tap,
            opening=_event({"start": {"pid": live.pid}}),
            frame=told.frame,
            beat=lambda: _event({"keepalive": {}}),
            every=connect.keepalive_of(request),
            shared=True,
            content_type=connect.STREAM,
            comes_back=False,
            sent=lambda word: tap.taken(len(word.data)) if isinstance(word, Output) else None,
            told=told,
        )
    )


def _event(event: dict[str, Any]) -> bytes:
    return connect.envelope({"event": event})


def _end(word: Ended) -> dict[str, Any]:
    """How a command ended, as Go spells it: a signal is -1 and not exited."""
    if word.signal is not None:
        name = (signal.strsignal(word.exit_code - 128) or word.signal).lower()
        status = f"signal: {name}"
        return {"exitCode": -1, "exited": False, "status": status, "error": _why(status, word)}
    status = f"exit status {word.exit_code}"
    shape: dict[str, Any] = {"exitCode": word.exit_code, "exited": True, "status": status}
    return {**shape, "error": _why(status, word)} if word.exit_code or word.why else shape


def _why(status: str, word: Ended) -> str:
    return f"{status}: {word.why}" if word.why else status


def _process(live: Live, ours: dict[str, str]) -> dict[str, Any]:
    """A process with what its client gave it; what we gave it is left out."""
    given = {name: value for name, value in live.env.items() if ours.get(name) != value}
    config = {"cmd": live.argv[0], "args": list(live.argv[1:]), "envs": given, "cwd": str(live.cwd)}
    tag = {} if live.tag.startswith(AUTO) else {"tag": live.tag}
    return {"config": config, "pid": live.pid, **tag}


def _workspace(actor: Actor) -> Workspace:
    return sandboxes.workspace(actor, e2b.named())


def _find(actor: Actor, selector: Selector) -> Live:
    return service.find_within(actor, _workspace(actor).place, selector.pid, selector.tag)


def _write(actor: Actor, live: Live, given: Input) -> None:
    if (given.pty is None) != (live.size is None):
        raise Invalid("A command with a terminal reads from `pty`, one without from `stdin`.", "input")
    service.write(actor, live, given.pty or given.stdin or b"", READS_WITHIN)
