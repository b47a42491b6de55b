"""A line to a model's server: one kept-alive connection, read in its caller's thread, cut from any other.

Reading in the engine's own thread costs a fifth of what an event loop costs that hands every piece over. Only
the wait for the answer's beginning is handed to a thread of its own, since nothing can interrupt a look-up of
a name.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

from app import outbound
from app.agent.providers import Cancel, Cancelled, ProviderFailed
from app.agent.ticks import ticks

MOST_IDLE = 16
LINGER = 0.25
CONNECTED = ("connection.connect_tcp.complete", "connection.start_tls.complete")
Key = tuple[str, bool, outbound.Bounds]

_lock = threading.Lock()
_idle: dict[Key, list[Line]] = {}


class Line:
    """One HTTP client that is used by one stream at a time, so that its last connection is the stream's."""

    def __init__(self, trusted: bool, bounds: outbound.Bounds) -> None:
        make = outbound.trusted if trusted else outbound.client
        self._client = make(bounds=bounds)
        # What bounds leaves open: a look-up of a name takes as long as it likes, and many addresses are many waits.
        self._longest = bounds.connect + bounds.first_byte + bounds.between_bytes
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_asking = False
        self.is_cut = False

    def post(self, url: str, body: bytes, headers: Mapping[str, str], cancel: Cancel) -> outbound.Response:
        """Send the request and wait for the headers of its answer; raises Cancelled as soon as it is.

        Raises ProviderFailed after all the waits that a request may have, however it spends them.
        """
        inbox: SimpleQueue[outbound.Response | Exception] = SimpleQueue()
        request = self._client.build_request(
            "POST", url, content=body, headers=headers, extensions={"trace": self._trace}
        )

        def ask() -> None:
            try:
                answer: outbound.Response | Exception = self._client.send(request, stream=True)
            except Exception as failure:  # noqa: BLE001 - raised in the thread that waits
                answer = failure
            inbox.put(self._asked(answer))

        self._is_asking = True
        threading.Thread(target=ask, name="model-request", daemon=True).start()
        with cancel.calling(lambda: inbox.put(Cancelled())):
            try:
                answer = inbox.get(timeout=self._longest)
            except Empty:
                raise ProviderFailed("The model's server could not be reached in time", retryable=True) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    @contextmanager
    def lingering(self) -> Iterator[None]:
        """Read on after an answer has told all, for the connection's sake, but hardly wait for it."""
        ended = threading.Event()
        ticks.after(LINGER, lambda: None if ended.is_set() else self.cut())
        try:
            yield
        finally:
            ended.set()

    def cut(self) -> None:
        """Shut the connection down now, whoever waits on it; the line is of no more use."""
        with self._lock:
            self.is_cut = True
            found = self._socket
        if found is not None:
            with suppress(OSError):
                # Not SSLSocket.shutdown, which would take the TLS object away from under its reader.
                socket.socket.shutdown(found, socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut it and give back what it holds, here or in the thread that still asks."""
        self.cut()
        with self._lock:
            is_asking = self._is_asking
        if not is_asking:
            self._client.close()

    def _trace(self, name: str, info: dict[str, Any]) -> None:
        if name in CONNECTED:
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
                is_cut = self.is_cut
            if is_cut:
                self.cut()

    def _asked(self, answer: outbound.Response | Exception) -> outbound.Response | Exception:
        """What to hand to the thread that waits: not an answer that came just as the line was cut."""
        with self._lock:
            self._is_asking = False
            is_cut = self.is_cut
        if not is_cut:
            return answer
        if not isinstance(answer, Exception):
            answer.close()
            answer = outbound.Failed("The connection was cut")
        self._client.close()
        return answer


@contextmanager
def line(origin: str, trusted: bool, bounds: outbound.Bounds, cancel: Cancel) -> Iterator[Line]:
    """Lend a line to an origin; it is cut when `cancel` is thrown and kept only if the block ends well."""
    key = (origin, trusted, bounds)
    with _lock:
        kept = _idle.get(key)
        one = kept.pop() if kept else Line(trusted, bounds)
    try:
        with cancel.calling(one.cut):
            yield one
    except BaseException:
        one.close()
        raise
    with _lock:
        kept = _idle.setdefault(key, [])
        if len(kept) < MOST_IDLE and not one.is_cut:
            kept.append(one)
            return
    one.close()


def close_all() -> None:
    """Close the lines that nobody uses."""
    with _lock:
        lines = [one for kept in _idle.values() for one in kept]
        _idle.clear()
    for one in lines:
        one.close()


# A child must not speak on its parent's connections.
os.register_at_fork(after_in_child=_idle.clear)
