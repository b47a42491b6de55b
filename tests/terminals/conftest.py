"""A project to open terminals in, and a WebSocket client that reads what a terminal says."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.projects.service import Place
from app.terminals import service
from app.terminals.service import Terminal
from tests import repository
from tests.patience import PATIENCE
from tests.running import TOKEN, Running

# What a shell says with: no prompt, no echo of what is typed.
QUIET = ("/bin/sh", "-c", "stty -echo; echo ready; exec cat")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(text: str) -> str:
    """Text without colours."""
    return _ESCAPES.sub("", text)


class Line:
    """One WebSocket to a terminal, in the messages of CodeBuddy."""

    def __init__(self, running: Running, path: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        given = {"Authorization": f"Bearer {TOKEN}"} if headers is None else headers
        options = {"max_size": None, "compression": None, "open_timeout": PATIENCE, **more}
        self.socket: ClientConnection = connect(
            f"ws://127.0.0.1:{running.port}{path}", additional_headers=given, legacy=True, **options
        )
        self.text = ""
        self.messages: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, **message: Any) -> None:
        """Send a message."""
        self.socket.send(json.dumps(message))

    def type(self, text: str) -> None:
        """Send what is typed."""
        self.say(type="input", data=text)

    def hear(self) -> dict[str, Any]:
        """The next message; raises ConnectionClosed at the end."""
        message: dict[str, Any] = json.loads(self.socket.recv(timeout=PATIENCE))
        self.messages.append(message)
        if message["type"] == "output":
            self.text += message["data"]
        return message

    def until(self, enough: Callable[[], Any] | str) -> None:
        """Read until the text holds these words, or until it is enough."""
        while not (enough in plain(self.text) if isinstance(enough, str) else enough()):
            self.hear()

    def a(self, kind: str) -> dict[str, Any]:
        """The next message of a kind."""
        while self.hear()["type"] != kind:
            continue
        return self.messages[-1]

    def closed(self) -> tuple[int, str]:
        """Read to the end; the code and reason of the close, 1006 when the connection broke."""
        try:
            while True:
                self.hear()
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd is not None else (1006, "")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server on a small repository."""
    base = tmp_path_factory.mktemp("terminals").resolve()
    with Running(base / "data", repository.make(base / "shop", files=5)) as running:
        yield running


@pytest.fixture
def fresh(served: Running) -> Iterator[str]:
    """The id of a terminal of that server, with a shell."""
    _, made = served.call("POST", "/api/v1/pty", {"cols": 80, "rows": 24})
    yield made["data"]["sessionId"]
    served.call("DELETE", f"/api/v1/pty/{made['data']['sessionId']}")


def socket_of(terminal_id: str) -> str:
    """The path of a terminal's WebSocket in CodeBuddy."""
    return f"/api/v1/pty/{terminal_id}/ws"


@pytest.fixture
def place(app: Cabin, alice: Actor, tmp_path: Path) -> Place:
    """Alice's project."""
    directory = tmp_path.resolve() / "shop"
    (directory / "src").mkdir(parents=True)
    projects.add(alice, str(directory))
    return projects.resolve(alice, str(directory))


@pytest.fixture
def terminal(place: Place, alice: Actor) -> Terminal:
    """A terminal that gives back what is typed."""
    made = service.create(alice, place, command=QUIET)
    shows(made, "ready")
    return made


def shows(terminal: Terminal, words: str) -> None:
    """Wait until a terminal has shown these words."""
    live = terminal.live
    with live.changed:
        assert live.changed.wait_for(lambda: words.encode() in text_of(terminal), PATIENCE), text_of(terminal)


def text_of(terminal: Terminal) -> bytes:
    """All that a terminal still has."""
    ring = terminal.live.ring
    data, at = b"", ring.start
    while at < ring.end:
        piece = ring.read(at, 1 << 16)[1]
        data, at = data + piece, at + len(piece)
    return data


def ends(terminal: Terminal) -> None:
    """Wait for the end of what runs in a terminal."""
    assert terminal.live.wait(PATIENCE) is not None


def at_once(count: int, work: Callable[[int], None]) -> None:
    """Do something in so many threads at once."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
