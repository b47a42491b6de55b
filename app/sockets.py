"""WebSockets: one that is open costs no thread, because the carrier owns its socket as it owns those of streams.

A view checks who asks and answers `Upgrade(talk)`; from then on the talk is told what the client says, and says what
it has to say from any thread, without waiting. Where the carrier cannot take the socket, Flask-Sock serves the same
talk with threads of its own.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from flask import Response, g, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError, generate_accept_token

from app import carrier, config, web
from app.errors import Denied, Problem

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

NORMAL, GOING_AWAY, PROTOCOL, POLICY, TOO_BIG, TRY_AGAIN = 1000, 1001, 1002, 1008, 1009, 1013
LARGEST = 1 << 20  # bytes of one message from a client
READ = 64 * 1024
TICK = 1.0
PING_EVERY, GONE_AFTER = 25.0, 60.0
# A client that is behind for so many seconds and took fewer bytes a second meanwhile is let go.
SLOW_AFTER, SLOW = 10.0, 8 * 1024
# Messages a second, pings too, that a client may send for long, and at once.
MESSAGES, MESSAGES_AT_ONCE = 5_000.0, 20_000.0
SEND_BUFFER = 256 * 1024
MOST_WAITING = 4 << 20
_TEXT, _BYTES, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
Then = Callable[[], None] | None


class UpgradeRequired(Problem):
    """The address speaks only WebSocket."""

    status, code = 426, "UPGRADE_REQUIRED"


class Speaker(Protocol):
    """Our end of an open WebSocket, for any thread."""

    def say(self, message: str | bytes, then: Then = None) -> None:
        """Say a text, or bytes; nothing once it is closed. `then` is called when the client's connection has it."""

    def say_text(self, message: bytes, then: Then = None) -> None:
        """Say a text that is UTF-8 already."""

    def bye(self, code: int, reason: str = "") -> None:
        """Close it when what was said has gone out; with TRY_AGAIN at once, leaving unsent what waits."""


class Talk(Protocol):
    """What is spoken on one WebSocket; begun in the request's thread, the rest comes one at a time from another."""

    def begin(self, speaker: Speaker) -> None:
        """The connection stands."""

    def heard(self, message: str | bytes) -> None:
        """The client has said this; must not wait."""

    def tick(self) -> None:
        """About a second has gone by."""

    def ended(self) -> None:
        """The connection is closed or will be, whoever closed it; may be called again."""


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole frame as servers send it: final and not masked."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


def closing(code: int, reason: str) -> bytes:
    """A close frame; its reason is cut to what fits."""
    words = reason.encode()[:123].decode("utf-8", "ignore").encode()
    return frame(_CLOSE, struct.pack("!H", code) + words)


