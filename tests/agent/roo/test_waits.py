"""Where a call that waits stops waiting, and what it is told: only what is new."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from app.actor import Actor
from app.agent.roo.bodies import Answer, NewTask, Said
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service as sessions
from tests.conftest import Caller
from tests.model_server import Call, Gate, ModelServer, Say

QUESTION = {
    "questions": [{"question": "Which colour?", "header": "Colour", "options": [{"label": "Red", "description": ""}]}]
}
ASKS = f"[[call question {json.dumps(QUESTION)}]] [[say Red it is]]"
ENDS = {
    "completed": ("[[say Hello]]", "completed", "completed", "Hello"),
    "error": ("[[error 400]]", "error", "error", None),
    "needs_input": (
        ASKS,
        "needs_input",
        "waiting_for_approval",
        'ask followup: {"question":"Which colour?","suggest":[{"answer":"Red"}]}',
    ),
    "needs_approval": ("[[bash rm -rf src]]", "needs_approval", "waiting_for_approval", "ask command: rm -rf src"),
}
FLAGS = ("wait_for_response", "wait_for_completion")


@pytest.fixture
def task(alice: Actor) -> str:
    """A task in which nothing was said yet."""
    return sessions.create(alice, projects.resolve(alice, None), provider="openai", model="scripted").id


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("end", ENDS)
def test_a_wait_ends_where_nothing_goes_on_without_somebody(call: Caller, task: str, flag: str, end: str) -> None:
    words, status, legacy, last = ENDS[end]
    for path in ("/api/tasks", f"/api/messages/{task}"):
        told = call.post(path, {"message": words, flag: True}).json
        assert (told["status"], told["legacyStatus"]) == (status, legacy)
        assert "timeout" not in told
        assert last in (None, told["lastMessage"])
        now = call.get(f"/api/tasks/{told['id']}/status").json
        assert {name: told[name] for name in now} == now


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("end", ENDS)
def test_a_wait_for_what_follows_an_answer_ends_there_too(call: Caller, flag: str, end: str) -> None:
    words, status, _, _ = ENDS[end]
    asked = call.post("/api/tasks", {"message": f"[[bash true]] {words}", flag: True}).json
    assert asked["status"] == "needs_approval"
    told = call.post(f"/api/tasks/{asked['id']}/respond", {"response": "approve", flag: True}).json
    assert told["status"] == status
    seen = {one["ts"] for one in asked["messages"]}
    assert told["messages"]
    assert not [one for one in told["messages"] if one["ts"] in seen]


@pytest.mark.parametrize("flag", FLAGS)
def test_a_wait_ends_when_its_time_is_up(call: Caller, task: str, model: ModelServer, flag: str) -> None:
    gates = [Gate(), Gate(), Gate()]
    model.script = [[Say("Half"), gates[0]], [Call("bash", {"command": "true"})], [gates[1], Say("There")]]
    late = call.post(f"/api/messages/{task}", {"message": "Slowly", flag: True, "timeout": 1}).json
    assert (late["timeout"], late["success"], late["id"]) == (True, True, task)
    assert late["status"] in ("waiting_for_response", "in_progress")
    gates[0].opened.set()
    asked = call.post(f"/api/messages/{task}", {"message": "Next", flag: True}).json
    assert asked["status"] == "needs_approval"
    after = call.post(f"/api/tasks/{task}/respond", {"response": "approve", flag: True, "timeout": 1}).json
    assert after["timeout"] is True
    gates[1].opened.set()


def test_each_edition_has_its_own_patience() -> None:
    for kind, given in ((NewTask, {"message": "x"}), (Said, {"message": "x"}), (Answer, {"response": "approve"})):
        waits = {flag: kind.model_validate({**given, flag: True}) for flag in FLAGS}
        assert {flag: one.patience for flag, one in waits.items()} == {
            "wait_for_response": 120,
            "wait_for_completion": 300,
        }
        assert all(one.waits for one in waits.values())
        assert not kind.model_validate(given).waits
        assert kind.model_validate({**given, **dict.fromkeys(FLAGS, True), "timeout": 1500}).patience == 1.5


def test_only_what_is_new_is_told_however_much_that_is(call: Caller, task: str) -> None:
    for number in range(3):
        call.post(f"/api/messages/{task}", {"message": f"[[say Old {number}]]", "wait_for_response": True})
    old = {one["ts"] for one in call.get(f"/api/tasks/{task}/logs").json["messages"]}
    many = " ".join(f"[[read {number}.txt]]" for number in range(30))
    told = call.post(f"/api/messages/{task}", {"message": f"{many} [[say New]]", "wait_for_response": True}).json
    assert not old & {one["ts"] for one in told["messages"]}
    whole = call.get(f"/api/tasks/{task}/logs").json["messages"]
    assert told["messages"] == [one for one in whole if one["ts"] not in old]
    assert len([one for one in told["messages"] if one.get("ask") == "tool"]) == 30


def test_what_a_subagent_asks_ends_the_wait_for_its_task(call: Caller, task: str, model: ModelServer) -> None:
    given = {"description": "Look", "prompt": "[[bash echo hi]] [[say Seen]]", "subagent_type": "general"}
    model.script = [[Call("task", given)]]
    asked = call.post(f"/api/messages/{task}", {"message": "[[say Done]] [[say Done]]", "wait_for_response": True}).json
    assert (asked["id"], asked["status"], asked["lastMessage"]) == (task, "needs_approval", "ask command: echo hi")
    done = call.post(f"/api/tasks/{task}/respond", {"response": "approve", "wait_for_response": True}).json
    assert done["status"] == "completed"


def test_a_task_that_is_deleted_ends_the_wait_for_it(
    app: Cabin, call: Caller, alice: Actor, task: str, model: ModelServer
) -> None:
    gate, came = Gate(), list[Any]()
    model.script = [[gate, Say("never")]]
    body = {"message": "Go", "wait_for_response": True}
    waiting = threading.Thread(target=lambda: came.append(call.post(f"/api/messages/{task}", body)))
    waiting.start()
    assert gate.reached.wait(45)
    sessions.delete(alice, task)
    waiting.join(45)
    [gone] = came
    assert (gone.status_code, gone.json) == (404, {"error": "Task not found"})


def test_two_who_wait_for_their_own_turns_are_both_told(
    app: Cabin, call: Caller, alice: Actor, task: str, model: ModelServer
) -> None:
    gate, came = Gate(), dict[str, Any]()
    model.script = [[gate, Say("First")], [Say("Second")]]

    def wait(caller: Caller, words: str) -> None:
        came[words] = caller.post(f"/api/messages/{task}", {"message": words, "wait_for_response": True}).json

    first = threading.Thread(target=wait, args=(call, "One"))
    first.start()
    assert gate.reached.wait(45)
    other = Caller(app, alice)
    assert other.post(f"/api/messages/{task}", {"message": "Two"}).json == {"success": True}
    gate.opened.set()
    first.join(45)
    assert (came["One"]["status"], came["One"]["lastMessage"]) == ("completed", "Second")
    assert [one["text"] for one in came["One"]["messages"] if one["role"] == "user"] == ["One", "Two"]
