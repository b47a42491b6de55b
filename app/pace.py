"""Slow clients: how long one may take to send a request, and to take its answer, before its thread is freed.

gunicorn reads and writes with blocking sockets and no limit, so a few hundred clients that trickle would hold every
thread. Here a request's header has a deadline; its body must keep up a rate, of which a client may fall behind for
some seconds; and an answer that the client takes nothing of is given up. Only the waiting is counted, not what the
server does between two reads.
"""

from __future__ import annotations

import contextlib
import functools
import select
import socket
import struct
import time
from typing import Any

from gunicorn.http.body import Body, LengthReader
from gunicorn.http.errors import NoMoreData
from gunicorn.http.unreader import SocketUnreader

from app.errors import TooSlow

RATE = 1024  # bytes of a body per second
FIRST_WAIT = 0.05  # seconds in which a thread waits for the first byte, before the poller does
_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class PacedReader(SocketUnreader):  # type: ignore[misc]
    """Reads one connection; `begin_header` and `begin_body` say what comes next and set the patience anew."""

    def __init__(self, sock: socket.socket, header: float, body: float) -> None:
        super().__init__(sock)
        self._patience = {True: header, False: body}
        self._is_header = True
        self._left = header
        self._rests: float | None = None

    def begin_header(self) -> None:
        """A request begins: all of its header must come in time."""
        self._is_header, self._left = True, self._patience[True]

    def begin_body(self) -> None:
        """The header is whole: what is still read is the body, which must keep up its rate."""
        self._is_header, self._left, self._rests = False, self._patience[False], None

    def allow_rests(self, seconds: float) -> None:
        """Let the client of the body in hand rest so long between any two pieces, without a rate."""
        self._left = self._rests = seconds

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next bytes, b"" at the end. Raises NoMoreData for a late header, TooSlow for a slow body."""
        if self.sock.gettimeout() is not None:  # gunicorn drains what an answer left unread, with a limit of its own
            return bytes(super().chunk(size_hint))
        size = min(max(self.mxchunk, size_hint or 0), self.max_body_chunk)
        try:
            data: bytes = self.sock.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._wait()
            data = self.sock.recv(size)
        self._earn(len(data))
        return data

    def fill(self, view: memoryview) -> int:
        """Put the next bytes of a body where they are wanted, uncopied, and say how many; 0 at the end. As `chunk`."""
        if ahead := self.take_buffered():
            view[: len(ahead)] = ahead[: len(view)]
            self.unread(ahead[len(view) :])
            return min(len(ahead), len(view))
        try:
            size: int = self.sock.recv_into(view, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._wait()
            size = self.sock.recv_into(view)
        self._earn(size)
        return size

    def _earn(self, size: int) -> None:
        if not self._is_header:
            earned = min(self._patience[False], self._left + size / RATE)
            self._left = earned if self._rests is None else self._rests

    def _wait(self) -> None:
        began = time.monotonic()
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        is_ready = poll.poll(max(0.0, self._left) * 1000)
        self._left -= time.monotonic() - began
        if is_ready:
            return
        if not self._is_header:
            told = f"more slowly than {RATE} bytes a second" if self._rests is None else f"to rest for {self._rests} s"
            raise TooSlow(f"The body came {told}.")
        with contextlib.suppress(OSError):
            self.sock.send(_LATE, socket.MSG_DONTWAIT)
        raise NoMoreData


class Direct:
    """A body of known length, read straight from its connection."""

    def __init__(self, body: Body, unreader: PacedReader) -> None:
        self._body = body
        self._reader = body.reader
        self._unreader = unreader

    def readinto(self, view: memoryview) -> int:
        """Put the next bytes into the view and say how many; 0 at the end."""
        try:
            size = self._unreader.fill(view[: self._reader.length]) if self._reader.length else 0
        except Exception:
            self._body.failed = True  # nobody knows then where the next request begins
            raise
        self._reader.length -= size
        return size


def direct(body: Any) -> Direct | None:
    """The body of a request of ours, to be read without the copies that gunicorn makes; None if it can't be."""
    if not isinstance(body, Body) or not isinstance(body.reader, LengthReader) or body.buf.tell():
        return None
    unreader = body.reader.unreader
    return Direct(body, unreader) if isinstance(unreader, PacedReader) else None


def is_spent(body: Any) -> bool:
    """Whether a body of known length was taken from its connection to its end."""
    is_plain = isinstance(body, Body) and isinstance(body.reader, LengthReader)
    return is_plain and not body.failed and not body.reader.length


def set_pace(connection: Any, header: float, body: float, answer: float) -> None:
    """Let gunicorn serve one of its connections at our pace; to be called before each of its requests.

    In seconds: how long the whole header may take, how far the body may fall behind its rate, and how long a client
    may take nothing of its answer.
    """
    if connection.parser is not None:
        connection.parser.unreader.begin_header()
        return
    begin = functools.partial(type(connection).init, connection)

    def init() -> None:
        if connection.initialized:
            return
        begin()
        # A send that moves nothing for so long fails; with a time-out of Python's the whole answer would have to.
        limit = struct.pack("ll", int(answer), int(answer % 1 * 1_000_000))
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        connection.parser.unreader = PacedReader(connection.sock, header, body)

    connection.init = init
    connection.wait_for_data = lambda _seconds: _wait_for_first(connection)


def _wait_for_first(connection: Any) -> bool:
    """Whether the first bytes of a new connection come at once. gunicorn's own would open a selector for each."""
    poll = select.poll()
    try:
        poll.register(connection.sock, select.POLLIN)
        connection.data_ready = bool(poll.poll(FIRST_WAIT * 1000))
    except (OSError, ValueError):  # it is closed by now
        return False
    return bool(connection.data_ready)
