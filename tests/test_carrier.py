"""Handed-over connections: everything arrives in order, slow clients hold nobody up, gone ones are noticed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app import carrier
from app.carrier import Carrier, Outlet


@pytest.fixture
def running() -> Iterator[Carrier]:
    """A carrier at work."""
    made = Carrier()
    made.start()
    yield made
    made.stop()


Connect = Callable[..., "Pair"]


@pytest.fixture
def connect(running: Carrier) -> Iterator[Connect]:
    """Makes pairs on the carrier at work."""
    made: list[Pair] = []

    def make(*given: Any, **more: Any) -> Pair:
        made.append(Pair(running, *given, **more))
        return made[-1]

    yield make
    for pair in made:
        pair.client.close()


class Pair:
    """A client and the outlet that speaks to it; `over` is set once the connection has ended."""

    def __init__(self, running: Carrier, beat: Callable[[], bytes] | None = None, every: float = 0.0) -> None:
        self.client, server = socket.socketpair()
        self.client.settimeout(10)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.ends: list[bool] = []
        self.over = threading.Event()
        self.outlet: Outlet = running.adopt(server, self._end, beat, every)

    def _end(self) -> None:
        self.ends.append(True)
        self.over.set()

    def read(self, size: int) -> bytes:
        """Just so many bytes."""
        got = b""
        while len(got) < size and (more := self.client.recv(size - len(got))):
            got += more
        return got

    def read_all(self) -> bytes:
        """Everything until the end."""
        got = b""
        while more := self.client.recv(65536):
            got += more
        return got


def settled(running: Carrier) -> None:
    """Wait until the carrier has done all that was asked before."""
    done = threading.Event()
    running.ask(done.set)
    assert done.wait(10)


def test_what_is_sent_arrives_in_order(connect: Connect) -> None:
    pair = connect()
    for number in range(100):
        pair.outlet.send(f"{number:03}".encode())
    pair.outlet.finish()
    assert pair.read_all() == b"".join(f"{number:03}".encode() for number in range(100))


def test_what_a_slow_client_leaves_is_sent_when_it_reads_on(connect: Connect) -> None:
    pair = connect()
    pieces = [bytes([number]) * 9000 for number in range(50)]
    for piece in pieces:
        pair.outlet.send(piece)
    assert pair.outlet.has_unsent
    pair.outlet.finish()
    assert pair.read_all() == b"".join(pieces)
    assert pair.over.wait(10)


def test_a_slow_client_holds_up_nobody(connect: Connect) -> None:
    slow, quick = connect(), connect()
    for _ in range(20):
        slow.outlet.send(b"s" * 9000)
        quick.outlet.send(b"q")
    assert quick.read(20) == b"q" * 20


def test_a_client_that_leaves_too_much_is_let_go(connect: Connect) -> None:
    pair = connect()
    for _ in range(4):
        pair.outlet.send(b"x" * (carrier.MOST_WAITING // 2))
    assert pair.over.wait(10)


def test_a_client_that_leaves_too_many_pieces_is_let_go(connect: Connect) -> None:
    pair = connect()
    pair.outlet.send(b"x" * 500_000)
    for _ in range(carrier.MOST_PIECES - 1):
        pair.outlet.send(b"x")
    assert not pair.over.is_set()
    pair.outlet.send(b"x")
    assert pair.over.wait(10)


def test_one_piece_may_be_larger_than_the_limit(connect: Connect) -> None:
    pair = connect()
    pair.outlet.send(b"x" * (3 * carrier.MOST_WAITING))
    assert len(pair.read(3 * carrier.MOST_WAITING)) == 3 * carrier.MOST_WAITING


def test_a_client_that_hangs_up_is_noticed_once(connect: Connect, running: Carrier) -> None:
    pair = connect()
    pair.client.close()
    assert pair.over.wait(10)
    pair.outlet.send(b"too late")
    pair.outlet.finish()
    settled(running)
    assert pair.ends == [True]
    assert len(running) == 0


def test_a_client_that_talks_is_passed_over(connect: Connect, running: Carrier) -> None:
    pair = connect()
    pair.client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    settled(running)
    pair.outlet.send(b"still here")
    assert pair.read(10) == b"still here"


def test_outlets_beat(connect: Connect) -> None:
    beats = iter(range(1000))
    pair = connect(beat=lambda: b"%03d" % next(beats), every=0.01)
    assert pair.read(15) == b"000001002003004"


def test_a_beat_that_fails_ends_nothing_else(
    connect: Connect, running: Carrier, caplog: pytest.LogCaptureFixture
) -> None:
    failed = threading.Event()

    def beat() -> bytes:
        failed.set()
        raise ValueError("no beat")

    connect(beat=beat, every=0.01)
    other = connect()
    assert failed.wait(10)
    other.outlet.send(b"fine")
    assert other.read(4) == b"fine"
    settled(running)
    assert "a stream could not be served" in caplog.text


def test_pieces_of_many_threads_stay_whole(connect: Connect) -> None:
    pair = connect()

    def speak(letter: bytes) -> None:
        for _ in range(50):
            pair.outlet.send(letter * 300)

    with ThreadPoolExecutor(4) as pool:
        spoken = [pool.submit(speak, letter) for letter in (b"a", b"b", b"c", b"d")]
        got = pair.read(4 * 50 * 300)
        for one in spoken:
            one.result()
    assert all(len(set(got[start : start + 300])) == 1 for start in range(0, len(got), 300))


def test_stopping_closes_all_of_them() -> None:
    running = Carrier()
    running.start()
    pairs = [Pair(running) for _ in range(3)]
    pairs[0].outlet.send(b"last words")
    running.stop()
    assert [pair.read_all() for pair in pairs] == [b"last words", b"", b""]
    assert [pair.ends for pair in pairs] == [[True]] * 3
    assert not running.is_running
    for pair in pairs:
        pair.client.close()


def test_nothing_is_taken_where_nobody_lent_it() -> None:
    assert carrier.take() is None


def test_a_lent_socket_is_taken_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    connection: Any = type("Connection", (), {})()
    client, connection.sock = socket.socketpair()
    carrier.start()
    carrier.lend(connection)
    try:
        taken = carrier.take()
        assert taken is not None
        assert (connection.is_handed_over, connection.sock.fileno()) == (True, -1)
        taken.sendall(b"mine")
        assert client.recv(4) == b"mine"
        taken.close()
    finally:
        carrier.lend(None)
        carrier.stop()
        client.close()


def test_it_says_when_a_piece_has_gone_out(connect: Connect) -> None:
    pair, told, last = connect(), [], threading.Event()
    pair.outlet.send(b"small", lambda: told.append("small"))
    assert told == ["small"]
    pair.outlet.send(b"x" * 900_000, lambda: told.append("large"))
    pair.outlet.send(b"end", last.set)
    assert told == ["small"]
    assert pair.read(900_008).endswith(b"end")
    assert last.wait(10)
    assert told == ["small", "large"]


def test_it_says_nothing_of_what_never_went_out(connect: Connect, running: Carrier) -> None:
    pair, told = connect(), []
    pair.outlet.send(b"x" * 900_000, lambda: told.append("large"))
    pair.client.close()
    assert pair.over.wait(10)
    pair.outlet.send(b"more", lambda: told.append("more"))
    settled(running)
    assert told == []
