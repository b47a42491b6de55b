"""A plain SSE client over a raw socket that remembers whole frames only and comes back with the last id."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.patience import PATIENCE
from tests.running import TOKEN, Running


@dataclass(frozen=True)
class Frame:
    """One whole frame: its id ("" if it had none) and its decoded data."""

    id: str
    data: dict[str, Any]


class Follower:
    """Follows `/event` in a thread, across restarts of the server; `until` waits for a frame."""

    def __init__(
        self,
        running: Running,
        path: str = "/event",
        last_id: str = "",
        heard: Callable[[Frame], None] = lambda _frame: None,
    ) -> None:
        self._heard = heard
        self.frames: list[Frame] = []
        self.last_id = last_id
        self._running = running
        self._path = path
        self._news = threading.Condition()
        self._ended = False
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        self.until(bool)

    def until(self, enough: Callable[[list[Frame]], bool], seconds: float = PATIENCE) -> None:
        """Wait until the frames seen so far are enough."""
        with self._news:
            assert self._news.wait_for(lambda: enough(self.frames), seconds), (
                f"not seen in {seconds} s; last frames: {[f.data.get('type') for f in self.frames[-12:]]}"
            )

    def close(self) -> None:
        """Hang up."""
        self._ended = True
        if (open_socket := self._socket) is not None:  # the reading thread lets go of it at any time
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)

    def _follow(self) -> None:
        while not self._ended:
            try:
                self._read()
            except (OSError, http.client.HTTPException):
                threading.Event().wait(0.02)  # the server is down: nothing tells when it is back

    def _read(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._running.port, timeout=60)
        try:
            self._read_from(connection)
        finally:
            self._socket = None
            connection.close()

    def _read_from(self, connection: http.client.HTTPConnection) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        if self.last_id:
            headers["Last-Event-ID"] = self.last_id
        connection.request("GET", self._path, headers=headers)
        self._socket = connection.sock
        with connection.getresponse() as response:
            lines: list[str] = []
            while (line := response.readline()).endswith(b"\n") and not self._ended:
                if text := line.decode().rstrip("\n"):
                    lines.append(text)
                else:
                    self._take(lines)
                    lines = []

    def _take(self, lines: list[str]) -> None:
        frame_id = next((line[4:] for line in lines if line.startswith("id: ")), "")
        data = "\n".join(line[6:] for line in lines if line.startswith("data: "))
        if not data:
            return  # a comment, or when to come back
        frame = Frame(frame_id, json.loads(data))
        with self._news:
            self.frames.append(frame)
            self.last_id = frame_id or self.last_id
            self._news.notify_all()
        self._heard(frame)