class Socket(carrier.Outlet):
    """A WebSocket in the carrier's hands."""

    def __init__(self, running: carrier.Carrier, taken: socket.socket, talk: Talk) -> None:
        super().__init__(running, taken, talk.ended)
        self._talk = talk
        self._ears = _Ears()
        self._pace = _Pace()
        self._slowness = _Slowness()
        self._heard_at = self._pinged_at = time.monotonic()
        self._bye_at: float | None = None

    def say(self, message: str | bytes, then: Then = None) -> None:
        """Say a text, or bytes."""
        if isinstance(message, str):
            self.say_text(message.encode(), then)
        else:
            self.send(frame(_BYTES, message), then)

    def say_text(self, message: bytes, then: Then = None) -> None:
        """Say a text that is UTF-8 already."""
        self.send(frame(_TEXT, message), then)

    def bye(self, code: int, reason: str = "") -> None:
        """Close it."""
        self._bye_at = self._bye_at or time.monotonic()
        if code == TRY_AGAIN:
            self.cut_short(closing(code, reason))
            self._talk.ended()  # it may be long before such a client has taken its last words
            return
        self.send(closing(code, reason))
        self.finish()

    def let_go(self) -> None:
        """Close it, and say why."""
        self.bye(POLICY, "Signed in no more")

    # What follows is called in the carrier's thread.

    def hear(self) -> None:
        """Take what the client says to the talk."""
        try:
            data = self._socket.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._heard_at = time.monotonic()
        if self._bye_at is not None:
            return  # what is said after the goodbye is not heard any more
        for event in self._ears.hear(data):
            if not self._on(event):
                return

    def _is_too_much(self, rest: bytes) -> bool:
        # How much is said at once is bounded by the talk, which is told what was taken; this is for answers to one who
        # asks and does not listen.
        return self._waiting > 0 and self._waiting + len(rest) > MOST_WAITING

    def beat(self) -> bytes:
        """Once a second: a ping now and then, and whether the client keeps up or is gone."""
        now = time.monotonic()
        if now - (self._bye_at or self._heard_at) > GONE_AFTER:
            self.close()
        if self._bye_at is not None:
            return b""
        if self._slowness.is_too_slow(now, self.sent, self.has_unsent):
            self.bye(TRY_AGAIN, "Too slow; connect again")
            return b""
        self._talk.tick()
        if now - self._pinged_at < PING_EVERY:
            return b""
        self._pinged_at = now
        return frame(_PING, b"")

    def _on(self, event: _Event) -> bool:
        """Whether to go on listening."""
        if isinstance(event, tuple):
            self.bye(*event)
        elif isinstance(event, CloseConnection):
            self.bye(NORMAL if event.code == 1005 else event.code, event.reason or "")
        elif not self._pace.has_room():
            self.bye(POLICY, "Too many messages")
        elif isinstance(event, Ping):
            self.send(frame(_PONG, bytes(event.payload)))
            return True
        else:
            self._talk.heard(event)
            return True
        return False


_Event = str | bytes | Ping | CloseConnection | tuple[int, str]


class _Ears:
    """Makes whole messages of what comes; a pair of code and reason is why the connection must end."""

    def __init__(self) -> None:
        self._connection = Connection(ConnectionType.SERVER)
        self._text: list[str] = []
        self._bytes: list[bytes] = []
        self._size = 0

    def hear(self, data: bytes) -> Iterator[_Event]:
        """Take bytes as they come."""
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                if isinstance(event, TextMessage | BytesMessage):
                    yield from self._message(event)
                elif isinstance(event, Ping | CloseConnection):
                    yield event
        except (RemoteProtocolError, LocalProtocolError) as error:
            yield PROTOCOL, str(error)

    def _message(self, event: TextMessage | BytesMessage) -> Iterator[_Event]:
        self._size += len(event.data) or 1  # else a message of empty pieces has no end
        if self._size > LARGEST:
            yield TOO_BIG, f"A message has at most {LARGEST} bytes"
            return
        if isinstance(event, TextMessage):
            self._text.append(event.data)
        else:
            self._bytes.append(bytes(event.data))
        if event.message_finished:
            whole: str | bytes = "".join(self._text) if isinstance(event, TextMessage) else b"".join(self._bytes)
            self._text, self._bytes, self._size = [], [], 0
            yield whole


class _Pace:
    """How many messages a client sends."""

    def __init__(self) -> None:
        self._left = MESSAGES_AT_ONCE
        self._at = time.monotonic()

    def has_room(self) -> bool:
        """Count one more; False when it is too many."""
        now = time.monotonic()
        self._left = min(MESSAGES_AT_ONCE, self._left + (now - self._at) * MESSAGES) - 1
        self._at = now
        return self._left >= 0


class _Slowness:
    """Whether a client that is behind takes too little."""

    def __init__(self) -> None:
        self._since: tuple[float, int] | None = None

    def is_too_slow(self, now: float, sent: int, is_behind: bool) -> bool:
        """Look at how much it took since it fell behind, or since the last look that was long ago enough."""
        if not is_behind:
            self._since = None
            return False
        if self._since is None:
            self._since = now, sent
        since, before = self._since
        if now - since < SLOW_AFTER:
            return False
        self._since = now, sent
        return sent - before < SLOW * (now - since)


