"""Many open event streams of a target, read by one thread."""

from __future__ import annotations

import resource
import selectors
import socket
import time
from collections.abc import Iterator
from typing import Self

from bench.figure import Deadline, Failed
from bench.targets import Target

OPENED = b"server.connected"
BATCH = 50
KEPT = 200  # bytes of what a stream said last, in which the next word may begin


def raise_limit() -> None:
    """Let this process, and the servers it starts, open as many descriptors as the system grants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Streams:
    """Open `/event` streams of a target."""

    def __init__(self, target: Target) -> None:
        host, port = target.address
        lines = [
            "GET /event HTTP/1.1",
            f"Host: {host}:{port}",
            *(f"{name}: {value}" for name, value in target.headers.items()),
        ]
        self._request = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self._address = target.address
        self._heard: dict[socket.socket, bytes] = {}
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._heard:
            stream.close()
        self._selector.close()

    def __len__(self) -> int:
        return len(self._heard)

    def open(self, count: int, deadline: Deadline) -> None:
        """Open streams until there are so many, some at a time, each batch only once the one before speaks."""
        while len(self._heard) < count:
            batch = [self._ask(deadline) for _ in range(min(BATCH, count - len(self._heard)))]
            for stream in batch:
                self._wait_for_opening(stream)

    def hear(self, word: bytes, deadline: Deadline, began: float | None = None) -> list[float]:
        """The seconds from a moment (now) until each stream has said the word, in the order in which they did."""
        began = time.perf_counter() if began is None else began
        missing = set(self._heard)
        times: list[float] = []
        while missing:
            if deadline.passed:
                raise Failed(f"{len(missing)} of {len(self._heard)} streams said nothing in time")
            for stream, data in self.read(1.0):
                said = self._heard[stream] = self._heard[stream][-KEPT:] + data
                if word in said and stream in missing:
                    missing.discard(stream)
                    times.append(time.perf_counter() - began)
        return times

    def read(self, seconds: float) -> Iterator[tuple[socket.socket, bytes]]:
        """What the streams say now; nothing after so many seconds of silence."""
        for key, _ in self._selector.select(seconds):
            stream = key.fileobj
            assert isinstance(stream, socket.socket)
            data = stream.recv(65536)
            if not data:
                raise Failed("a stream was ended")
            yield stream, data

    def _ask(self, deadline: Deadline) -> socket.socket:
        stream = socket.create_connection(self._address, timeout=deadline.left or 1)
        self._heard[stream] = b""
        stream.sendall(self._request)
        return stream

    def _wait_for_opening(self, stream: socket.socket) -> None:
        seen = b""
        while OPENED not in seen:
            more = stream.recv(65536)
            if not more:
                raise Failed(f"stream {len(self._heard)} was refused: {seen[:100].decode(errors='replace')}")
            seen += more
        stream.setblocking(False)
        self._selector.register(stream, selectors.EVENT_READ)
