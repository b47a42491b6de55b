"""The published OpenCode SDKs, old and new, drive a whole task on a real repository against a running server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import repository
from tests.model_server import ModelServer
from tests.running import ROOT, TOKEN, Running

HERE = Path(__file__).parent
PROMPT = (
    "[[say I will look first.]]&[[read shop/basket.py]] "
    "[[call edit "
    + json.dumps({"filePath": "shop/basket.py", "oldString": repository.BROKEN, "newString": repository.FIXED})
    + "]] [[bash python3 -m unittest -q]] [[say The basket adds up again.]]"
)

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A server on a repository of more than 500 files, with a model behind a real streaming HTTP server."""
    base = tmp_path_factory.mktemp("sdk").resolve()
    root = repository.make(base / "shop")
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(base / "data", root, **settings) as running:
            yield running, root


@pytest.mark.parametrize("package", ["@opencode-ai/sdk", "@opencode-ai/sdk-0.15"], ids=["1.19.3", "0.15.31"])
def test_it_carries_a_task_from_prompt_to_unrevert(served: tuple[Running, Path], package: str) -> None:
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


def test_its_newer_client_follows_the_newer_stream(served: tuple[Running, Path]) -> None:
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
