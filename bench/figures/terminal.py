"""A terminal's output through a WebSocket beside a loop that only reads a PTY, and how soon a typed letter is back."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import statistics
import struct
import subprocess
import time
from collections.abc import Iterator
from typing import Any, Self

from bench.conversation import Conversation
from bench.figure import Deadline, Failed, Figure, Goal
from bench.targets import Target

RATE = Goal("16.9 MB of a terminal over WebSocket", "MB/s", 18, "more")
SHARE = Goal("its share of a bare PTY read loop", "", 0.85, "more")
BY_SOCKET = Goal("echo of a letter over WebSocket, p50", "ms", 0.3)
BY_STREAM = Goal("echo of a letter by POST and stream, p50", "ms", 3)
COUNT = "seq 1 2000000"
MEGABYTES = (14_888_896 + 2_000_000) / 1e6  # each line ends with CR and LF
END = b"the-end"
ACK = 100 * 1024
ECHOES = 300
ROUNDS = 5
PATIENCE = 60.0


def measure(talk: Conversation, limit: float) -> list[Figure]:
    """Some rounds of each, in turn; the best count, because both sides share the processor with what prints."""
    bare: list[float] = []
    rates: list[float] = []
    deadline = Deadline(limit)
    while len(rates) < ROUNDS and not (rates and deadline.passed):
        bare.append(_bare())
        rates.append(_rate(talk.target))
    ws, sse = _echo_by_socket(talk.target), _echo_by_stream(talk.target)
    note = f"all: {_all(rates)}; the loop: {_all(bare)} MB/s"
    return [
        Figure(RATE, max(rates), note),
        Figure(SHARE, max(rates) / max(bare)),
        Figure(BY_SOCKET, statistics.median(ws), _p95(ws)),
        Figure(BY_STREAM, statistics.median(sse), _p95(sse)),
    ]


@contextlib.contextmanager
def _terminal(target: Target) -> Iterator[str]:
    """The id of a new terminal, which is ended afterwards."""
    with contextlib.closing(target.connect(PATIENCE)) as kept:
        made = target.call(kept, "POST", "/api/v1/pty", {"cols": 120, "rows": 40})["data"]["sessionId"]
        yield made
        kept.close()
        target.call(kept, "DELETE", f"/api/v1/pty/{made}", expected=204)


class Wire:
    """A WebSocket that costs the client as little as can be."""

    def __init__(self, target: Target, path: str) -> None:
        host, port = target.address
        self._socket = socket.create_connection((host, port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asked = {
            **target.headers, "Host": f"{host}:{port}", "Upgrade": "websocket", "Connection": "Upgrade",
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


def _rate(target: Target) -> float:
    with _terminal(target) as terminal, Wire(target, f"/api/v1/pty/{terminal}/ws") as wire:
        wire.say(type="input", data="echo rea''dy\n")
        wire.until(b"ready")
        began = time.perf_counter()
        wire.say(type="input", data=f"{COUNT}; echo the''-end\n")
        wire.until(END)
        return MEGABYTES / (time.perf_counter() - began)


def _echo_by_socket(target: Target) -> list[float]:
    with _terminal(target) as terminal, Wire(target, f"/api/v1/pty/{terminal}/ws") as wire:
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


def _echo_by_stream(target: Target) -> list[float]:
    with (
        _terminal(target) as terminal,
        contextlib.closing(target.connect(PATIENCE)) as heard,
        contextlib.closing(target.connect(PATIENCE)) as kept,
    ):
        send = f"/api/v1/pty/{terminal}/input/send"
        target.call(kept, "POST", send, {"data": "echo rea''dy; cat >/dev/null\n"})
        heard.request("GET", f"/api/v1/pty/{terminal}/output", headers=target.headers)
        stream = heard.getresponse()
        while b"ready" not in stream.readline():
            continue
        times = []
        for _ in range(ECHOES):
            began = time.perf_counter()
            target.call(kept, "POST", send, {"data": "y"})
            while b'"y"' not in stream.readline():
                continue
            times.append((time.perf_counter() - began) * 1000)
        return times


def _p95(times: list[float]) -> str:
    return f"p95 {sorted(times)[int(len(times) * 0.95)]:.2f} ms"


def _all(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)
