"""OpenCode's terminal client, as published, on our server: what one side answers, the other side sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import repository
from tests.clients.homes import home, program
from tests.clients.terminal import Terminal
from tests.model_server import ModelServer
from tests.running import TOKEN, Running
from tests.sse import Follower

pytestmark = pytest.mark.clients


@dataclass(frozen=True)
class Served:
    """A server on a small repository."""

    running: Running
    root: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    base = tmp_path_factory.mktemp("tui").resolve()
    root = repository.make(base / "shop", files=3)
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(base / "data", root, **settings) as running:
            yield Served(running, root)


@pytest.fixture
def newer(served: Served, tmux: str, tmp_path: Path) -> Iterator[Terminal]:
    """`opencode attach` 1.18.33, signed in by user and password."""
    words = [str(program()), "attach", served.running.url, "-u", "opencode", "-p", TOKEN, "--dir", str(served.root)]
    with Terminal(tmux, tmp_path, home(tmp_path), words) as terminal:
        terminal.until("Ask anything", "scripted")
        yield terminal


def asked(running: Running, follower: Follower) -> dict[str, Any]:
    """The permission that comes to wait."""
    follower.until(lambda frames: any(frame.data["type"] == "permission.asked" for frame in frames), 60)
    (waits,) = running.call("GET", "/opencode/permission")[1]
    found: dict[str, Any] = waits
    return found


def test_the_newer_shows_the_answer_to_a_prompt(newer: Terminal) -> None:
    newer.type("[[say The signal is green.]] Go")
    newer.until("\n     The signal is green.")


def test_a_command_after_a_bang_runs_here_and_is_shown(newer: Terminal) -> None:
    newer.press("!")
    newer.until("Shell")
    newer.type("echo $((40 + 2))lines")
    newer.until("$ echo $((40 + 2))lines", "42lines")


def test_what_is_allowed_in_it_is_answered_here(served: Served, newer: Terminal) -> None:
    follower = Follower(served.running, "/opencode/event")
    try:
        newer.type("[[bash touch one && ls one]] [[say It is done.]] Go")
        waits = asked(served.running, follower)
        assert waits["metadata"]["command"] == "touch one && ls one"
        newer.until("Permission required", "Allow once")
        newer.press("Enter")
        newer.until("\n     It is done.")
    finally:
        follower.close()
    assert (served.root / "one").exists()
    assert served.running.call("GET", "/opencode/permission") == (200, [])
    inbox = served.running.call("GET", "/inbox", Accept="text/html")[1]
    assert "<code>touch one &amp;&amp; ls one</code>" in inbox
    assert "ADMIN_TOKEN: ran" in inbox


@pytest.mark.parametrize(("reply", "shows"), [("once", "\n     It is done."), ("reject", "ejected")])
def test_what_is_answered_here_it_goes_on_with(served: Served, newer: Terminal, reply: str, shows: str) -> None:
    follower = Follower(served.running, "/opencode/event")
    try:
        newer.type(f"[[bash touch {reply} && ls {reply}]] [[say It is done.]] Go")
        waits = asked(served.running, follower)
        newer.until("Permission required", "Allow once")
        answer = served.running.call("POST", f"/opencode/permission/{waits['id']}/reply", {"reply": reply})
        assert answer == (200, True)
    finally:
        follower.close()
    newer.without("Permission required")
    newer.until(shows)
    assert (served.root / reply).exists() == (reply == "once")
