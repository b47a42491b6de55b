"""A task that a script began is the same session in OpenCode's terminal client and on the page: one answer for all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests import repository
from tests.clients.homes import home, mint, program
from tests.clients.terminal import Terminal
from tests.model_server import ModelServer
from tests.patience import PATIENCE
from tests.running import TOKEN, Running, free_port
from tests.sse import Follower

pytestmark = pytest.mark.clients
NOTHING = {"error": "Task is not in a state that needs approval"}


@dataclass(frozen=True)
class Script:
    """A script that knows no credentials, at a port that acts as a token."""

    url: str

    def post(self, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        answer = requests.post(f"{self.url}/api{path}", json=body, timeout=2 * PATIENCE)
        return answer.status_code, answer.json()

    def status(self, task: str) -> str:
        found: str = requests.get(f"{self.url}/api/tasks/{task}/status", timeout=PATIENCE).json()["status"]
        return found


@dataclass(frozen=True)
class Served:
    """A server on a small repository, and a script before it."""

    running: Running
    root: Path
    script: Script


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    root = repository.make(tmp_path.resolve() / "shop", files=3)
    port = free_port()
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(tmp_path / "data", root, PORTS=f"roo={port}:scripts", **settings) as running:
            mint(running, "scripts")
            yield Served(running, root, Script(f"http://127.0.0.1:{port}"))


@pytest.fixture
def page(served: Served, launched_chromium: Browser) -> Iterator[Page]:
    """The owner's page."""
    context = launched_chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=served.running.url)
    context.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
    opened = context.new_page()
    opened.goto(f"/signin#{served.running.sign_in_code()}")
    opened.get_by_role("button", name="Sign in").click()
    expect(opened.get_by_role("heading", name="Home")).to_be_visible()
    yield opened
    opened.goto("about:blank")
    context.close()


class Told:
    """What the task's own stream says, by the names of its events."""

    def __init__(self, running: Running, task: str) -> None:
        self._follower = Follower(running, f"/roo/api/tasks/{task}/events?lastEventId=0")

    def until(self, name: str, times: int) -> None:
        """Wait until an event has been told so often."""
        self._follower.until(lambda frames: [f.data.get("eventName") for f in frames].count(name) >= times)

    def close(self) -> None:
        self._follower.close()


def test_what_asks_is_answered_in_each_of_the_three_and_ends_in_the_others(
    served: Served, page: Page, tmux: str, tmp_path: Path
) -> None:
    script = served.script
    _, begun = script.post("/tasks", message="[[say I am ready.]] Begin", wait_for_response=True)
    task = begun["id"]
    told = Told(served.running, task)
    words = ["attach", served.running.url, "-u", "opencode", "-p", TOKEN, "--dir", str(served.root), "-s", task]
    with Terminal(tmux, tmp_path, home(tmp_path), [str(program()), *words]) as terminal:
        terminal.until("I am ready.")
        page.goto(f"/sessions/{task}")
        expect(page.locator(".prose")).to_have_text("I am ready.")
        for number, who in enumerate(("script", "terminal", "page"), start=1):
            asked = {
                "message": f"[[bash touch by-{who} && ls]] [[say The {who} has answered.]] Go",
                "wait_for_response": True,
            }
            _, waits = script.post(f"/messages/{task}", **asked)
            assert (waits["status"], waits["pendingAsk"]["text"]) == ("needs_approval", f"touch by-{who} && ls")
            told.until("taskInteractive", number)
            terminal.until("Permission required", f"touch by-{who}")
            expect(page.locator("[data-ask] .call")).to_have_text(f"touch by-{who} && ls")
            if who == "script":
                assert script.post(f"/tasks/{task}/respond", response="approve") == (200, {"success": True})
            elif who == "terminal":
                terminal.press("Enter")
            else:
                page.locator("[data-ask]").get_by_role("button", name="Run command").click()
            told.until("taskCompleted", number)
            terminal.without("Permission required")
            terminal.until(f"The {who} has answered.")
            expect(page.locator("[data-ask]")).to_have_count(0)
            expect(page.locator(".prose").last).to_have_text(f"The {who} has answered.")
            assert script.status(task) == "completed"
            assert script.post(f"/tasks/{task}/respond", response="approve") == (400, NOTHING)
            assert (served.root / f"by-{who}").exists()
        told.close()
    assert served.running.call("GET", "/opencode/permission") == (200, [])
    inbox = served.running.call("GET", "/inbox", Accept="text/html")[1]
    assert [name for name in ("scripts: ran", "ADMIN_TOKEN: ran") if name not in inbox] == []


def test_what_the_terminal_client_says_is_in_the_task_s_logs(served: Served, tmux: str, tmp_path: Path) -> None:
    _, begun = served.script.post("/tasks", message="[[say I am ready.]] Begin", wait_for_response=True)
    task = begun["id"]
    told = Told(served.running, task)
    words = ["attach", served.running.url, "-u", "opencode", "-p", TOKEN, "--dir", str(served.root), "-s", task]
    with Terminal(tmux, tmp_path, home(tmp_path), [str(program()), *words]) as terminal:
        terminal.until("I am ready.")
        terminal.type("[[say The signal is green.]] Go on")
        terminal.until("\n     The signal is green.")
        told.until("taskCompleted", 2)
    told.close()
    logs = requests.get(f"{served.script.url}/api/tasks/{task}/logs", timeout=PATIENCE).json()["messages"]
    assert [one["text"] for one in logs if one["role"] == "user"] == [
        "[[say I am ready.]] Begin",
        "[[say The signal is green.]] Go on",
    ]
    assert [one["text"] for one in logs if one.get("say") == "completion_result"] == [
        "I am ready.",
        "The signal is green.",
    ]
