"""E2B's published clients, Python (sync and async) and JavaScript, spend a day in sandboxes of a running server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.running import ROOT, Running, free_port

HERE = Path(__file__).parent
CLIENTS = {
    "python": [sys.executable, str(HERE / "e2b_story.py")],
    "python-async": [sys.executable, str(HERE / "e2b_story_async.py")],
    "javascript": ["node", str(HERE / "e2b_story.mjs")],
}
LEAST = {"cloud": 50, "debug": 30}

pytestmark = pytest.mark.clients


@dataclass(frozen=True)
class Served:
    """A server with a key of E2B's form, and a port that acts as a token."""

    running: Running
    key: str
    port: int

    def environ(self, mode: str, base: str) -> dict[str, str]:
        """What a client is told by its environment, and nothing else of E2B's."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("E2B_")}
        if mode == "debug":
            return {**plain, "E2B_DEBUG": "true", "E2B_SANDBOX_URL": f"http://localhost:{self.port}"}
        url = self.running.url + base
        return {**plain, "E2B_API_KEY": self.key, "E2B_API_URL": url, "E2B_SANDBOX_URL": url}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    base = tmp_path_factory.mktemp("e2b").resolve()
    project = base / "project"
    project.mkdir()
    port = free_port()
    with Running(base / "data", project, PORTS=f"e2b={port}:debugger") as running:
        token(running, "debugger")
        yield Served(running, token(running, "cloud", "--dialect", "e2b"), port)


def token(running: Running, *words: str) -> str:
    command = [sys.executable, "-m", "app", "token", *words]
    done = subprocess.run(command, cwd=ROOT, env=running.environ, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def spend_a_day(served: Served, client: str, mode: str, base: str = "/e2b") -> list[str]:
    """The steps of a client's story; fails with what it and the server said."""
    done = subprocess.run(
        [*CLIENTS[client], mode],
        cwd=HERE,
        env=served.environ(mode, base),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{served.running.log.read_text()[-3000:]}"
    steps: list[str] = json.loads(done.stdout)
    return steps


@pytest.mark.parametrize("mode", ["cloud", "debug"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_spends_a_day(served: Served, client: str, mode: str) -> None:
    assert len(spend_a_day(served, client, mode)) >= LEAST[mode]
    assert "Traceback" not in served.running.log.read_text()
    assert served.running.call("GET", "/v2/sandboxes") == (200, [])
    assert list((served.running.data_dir / "sandboxes").glob("*")) == []


def test_the_key_has_the_form_that_older_clients_insist_on(served: Served) -> None:
    prefix, _, rest = served.key.partition("_")
    assert (prefix, len(rest), rest) == ("e2b", 40, f"{int(rest, 16):040x}")


def test_a_sandbox_keeps_its_end_over_a_killed_server(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as running:
        status, made = running.call("POST", "/sandboxes", {"templateID": "base", "timeout": 3})
        assert status == 201
        status, longer = running.call("POST", "/sandboxes", {"templateID": "base", "timeout": 600})
        assert status == 201
        running.kill()
        running.start()
        place = tmp_path / "data" / "sandboxes"
        deadline = time.monotonic() + 20
        while (place / made["sandboxID"]).exists():
            assert time.monotonic() < deadline, "it was never taken down"
            time.sleep(0.05)  # nothing tells a client of an end
        assert running.call("GET", f"/sandboxes/{made['sandboxID']}")[0] == 404
        inside = {"X-Access-Token": longer["envdAccessToken"], "E2b-Sandbox-Id": longer["sandboxID"]}
        assert running.call("GET", "/e2b/health", Authorization="", **inside)[0] == 204
