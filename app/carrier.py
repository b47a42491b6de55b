"""Open answers that cost no thread: their sockets leave the request's thread and are written to from here.

gunicorn gives each request a thread, and thousands of open streams would need thousands. So a view that has only
to wait hands over its socket. Whatever has something to say writes to the outlet, from any thread and without
waiting; the carrier's one thread sends what a slow client did not take at once, notices who hung up, and lets
each outlet beat.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from app.sendnow import send_now

# Bytes and pieces that a client may leave unread before it is let go; it comes back with its cursor. One piece may be
# larger.
MOST_WAITING = 1 << 20
MOST_PIECES = 1_000
READ = 4096
READABLE = selectors.EVENT_READ
_NOTHING: deque[Any] = deque(maxlen=0)
_logger = logging.getLogger(__name__)


class Outlet:
    """One handed-over connection: `send` from any thread, `finish` closes it once all is sent.

    `holder` is whom it is for, as `holders` and `let_go` tell them apart; None for nobody in particular.
    """

    __slots__ = (
        "_carrier",
        "_closed",
        "_ended",
        "_finishing",
        "_is_begun",
        "_lock",
        "_sent",
        "_socket",
        "_unsent",
        "_waiting",
        "holder",
    )

    def __init__(self, carrier: Carrier, sock: socket.socket, ended: Callable[[], None]) -> None:
        self._carrier = carrier
        self._socket = sock
        self._ended = ended
        self._lock = threading.Lock()
        # Pieces, each with what is called at its end. Those with nothing unsent share an empty deque: one of their own
        # takes 600 bytes, and streams are many.
        self._unsent: deque[tuple[bytes, Callable[[], None] | None]] = _NOTHING
        self._waiting = 0
        self._is_begun = False  # of the first piece that is unsent a part has gone out
        self._sent = 0
        self._finishing = False
        self._closed = False
        self.holder: Any = None

    def send(self, data: bytes, then: Callable[[], None] | None = None) -> None:
        """Send, or keep for later what the client does not take now; nothing once it is closed.

        `then` is called when all of it has been sent, at once or in the carrier's thread.
        """
        rest: bytes | None = b""
        is_lost = False
        with self._lock:
            if self._closed or self._finishing:
                return
            if data:
                rest = data if self._unsent else self._try(data)
                is_lost = rest is None or self._is_too_much(rest)
            if rest and not is_lost:
                self._is_begun = self._is_begun or len(rest) < len(data)
                if not self._unsent:
                    self._unsent = deque()
                self._unsent.append((rest, then))
                self._waiting += len(rest)
        if rest or is_lost:
            self._carrier.ask(self.close if is_lost else lambda: self._carrier.watch(self))
        elif then is not None:
            then()

    def let_go(self) -> None:
        """Close it because its holder may hold it no longer; the client comes back and is asked who it is."""
        self.finish()

    def finish(self) -> None:
        """Close it when what is waiting has gone out."""
        with self._lock:
            self._finishing = True
            is_done = not self._unsent
        self._carrier.ask(self.close if is_done else lambda: self._carrier.watch(self))

    def cut_short(self, last: bytes) -> None:
        """Say this last thing and close; what waits before it is left unsent, but for a piece that has begun."""
        with self._lock:
            if self._closed or self._finishing:
                return
            self._finishing = True
            kept = [self._unsent[0][0]] if self._is_begun else []
            self._unsent = deque((piece, None) for piece in (*kept, last))
            self._waiting = sum(len(piece) for piece, _then in self._unsent)
        self._carrier.ask(self._flush_and_watch)

    def unblock(self) -> None:
        """Wait for the client nowhere from now on."""
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """The socket's descriptor; -1 once closed."""
        return self._socket.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for the client to take it."""
        return bool(self._unsent)

    @property
    def mask(self) -> int:
        """What to wait for at the socket: what the client says, and whether it takes more while anything waits."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self.has_unsent else 0)

    @property
    def waiting(self) -> int:
        """How many bytes wait for the client to take them."""
        return self._waiting

    @property
    def sent(self) -> int:
        """How many bytes the client's connection has taken so far."""
        return self._sent

    # What follows is called in the carrier's thread.

    def flush(self) -> None:
        """Send what waits, as far as the client takes it."""
        sent: list[Callable[[], None]] = []
        with self._lock:
            is_over = self._send_waiting(sent)
        for then in sent:
            then()
        if is_over:
            self.close()

    def hear(self) -> None:
        """The client said something: it hung up, or sends what nobody asked for, which is passed over."""
        try:
            if self._socket.recv(READ):
                return
        except BlockingIOError:
            return
        except OSError as error:
            _logger.debug("a stream's connection broke: %s", error)
        self.close()

    def close(self) -> None:
        """Close at once; a second time does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._unsent = _NOTHING
        self._carrier.forget(self)
        self._socket.close()
        self._ended()

    def _send_waiting(self, sent: list[Callable[[], None]]) -> bool:
        """Whether it is over: all was sent that was to be, or the connection is gone."""
        while self._unsent:
            first, then = self._unsent[0]
            rest = self._try(first)
            if rest is None:
                return True
            self._waiting -= len(first) - len(rest)
            if rest is not first:
                self._is_begun = bool(rest)
            if rest:
                self._unsent[0] = rest, then
                return False
            self._unsent.popleft()
            if then is not None:
                sent.append(then)
        self._unsent = _NOTHING
        return self._finishing

    def _flush_and_watch(self) -> None:
        self.flush()
        self._carrier.watch(self)

    def _is_too_much(self, rest: bytes) -> bool:
        return self._waiting > 0 and (self._waiting + len(rest) > MOST_WAITING or len(self._unsent) >= MOST_PIECES)

    def _try(self, data: bytes) -> bytes | None:
        """What is left of the data after a try; None when the connection is gone."""
        try:
            count = send_now(self._socket, data)
        except OSError:
            return None
        self._sent += count
        return data[count:]


class Carrier:
    """The thread that owns handed-over sockets."""

    def __init__(self, name: str = "carrier") -> None:
        self._selector = selectors.DefaultSelector()
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._asked: deque[Callable[[], None]] = deque()
        self._beats: list[tuple[float, int, Outlet, Callable[[], bytes], float]] = []
        self._numbers = itertools.count()
        self._outlets: set[Outlet] = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._selector.register(self._ear, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """Close every outlet and end the thread."""
        self.ask(self._close_all)
        self._thread.join(timeout=5)
        self._ear.close()
        self._mouth.close()

    @property
    def is_running(self) -> bool:
        """Whether it takes sockets."""
        return self._thread.is_alive() and not self._stopping

    def __len__(self) -> int:
        return len(self._outlets)

    def adopt(
        self,
        sock: socket.socket,
        ended: Callable[[], None],
        beat: Callable[[], bytes] | None = None,
        every: float = 0.0,
        holder: Any = None,
    ) -> Outlet:
        """Own the socket from now on, for this holder; `beat` gives what to send every so many seconds.

        `ended` is called once, in this thread, when the connection is closed, whoever closed it.
        """
        outlet = Outlet(self, sock, ended)
        outlet.holder = holder
        self.carry(outlet, beat, every)
        return outlet

    def carry(self, outlet: Outlet, beat: Callable[[], bytes] | None = None, every: float = 0.0) -> None:
        """Serve an outlet that somebody made for this carrier, from now on, as `adopt` does."""
        outlet.unblock()
        self.ask(lambda: self._enter(outlet, beat, every))

    def outlets(self) -> list[Outlet]:
        """Those that are open now."""
        return list(self._outlets.copy())

    def ask(self, work: Callable[[], None]) -> None:
        """Have something done in the carrier's thread, in the order of asking."""
        self._asked.append(work)
        try:
            send_now(self._mouth, b"!")  # what it does not take is no loss: it is full of calls already
        except OSError:
            return  # stopped: there is nothing left to do

    # What follows is called in the carrier's thread.

    def watch(self, outlet: Outlet) -> None:
        """Wait for the client to take more, while anything is unsent."""
        if outlet not in self._outlets:
            return
        self._selector.modify(outlet, outlet.mask)

    def forget(self, outlet: Outlet) -> None:
        """Give up an outlet that is being closed."""
        if outlet in self._outlets:
            self._outlets.discard(outlet)
            self._selector.unregister(outlet)

    def _enter(self, outlet: Outlet, beat: Callable[[], bytes] | None, every: float) -> None:
        if outlet.fileno() < 0:
            return
        self._selector.register(outlet, outlet.mask)
        self._outlets.add(outlet)
        if beat is not None:
            self._beat_later(outlet, beat, every)

    def _run(self) -> None:
        while not self._stopping:
            for key, mask in self._selector.select(self._rest()):
                if key.fileobj is self._ear:
                    self._drain()
                else:
                    self._serve(key.fileobj, mask)
            while self._asked:
                self._do(self._asked.popleft())
            self._beat()
        self._selector.close()

    def _drain(self) -> None:
        try:
            while self._ear.recv(READ):
                continue
        except BlockingIOError:
            return

    def _serve(self, outlet: Any, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._do(outlet.flush)
            self.watch(outlet)
        if mask & selectors.EVENT_READ:
            self._do(outlet.hear)

    def _rest(self) -> float | None:
        return max(0.0, self._beats[0][0] - time.monotonic()) if self._beats else None

    def _beat(self) -> None:
        now = time.monotonic()
        while self._beats and self._beats[0][0] <= now:
            _, _, outlet, beat, every = heapq.heappop(self._beats)
            if outlet in self._outlets:
                self._do(lambda outlet=outlet, beat=beat: outlet.send(beat()))  # type: ignore[misc]
                self._beat_later(outlet, beat, every)

    def _beat_later(self, outlet: Outlet, beat: Callable[[], bytes], every: float) -> None:
        heapq.heappush(self._beats, (time.monotonic() + every, next(self._numbers), outlet, beat, every))

    def _close_all(self) -> None:
        self._stopping = True
        for outlet in list(self._outlets):
            self._do(outlet.flush)
            self._do(outlet.close)

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            _logger.exception("a stream could not be served")


# The connection whose request this thread answers, where a worker of ours said so.
_lent = threading.local()
_carrier: Carrier | None = None
# Files are sent by a thread of their own: it may wait for a disk, which must keep no stream waiting.
_porter: Carrier | None = None


def start() -> None:
    """Start the carriers of this process."""
    global _carrier, _porter
    _carrier, _porter = Carrier(), Carrier("porter")
    _carrier.start()
    _porter.start()


def stop() -> None:
    """Close all handed-over connections of this process."""
    global _carrier, _porter
    for each in (_carrier, _porter):
        if each is not None:
            each.stop()
    _carrier = _porter = None


def running() -> Carrier | None:
    """The carrier of this process, if it runs."""
    return _carrier if _carrier is not None and _carrier.is_running else None


def holders() -> set[Any]:
    """For whom connections are open."""
    here = running()
    return {one.holder for one in here.outlets() if one.holder is not None} if here is not None else set()


def let_go(ended: set[Any]) -> None:
    """Close the connections of these holders."""
    here = running()
    for one in here.outlets() if here is not None and ended else ():
        if one.holder in ended:
            one.let_go()


def porter() -> Carrier | None:
    """The carrier of files, if it runs."""
    return _porter if _porter is not None and _porter.is_running else None


def lend(connection: Any) -> None:
    """Say which of gunicorn's connections this thread serves; None when it is done."""
    _lent.connection = connection


def take() -> socket.socket | None:
    """The socket of the request in hand, taken away from gunicorn for good; None where that cannot be.

    `dup` would not do: gunicorn shuts the connection down, which reaches a copy too.
    """
    connection = getattr(_lent, "connection", None)
    if connection is None or running() is None or isinstance(connection.sock, ssl.SSLSocket):
        return None
    connection.is_handed_over = True
    return socket.socket(fileno=connection.sock.detach())
