"""The published OpenCode SDKs, old and new, drive a whole task on a real repository against a running server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import repository
from tests.model_server import ModelServer
from tests.running import TOKEN, Running

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
    seen = story(package, running, root)
    assert "error" not in seen["answer"].lower(), seen
    assert seen["agents"] == ["build", "plan"]
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


def story(package: str, running: Running, root: Path) -> dict[str, Any]:
    """Run the story in node and give what it saw."""
    done = subprocess.run(
        ["node", str(HERE / "story.mjs"), package, running.url, TOKEN, str(root), PROMPT],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}\n{running.log.read_text()[-3000:]}"
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen
