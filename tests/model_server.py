"""A real streaming model server for tests and benches, on all three wires: real sockets, scripted answers.

An answer is a list of items (`Say`, `Think`, `Call`, `Delay`, `Gate`, `Fail`, `Stall`, `Cut`, `CutAfter`,
`End`, `Typed`, `Finish`, `Raw`). Answers come from `server.script`, one per request, else from directives in the last user message, one
per step: `[[bash echo hi]]`, `[[read a.py]]`, `[[call NAME {json}]]`, `[[say TEXT]]`, `[[think TEXT]]`,
`[[words 100 10]]` (100 words, 10 ms apart), `[[error 429 2]]` (Retry-After 2), `[[stall]]`, `[[cut]]`;
`[[a]]&[[b]]` is one step. When the directives are used up the answer is "Done."; without any it repeats what
it was told. `python -m tests.model_server --port 9999` serves until interrupted.
"""

from __future__ import annotations

import argparse
import json
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests import model_wires
from tests.model_wires import SPELLINGS, Spelling
from tests.patience import PATIENCE

LONGEST_WAIT = 2 * PATIENCE


@dataclass(frozen=True)
class Say:
    """Text, cut into pieces of so many characters (0: one piece), so many seconds apart."""

    text: str
    size: int = 0
    pause: float = 0.0


@dataclass(frozen=True)
class Think:
    """Reasoning text, under the field a server uses for it."""

    text: str
    field: str = "reasoning_content"
    signature: str = ""


@dataclass(frozen=True)
class Call:
    """A tool call; `input` may be raw text; its arguments go out in pieces of so many characters."""

    name: str
    input: Any
    id: str | None = None
    size: int = 0
    index: int | None = None
    signature: str = ""


@dataclass(frozen=True)
class Delay:
    """A pause in seconds."""

    seconds: float


@dataclass(frozen=True)
class Gate:
    """A pause until the test opens it; `reached` is set when the server stands before it."""

    opened: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Fail:
    """An HTTP error instead of an answer."""

    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Stall:
    """Silence until the client hangs up."""


@dataclass(frozen=True)
class Cut:
    """The connection is dropped in the middle."""


@dataclass(frozen=True)
class CutAfter:
    """The connection is dropped after so many bytes of events, wherever this stands."""

    size: int


@dataclass(frozen=True)
class End:
    """The answer ends here, without the wire's own end."""


@dataclass(frozen=True)
class Typed:
    """The answer's content type, wherever this stands."""

    kind: str


@dataclass(frozen=True)
class Raw:
    """A chunk as it is: a dict becomes an event of the wire, bytes go out untouched."""

    chunk: Any


@dataclass(frozen=True)
class Finish:
    """The finish reason and usage, in the wire's words, instead of the ones worked out."""

    reason: str | None = None
    usage: dict[str, Any] | None = None


Item = Say | Think | Call | Delay | Gate | Fail | Stall | Cut | CutAfter | End | Typed | Raw | Finish
DIRECTIVE = re.compile(r"\[\[(.+?)\]\](&)?", re.DOTALL)
FIRST_FIELD = {"bash": "command", "read": "filePath", "list": "path", "glob": "pattern", "grep": "pattern"}


class ModelServer:
    """The server; use it as a context manager. `requests` are the bodies it was sent, `paths` where to.

    `direct` works out answers from a conversation where there is no script. `url` is the base URL of the OpenAI wire,
    `urls` those of all wires.
    """

    def __init__(self, port: int = 0, direct: Callable[[list[dict[str, str]]], Sequence[Item]] | None = None) -> None:
        self._direct = direct or directed
        self.script: list[Sequence[Item]] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.connections = 0
        self.hung_up = threading.Semaphore(0)
        self.lock = threading.Lock()
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.owner = self
        origin = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.url = f"{origin}/v1"
        self.urls = {"openai": self.url, "anthropic": self.url, "google": f"{origin}/v1beta"}
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.hang_up()
        self._http.server_close()
        self._thread.join()

    def hang_up(self) -> None:
        """Drop every connection still open."""
        self._http.hang_up()

    def serve_forever(self) -> None:
        """Serve in this thread."""
        self._http.serve_forever()

    def answer(self, body: dict[str, Any], headers: dict[str, str], path: str) -> Sequence[Item]:
        """Record a request and give the answer to it."""
        with self.lock:
            self.requests.append(body)
            self.headers.append(headers)
            self.paths.append(path)
            if self.script:
                return self.script.pop(0)
        return self._direct(model_wires.said(body))

    def wait_for_requests(self, count: int, seconds: float = PATIENCE) -> None:
        """Return once so many requests have come; fail after the deadline."""
        deadline = time.monotonic() + seconds
        while len(self.requests) < count:
            assert time.monotonic() < deadline, f"{len(self.requests)} of {count} requests came"
            threading.Event().wait(0.002)


