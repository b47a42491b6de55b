"""kill -9 at seeded moments of a turn: what clients saw is stored, nothing is doubled, nothing hangs."""

from __future__ import annotations

import json
import random
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
SEED = 20261124


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


def texts(frames: list[Frame]) -> dict[str, str]:
    """The last text of each part that a client was shown while it streamed."""
    return {p["part"]["id"]: p["part"]["text"] for p in kinds(frames, "message.part.updated") if "delta" in p}


@pytest.mark.parametrize("moment", range(5))
def test_it_loses_and_doubles_nothing_of_a_streaming_turn(served: Running, moment: int) -> None:
    deltas = random.Random(SEED + moment).randint(1, 24)
    clients = [Follower(served), Follower(served)]
    session_id = begin(served, "[[words 150 10]]")
    for client in clients:
        client.until(lambda frames: sum("delta" in p for p in kinds(frames, "message.part.updated")) >= deltas)
    served.kill()
    shown = [texts(client.frames) for client in clients]
    served.start()
    for client in clients:
        client.until(lambda frames: bool(kinds(frames, "session.idle")))
        client.close()
    _, messages = served.call("GET", f"/session/{session_id}/message")
    stored = {part["id"]: part["text"] for m in messages for part in m["parts"] if part["type"] == "text"}
    for seen in shown:
        assert seen, "the client saw no text before the kill"
        for part_id, text in seen.items():
            assert stored[part_id].startswith(text.rstrip())
    answers = [m for m in messages if m["info"]["role"] == "assistant"]
    assert [m["info"]["finish"] for m in answers] == ["interrupted", "stop"]
    assert all("completed" in m["info"]["time"] for m in answers)
    assert served.call("GET", "/session/status")[1] == {}
    replay = Follower(served, last_id="0")
    replay.until(lambda frames: bool(kinds(frames, "session.idle")))
    replay.close()
    everything = [frame.id for frame in replay.frames if frame.id]
    for client in clients:
        ids = [frame.id for frame in client.frames if frame.id]
        assert len(ids) == len(set(ids)), "an event came twice"
        first = everything.index(ids[0])
        assert ids == everything[first : first + len(ids)], "an event is missing or out of order"


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
