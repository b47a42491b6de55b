"""From a change to the last of 1, 100 and 500 streams that tell it."""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import statistics
import time
from collections.abc import Iterator
from typing import Self

from bench.conversation import Conversation
from bench.figure import Deadline, Failed, Figure, Goal
from bench.targets import Target

GOALS = {
    streams: Goal(f"event to {streams} stream{'s' * (streams > 1)}, last, p50", "ms", most)
    for streams, most in ((1, 2), (100, 4), (500, 15))
}
ROUNDS = 15
OPENED = b"server.connected"


def measure(talk: Conversation, limit: float) -> list[Figure]:
    """Open the streams, then change a title again and again."""
    deadline = Deadline(limit)
    figures: list[Figure] = []
    with contextlib.ExitStack() as stack:
        streams = stack.enter_context(_Streams(talk.target))
        kept = stack.enter_context(contextlib.closing(talk.target.connect()))
        session_id = talk.target.call(kept, "POST", "/session", {})["id"]
        for count, goal in GOALS.items():
            streams.open(count, deadline)
            seconds = []
            while len(seconds) < ROUNDS and not deadline.passed:
                title = secrets.token_hex(8)
                talk.target.call(kept, "PATCH", f"/session/{session_id}", {"title": title})
                seconds.append(streams.hear(title.encode(), deadline))
            if seconds:
                worst = max(seconds) * 1000
                note = f"from the answer to the change; {len(seconds)} rounds, worst {worst:.0f} ms"
                figures.append(Figure(goal, statistics.median(seconds) * 1000, note))
    return figures


class _Streams:
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

    def open(self, count: int, deadline: Deadline) -> None:
        """Open streams until there are so many, each only once the one before speaks."""
        while len(self._heard) < count:
            stream = socket.create_connection(self._address, timeout=deadline.left or 1)
            self._heard[stream] = b""
            stream.sendall(self._request)
            seen = b""
            while OPENED not in seen:
                more = stream.recv(65536)
                if not more:
                    raise Failed(f"stream {len(self._heard)} was refused: {seen[:100].decode(errors='replace')}")
                seen += more
            stream.setblocking(False)
            self._selector.register(stream, selectors.EVENT_READ)

    def hear(self, word: bytes, deadline: Deadline) -> float:
        """The seconds from now until every stream has said the word."""
        began = time.perf_counter()
        missing = set(self._heard)
        while missing:
            if deadline.passed:
                raise Failed(f"{len(missing)} of {len(self._heard)} streams said nothing in time")
            for stream, data in self._read():
                said = self._heard[stream] = self._heard[stream][-200:] + data
                if word in said:
                    missing.discard(stream)
        return time.perf_counter() - began

    def _read(self) -> Iterator[tuple[socket.socket, bytes]]:
        for key, _ in self._selector.select(1.0):
            stream = key.fileobj
            assert isinstance(stream, socket.socket)
            data = stream.recv(65536)
            if not data:
                raise Failed("a stream was ended")
            yield stream, data
