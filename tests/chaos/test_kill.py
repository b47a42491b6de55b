"""kill -9 while a run waits or works: an approval outlives it, and a command of unknown outcome is not repeated."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import repository
from tests.model_server import ModelServer
from tests.running import Running
from tests.sse import Follower, Frame

pytestmark = pytest.mark.chaos


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Running]:
    """A server on a small repository, with a streaming model."""
    root = repository.make(tmp_path.resolve() / "shop", files=20)
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(tmp_path / "data", root, **settings) as running:
            yield running


def begin(running: Running, prompt: str) -> str:
    """Start a session with a prompt; its id."""
    _, session = running.call("POST", "/session", {"title": "Chaos"})
    status, _ = running.call(
        "POST", f"/session/{session['id']}/prompt_async", {"parts": [{"type": "text", "text": prompt}]}
    )
    assert status == 204
    identifier: str = session["id"]
    return identifier


def kinds(frames: list[Frame], kind: str) -> list[dict[str, Any]]:
    """The properties of all frames of a kind."""
    return [frame.data["properties"] for frame in frames if frame.data["type"] == kind]


def test_it_keeps_a_waiting_approval_that_can_be_answered_after_the_kill(served: Running) -> None:
    client = Follower(served)
    session_id = begin(served, "[[bash echo still here]]")
    client.until(lambda frames: bool(kinds(frames, "permission.asked")))
    client.until(lambda frames: any(p["info"]["id"] == session_id for p in kinds(frames, "session.updated")))
    ask = kinds(client.frames, "permission.asked")[0]
    served.kill()
    served.start()
    assert [p["id"] for p in served.call("GET", "/permission")[1]] == [ask["id"]]
    status, _ = served.call("POST", f"/session/{session_id}/permissions/{ask['id']}", {"response": "once"})
    assert status == 200
    client.until(lambda frames: bool(kinds(frames, "session.idle")))
    client.close()
    _, messages = served.call("GET", f"/session/{session_id}/message")
    tools = [part for m in messages for part in m["parts"] if part["type"] == "tool"]
    assert [(t["state"]["status"], t["state"]["output"]) for t in tools] == [("completed", "still here")]
    status, again = served.call("POST", f"/session/{session_id}/permissions/{ask['id']}", {"response": "reject"})
    assert status == 409
    assert "Answered by" in again["data"]["message"]


def test_it_never_repeats_a_command_whose_outcome_is_unknown(served: Running, tmp_path: Path) -> None:
    client = Follower(served)
    session_id = begin(served, "[[bash echo line >> lines.txt; sleep 30]]")
    client.until(lambda frames: bool(kinds(frames, "permission.asked")))
    ask = kinds(client.frames, "permission.asked")[0]
    served.call("POST", f"/session/{session_id}/permissions/{ask['id']}", {"response": "once"})
    lines = tmp_path.resolve() / "shop" / "lines.txt"
    client.until(
        lambda frames: any(
            p["part"].get("tool") == "bash" and p["part"]["state"]["status"] == "running"
            for p in kinds(frames, "message.part.updated")
        )
    )
    for _ in range(500):
        if lines.exists() and lines.read_text():
            break
        threading.Event().wait(0.02)  # a file has no event
    served.kill()
    served.start()
    client.until(lambda frames: bool(kinds(frames, "session.idle")))
    client.close()
    _, messages = served.call("GET", f"/session/{session_id}/message")
    tools = [part for m in messages for part in m["parts"] if part["type"] == "tool"]
    assert len(tools) == 1
    assert "outcome unknown" in tools[0]["state"]["error"]
    assert lines.read_text() == "line\n"


def test_it_takes_back_what_a_command_asked_that_died_with_the_server(served: Running) -> None:
    client = Follower(served)
    script = "import urllib.request as u; u.urlopen('https://example.com')"
    session_id = begin(served, f'[[bash python3 -c "{script}"]] [[say Went on.]]')
    client.until(lambda frames: len(kinds(frames, "permission.asked")) == 1)
    command = kinds(client.frames, "permission.asked")[0]
    assert served.call("POST", f"/permission/{command['id']}/reply", {"reply": "once"})[0] == 200
    client.until(lambda frames: len(kinds(frames, "permission.asked")) == 2)
    host = kinds(client.frames, "permission.asked")[1]
    assert (host["permission"], host["patterns"]) == ("network", ["example.com:443"])
    served.kill()
    served.start()
    client.until(lambda frames: bool(kinds(frames, "session.idle")))
    client.close()
    assert served.call("GET", "/permission")[1] == []
    assert served.call("POST", f"/permission/{host['id']}/reply", {"reply": "once"})[0] == 409
    _, messages = served.call("GET", f"/session/{session_id}/message")
    tool = next(part for m in messages for part in m["parts"] if part["type"] == "tool")
    assert tool["state"]["status"] == "error"
    assert "outcome unknown" in tool["state"]["error"]
    assert [part["text"] for part in messages[-1]["parts"] if part["type"] == "text"] == ["Went on."]


def test_it_finds_the_subagent_again_that_a_killed_session_waits_for(served: Running) -> None:
    client = Follower(served)
    given = {"description": "Look", "prompt": "one two three four five six seven " * 12, "subagent_type": "general"}
    session_id = begin(served, f"[[call task {json.dumps(given)}]] [[say Told.]]")
    client.until(lambda frames: any(is_of_child(p) for p in kinds(frames, "message.part.updated")))
    served.kill()
    served.start()
    is_over = lambda frames: any(p["sessionID"] == session_id for p in kinds(frames, "session.idle"))  # noqa: E731
    client.until(is_over)
    client.close()
    children = served.call("GET", f"/session/{session_id}/children")[1]
    assert len(children) == 1
    _, messages = served.call("GET", f"/session/{session_id}/message")
    [call] = [part for m in messages for part in m["parts"] if part["type"] == "tool"]
    assert call["state"]["status"] == "completed"
    assert call["state"]["metadata"]["sessionId"] == children[0]["id"]
    assert "one two three" in call["state"]["output"]
    assert served.call("GET", "/session/status")[1] == {}


def is_of_child(properties: dict[str, Any]) -> bool:
    """Whether a part is text that a subagent's model is writing: it repeats its prompt."""
    return "delta" in properties and "one two" in properties["part"]["text"]
