"""A send that never waits: not for the client, and not for the interpreter either."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from app.sendnow import send_now

PIECE = b"\0piece" * 100


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection with a small buffer, both ends blocking."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def unhurried() -> Iterator[None]:
    """An interpreter that takes its lock from nobody who does not give it up."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5)
    yield
    sys.setswitchinterval(usual)


def test_it_says_how_much_was_taken(pair: tuple[socket.socket, socket.socket]) -> None:
    assert send_now(pair[0], PIECE) == len(PIECE)
    assert pair[1].recv(2 * len(PIECE)) == PIECE
    assert send_now(pair[0], b"") == 0


def test_a_full_connection_takes_nothing_and_keeps_nobody(pair: tuple[socket.socket, socket.socket]) -> None:
    taken = 0
    while count := send_now(pair[0], PIECE):
        taken += count
    pair[1].settimeout(10)
    got = 0
    while got < taken:
        got += len(pair[1].recv(1 << 16))
    assert send_now(pair[0], PIECE) == len(PIECE)


def test_a_connection_that_is_gone_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].close()
    with pytest.raises(BrokenPipeError):
        send_now(pair[0], PIECE)
    pair[0].close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        send_now(pair[0], PIECE)


@pytest.mark.usefixtures("unhurried")
def test_no_other_thread_has_its_turn_meanwhile(pair: tuple[socket.socket, socket.socket]) -> None:
    turns, is_over, has_begun = [0], threading.Event(), threading.Event()

    def take_turns() -> None:
        while not is_over.is_set():
            turns[0] += 1
            has_begun.set()
            time.sleep(0)  # gives the lock up: else nobody else had a turn

    other = threading.Thread(target=take_turns)
    other.start()
    assert has_begun.wait(10)
    before = turns[0]
    for _ in range(1000):
        send_now(pair[0], b"x")
    between = turns[0] - before
    is_over.set()
    other.join(10)
    assert between == 0
