"""`opencode run --attach`, as published, has a task done by our server; a person here answers what it asks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import repository
from tests.clients import homes
from tests.model_server import ModelServer
from tests.running import TOKEN, Running
from tests.sse import Follower

PROMPT = "[[say I will look.]]&[[bash {}]] [[say It is done.]]"

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A server on a small repository, with a model that does as it is told."""
    base = tmp_path_factory.mktemp("run").resolve()
    root = repository.make(base / "shop", files=3)
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(base / "data", root, **settings) as running:
            yield running, root


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who never used the program."""
    return homes.home(tmp_path)


def start(home: dict[str, str], running: Running, root: Path, password: str, *words: str) -> subprocess.Popen[bytes]:
    """Begin a run; its words come out as lines of JSON."""
    return subprocess.Popen(
        [str(homes.program()), "run", "--attach", running.url, "--dir", str(root), "--format", "json", *words],
        env={**home, "OPENCODE_SERVER_PASSWORD": password},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(run: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    """What it said by its end, which is a good one."""
    try:
        out, err = run.communicate(timeout=60)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 0, (out + err).decode()
    return [json.loads(line) for line in out.splitlines()]


def check_told(told: list[dict[str, Any]], root: Path, command: str, output: str) -> None:
    """Fail unless it told the whole turn: each step begun and ended, what was said, and the call with its outcome."""
    session_id = told[0]["sessionID"]
    assert {one["sessionID"] for one in told} == {session_id}
    begun = [one["type"] for one in told]
    assert begun == ["step_start", "text", "tool_use", "step_finish", "step_start", "text", "step_finish"]
    assert [one["part"]["text"] for one in told if one["type"] == "text"] == ["I will look.", "It is done."]
    call = told[2]["part"]
    assert (call["tool"], call["state"]["status"], call["state"]["input"]["command"]) == ("bash", "completed", command)
    assert output in call["state"]["output"]
    assert [one["part"]["reason"] for one in told if one["type"] == "step_finish"] == ["tool-calls", "stop"]
    assert (root / output).exists()


def test_a_person_here_allows_what_the_program_may_not(served: tuple[Running, Path], home: dict[str, str]) -> None:
    """Left alone, the program answers each permission itself; with a token that may not, the call waits for us."""
    running, root = served
    password = homes.mint(running, "runs-only", "sessions:*", "events:read", "projects:read", "settings:read")
    follower = Follower(running, "/opencode/event")
    run = start(home, running, root, password, PROMPT.format("touch one && ls one"))
    try:
        follower.until(lambda frames: any(frame.data["type"] == "permission.asked" for frame in frames), 60)
        (waits,) = running.call("GET", "/opencode/permission")[1]
        assert (waits["permission"], waits["metadata"]["command"]) == ("bash", "touch one && ls one")
        assert running.call("POST", f"/opencode/permission/{waits['id']}/reply", {"reply": "once"}) == (200, True)
    finally:
        follower.close()
        told = finish(run)
    check_told(told, root, "touch one && ls one", "one")
    session = running.call("GET", f"/opencode/session/{told[0]['sessionID']}")[1]
    assert {(rule["permission"], rule["action"]) for rule in session["permission"]} >= {("question", "deny")}


def test_the_program_answers_by_our_api_where_it_may(served: tuple[Running, Path], home: dict[str, str]) -> None:
    running, root = served
    told = finish(start(home, running, root, TOKEN, "--auto", PROMPT.format("touch two && ls two")))
    check_told(told, root, "touch two && ls two", "two")


def test_what_the_program_refuses_is_not_done(served: tuple[Running, Path], home: dict[str, str]) -> None:
    running, root = served
    told = finish(start(home, running, root, TOKEN, PROMPT.format("touch three")))
    assert [one["part"]["state"]["status"] for one in told if one["type"] == "tool_use"] == ["error"]
    assert not (root / "three").exists()


def test_a_wrong_password_is_refused(served: tuple[Running, Path], home: dict[str, str]) -> None:
    running, root = served
    run = start(home, running, root, "wrong", "Hello")
    out, err = run.communicate(timeout=60)
    assert run.returncode != 0, (out + err).decode()
