"""OpenCode's terminal clients, as published, on our server: what one side answers, the other side sees."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import repository
from tests.clients.homes import SPEAKER, home, mint, program
from tests.clients.terminal import Terminal
from tests.model_server import ModelServer
from tests.running import TOKEN, Running, free_port
from tests.sse import Follower

pytestmark = pytest.mark.clients


OLDER, NEWER = "1.0.0", "1.18.33"


@dataclass(frozen=True)
class Served:
    """A server on a small repository; its second address acts as the token `tui`, for clients without credentials."""

    running: Running
    root: Path
    open_url: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    base = tmp_path_factory.mktemp("tui").resolve()
    root = repository.make(base / "shop", files=3)
    port = free_port()
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(base / "data", root, PORTS=f"opencode={port}:tui", **settings) as running:
            mint(running, "tui", *SPEAKER)
            yield Served(running, root, f"http://127.0.0.1:{port}")


@dataclass(frozen=True)
class Client:
    """A client on its terminal, and the name under which its answers are kept."""

    terminal: Terminal
    name: str


@pytest.fixture(params=[OLDER, NEWER])
def client(request: pytest.FixtureRequest, served: Served, tmux: str, tmp_path: Path) -> Iterator[Client]:
    """`opencode attach`: the older at the port that speaks for it, the newer signed in by user and password."""
    if request.param == OLDER:
        words = [str(program("opencode-linux-x64-1.0")), "attach", served.open_url, "--dir", str(served.root)]
        ready, name = ("List sessions", "scripted"), "tui"
    else:
        words = [str(program()), "attach", served.running.url, "-u", "opencode", "-p", TOKEN, "--dir", str(served.root)]
        ready, name = ("Ask anything", "scripted"), "ADMIN_TOKEN"
    with Terminal(tmux, tmp_path, home(tmp_path), words) as terminal:
        terminal.until(*ready)
        yield Client(terminal, name)


def asked(running: Running, follower: Follower) -> dict[str, Any]:
    """The permission that comes to wait."""
    follower.until(lambda frames: any(frame.data["type"] == "permission.asked" for frame in frames), 60)
    (waits,) = running.call("GET", "/opencode/permission")[1]
    found: dict[str, Any] = waits
    return found


def test_it_shows_the_answer_to_a_prompt(client: Client) -> None:
    client.terminal.type("[[say The signal is green.]] Go")
    client.terminal.until("\n     The signal is green.")


def test_what_is_allowed_in_it_is_answered_here(served: Served, client: Client) -> None:
    command = f"touch by-{client.name} && ls"
    follower = Follower(served.running, "/opencode/event")
    try:
        client.terminal.type(f"[[bash {command}]] [[say It is done.]] Go")
        waits = asked(served.running, follower)
        assert waits["metadata"]["command"] == command
        client.terminal.until("Permission required")
        client.terminal.press("Enter")
        client.terminal.until("\n     It is done.")
    finally:
        follower.close()
    assert (served.root / f"by-{client.name}").exists()
    assert served.running.call("GET", "/opencode/permission") == (200, [])
    inbox = served.running.call("GET", "/inbox", Accept="text/html")[1]
    assert f"<code>{html.escape(command)}</code>" in inbox
    assert f"{client.name}: ran" in inbox


@pytest.mark.parametrize(("reply", "shows"), [("once", "\n     It is done."), ("reject", "ejected")])
def test_what_is_answered_here_it_goes_on_with(served: Served, client: Client, reply: str, shows: str) -> None:
    made = f"{reply}-{client.name}"
    follower = Follower(served.running, "/opencode/event")
    try:
        client.terminal.type(f"[[bash touch {made} && ls]] [[say It is done.]] Go")
        waits = asked(served.running, follower)
        client.terminal.until("Permission required")
        answer = served.running.call("POST", f"/opencode/permission/{waits['id']}/reply", {"reply": reply})
        assert answer == (200, True)
    finally:
        follower.close()
    client.terminal.without("Permission required")
    client.terminal.until(shows)
    assert (served.root / made).exists() == (reply == "once")
