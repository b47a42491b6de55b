"""`python -m bench.terminals [BASE_URL]`: how fast a terminal's output and echo go, beside a bare loop that reads one.

Speaks CodeBuddy's API, so that its own server can be measured too: BASE_URL, its password in TOKEN, and
`--header "X-CodeBuddy-Request: 1"`.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import socket
import statistics
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from bench.figure import Failed
from tests import repository
from tests.running import TOKEN, Running

COUNT = "seq 1 2000000"
MEGABYTES = (14_888_896 + 2_000_000) / 1e6  # each line ends with CR and LF
END = b"the-end"
ACK = 100 * 1024
ECHOES = 300
PATIENCE = 60.0
GOALS = {"rate": 18.0, "share": 0.85, "ws": 0.3, "sse": 3.0}


def main() -> None:
    """Measure and print."""
    given = _arguments()
    with _server(given) as server:
        bare = [_bare() for _ in range(given.rounds)]
        rates = [_rate(server) for _ in range(given.rounds)]
        ws, sse = _echo_by_socket(server), _echo_by_stream(server)
    rate, loop = max(rates), max(bare)
    print(f"| what | {server.name} | goal |\n|---|---|---|")
    print(f"| bare loop that reads a PTY, best of {given.rounds} | {loop:.1f} MB/s | |")
    print(f"| {MEGABYTES:.1f} MB over WebSocket, best of {given.rounds} | {rate:.1f} MB/s | >= {GOALS['rate']:.0f} |")
    print(f"| share of the bare loop | {rate / loop:.2f} | >= {GOALS['share']} |")
    print(f"| echo over WebSocket, p50 (p95) | {_told(ws)} | <= {GOALS['ws']} ms |")
    print(f"| echo by POST and stream, p50 (p95) | {_told(sse)} | <= {GOALS['sse']:.0f} ms |")
    print(f"\nAll rounds: bare {_all(bare)}; WebSocket {_all(rates)} MB/s. Load {os.getloadavg()[0]:.1f}.")


@dataclass
class Server:
    """Where it listens, and what every request says."""

    name: str
    host: str
    port: int
    headers: dict[str, str]

    def call(self, kept: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer of a request."""
        raw = json.dumps(body) if body is not None else None
        kept.request(method, path, raw, {**self.headers, "Content-Type": "application/json"})
        answer = kept.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise Failed(f"{method} {path}: {answer.status} {data[:200]!r}")
        return json.loads(data) if data else None

    def connect(self) -> http.client.HTTPConnection:
        """A connection to keep."""
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    @contextlib.contextmanager
    def terminal(self) -> Iterator[str]:
        """The id of a new terminal, which is ended afterwards."""
        with contextlib.closing(self.connect()) as kept:
            made = self.call(kept, "POST", "/api/v1/pty", {"cols": 120, "rows": 40})["data"]["sessionId"]
            yield made
            kept.close()
            self.call(kept, "DELETE", f"/api/v1/pty/{made}")


