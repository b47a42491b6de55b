"""How the server's worker answers over one connection: in one piece where it can, one request after the other."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn

from app import config, onepiece, pace
from app.config import Config
from app.server import CabinWorker, Server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

Wsgi = Callable[[dict[str, Any], "StartResponse"], list[bytes]]


class Pieces(socket.socket):
    """A socket that remembers what it was told to send."""

    sent: list[bytes]

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send and remember."""
        self.sent.append(bytes(data))
        super().sendall(data, flags)


class Line:
    """One connection to a worker that is not started: `answer` is what its thread would do for a request."""

    def __init__(self, settings: Config, app: Wsgi) -> None:
        server = Server(settings)
        self.worker = CabinWorker(1, os.getppid(), [], server, 30, server.cfg, Logger(server.cfg))
        self.worker.wsgi = app
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.client = socket.create_connection(listening.getsockname())
            accepted, address = listening.accept()
        self.client.settimeout(10)
        self.served = Pieces(fileno=accepted.detach())
        self.served.sent = []
        self.connection = TConn(server.cfg, self.served, address, self.client.getpeername())

    def answer(self) -> Any:
        """Do for the connection what the pool would."""
        pace.set_pace(self.connection, 5.0, 5.0, 5.0)
        return self.worker.handle(self.connection)

    def close(self) -> None:
        """Let go of everything."""
        self.client.close()
        self.served.close()
        self.worker.tmp.close()


Open = Callable[[Wsgi], Line]


@pytest.fixture
def opened(settings: Config) -> Iterator[Open]:
    """Opens connections to workers."""
    config.use(settings)
    onepiece.use()
    lines: list[Line] = []

    def open_line(app: Wsgi) -> Line:
        lines.append(Line(settings, app))
        return lines[-1]

    yield open_line
    for line in lines:
        line.close()


def says(body: bytes, **headers: str) -> Wsgi:
    """An application that says this, whatever it is asked."""

    def app(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", str(len(body))), *headers.items()])
        return [body]

    return app


def ask(path: str, body: bytes = b"", method: str = "GET") -> bytes:
    """A request as it goes over the line."""
    return f"{method} {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_each_answer_leaves_in_one_piece(opened: Open) -> None:
    line = opened(says(b"yes"))
    line.client.sendall(ask("/1") + ask("/2", b"body", "POST") + ask("/3"))
    assert [line.answer() for _ in range(3)] == [True, True, True]
    assert len(line.served.sent) == 3
    assert all(piece.endswith(b"\r\n\r\nyes") for piece in line.served.sent)


def test_a_connection_is_closed_after_what_was_said_to_be_the_last(opened: Open) -> None:
    line = opened(says(b"yes"))
    line.client.sendall(b"GET /1 HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n" + ask("/2"))
    assert line.answer() is False
    assert len(line.served.sent) == 1


def test_a_body_that_nobody_read_does_not_become_the_next_request(opened: Open) -> None:
    def deaf(_environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        return [b"deaf"]

    line = opened(deaf)
    line.client.sendall(ask("/1", b"GET /inner HTTP/1.1\r\n\r\n", "POST") + ask("/2"))
    assert [line.answer(), line.answer()] == [True, True]
    assert len(line.served.sent) == 2
    assert all(piece.endswith(b"deaf") for piece in line.served.sent)


@pytest.mark.parametrize("size", [onepiece.GATHERED, onepiece.GATHERED + 1])
def test_a_long_body_is_not_copied_behind_its_header(opened: Open, size: int) -> None:
    line = opened(says(b"x" * size))
    reader = threading.Thread(target=drain, args=(line.client, size))
    reader.start()
    line.client.sendall(ask("/1"))
    line.answer()
    reader.join()
    assert len(line.served.sent) == (1 if size == onepiece.GATHERED else 2)
    assert b"".join(line.served.sent).endswith(b"\r\n\r\n" + b"x" * size)


def drain(client: socket.socket, size: int) -> None:
    """Take an answer with so long a body."""
    got = 0
    while got < size:
        got += len(client.recv(1 << 16))


def test_an_answer_to_head_has_its_header_alone(opened: Open) -> None:
    line = opened(says(b"yes"))
    line.client.sendall(ask("/1", method="HEAD"))
    assert line.answer() is True
    [header] = line.served.sent
    assert b"Content-Length: 3\r\n" in header
    assert header.endswith(b"\r\n\r\n")


def test_an_answer_of_unknown_length_goes_in_chunks(opened: Open) -> None:
    def unmeasured(_environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"one", b"two"]

    line = opened(unmeasured)
    line.client.sendall(ask("/1"))
    assert line.answer() is True
    assert b"".join(line.served.sent).endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_a_header_cannot_break_its_line(opened: Open) -> None:
    line = opened(says(b"yes", **{"X-Note": "a\r\nX-Other: b"}))
    line.client.sendall(ask("/1"))
    assert line.answer() is False
    assert b"X-Other" not in b"".join(line.served.sent)
