"""Answers that go on: a stream of facts, or one answer that waits for a fact.

Where the carrier can take the socket, neither costs a thread while it waits. Under any other server, as in most
tests, the request's own thread waits instead; what the client reads is the same.
"""

from __future__ import annotations

import functools
import logging
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from flask import Flask, Response, copy_current_request_context, current_app, g

from app import carrier

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

B = TypeVar("B")
RETRY = (1_500, 3_500)  # ms after which a client comes back; not all at once
REPLAY_WAIT = 10.0  # seconds that a client may take for one piece of what it missed
FAREWELL = b": this stream ends here\n"
DRAWERS = 8
QUEUE = 1000
FAR_BEHIND = 64 * 1024  # bytes that a client has yet to take, when it is told no more of what only passes
_logger = logging.getLogger(__name__)
_drawers = ThreadPoolExecutor(DRAWERS, thread_name_prefix="drawer")


def frame(data: bytes | str, id: str = "") -> bytes:
    """One SSE frame; every line of the data gets its own `data:`."""
    raw = data.encode() if isinstance(data, str) else data
    lines = b"".join(b"data: " + line + b"\n" for line in raw.replace(b"\r\n", b"\n").split(b"\n"))
    return (f"id: {id}\n".encode() if id else b"") + lines + b"\n"


class Source(Protocol):
    """A subscription, as the events room gives it."""

    def replay(self) -> Iterator[Any]:
        """What was missed; first of all."""

    def facts(self, heartbeat: float | None, deadline: float | None = None) -> Iterator[Any]:
        """Replay and then live, None at each heartbeat; for a thread that waits itself."""

    def pour(self, sink: Callable[[Sequence[Any]], None], over: Callable[[], None]) -> None:
        """Hand on what is live from now on, in the hub's thread, some at a time; `over` at its end."""

    def close(self) -> None:
        """Unsubscribe."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What a stream says: its first words, a frame for each fact (b"" for nothing), and one every so many seconds.

    First of all it says when to come back, because one that is dropped for being slow hears no last word.
    A `shared` frame is cheap and made once for all streams, in the hub's thread. Others may read the database:
    they are drawn by a pool of threads, in order, in the context of their request.
    One with an end of its own, whose client does not come back to it, says so by `comes_back`: then nothing is added to
    its frames, which may be of another content type and binary. `sent`, for shared frames, is told of each fact whose
    frame the client's connection has taken.
    """

    source: Source
    opening: bytes
    frame: Callable[[Any], bytes]
    beat: Callable[[], bytes]
    every: float
    shared: bool = False
    content_type: str = "text/event-stream"
    comes_back: bool = True
    sent: Callable[[Any], None] | None = None

    def first(self) -> bytes:
        """What stands before all facts."""
        return retry() + self.opening if self.comes_back else self.opening

    def last(self) -> bytes:
        """What stands after all facts."""
        return FAREWELL + retry() + b"\n" if self.comes_back else b""

    def chunks(self) -> Iterator[bytes]:
        """All of it, for a thread that waits."""
        try:
            yield self.first()
            for fact in self.source.facts(heartbeat=self.every):
                yield self.beat() if fact is None else self.frame(fact)
            yield self.last()
        finally:
            self.source.close()


class Stream(Response):
    """A feed's frames as they come: a text/event-stream unless the feed says otherwise."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed if feed.shared else replace(feed, frame=in_this_request(feed.frame))
        super().__init__(self._feed.chunks(), content_type=feed.content_type, direct_passthrough=True)
        self.call_on_close(feed.source.close)
        g.kind = "stream"

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Hand the socket over, if it can be, and leave nothing for gunicorn to write.

        The body of a POST has been read by now: a view has made this answer of it.
        """
        taken = carrier.take() if environ["REQUEST_METHOD"] in ("GET", "POST") else None
        if taken is None:
            return super().__call__(environ, start_response)
        _carry(taken, head(self), self._feed)
        raise StopIteration