def directed(messages: list[dict[str, str]]) -> Sequence[Item]:
    """Work out the answer from the directives of the last user message and the steps made since."""
    users = [place for place, message in enumerate(messages) if message.get("role") == "user"]
    if not users:
        return [Say("Nobody said anything.")]
    text = messages[users[-1]]["content"]
    since = sum(1 for message in messages[users[-1] :] if message.get("role") == "assistant")
    steps = list(_steps(text))
    if not steps:
        return [Say(f"You said: {text}", size=8)]
    return steps[since] if since < len(steps) else [Say("Done.")]


def _steps(text: str) -> Iterator[list[Item]]:
    step: list[Item] = []
    for directive, joined in DIRECTIVE.findall(text):
        step.append(_item(directive.strip()))
        if not joined:
            yield step
            step = []
    if step:
        yield step


def _item(directive: str) -> Item:
    word, _, rest = directive.partition(" ")
    if word == "say":
        return Say(rest, size=8)
    if word == "think":
        return Think(rest)
    if word == "words":
        count, _, pause = rest.partition(" ")
        return Say("word " * int(count), size=5, pause=float(pause or 0) / 1000)
    if word == "error":
        status, _, after = rest.partition(" ")
        return Fail(int(status), headers=(("Retry-After", after),) if after else ())
    if word in ("stall", "cut"):
        return Stall() if word == "stall" else Cut()
    if word == "call":
        name, _, given = rest.partition(" ")
        return Call(name, json.loads(given or "{}"))
    if word == "edit":
        path, old, new = rest.split("|")
        return Call("edit", {"filePath": path.strip(), "oldString": old, "newString": new})
    if word == "write":
        path, _, content = rest.partition(" ")
        return Call("write", {"filePath": path, "content": content})
    return Call(word, {FIRST_FIELD.get(word, "input"): rest})


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: ModelServer

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.sockets: set[socket.socket] = set()

    def hang_up(self) -> None:
        """Drop every connection still open."""
        for one in list(self.sockets):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                self.sockets.discard(one)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what these tests are about; it is no error here."""


class _Hungup(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http
    _left: int | None = None

    def setup(self) -> None:
        super().setup()
        self.server.sockets.add(self.connection)
        self.server.owner.connections += 1

    def finish(self) -> None:
        self.server.sockets.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        """Answer the models of all wires and Ollama's /api/tags."""
        if self.path.endswith("/api/tags"):
            self._json(200, {"models": [{"name": "qwen3:8b", "model": "qwen3:8b"}]})
        elif self.path.endswith("/models"):
            if self.headers.get("x-goog-api-key") == "wrong":
                details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
                self._json(400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": details}})
            elif self.headers.get("x-api-key") == "wrong":
                self._json(401, {"error": {"type": "authentication_error", "message": "invalid x-api-key"}})
            elif self.headers.get("Authorization") == "Bearer wrong":
                self._json(401, {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}})
            elif "v1beta" in self.path:
                methods = {"supportedGenerationMethods": ["generateContent"]}
                embeds = {"name": "models/embeds", "supportedGenerationMethods": ["embedContent"]}
                self._json(200, {"models": [{"name": "models/scripted", **methods}, embeds]})
            else:
                self._json(200, {"object": "list", "data": [{"id": "scripted", "object": "model"}]})
        else:
            self._json(404, {"error": {"message": "Not found"}})

    def do_POST(self) -> None:
        """Answer on the wire of the path with the next answer."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        items = self.server.owner.answer(body, dict(self.headers.items()), self.path)
        wire = model_wires.wire_of(self.path)
        if items and isinstance(items[0], Fail):
            said = model_wires.error(wire, items[0].status) if items[0].body is None else items[0].body
            self._json(items[0].status, said, items[0].headers)
            return
        try:
            self._stream(items, SPELLINGS[wire]())
        except (_Hungup, OSError):
            self.close_connection = True
            self.server.owner.hung_up.release()

    def _json(self, status: int, body: Any, headers: tuple[tuple[str, str], ...] = ()) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **dict(headers)}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, items: Sequence[Item], spelling: Spelling) -> None:
        if items and isinstance(items[0], Stall):
            self._wait(threading.Event(), LONGEST_WAIT)  # not even headers
        self.send_response(200)
        self.send_header(
            "Content-Type", next((one.kind for one in items if isinstance(one, Typed)), "text/event-stream")
        )
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._left = next((item.size for item in items if isinstance(item, CutAfter)), None)
        self._bytes(spelling.begin())
        finish, calls, words = Finish(), 0, 0
        for item in items:
            if isinstance(item, Finish):
                finish = item
            elif isinstance(item, Cut):
                self._hang_up()
            elif isinstance(item, End):
                self.wfile.write(b"0\r\n\r\n")
                return
            elif isinstance(item, Call):
                self._call(item, calls, spelling)
                calls += 1
            else:
                words += self._plain(item, spelling)
        self._bytes(spelling.end(finish.reason, finish.usage, bool(calls), words))
        self.wfile.write(b"0\r\n\r\n")

    def _plain(self, item: Item, spelling: Spelling) -> int:
        if isinstance(item, Say):
            for piece in _pieces(item.text, item.size):
                self._bytes(spelling.text(piece))
                if item.pause:
                    self._wait(threading.Event(), item.pause)
            return len(item.text)
        if isinstance(item, Think):
            self._bytes(spelling.thought(item.text, item.field, item.signature))
        elif isinstance(item, Delay):
            self._wait(threading.Event(), item.seconds)
        elif isinstance(item, Gate):
            item.reached.set()
            self._wait(item.opened, LONGEST_WAIT)
        elif isinstance(item, Stall):
            self._wait(threading.Event(), LONGEST_WAIT)
        elif isinstance(item, Raw):
            self._bytes(item.chunk if isinstance(item.chunk, bytes) else spelling.raw(item.chunk))
        return 0

    def _call(self, call: Call, place: int, spelling: Spelling) -> None:
        raw = call.input if isinstance(call.input, str) else json.dumps(call.input)
        index = place if call.index is None else call.index
        call_id = call.id or f"call_{time.time_ns():x}_{place}"
        for event in spelling.call(index, call_id, call.name, list(_pieces(raw, call.size)), call.signature):
            self._bytes(event)

    def _bytes(self, data: bytes) -> None:
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        if data:  # an empty chunk would end the answer
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if self._left == 0:
            self._hang_up()

    def _hang_up(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        raise _Hungup

    def _wait(self, event: threading.Event, seconds: float) -> None:
        """Wait for an event, and notice at once when the client hangs up."""
        deadline = time.monotonic() + seconds
        while not event.is_set() and (left := deadline - time.monotonic()) > 0:
            readable, _, _ = select.select([self.connection], [], [], min(left, 0.002))
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                raise _Hungup


def _pieces(text: str, size: int) -> Iterator[str]:
    if not size:
        yield text
        return
    for start in range(0, len(text), size):
        yield text[start : start + size]


def main() -> None:
    """Serve on a port until interrupted."""
    parser = argparse.ArgumentParser(prog="tests.model_server")
    parser.add_argument("--port", type=int, default=0)
    server = ModelServer(parser.parse_args().port)
    print(server.url, flush=True)  # noqa: T201 - who started it reads this line
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
