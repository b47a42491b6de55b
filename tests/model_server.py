"""A real OpenAI-compatible streaming model server for tests and benches: real sockets, scripted answers.

An answer is a list of items (`Say`, `Think`, `Call`, `Delay`, `Gate`, `Fail`, `Stall`, `Cut`, `Finish`,
`Raw`). Answers come from `server.script`, one per request, else from directives in the last user message, one
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

LONGEST_WAIT = 30.0


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


@dataclass(frozen=True)
class Call:
    """A tool call; `input` may be raw text; its arguments go out in pieces of so many characters."""

    name: str
    input: Any
    id: str | None = None
    size: int = 0
    index: int | None = None


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
class Raw:
    """A chunk as it is: a dict becomes an SSE line, bytes go out untouched."""

    chunk: Any


@dataclass(frozen=True)
class Finish:
    """The finish reason and usage instead of the ones worked out."""

    reason: str | None = None
    usage: dict[str, Any] | None = None


Item = Say | Think | Call | Delay | Gate | Fail | Stall | Cut | Raw | Finish
DIRECTIVE = re.compile(r"\[\[(.+?)\]\](&)?", re.DOTALL)
FIRST_FIELD = {"bash": "command", "read": "filePath", "list": "path", "glob": "pattern", "grep": "pattern"}


class ModelServer:
    """The server; use it as a context manager. `url` is the base URL, `requests` the bodies it was sent."""

    def __init__(self, port: int = 0) -> None:
        self.script: list[Sequence[Item]] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.hung_up = threading.Semaphore(0)
        self.lock = threading.Lock()
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.owner = self
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
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

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> Sequence[Item]:
        """Record a request and give the answer to it."""
        with self.lock:
            self.requests.append(body)
            self.headers.append(headers)
            if self.script:
                return self.script.pop(0)
        return directed(body.get("messages") or [])

    def wait_for_requests(self, count: int, seconds: float = 5.0) -> None:
        """Return once so many requests have come; fail after the deadline."""
        deadline = time.monotonic() + seconds
        while len(self.requests) < count:
            assert time.monotonic() < deadline, f"{len(self.requests)} of {count} requests came"
            threading.Event().wait(0.002)


def directed(messages: list[dict[str, Any]]) -> Sequence[Item]:
    """Work out the answer from the directives of the last user message and the steps made since."""
    users = [place for place, message in enumerate(messages) if message.get("role") == "user"]
    if not users:
        return [Say("Nobody said anything.")]
    text = _text(messages[users[-1]])
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


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n\n".join(part.get("text", "") for part in content)


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
        """Answer /v1/models and Ollama's /api/tags."""
        if self.path.endswith("/api/tags"):
            self._json(200, {"models": [{"name": "qwen3:8b", "model": "qwen3:8b"}]})
        elif self.path.endswith("/models"):
            if self.headers.get("Authorization") == "Bearer wrong":
                self._json(401, {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}})
                return
            self._json(200, {"object": "list", "data": [{"id": "scripted", "object": "model"}]})
        else:
            self._json(404, {"error": {"message": "Not found"}})

    def do_POST(self) -> None:
        """Answer /v1/chat/completions with the next answer."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        items = self.server.owner.answer(body, dict(self.headers.items()))
        if items and isinstance(items[0], Fail):
            self._json(items[0].status, _error(items[0]), items[0].headers)
            return
        try:
            self._stream(items, body)
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

    def _stream(self, items: Sequence[Item], body: dict[str, Any]) -> None:
        if items and isinstance(items[0], Stall):
            self._wait(threading.Event(), LONGEST_WAIT)  # not even headers
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        reason, usage, calls, words = None, None, 0, 0
        for item in items:
            if isinstance(item, Finish):
                reason, usage = item.reason, item.usage
            elif isinstance(item, Cut):
                self.connection.shutdown(socket.SHUT_RDWR)
                raise _Hungup
            elif isinstance(item, Call):
                self._call(item, calls)
                calls += 1
            else:
                words += self._plain(item)
        figures = {"prompt_tokens": len(json.dumps(body)) // 4, "completion_tokens": max(1, words // 4)}
        self._chunk({"choices": [{"delta": {}, "finish_reason": reason or ("tool_calls" if calls else "stop")}]})
        self._chunk({"choices": [], "usage": usage or figures})
        self._bytes(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _plain(self, item: Item) -> int:
        if isinstance(item, Say):
            for piece in _pieces(item.text, item.size):
                self._chunk({"choices": [{"delta": {"content": piece}}]})
                if item.pause:
                    self._wait(threading.Event(), item.pause)
            return len(item.text)
        if isinstance(item, Think):
            self._chunk({"choices": [{"delta": {item.field: item.text}}]})
        elif isinstance(item, Delay):
            self._wait(threading.Event(), item.seconds)
        elif isinstance(item, Gate):
            item.reached.set()
            self._wait(item.opened, LONGEST_WAIT)
        elif isinstance(item, Stall):
            self._wait(threading.Event(), LONGEST_WAIT)
        elif isinstance(item, Raw):
            self._bytes(item.chunk) if isinstance(item.chunk, bytes) else self._chunk(item.chunk)
        return 0

    def _call(self, call: Call, place: int) -> None:
        index = place if call.index is None else call.index
        raw = call.input if isinstance(call.input, str) else json.dumps(call.input)
        head = {"index": index, "id": call.id or f"call_{time.time_ns():x}_{place}", "type": "function"}
        self._tool({**head, "function": {"name": call.name, "arguments": ""}})
        for piece in _pieces(raw, call.size):
            self._tool({"index": index, "function": {"arguments": piece}})

    def _tool(self, piece: dict[str, Any]) -> None:
        self._chunk({"choices": [{"delta": {"tool_calls": [piece]}}]})

    def _chunk(self, chunk: dict[str, Any]) -> None:
        body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "scripted", **chunk}
        self._bytes(b"data: " + json.dumps(body).encode() + b"\n\n")

    def _bytes(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

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


def _error(fail: Fail) -> Any:
    return fail.body if fail.body is not None else {"error": {"message": f"Scripted error {fail.status}"}}


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
