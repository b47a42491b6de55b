"""opencode-web, as published, in front of our server: a person types in its page, in Chromium, and answers there.

It was built for versions of its packages that its ranges no longer lead to: package.json pins them. What it names and
never loads in front of another server, React Start and OpenCode itself, is replaced there by a package of one line.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests import repository
from tests.clients.homes import MODULES, SPEAKER, home, mint, program
from tests.model_server import ModelServer
from tests.patience import PATIENCE
from tests.running import Running, free_port

WAIT = PATIENCE * 1000

pytestmark = pytest.mark.clients


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Running]:
    """A server on a small repository, with a port that acts as the token `web`: this client sends no credentials."""
    root = repository.make(tmp_path / "shop", files=3)
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(tmp_path / "data", root, PORTS=f"opencode={free_port()}:web", **settings) as running:
            mint(running, "web", *SPEAKER)
            yield running


@pytest.fixture
def web(served: Running, tmp_path: Path) -> Iterator[str]:
    """The address of opencode-web in front of it. OpenCode's program is a Bun too."""
    port = free_port()
    ours = served.environ["SIGNALCABIN_PORTS"].removeprefix("opencode=").removesuffix(":web")
    words = ["--port", str(port), "--host", "127.0.0.1", "--external-server", f"http://127.0.0.1:{ours}"]
    log = tmp_path / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(program()), "bin/opencode-web.js", *words],
            cwd=MODULES / "opencode-web",
            env={**home(tmp_path / "home"), "BUN_BE_BUN": "1"},
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)  # nothing can tell us of a port that opens
        else:
            raise AssertionError(f"opencode-web did not start:\n{log.read_text()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture
def page(launched_chromium: Browser) -> Iterator[Page]:
    """A page that fails its test if an answer of opencode-web failed, which it does when one of ours did."""
    refused: list[str] = []

    def watch(answer: Response) -> None:
        if answer.status >= 400 and "/_serverFn/" in answer.url:
            refused.append(f"{answer.status} {answer.request.method} {answer.url}")

    context = launched_chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(WAIT)
    opened = context.new_page()
    opened.on("response", watch)
    yield opened
    context.close()
    assert refused == []


def test_a_task_is_done_in_its_page(served: Running, web: str, page: Page, tmp_path: Path) -> None:
    page.goto(web)
    page.get_by_text("Choose a project from the menu above.").first.wait_for()
    page.get_by_role("button", name="Select a project").first.click()
    page.get_by_text(str(tmp_path / "shop")).first.click()
    page.get_by_title("Create new session").click()
    page.get_by_role("button", name="Create Session").click()
    page.get_by_role("button", name="Agent: plan").click()
    page.get_by_text("build", exact=True).click()
    page.get_by_text("SSE Live").wait_for()

    prompt = page.get_by_placeholder("Type your message")
    prompt.fill("[[say I will look.]]&[[bash touch one && ls]] [[say It is done.]] Go")
    prompt.press("Enter")
    page.get_by_role("button", name="Allow Once").first.click()
    page.get_by_text("It is done.", exact=True).wait_for()
    expect(page.get_by_role("button", name="Allow Once")).to_have_count(0, timeout=WAIT)
    assert (tmp_path / "shop" / "one").exists()
    assert served.call("GET", "/opencode/permission") == (200, [])
    assert "web: ran" in served.call("GET", "/inbox", Accept="text/html")[1]

    prompt.fill("[[bash touch two && ls]] [[say That is done too.]] Go")
    prompt.press("Enter")
    page.get_by_role("button", name="Allow Once").first.wait_for()
    (waits,) = served.call("GET", "/opencode/permission")[1]
    assert served.call("POST", f"/opencode/permission/{waits['id']}/reply", {"reply": "once"}) == (200, True)
    page.get_by_text("That is done too.", exact=True).wait_for()
    expect(page.get_by_role("button", name="Allow Once")).to_have_count(0, timeout=WAIT)