class Upgrade(Response):
    """Switches the connection to WebSocket and lets the talk begin; `accept` is what `handshake` gave."""

    def __init__(self, accept: str, talk: Talk) -> None:
        super().__init__(status=101)
        self._accept = accept
        self._talk = talk
        g.kind = "api"

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Hand the socket over, if it can be, and leave nothing for the server to write."""
        taken, running = carrier.take(), carrier.running()
        if taken is None or running is None:
            return _by_flask_sock(self._talk)(environ, start_response)
        if taken.family != socket.AF_UNIX:
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        begin(running, taken, self._talk, self._head(), web.find_actor())
        raise StopIteration

    def _head(self) -> bytes:
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {self._accept}",
            *(f"{name}: {value}" for name, value in self.headers.items() if not name.startswith("Content-")),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def begin(running: carrier.Carrier, taken: socket.socket, talk: Talk, head: bytes = b"", holder: Any = None) -> Socket:
    """Let a talk begin on a socket whose client expects this head first; for as long as its holder is signed in."""
    speaker = Socket(running, taken, talk)
    speaker.holder = holder
    speaker.unblock()
    speaker.send(head)
    talk.begin(speaker)
    running.carry(speaker, speaker.beat, TICK)
    return speaker


def handshake() -> str:
    """Check that the request in hand asks for a WebSocket and may have one; what `Upgrade` wants to answer it.

    Raises UpgradeRequired (426), and Denied for a page of another site: no CORS holds a WebSocket back, so a cookie
    speaks only together with the origin of our own pages.
    """
    headers = request.headers
    wanted = {word.strip().lower() for word in headers.get("Connection", "").split(",")}
    if headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in wanted or request.method != "GET":
        raise UpgradeRequired("This address speaks WebSocket.")
    if headers.get("Sec-WebSocket-Version") != "13":
        raise UpgradeRequired("This address speaks version 13 of WebSocket.")
    key = headers.get("Sec-WebSocket-Key", "")
    if not _is_key(key):
        raise UpgradeRequired("The handshake's key is malformed.")
    _check_origin(headers.get("Origin"), is_cookie=g.get("proof") == "cookie")
    return generate_accept_token(key.encode()).decode()


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _check_origin(origin: str | None, *, is_cookie: bool) -> None:
    if origin is None and not is_cookie:
        return
    guests = () if is_cookie else config.current().cors_origins
    if origin not in {*web.own_origins(), *guests}:
        raise Denied("This came from another site.", code="CROSS_SITE")


class _Threaded:
    """A WebSocket that Flask-Sock holds; its sends are not safe by themselves."""

    def __init__(self, held: Any) -> None:
        self._socket = held
        self._lock = threading.Lock()

    def say(self, message: str | bytes, then: Then = None) -> None:
        """Say a text, or bytes."""
        with self._lock:
            if not self._socket.connected:
                return
            self._socket.send(message)
        if then is not None:
            then()

    def say_text(self, message: bytes, then: Then = None) -> None:
        """Say a text that is UTF-8 already."""
        self.say(message.decode(), then)

    def bye(self, code: int, reason: str = "") -> None:
        """Close it, and say that nothing follows: a server that reads on would wait for a client that waits for it."""
        with self._lock, contextlib.suppress(OSError):
            if self._socket.connected:
                self._socket.close(code, reason)
                self._socket.sock.shutdown(socket.SHUT_WR)


class _Keeper:
    """Stands where Flask-Sock wants a blueprint, and keeps the view that it makes."""

    view: Callable[[], Response]

    def route(self, _path: str, **_options: Any) -> Callable[[Callable[[], Response]], None]:
        """Keep the view."""

        def keep(view: Callable[[], Response]) -> None:
            self.view = view

        return keep


def _by_flask_sock(talk: Talk) -> Response:
    """Serve the whole talk in this thread."""

    def serve(held: Any) -> None:
        speaker = _Threaded(held)
        talk.begin(speaker)
        try:
            while True:
                message = held.receive(timeout=TICK)
                if message is None:
                    talk.tick()
                elif len(message) > LARGEST:
                    speaker.bye(TOO_BIG)
                else:
                    talk.heard(message)
        except ConnectionClosed:
            return
        finally:
            talk.ended()

    keeper = _Keeper()
    Sock().route("", bp=keeper)(serve)
    return keeper.view()