class Awaited(Response):
    """An answer that is made once the awaited fact is there, or the client has waited for `patience` seconds."""

    def __init__(
        self, source: Source, is_it: Callable[[Any], bool], answer: Callable[[], Any], patience: float
    ) -> None:
        super().__init__()
        self._source = source
        self._is_it = is_it
        self._patience = patience
        self._answer: Callable[[], Response] = in_this_request(lambda: _whole(answer))

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Park the socket, if it can be handed over; otherwise wait here."""
        taken = carrier.take()
        if taken is None:
            return self._wait()(environ, start_response)
        self._park(taken)
        raise StopIteration

    def _wait(self) -> Response:
        deadline = time.monotonic() + self._patience
        try:
            for fact in self._source.facts(heartbeat=None, deadline=deadline):
                if fact is not None and self._is_it(fact):
                    break
            return self._answer()
        finally:
            self._source.close()

    def _park(self, taken: socket.socket) -> None:
        answered = threading.Event()

        def answer() -> None:
            if not answered.is_set():
                answered.set()
                _drawers.submit(_say_and_finish, outlet, self._answer)

        def hear(facts: Sequence[Any]) -> None:
            if any(map(self._is_it, facts)):
                answer()

        def give_up() -> bytes:
            answer()
            return b""

        outlet = _adopt(taken, self._source.close, give_up, self._patience)
        self._source.pour(hear, outlet.finish)


def after(
    source: Source,
    begin: Callable[[], B],
    is_it: Callable[[B, Any], bool],
    answer: Callable[[B], Any],
    patience: float,
) -> Awaited:
    """Begin something, and answer once the source tells of its end; the source is open already, so none is missed."""
    try:
        begun = begin()
    except BaseException:
        source.close()
        raise
    return Awaited(source, lambda fact: is_it(begun, fact), lambda: answer(begun), patience)


def retry() -> bytes:
    """The line that tells a client in how many ms to come back."""
    return b"retry: %d\n" % random.randint(*RETRY)  # noqa: S311 - it spreads load, it hides nothing


def in_this_request(work: Callable[..., Any]) -> Callable[..., Any]:
    """The work, to be done later in another thread as if within this request."""
    kept = {name: g.get(name) for name in ("actor", "request_id")}

    def within(*given: Any) -> Any:
        for name, value in kept.items():
            setattr(g, name, value)
        return work(*given)

    return copy_current_request_context(within)


def head(response: Response) -> bytes:
    """Status line and headers of an answer whose end is the end of its connection, or its Content-Length."""
    lines = [f"HTTP/1.1 {response.status}", f"Date: {formatdate(usegmt=True)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class _Drawn:
    """Draws the frames of one stream in order, a thread of the pool at a time."""

    def __init__(self, outlet: carrier.Outlet, frame: Callable[[Any], bytes]) -> None:
        self._outlet = outlet
        self._frame = frame
        self._lock = threading.Lock()
        self._facts: deque[Any] = deque()
        self._busy = False

    def put(self, facts: Sequence[Any]) -> None:
        """Take facts; a stream that cannot follow ends, and its client comes back for the rest."""
        with self._lock:
            self._facts.extend(facts)
            if len(self._facts) > QUEUE:
                self._facts.clear()
                self._outlet.finish()
            if self._busy or not self._facts:
                return
            self._busy = True
        _drawers.submit(self._work)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._facts:
                    self._busy = False
                    return
                fact = self._facts.popleft()
            try:
                self._outlet.send(self._frame(fact))
            except Exception:
                _logger.exception("a stream could not be drawn")
                self._outlet.finish()


def _carry(taken: socket.socket, first: bytes, feed: Feed) -> None:
    """Say what was missed in this thread, then let the hub speak."""
    taken.settimeout(REPLAY_WAIT)
    try:
        taken.sendall(first + feed.first())
        for fact in feed.source.replay():
            taken.sendall(feed.frame(fact))
    except OSError:
        taken.close()
        feed.source.close()
        return
    outlet = _adopt(taken, feed.source.close, feed.beat, feed.every)
    feed = replace(feed, opening=b"")  # it has been said, and this is kept as long as the stream: there are thousands

    def say(facts: Sequence[Any]) -> None:
        if outlet.waiting > FAR_BEHIND:
            facts = [fact for fact in facts if not getattr(fact, "is_passing", False)]
        outlet.send(_joined(tuple(map(feed.frame, facts))), feed.sent and functools.partial(_each, feed.sent, facts))

    def over() -> None:
        outlet.send(feed.last())
        outlet.finish()

    feed.source.pour(say if feed.shared else _Drawn(outlet, feed.frame).put, over)


@functools.lru_cache(maxsize=4)
def _joined(frames: tuple[bytes, ...]) -> bytes:
    """One piece of them, the same one for all streams that say the same: they may keep it long, and are many."""
    return b"".join(frames)


def _each(sent: Callable[[Any], None], facts: Sequence[Any]) -> None:
    for fact in facts:
        sent(fact)


def _adopt(taken: socket.socket, ended: Callable[[], None], beat: Callable[[], bytes], every: float) -> carrier.Outlet:
    running = carrier.running()
    if running is None:
        taken.close()
        ended()
        raise StopIteration
    return running.adopt(taken, ended, beat, every, g.get("actor"))


def _say_and_finish(outlet: carrier.Outlet, answer: Callable[[], Response]) -> None:
    try:
        response = answer()
        outlet.send(head(response) + response.get_data())
    finally:
        outlet.finish()


def _whole(answer: Callable[[], Any]) -> Response:
    """The answer with everything that Flask does around a view: errors in their envelope, headers."""
    app: Flask = current_app
    try:
        made = app.make_response(answer())
    except Exception as error:  # noqa: BLE001 - whatever a view raises has its handler
        made = app.make_response(app.handle_user_exception(error))
    return app.process_response(made)