class Wire:
    """A WebSocket that costs the client as little as can be."""

    def __init__(self, server: Server, path: str) -> None:
        self._socket = socket.create_connection((server.host, server.port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asked = {
            **server.headers, "Host": f"{server.host}:{server.port}", "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }  # fmt: skip
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.items())]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._rest = bytearray()
        while b"\r\n\r\n" not in self._rest:
            self._read()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        if b" 101 " not in head.splitlines()[0]:
            raise Failed(head.decode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def say(self, **message: Any) -> None:
        """Send a message; masked with zeros."""
        data = json.dumps(message).encode()
        head = bytes((0x81, 0x80 | len(data))) if len(data) < 126 else struct.pack("!BBH", 0x81, 0xFE, len(data))
        self._socket.sendall(head + bytes(4) + data)

    def hear(self) -> bytes:
        """The payload of the next frame, as it is."""
        while len(self._rest) < 2 or len(self._rest) < self._length():
            self._read()
        whole, size = self._length(), self._size()[1]
        payload = bytes(self._rest[whole - size : whole])
        del self._rest[:whole]
        return payload

    def until(self, words: bytes) -> None:
        """Hear until these words, and acknowledge on the way."""
        unacked = 0
        while True:
            payload = self.hear()
            unacked += len(payload)
            if words in payload:
                return
            if unacked > ACK:
                self.say(type="ack", bytesReceived=unacked)
                unacked = 0

    def _size(self) -> tuple[int, int]:
        size = self._rest[1] & 0x7F
        if size < 126:
            return 2, size
        width = 4 if size == 126 else 10
        if len(self._rest) < width:
            return width, 0
        return width, int.from_bytes(self._rest[2:width], "big")

    def _length(self) -> int:
        head, size = self._size()
        return head + size

    def _read(self) -> None:
        data = self._socket.recv(1 << 18)
        if not data:
            raise Failed("the connection was closed")
        self._rest += data


def _bare() -> float:
    """MB/s of a loop that only reads."""
    master, slave = os.openpty()
    began = time.perf_counter()
    process = subprocess.Popen(["sh", "-c", COUNT], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    total = 0
    with contextlib.suppress(OSError):  # EIO: its end
        while data := os.read(master, 1 << 16):
            total += len(data)
    seconds = time.perf_counter() - began
    process.wait()
    os.close(master)
    return total / seconds / 1e6


def _rate(server: Server) -> float:
    with server.terminal() as terminal, Wire(server, f"/api/v1/pty/{terminal}/ws") as wire:
        wire.say(type="input", data="echo rea''dy\n")
        wire.until(b"ready")
        began = time.perf_counter()
        wire.say(type="input", data=f"{COUNT}; echo the''-end\n")
        wire.until(END)
        return MEGABYTES / (time.perf_counter() - began)


def _echo_by_socket(server: Server) -> list[float]:
    with server.terminal() as terminal, Wire(server, f"/api/v1/pty/{terminal}/ws") as wire:
        wire.say(type="input", data="echo rea''dy; cat >/dev/null\n")
        wire.until(b"ready")
        times = []
        for _ in range(ECHOES):
            began = time.perf_counter()
            wire.say(type="input", data="x")
            wire.until(b'"x"')
            times.append((time.perf_counter() - began) * 1000)
            if len(times) % 50 == 0:  # a line of a terminal has an end
                wire.say(type="input", data="\n")
                wire.until(b"\\n")
        return times


def _echo_by_stream(server: Server) -> list[float]:
    with (
        server.terminal() as terminal,
        contextlib.closing(server.connect()) as heard,
        contextlib.closing(server.connect()) as kept,
    ):
        send = f"/api/v1/pty/{terminal}/input/send"
        server.call(kept, "POST", send, {"data": "echo rea''dy; cat >/dev/null\n"})
        heard.request("GET", f"/api/v1/pty/{terminal}/output", headers=server.headers)
        stream = heard.getresponse()
        while b"ready" not in stream.readline():
            continue
        times = []
        for _ in range(ECHOES):
            began = time.perf_counter()
            server.call(kept, "POST", send, {"data": "y"})
            while b'"y"' not in stream.readline():
                continue
            times.append((time.perf_counter() - began) * 1000)
        return times


def _told(times: list[float]) -> str:
    ordered = sorted(times)
    return f"{statistics.median(ordered):.2f} ({ordered[int(len(ordered) * 0.95)]:.2f}) ms"


def _all(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.terminals", description=__doc__)
    parser.add_argument(
        "base", nargs="?", metavar="BASE_URL", help="a server that runs already; one of our own without"
    )
    parser.add_argument("--header", action="append", default=[], help="a further header of every request")
    parser.add_argument("--rounds", type=int, default=5, help="how often the output is measured (5)")
    return parser.parse_args()


@contextlib.contextmanager
def _server(given: argparse.Namespace) -> Iterator[Server]:
    more = dict(word.split(": ", 1) for word in given.header)
    if given.base:
        parts = urlsplit(given.base)
        token = os.environ.get("TOKEN")
        yield Server(
            parts.netloc,
            parts.hostname or "127.0.0.1",
            parts.port or 80,
            {**({"Authorization": f"Bearer {token}"} if token else {}), **more},
        )
        return
    with tempfile.TemporaryDirectory(prefix="bench.") as base:
        root = Path(base).resolve()
        with Running(root / "data", repository.make(root / "shop", files=5)) as running:
            yield Server("Signalcabin", "127.0.0.1", running.port, {"Authorization": f"Bearer {TOKEN}", **more})


if __name__ == "__main__":
    main()
