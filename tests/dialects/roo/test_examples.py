"""The Python examples of RooCode's document, word for word, against a real server.

Only the port is filled in, and the names that the document itself leaves open: a task's id. They bring no
credentials, so they speak at a port that acts as a token.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests import repository
from tests.clients.homes import mint
from tests.model_server import ModelServer
from tests.running import ROOT, Running, free_port

PEER = Path(__file__).parents[2] / "mcp/peer.py"
EXAMPLES = dict(
    re.findall(r"^=== (.+)\n((?:(?!=== ).*\n)*)", Path(__file__).with_name("examples.txt").read_text(), re.MULTILINE)
)
OURS = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/clients.md").read_text(), re.MULTILINE | re.DOTALL)
BEFORE = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Served:
    """A server with a port for Roo's clients."""

    url: str

    def post(self, path: str, body: object) -> dict[str, object]:
        """What one call answers."""
        found: dict[str, object] = requests.post(f"{self.url}/api{path}", json=body, timeout=60).json()
        return found

    def run(self, name: str, task: str = "") -> str:
        """What an example prints."""
        code = EXAMPLES[name].replace("http://localhost:3002", self.url).replace('"task-123"', repr(task))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    base = tmp_path_factory.mktemp("roo").resolve()
    root = repository.make(base / "shop", files=3)
    shutil.copy(PEER, root / "peer.py")
    port = free_port()
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(base / "data", root, PORTS=f"roo={port}:scripts", **settings) as running:
            mint(running, "scripts")
            make_profile(running, "test")
            local = {"type": "local", "command": ["python3", "peer.py"], "timeout": 60_000}
            assert running.call("POST", "/opencode/mcp", {"name": "spotify-mcp", "config": local})[0] == 200
            yield Served(f"http://localhost:{port}")


def make_profile(running: Running, name: str) -> None:
    """Make a profile as people do: on its page."""
    with requests.Session() as visitor:
        headers = {"Origin": running.url}
        visitor.post(f"{running.url}/signin", data={"code": running.sign_in_code()}, headers=headers, timeout=60)
        page = visitor.get(f"{running.url}/settings/profiles", timeout=60).text
        found = re.search(r'name="csrf_token" value="(\w+)"', page)
        assert found is not None
        form = {"csrf_token": found[1], "id": "", "name": name, "model": "openai/other"}
        saved = visitor.post(f"{running.url}/settings/profiles", data=form, headers=headers, timeout=60)
        assert saved.status_code == 200


def test_the_document_has_twelve_examples() -> None:
    assert len(EXAMPLES) == 12


def test_tasks(served: Served) -> None:
    made = served.run("Create New Task")
    found = re.fullmatch(r"Task (ses_\w+) status: completed\nLast message: You said: Create a new .*\n", made)
    assert found is not None, made
    task = found[1]
    assert served.run("Get Task Status", task).startswith("Task status: completed\nLast message: You said: ")
    logs = served.run("Get Task Logs")
    assert re.match(r"Number of messages: 4\nsay: Create a new Python file", logs), logs
    assert re.search(rf"Task {task}: Create a new Python file .*\nCost: \$\d", served.run("List Tasks"))


def test_messages(served: Served) -> None:
    task = str(served.post("/tasks", {"message": "Begin", "wait_for_response": True})["id"])
    assert served.run("Send Message to Current Task") == (
        "Status: completed\nResponse: You said: What changes did you make?\n"
    )
    said = served.run("Send Message to Specific Task", task)
    assert said.startswith("Status: completed\nsay: Please continue with the changes\n")
    assert "say: You said: Please continue with the changes\n" in said


def test_an_approval(served: Served) -> None:
    asked = served.post("/tasks", {"message": "[[write hello.py hi]] [[say Written]]", "wait_for_response": True})
    assert asked["status"] == "needs_approval"
    assert served.run("Respond to Task Action") == "New status: completed\nResponse: Written\n"


def test_modes(served: Served) -> None:
    printed = served.run("Switch Mode")
    assert "Available modes: {'builtIn': [" in printed
    assert "Current mode: {'slug': 'code', 'name': 'Code'" in printed
    assert printed.endswith("Switch result: {'message': 'Mode switched successfully'}\n")
    served.post("/modes/switch", {"mode": "code"})


def test_profiles(served: Served) -> None:
    printed = served.run("Switch Profile")
    assert "'name': 'default', 'id': 'default', 'apiProvider': 'openai'" in printed
    assert printed.endswith("Switch result: {'message': \"Switched to profile 'test'\"}\n")
    served.post("/profiles/switch", {"name": "default"})


def test_what_runs_unasked(served: Served) -> None:
    printed = served.run("Toggle Master Auto-Approve Switch")
    assert printed.startswith("Current settings: {'autoApprovalEnabled': False, 'alwaysAllowReadOnly': False")
    assert printed.endswith("Update result: {'success': True}\nToggle result: {'success': True}\n")
    now = requests.get(f"{served.url}/api/auto-approve", timeout=60).json()
    assert (now["autoApprovalEnabled"], now["alwaysAllowReadOnly"], now["alwaysAllowBrowser"]) == (False, True, True)


def test_mcp_servers(served: Served) -> None:
    printed = served.run("Enable/Disable MCP")
    assert "Available MCPs: [{'id': 'spotify-mcp', 'name': 'spotify-mcp', 'status': 'active'" in printed
    assert "'config': {'type': 'stdio', 'command': 'python3', 'args': ['peer.py']" in printed
    assert printed.endswith("Enable result: {'success': True, 'status': 'enabled'}\n")


def test_instructions(served: Served) -> None:
    printed = served.run("Set Custom Instructions")
    assert printed == "Current instructions: {'instructions': ''}\nUpdate result: {'success': True}\n"
    assert "Update result: {'success': True}" in served.run("Set Custom Instructions")
    served.post("/instructions", {"instructions": ""})


def test_the_first_edition_s_command(served: Served) -> None:
    """Its one curl command: a switch of profiles."""
    body = '{"name": "openai"}'
    answer = requests.post(f"{served.url}/api/profiles/switch", data=body, headers=BEFORE, timeout=60)
    assert (answer.status_code, answer.json()) == (404, {"error": "Profile 'openai' not found"})


def test_the_example_that_follows_a_task(served: Served) -> None:
    """The one of docs/clients.md; only the port and what the task is to do are filled in."""
    [code] = [one for one in OURS if "def follow" in one]
    code = code.replace("http://127.0.0.1:3002", served.url).replace(
        '"Run the tests"', repr("[[bash echo hi]] [[say All is well.]]")
    )
    for verdict, came in (("y", "assistant: hi\n"), ("n", "")):
        done = subprocess.run(
            [sys.executable, "-c", code], input=f"{verdict}\n", capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        asked = "ask command: echo hi\nApprove? [y/n] "
        begun = "user: [[bash echo hi]] [[say All is well.]]\nassistant: echo hi\n"
        assert done.stdout == f"{asked}{begun}{came}assistant: All is well.\n"
