"""kill -9 while a script waits for its Roo task: the task goes on by itself, stands right afterwards, nothing is doubled."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import repository
from tests.model_server import Call, Gate, ModelServer, Say
from tests.patience import PATIENCE
from tests.running import TOKEN, Running
from tests.sse import Follower, Frame

pytestmark = pytest.mark.chaos
WAIT = {"wait_for_response": True}


@dataclass(frozen=True)
class Served:
    """A server on a small repository, and its model."""

    running: Running
    model: ModelServer
    root: Path

    def post(self, path: str, **body: Any) -> tuple[int, Any]:
        return self.running.call("POST", f"/roo/api{path}", body)

    def status(self, task: str) -> dict[str, Any]:
        found: dict[str, Any] = self.running.call("GET", f"/roo/api/tasks/{task}/status")[1]
        return found

    def logs(self, task: str) -> dict[str, Any]:
        found: dict[str, Any] = self.running.call("GET", f"/roo/api/tasks/{task}/logs")[1]
        return found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    root = repository.make(tmp_path.resolve() / "shop", files=20)
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(tmp_path / "data", root, **settings) as running:
            yield Served(running, model, root)


@dataclass
class Waiting:
    """A script that waits; `came` is what it was told in the end, or nothing where the line was cut."""

    ask: Callable[[], tuple[int, Any]]
    came: list[tuple[int, Any]] = field(default_factory=list)
    is_cut: bool = False

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def over(self) -> None:
        """Wait for its end."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "it still waits"

    def _work(self) -> None:
        try:
            self.came.append(self.ask())
        except (OSError, http.client.HTTPException):
            self.is_cut = True


def said(frames: list[Frame], name: str) -> list[list[Any]]:
    """The payloads of all events of a name."""
    return [frame.data["payload"] for frame in frames if frame.data.get("eventName") == name]


def begun(served: Served) -> str:
    """An idle task with one turn behind it, so that its stream can be followed before the next one."""
    status, answer = served.post("/tasks", message="[[say Ready]]", wait_for_response=True)
    assert (status, answer["status"]) == (200, "completed")
    identifier: str = answer["id"]
    return identifier


def test_it_goes_on_in_the_middle_of_an_answer(served: Served) -> None:
    task = begun(served)
    client = Follower(served.running, f"/roo/api/tasks/{task}/events?lastEventId=0")
    gate = Gate()
    served.model.script = [[Say("Half of "), gate], [Say("All of it.")]]
    waiting = Waiting(lambda: served.post(f"/messages/{task}", message="Go on", **WAIT))
    assert gate.reached.wait(PATIENCE)
    served.running.kill()
    waiting.over()
    assert (waiting.is_cut, waiting.came) == (True, [])
    served.running.start()
    client.until(lambda frames: len(said(frames, "taskCompleted")) == 2)
    client.close()
    stands = served.status(task)
    assert (stands["status"], stands["lastMessage"]) == ("completed", "All of it.")
    records = served.logs(task)["messages"]
    assert [one["text"] for one in records if one["role"] == "user"] == ["[[say Ready]]", "Go on"]
    assert [one["text"] for one in records if one.get("say") == "completion_result"] == ["Ready", "All of it."]
    assert len({one["ts"] for one in records}) == len(records)
    told = [frame.id for frame in client.frames if frame.id]
    assert told == sorted(set(told), key=int)
    last = {one["ts"]: one for [told] in said(client.frames, "message") for one in [told["message"]]}
    assert {one["ts"]: last.get(one["ts"]) for one in records} == {one["ts"]: one for one in records}
    assert len(served.model.requests) == 3


def test_what_it_asks_outlives_the_kill_and_is_answered_once(served: Served) -> None:
    task = begun(served)
    status, asked = served.post(f"/messages/{task}", message="[[bash echo once >> lines.txt]] [[say Done]]", **WAIT)
    assert (status, asked["status"]) == (200, "needs_approval")
    served.running.kill()
    served.running.start()
    assert served.status(task) == {
        name: asked[name] for name in ("id", "lastMessage", "status", "legacyStatus", "mode", "pendingAsk")
    }
    status, done = served.post(f"/tasks/{task}/respond", response="approve", **WAIT)
    assert (status, done["status"], done["lastMessage"]) == (200, "completed", "Done")
    assert (served.root / "lines.txt").read_text() == "once\n"
    again = served.post(f"/tasks/{task}/respond", response="approve")
    assert again == (400, {"error": "Task is not in a state that needs approval"})
    assert [one["text"] for one in served.logs(task)["messages"] if one.get("ask") == "command"] == [
        "echo once >> lines.txt"
    ]


def test_a_wait_that_was_cut_is_taken_up_by_a_message(served: Served) -> None:
    task = begun(served)
    client = Follower(served.running, f"/roo/api/tasks/{task}/events?lastEventId=0")
    gate = Gate()
    served.model.script = [[Call("bash", {"command": "echo hi"}), gate]]
    waiting = Waiting(lambda: served.post("/messages", message="[[bash echo hi]] [[say Done]]", **WAIT))
    assert gate.reached.wait(PATIENCE)
    served.running.kill()
    waiting.over()
    # Whether the call had come before the kill or not, it is made again.
    served.model.script = [[Call("bash", {"command": "echo hi"})]]
    served.running.start()
    client.until(lambda frames: len(said(frames, "taskInteractive")) == 1)
    assert served.running.call("GET", "/roo/api/tasks/status")[1]["id"] == task
    assert served.status(task)["status"] == "needs_approval"
    status, told = served.post("/messages", message="Not so. [[say Then not.]]", **WAIT)
    client.close()
    assert (status, told["status"]) == (200, "completed")
    assert [one["text"] for one in told["messages"] if one["role"] == "user"] == ["Not so. [[say Then not.]]"]
    assert served.running.call("GET", "/opencode/permission")[1] == []


def test_a_task_that_was_being_begun_is_there_whole_or_not_at_all(served: Served) -> None:
    gate = Gate()
    served.model.script = [[gate, Say("First")], [Say("Second")]]
    waiting = Waiting(lambda: served.post("/tasks", message="Begin", mode="ask", **WAIT))
    assert gate.reached.wait(PATIENCE)
    served.running.kill()
    waiting.over()
    served.running.start()
    [task] = [one["id"] for one in served.running.call("GET", "/roo/api/tasks")[1]]
    client = Follower(served.running, f"/roo/api/tasks/{task}/events?lastEventId=0")
    client.until(lambda frames: len(said(frames, "taskCompleted")) == 1)
    client.close()
    stands = served.running.call("GET", "/roo/api/tasks/status")[1]
    assert (stands["id"], stands["status"], stands["lastMessage"], stands["mode"]) == (
        task,
        "completed",
        "Second",
        "ask",
    )
    assert [one["text"] for one in served.logs(task)["messages"] if one["role"] == "user"] == ["Begin"]


def test_a_stream_on_a_real_line_ends_with_its_task(served: Served) -> None:
    task = begun(served)
    line = http.client.HTTPConnection("127.0.0.1", served.running.port, timeout=2 * PATIENCE)
    line.request("GET", f"/roo/api/tasks/{task}/events", headers={"Authorization": f"Bearer {TOKEN}"})
    stream = line.getresponse()
    assert stream.readline().startswith(b"retry: ")
    assert served.running.call("DELETE", f"/session/{task}") == (200, True)
    assert b"this stream ends here" in stream.read()
    line.close()
    assert served.running.call("GET", f"/roo/api/tasks/{task}/events")[0] == 404
