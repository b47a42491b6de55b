"""WebSockets: frames as the RFC has them, bad ones refused, on the carrier and by Flask-Sock alike."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response, g
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from werkzeug.serving import make_server

from app import carrier, config, sockets, web
from app.config import Config
from app.dialects.mount import Cabin
from app.errors import Problem
from app.sockets import Speaker
from tests.patience import PATIENCE

MASK = b"\x01\x02\x03\x04"


class Echo:
    """Says what it hears."""

    def __init__(self) -> None:
        self.speaker: Speaker | None = None
        self.over = threading.Event()
        self.ticked = threading.Event()
        self.taken: list[int] = []

    def begin(self, speaker: Speaker) -> None:
        self.speaker = speaker
        speaker.say("welcome", lambda: self.taken.append(7))

    def heard(self, message: str | bytes) -> None:
        assert self.speaker is not None
        if message == "bye":
            self.speaker.bye(sockets.NORMAL, "as you wish")
        self.speaker.say(message)

    def tick(self) -> None:
        self.ticked.set()

    def ended(self) -> None:
        self.over.set()


@pytest.fixture
def running() -> Iterator[carrier.Carrier]:
    made = carrier.Carrier()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def talk() -> Echo:
    return Echo()


@pytest.fixture
def client(running: carrier.Carrier, talk: Echo) -> Iterator[socket.socket]:
    """The client's end of a connection on which the talk has begun."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(PATIENCE)
    sockets.begin(running, ours, talk)
    assert receive(theirs) == (1, b"welcome")
    yield theirs
    theirs.close()


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A frame as clients send it."""
    size = len(payload)
    head = bytes((opcode | (0x80 if final else 0),))
    if size < 126:
        head += bytes((0x80 | size,))
    elif size < 1 << 16:
        head += struct.pack("!BH", 0x80 | 126, size)
    else:
        head += struct.pack("!BQ", 0x80 | 127, size)
    return head + MASK + bytes(byte ^ MASK[place % 4] for place, byte in enumerate(payload))


def exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def receive(sock: socket.socket) -> tuple[int, bytes]:
    """Opcode and payload of the next frame."""
    first, size = exactly(sock, 2)
    assert first & 0x80
    assert not size & 0x80, "servers do not mask"
    if size == 126:
        (size,) = struct.unpack("!H", exactly(sock, 2))
    elif size == 127:
        (size,) = struct.unpack("!Q", exactly(sock, 8))
    return first & 0x0F, exactly(sock, size)


def code_of(frame: tuple[int, bytes]) -> int:
    opcode, payload = frame
    assert opcode == 8
    code: int = struct.unpack("!H", payload[:2])[0]
    return code


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 300_000])
def test_messages_of_every_length_come_back(client: socket.socket, size: int) -> None:
    text = b"\xc3\xbc" * (size // 2)
    sender = threading.Thread(target=client.sendall, args=(masked(1, text) + masked(2, bytes(size)),))
    sender.start()
    assert receive(client) == (1, text)
    assert receive(client) == (2, bytes(size))
    sender.join()


def test_a_message_may_come_in_pieces(client: socket.socket) -> None:
    whole = masked(1, b"gr\xc3", final=False) + masked(9, b"p") + masked(0, b"\xbc", final=False) + masked(0, b"n")
    for byte in whole:
        client.sendall(bytes((byte,)))
    assert receive(client) == (10, b"p")
    assert receive(client) == (1, b"gr\xc3\xbcn")


def test_what_was_said_is_told_when_it_is_taken(client: socket.socket, talk: Echo) -> None:
    assert talk.taken == [7]
    assert talk.speaker is not None
    got = threading.Event()
    talk.speaker.say(b"x" * 5_000_000, got.set)
    assert not got.is_set()
    assert receive(client) == (2, b"x" * 5_000_000)
    assert got.wait(PATIENCE)


def test_who_says_goodbye_is_answered(client: socket.socket, talk: Echo) -> None:
    client.sendall(masked(8, struct.pack("!H", 1001) + b"leaving"))
    assert receive(client) == (8, struct.pack("!H", 1001) + b"leaving")
    assert talk.over.wait(PATIENCE)
    assert client.recv(1) == b""


def test_who_just_goes_is_noticed(client: socket.socket, talk: Echo) -> None:
    client.close()
    assert talk.over.wait(PATIENCE)


def test_we_may_end_it_with_a_reason(client: socket.socket, talk: Echo) -> None:
    client.sendall(masked(1, b"bye"))
    assert receive(client) == (8, struct.pack("!H", 1000) + b"as you wish")
    assert talk.over.wait(PATIENCE)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02hi", 1002),
        (masked(3, b"x"), 1002),
        (masked(9, b"x" * 126), 1002),
        (masked(1, b"\xff\xfe"), 1007),
        (masked(0, b"x"), 1002),
        (b"\xf1\x81" + MASK + b"x", 1002),
        (masked(1, b"x" * ((1 << 20) + 1)), 1009),
        (masked(1, b"x" * 700_000, final=False) + masked(0, b"x" * 700_000), 1009),
    ],
    ids=["not masked", "unknown", "long ping", "no text", "goes on with nothing", "reserved", "too large", "too many"],
)
def test_what_breaks_the_rules_ends_it(client: socket.socket, talk: Echo, data: bytes, code: int) -> None:
    sender = threading.Thread(target=_send, args=(client, data))
    sender.start()
    assert code_of(receive(client)) == code
    assert talk.over.wait(PATIENCE)
    sender.join()


def _send(sock: socket.socket, data: bytes) -> None:
    try:
        sock.sendall(data)
    except OSError:
        return  # it was ended before all of it was read


@pytest.mark.parametrize("opcode", [2, 9], ids=["messages", "pings"])
def test_who_says_too_much_is_let_go(client: socket.socket, monkeypatch: pytest.MonkeyPatch, opcode: int) -> None:
    monkeypatch.setattr(sockets, "MESSAGES_AT_ONCE", 100.0)
    monkeypatch.setattr(sockets, "MESSAGES", 1.0)
    sender = threading.Thread(target=_send, args=(client, masked(opcode, b"") * 500))
    sender.start()
    while (frame := receive(client))[0] != 8:
        continue
    assert code_of(frame) == sockets.POLICY
    sender.join()


def test_a_message_of_empty_pieces_has_an_end(client: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LARGEST", 100)
    client.sendall(masked(2, b"", final=False) + masked(0, b"", final=False) * 100)
    assert code_of(receive(client)) == sockets.TOO_BIG


def test_who_is_far_behind_hears_of_it_at_the_next_whole_frame(client: socket.socket, talk: Echo) -> None:
    assert talk.speaker is not None
    talk.speaker.say(b"a" * 500_000)
    for _ in range(4):
        talk.speaker.say(b"b" * 100_000)
    talk.speaker.bye(sockets.TRY_AGAIN, "Too slow; connect again")
    assert talk.over.is_set()
    frames = [receive(client)]
    while frames[-1][0] != 8:
        frames.append(receive(client))
    assert code_of(frames[-1]) == 1013
    assert frames[0] == (2, b"a" * 500_000)
    assert len(frames) == 2


def test_the_talk_is_told_that_time_goes_by(client: socket.socket, talk: Echo) -> None:
    assert client.fileno() > 0
    assert talk.ticked.wait(PATIENCE)


def test_a_client_that_says_nothing_is_asked_and_then_let_go(
    client: socket.socket, talk: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "PING_EVERY", 0.0)
    assert receive(client) == (9, b"")
    monkeypatch.setattr(sockets, "GONE_AFTER", 0.0)
    assert talk.over.wait(PATIENCE)


@pytest.fixture
def elsewhere(talk: Echo) -> Iterator[int]:
    """The port of a server that is not ours, whose sockets the carrier cannot take."""
    config.use(Config(testing=True))
    app = Cabin("elsewhere")

    @app.get("/socket")
    def upgrade() -> Response:
        g.proof = "bearer"
        return sockets.Upgrade(sockets.handshake(), talk)

    @app.errorhandler(Problem)
    def told(problem: Problem) -> Response:
        return web.json({"error": problem.message}, problem.status)

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_flask_sock_serves_the_same_talk_where_the_carrier_cannot(elsewhere: int, talk: Echo) -> None:
    line: Any = connect(f"ws://127.0.0.1:{elsewhere}/socket", compression=None, legacy=True)
    assert line.recv(timeout=PATIENCE) == "welcome"
    line.send("hello")
    assert line.recv(timeout=PATIENCE) == "hello"
    assert talk.ticked.wait(PATIENCE)
    line.send("bye")
    with pytest.raises(ConnectionClosed) as closed:
        line.recv(timeout=PATIENCE)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "as you wish")
    assert talk.over.wait(PATIENCE)


def test_a_foreign_page_is_turned_away(elsewhere: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{elsewhere}/socket", origin="https://evil.example", legacy=True)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [{}, {"Upgrade": "websocket"}, {"Sec-WebSocket-Version": "8"}, {"Sec-WebSocket-Key": "short"}],
    ids=str,
)
def test_what_asks_for_no_websocket_is_told_so(headers: dict[str, str]) -> None:
    config.use(Config(testing=True))
    whole = {
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    app = Flask("elsewhere")
    with app.test_request_context("/", headers=whole):
        assert sockets.handshake() == "ICX+Yqv66kxgM0FcWaLWlFLwTAI="
    given = {**whole, **headers} if "Upgrade" not in headers and headers else headers
    with app.test_request_context("/", headers=given), pytest.raises(sockets.UpgradeRequired):
        sockets.handshake()


@pytest.mark.parametrize(
    ("proof", "origin", "passes"),
    [
        ("cookie", "http://localhost", True),
        ("cookie", None, False),
        ("cookie", "null", False),
        ("cookie", "https://friend.example", False),
        ("bearer", None, True),
        ("bearer", "https://friend.example", True),
        ("bearer", "https://evil.example", False),
        ("port", "http://localhost", True),
        ("port", "http://localhost:1", False),
        ("open", "https://evil.example", False),
    ],
)
def test_a_cookie_speaks_only_for_our_own_pages(proof: str, origin: str | None, passes: bool) -> None:
    config.use(Config(testing=True, cors_origins=("https://friend.example",)))
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        **({"Origin": origin} if origin else {}),
    }
    with Flask("elsewhere").test_request_context("/", headers=headers):
        g.proof = proof
        if passes:
            assert sockets.handshake()
        else:
            with pytest.raises(Problem) as refused:
                sockets.handshake()
            assert refused.value.status == 403
