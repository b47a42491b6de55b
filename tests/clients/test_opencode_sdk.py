"""The published OpenCode SDKs, old and new, drive a whole task on a real repository against a running server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.dialects.mount import Cabin
from tests import repository
from tests.clients.homes import MODULES
from tests.model_server import ModelServer
from tests.running import ROOT, TOKEN, Running

HERE = Path(__file__).parent
PEER = ROOT / "tests" / "mcp" / "peer.py"
PROMPT = (
    "[[say I will look first.]]&[[read shop/basket.py]] "
    "[[call edit "
    + json.dumps({"filePath": "shop/basket.py", "oldString": repository.BROKEN, "newString": repository.FIXED})
    + "]] [[bash python3 -m unittest -q]] [[say The basket adds up again.]]"
)

PARAMETER = re.compile(r"<[^>]*>|\{[^}]*\}")
METHOD = re.compile(r'\.(?:sse\.)?(get|post|put|patch|delete)(?:\.sse)?\(\{\s*(?:\.\.\.options,\s*)?url: "([^"]+)"')
# Its clients have methods for the WebSockets, but no way to speak on them.
SOCKETS = {"GET /pty/{id}/connect", "GET /pty/{ptyID}/connect"}

pytestmark = pytest.mark.clients

# Nobody signs in to a local MCP server: to begin, to wait for it, to forget it, to come back with a code.
SIGNING = [400, 400, 200, 400]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A server on a repository of more than 500 files, with a model behind a real streaming HTTP server."""
    base = tmp_path_factory.mktemp("sdk").resolve()
    root = repository.make(base / "shop")
    shutil.copy(PEER, root / "peer.py")
    (root / ".opencode" / "command").mkdir(parents=True)
    (root / ".opencode" / "command" / "greet.md").write_text("[[say Hello $ARGUMENTS.]]")
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        settings["LANGUAGE_SERVERS"] = "off"
        with Running(base / "data", root, **settings) as running:
            yield running, root


@pytest.mark.parametrize("package", ["@opencode-ai/sdk", "@opencode-ai/sdk-0.15"], ids=["1.19.3", "0.15.31"])
def test_it_carries_a_task_from_prompt_to_unrevert(
    served: tuple[Running, Path], assembled: Cabin, package: str
) -> None:
    running, root = served
    repository.git(root, "checkout", "-q", "--", ".")
    seen = story(running, root, "story.mjs", package)
    assert "error" not in seen["answer"].lower(), seen
    assert seen["agents"][:3] == ["build", "plan", "general"]
    assert "openai" in seen["providers"]
    assert seen["tools"] == [["read", "completed"], ["edit", "completed"], ["bash", "completed"]]
    assert seen["asks"] == ["Edit shop/basket.py", "python3 -m unittest -q"]
    assert seen["diff"] == [["shop/basket.py", 1, 1]]
    assert repository.BROKEN.strip() in seen["before"]
    assert repository.FIXED.strip() in seen["after"]
    assert seen["reverted"]
    assert seen["unreverted"]
    assert seen["again"]
    assert seen["deltas"] > 0
    assert seen["mismatches"] == 0
    assert seen["finish"] == "stop"
    assert seen["listedSessions"]
    assert seen["renamed"] == "Renamed"
    assert seen["deleted"] is True
    assert seen["idleAbort"] is False
    assert "gone" in seen
    assert seen["types"]["session.idle"] >= 1
    assert seen["types"]["permission.replied"] == 2
    check_round(seen["round"], package)
    assert uncalled(assembled, f"{package}/dist/gen", seen["calls"]) == set()


