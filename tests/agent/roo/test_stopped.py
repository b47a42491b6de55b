"""A task that somebody stopped asks whether to go on: approved it does, rejected it stays where it is."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from app.errors import Denied
from app.sessions import service as sessions
from tests.conftest import Caller
from tests.model_server import Gate, ModelServer, Say
from tests.visitor import until

WAIT = {"wait_for_response": True}
NOTHING = {"error": "Task is not in a state that needs approval"}


def status(call: Caller, task: str) -> dict[str, Any]:
    found: dict[str, Any] = call.get(f"/api/tasks/{task}/status").json
    return found


def is_at_rest(call: Caller, task: str) -> bool:
    return bool(status(call, task)["status"] == "needs_approval")


@pytest.fixture
def stopped(call: Caller, alice: Actor, model: ModelServer) -> str:
    """A task that alice stopped while the model spoke."""
    gate = Gate()
    model.script = [[Say("I will "), gate]]
    task = str(call.post("/api/tasks", {"message": "Take your time"}).json["id"])
    assert gate.reached.wait(45)
    assert sessions.abort(alice, task)
    until(lambda: is_at_rest(call, task))
    return task


def test_it_asks_to_be_resumed(call: Caller, stopped: str) -> None:
    stands = status(call, stopped)
    assert (stands["status"], stands["legacyStatus"]) == ("needs_approval", "waiting_for_approval")
    assert stands["lastMessage"] == "ask resume_task: "
    last = call.get(f"/api/tasks/{stopped}/logs").json["messages"][-1]
    assert (last["type"], last["ask"], last["text"]) == ("ask", "resume_task", "")
    asked = {name: value for name, value in stands["pendingAsk"].items() if name != "id"}
    assert asked == {"type": "ask", "ask": "resume_task", "text": "", "ts": last["ts"]}


def test_approved_it_goes_on_with_what_was_said(call: Caller, stopped: str, model: ModelServer) -> None:
    model.script = [[Say("go on to the end")]]
    done = call.post(f"/api/tasks/{stopped}/respond", {"response": "approve", **WAIT}).json
    assert (done["status"], done["lastMessage"]) == ("completed", "go on to the end")
    said = [one["content"] for one in model.requests[-1]["messages"] if one["role"] in ("user", "assistant")]
    assert said == ["Take your time", "I will"]
    records = call.get(f"/api/tasks/{stopped}/logs").json["messages"]
    assert [one["text"] for one in records if one["role"] == "user"] == ["Take your time"]
    assert not [one for one in records if one.get("ask") == "resume_task"]
    assert call.post(f"/api/tasks/{stopped}/respond", {"response": "approve"}).json == NOTHING


def test_rejected_it_stays_stopped_for_good(call: Caller, stopped: str, model: ModelServer) -> None:
    asked = len(model.requests)
    left = call.post(f"/api/tasks/{stopped}/respond", {"response": "reject"})
    assert (left.status_code, left.json) == (200, {"success": True})
    assert (status(call, stopped)["status"], status(call, stopped)["lastMessage"]) == ("error", "The run was stopped.")
    assert "pendingAsk" not in status(call, stopped)
    for response in ("approve", "reject"):
        late = call.post(f"/api/tasks/{stopped}/respond", {"response": response})
        assert (late.status_code, late.json) == (400, NOTHING)
    assert len(model.requests) == asked
    told = call.post(f"/api/messages/{stopped}", {"message": "[[say After all]]", **WAIT}).json
    assert (told["status"], told["lastMessage"]) == ("completed", "After all")


def test_a_message_goes_on_with_it_too(call: Caller, stopped: str) -> None:
    told = call.post(f"/api/messages/{stopped}", {"message": "[[say Differently]]", **WAIT}).json
    assert (told["status"], told["lastMessage"]) == ("completed", "Differently")
    assert call.post(f"/api/tasks/{stopped}/respond", {"response": "approve"}).json == NOTHING


def test_the_ask_can_be_named(call: Caller, stopped: str) -> None:
    other = call.post(f"/api/tasks/{stopped}/respond", {"response": "approve", "ask": "per_other"})
    assert (other.status_code, other.json) == (400, NOTHING)
    asked = status(call, stopped)["pendingAsk"]["id"]
    assert call.post(f"/api/tasks/{stopped}/respond", {"response": "reject", "ask": asked}).json == {"success": True}


def test_stopping_ends_a_wait(app: Cabin, call: Caller, alice: Actor, model: ModelServer) -> None:
    gate, answers = Gate(), list[dict[str, Any]]()
    model.script = [[gate, Say("never")]]
    waiting = threading.Thread(target=lambda: answers.append(call.post("/api/tasks", {"message": "Go", **WAIT}).json))
    waiting.start()
    assert gate.reached.wait(45)
    task = Caller(app, alice).get("/api/tasks/status").json["id"]
    assert sessions.abort(alice, task)
    waiting.join(45)
    [ended] = answers
    assert (ended["id"], ended["status"], ended["pendingAsk"]["ask"]) == (task, "needs_approval", "resume_task")
    assert "timeout" not in ended


def test_what_was_stopped_before_it_began_can_be_resumed(call: Caller, alice: Actor, model: ModelServer) -> None:
    gate = Gate()
    model.script = [[gate, Say("never")], [Say("First")]]
    task = str(call.post("/api/tasks", {"message": "One"}).json["id"])
    assert gate.reached.wait(45)
    call.post(f"/api/messages/{task}", {"message": "[[say Second]]"})
    sessions.abort(alice, task)
    until(lambda: is_at_rest(call, task))
    model.script = []
    done = call.post(f"/api/tasks/{task}/respond", {"response": "approve", **WAIT}).json
    assert (done["status"], done["lastMessage"]) == ("completed", "Second")


def test_who_may_not_speak_to_it_cannot_resume_it(app: Cabin, alice: Actor, stopped: str) -> None:
    viewer = Caller(app, None)
    _token, secret = accounts.mint_token(
        alice, "reader", ("sessions:read", "projects:read", "approvals:read", "settings:read")
    )
    viewer.headers["Authorization"] = f"Bearer {secret}"
    assert viewer.get(f"/api/tasks/{stopped}/status").status_code == 200
    assert viewer.post(f"/api/tasks/{stopped}/respond", {"response": "approve"}).status_code == 403
    machine = Actor(id="agent:x", kind="agent", user=alice.user, name="Agent", grants=alice.grants)
    with pytest.raises(Denied):
        sessions.resume(machine, stopped)