def test_its_newer_client_follows_the_newer_stream(served: tuple[Running, Path], assembled: Cabin) -> None:
    running, root = served
    repository.git(root, "checkout", "-q", "--", ".")
    seen = story(running, root, "story_v2.mjs")
    assert seen["health"]["healthy"] is True
    assert seen["config"] == "manual"
    assert seen["vcs"] == {"branch": "main", "default_branch": "main"}
    assert seen["permission"] == [{"permission": "webfetch", "pattern": "*", "action": "deny"}]
    assert seen["asks"] == [["edit", ["shop/basket.py"]], ["bash", ["python3 -m unittest -q"]]]
    assert seen["tools"] == [["read", "completed"], ["edit", "completed"], ["bash", "completed"]]
    assert seen["answer"] == "The basket adds up again."
    assert seen["types"]["message.part.delta"] > 0
    assert (seen["wholes"], seen["mismatches"]) == (2, 0)
    assert seen["types"]["session.diff"] >= 1
    assert seen["types"]["file.watcher.updated"] >= 1
    assert list(seen["directories"]) == [str(root)]
    assert seen["diff"] == [["shop/basket.py", 1, 1, "modified"]]
    assert {"file": "shop/basket.py", "additions": 1, "deletions": 1, "status": "modified"} in seen["changed"]
    assert ["shop/basket.py", 2] in seen["patched"]
    assert seen["fork"] == ["SDK v2 story (fork #1)", [PROMPT]]
    assert (seen["mended"], seen["left"], seen["fewer"]) == ("Something else.", -1, -1)
    assert (seen["reverted"], seen["unreverted"], seen["deleted"]) == (True, True, True)
    assert seen["status"] == {}
    assert "gone" in seen
    check_round_v2(seen["round"], root)
    assert uncalled(assembled, "@opencode-ai/sdk/dist/v2/gen", seen["calls"]) == set()


def test_the_python_client_goes_as_far_as_with_opencode_1_0(served: tuple[Running, Path]) -> None:
    running, _ = served
    seen = tell(running, [sys.executable, "-m", "tests.clients.opencode_story", running.url, TOKEN], ROOT)
    assert "openai" in seen["providers"]
    assert (seen["config"], seen["log"], seen["help"], seen["append"]) == ("openai/scripted", True, True, True)
    assert (seen["found"], "shop/basket.py" in seen["files"], seen["symbols"]) == ("shop/basket.py", True, [])
    assert seen["gone"] == ["get", "init", "modes", "read"]
    assert (seen["asked"], seen["answer"]) == (["touch three && ls three"], ["It is done."])
    assert seen["types"]["permission.replied"] == seen["types"]["session.idle"] == 1
    assert seen["tools"] == [["bash", "completed"]]
    assert ["three", "added"] in seen["changed"]
    assert [seen[word] for word in ("listed", "reverted", "unreverted", "summarized", "init", "deleted")] == [True] * 6
    assert seen["idle_abort"] is False


def check_round(seen: dict[str, Any], package: str) -> None:
    """Fail unless the rest of the methods answered what they are for."""
    assert (seen["model"], seen["logged"], seen["auth"]) == ("openai/scripted", True, True)
    assert seen["ids"] == seen["tools"]
    assert {"read", "edit", "bash", "task"} <= set(seen["ids"])
    assert seen["commands"] == ["greet", "init", "review"]
    assert (seen["symbols"], seen["children"], ["peer.py", "added"] in seen["changed"]) == ([], [], True)
    assert (seen["greeted"], seen["fork"]) == ("Hello Alice.", "A round (fork #1)")
    assert (seen["summarized"], seen["init"]) == (True, True)
    assert seen["request"] == {"path": "/tui/append-prompt", "body": {"text": "From the round"}}
    assert seen["steered"] == [True] * 9
    assert (seen["theme"], seen["ran"], seen["shared"]) == ("dark", ["completed", "my own"], [200, None, 404])
    if package == "@opencode-ai/sdk":
        assert (seen["published"], seen["lsp"], seen["branch"], seen["status"]) == (True, [[], []], "main", {})
        assert {"mistral", "openai"} <= set(seen["connected"])
        assert {"mistral", "openai"} <= set(seen["methods"])
        assert (seen["added"], seen["joined"], seen["left"]) == ("disabled", True, True)
        assert seen["signing"] == SIGNING
        assert seen["disposed"] is True
        assert (seen["pty"], seen["later"]) == ([1, "Shell", "Renamed", True], "Later.")


def check_round_v2(seen: dict[str, Any], root: Path) -> None:
    """Fail unless the rest of the newer client's methods answered what they are for."""
    ids, tools = seen["tools"]
    assert (seen["model"], seen["models"]["openai"], ids) == ("openai/scripted", "scripted", tools)
    commands, agents, skills = seen["names"]
    assert (commands, agents[:3], skills) == (["greet", "init", "review"], ["build", "plan", "general"], [])
    kept, connected, removed, left, methods = seen["auth"]
    assert (kept, removed, set(connected) - set(left)) == (True, True, {"mistral"})
    assert "mistral" in methods
    assert (seen["projects"], seen["directories"]) == (True, [{"directory": str(root)}])
    assert (seen["path"]["directory"], seen["found"]) == (str(root), "shop/basket.py")
    assert seen["files"] == [["shop/basket.py", "test_basket.py"], []]
    assert ("basket.py" in seen["listed"], "wrongly" in seen["read"]) == (True, True)
    assert (["peer.py", "added"] in seen["status"], seen["lsp"], seen["logged"]) == (True, [[], []], True)
    assert seen["mcp"] == ["disabled", True, "connected", True]
    assert seen["signing"] == SIGNING
    assert seen["pty"] == [1, "Shell", "Renamed", "string", True, True]
    assert (seen["resources"], seen["experimental"]) == ([["peer", "peer://notes"]], ["object", "object", [], []])
    same, integrations, place, models, providers, *others = seen["preview"]
    assert (same, place, others) == (agents, str(root), [skills, commands])
    assert ("openai" in integrations, "scripted" in models, "openai" in providers) == (True, True, True)
    assert (seen["greeted"], seen["renamed"], seen["same"]) == ("Hello Alice.", "Renamed", ["Renamed", True])
    assert (seen["summarized"], seen["init"], seen["aborted"], seen["empty"]) == (True, True, False, [[], []])
    allowed, replied, rejected, calls = seen["answered"]
    assert (allowed, replied, rejected) == (["bash", True], ["question.asked", True], ["question.asked", True])
    assert calls == [["bash", "completed"], ["question", "completed"], ["question", "error"]]
    assert seen["request"] == {"path": "/tui/append-prompt", "body": {"text": "From the round"}}
    assert seen["steered"] == [True] * 11
    assert (seen["themes"], seen["disposed"]) == (["dark", "story"], [True, True])
    assert (seen["ran"], seen["shared"]) == (["completed", "my own"], [200, None, 404])


def uncalled(app: Cabin, package: str, calls: list[str]) -> set[str]:
    """The methods of a package, by the request they make, that have a route of ours and were not called."""
    ours = {
        f"{method} {PARAMETER.sub('{}', rule.rule)}"
        for rule in app.url_map.iter_rules()
        if rule.subdomain == "opencode"
        for method in rule.methods or ()
    }
    source = (MODULES / package / "sdk.gen.js").read_text()
    methods = {f"{method.upper()} {url}" for method, url in METHOD.findall(source)}
    assert len(methods) > 50
    called = {method for method in methods for call in calls if re.fullmatch(PARAMETER.sub("[^/]+", method), call)}
    return {method for method in methods - called if PARAMETER.sub("{}", method) in ours} - SOCKETS


def story(running: Running, root: Path, script: str, *words: str) -> dict[str, Any]:
    """Run a story in node and give what it saw."""
    return tell(running, ["node", script, *words, running.url, TOKEN, str(root), PROMPT], HERE)


def tell(running: Running, command: list[str], place: Path) -> dict[str, Any]:
    """Run a program and give what it printed; fails with what it and the server said."""
    done = subprocess.run(
        command,
        cwd=place,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}\n{running.log.read_text()[-3000:]}"
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen
