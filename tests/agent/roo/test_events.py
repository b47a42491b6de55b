"""The stream of a task: Roo's names, the records of the logs, and no gap for who comes back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service as sessions
from tests.conftest import Caller, member
from tests.model_server import Call, Gate, ModelServer, Say, Think
from tests.visitor import frames, until

WAIT = {"wait_for_response": True}


@dataclass(frozen=True)
class Told:
    """One frame: its id ("" if it had none), and what it says."""

    id: str
    name: str
    payload: list[Any]

    @property
    def record(self) -> dict[str, Any]:
        """The record of a `message`."""
        found: dict[str, Any] = self.payload[0]["message"]
        return found


def told(frame: str) -> Told:
    lines = dict(line.split(": ", 1) for line in frame.split("\n"))
    said = json.loads(lines["data"])
    assert lines["event"] == said["eventName"]
    return Told(lines.get("id", ""), said["eventName"], said["payload"])


def follow(call: Caller, task: str, last: str = "", query: str = "") -> Iterator[Told]:
    """The frames of a task's stream as they come; that it was made may still be told, as it was just now."""
    headers = {"Last-Event-ID": last} if last else {}
    answer = call.get(f"/api/tasks/{task}/events{query}", headers=headers)
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream"), answer.text
    return (one for one in map(told, frames(answer)) if one.name != "taskCreated")


def up_to(stream: Iterator[Told], name: str) -> list[Told]:
    """All frames until one of this name."""
    seen: list[Told] = []
    for one in stream:
        seen.append(one)
        if one.name == name:
            return seen
    raise AssertionError(f"the stream ended before {name}: {[one.name for one in seen]}")


def idle_task(alice: Actor) -> str:
    """A task in which nothing was said yet."""
    return sessions.create(alice, projects.resolve(alice, None), provider="openai", model="scripted").id


def say(call: Caller, task: str, message: str, **more: Any) -> Any:
    answer = call.post(f"/api/messages/{task}", {"message": message, **more})
    assert answer.status_code == 200, answer.text
    return answer.json


def records_of(seen: list[Told]) -> dict[int, dict[str, Any]]:
    """What a reader has of the records in the end, by their times."""
    return {one.record["ts"]: one.record for one in seen if one.name == "message"}


def logs(call: Caller, task: str, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call.get(f"/api/tasks/{task}/logs{query}").json["messages"]
    return found


def test_a_turn_is_told_in_roo_s_names(call: Caller, alice: Actor, model: ModelServer) -> None:
    model.script = [[Think("Hm."), Say("Hello there, how are you?", size=8)]]
    task = idle_task(alice)
    stream = follow(call, task)
    say(call, task, "Say hello")
    seen = up_to(stream, "taskIdle")
    names = [one.name for one in seen if one.name != "message"]
    assert names == ["taskStarted", "taskTokenUsageUpdated", "taskCompleted", "taskIdle"]
    [spent] = [one.payload for one in seen if one.name == "taskTokenUsageUpdated"]
    assert spent[0] == task
    assert set(spent[1]) >= {"totalTokensIn", "totalTokensOut", "totalCost", "contextTokens"}
    assert spent[1]["totalTokensIn"] > 0
    [done] = [one.payload for one in seen if one.name == "taskCompleted"]
    assert done == [task, spent[1], {}, {"isSubtask": False}]
    assert records_of(seen) == {one["ts"]: one for one in logs(call, task)}


def test_another_mode_is_told(call: Caller, alice: Actor) -> None:
    task = idle_task(alice)
    stream = follow(call, task)
    sessions.send(alice, task, [{"type": "text", "text": "[[say Hello]]"}], mode="ask")
    seen = up_to(stream, "taskIdle")
    assert [one.payload for one in seen if one.name == "taskModeSwitched"] == [[task, "ask"]]


def test_a_text_grows_under_one_time_and_ends_as_in_the_logs(call: Caller, alice: Actor, model: ModelServer) -> None:
    gate = Gate()
    model.script = [[Say("Hello "), gate, Say("there")]]
    task = idle_task(alice)
    stream = follow(call, task)
    say(call, task, "Go")
    first = next(one for one in stream if one.name == "message" and one.record["text"] == "Hello ")
    assert (first.payload[0]["action"], first.record["partial"]) == ("created", True)
    assert first.payload[0]["taskId"] == task
    gate.opened.set()
    rest = [one.record for one in up_to(stream, "taskIdle") if one.name == "message"]
    same = [one for one in rest if one["ts"] == first.record["ts"]]
    assert [one.get("partial", False) for one in same][-2:] == [False, False]
    assert [(one["say"], one["text"]) for one in same][-2:] == [
        ("text", "Hello there"),
        ("completion_result", "Hello there"),
    ]
    assert same[-1] in logs(call, task)


def test_calls_with_what_asks_and_what_comes_of_it(call: Caller, alice: Actor) -> None:
    task = idle_task(alice)
    stream = follow(call, task)
    say(call, task, "[[bash echo hi]] [[read nowhere.txt]] [[say Done]]")
    asked = up_to(stream, "taskInteractive")
    last = [one.record for one in asked if one.name == "message"][-1]
    assert (last["ask"], last["text"], last.get("partial")) == ("command", "echo hi", None)
    call.post(f"/api/tasks/{task}/respond", {"response": "approve"})
    rest = up_to(stream, "taskIdle")
    names = [one.name for one in rest if one.name != "message"]
    assert names[:2] == ["taskAskResponded", "taskActive"]
    assert names[-2:] == ["taskCompleted", "taskIdle"]
    [failed] = [one.payload for one in rest if one.name == "taskToolFailed"]
    assert failed[:2] == [task, "read_file"]
    [done] = [one.payload for one in rest if one.name == "taskCompleted"]
    assert done[2] == {
        "execute_command": {"attempts": 1, "failures": 0},
        "read_file": {"attempts": 1, "failures": 1},
    }
    output = [one for one in rest if one.name == "message" and one.record.get("say") == "command_output"]
    assert [(one.payload[0]["action"], one.record["text"].strip()) for one in output] == [("created", "hi")]
    assert records_of(asked + rest) == {one["ts"]: one for one in logs(call, task)}


def test_whoever_comes_back_reads_on_without_gap_or_repetition(call: Caller, alice: Actor) -> None:
    task = idle_task(alice)
    stream = follow(call, task)
    say(call, task, "[[think Hm]]&[[bash echo hi]] [[words 12 5]]")
    seen = up_to(stream, "taskInteractive")
    call.post(f"/api/tasks/{task}/respond", {"response": "approve"})
    seen += up_to(stream, "taskIdle")
    ids = [one.id for one in seen if one.id]
    assert len(ids) == len(set(ids))
    assert ids == sorted(ids, key=int)
    places = [place for place, one in enumerate(seen[:-1]) if one.id]
    for place in places[::3]:
        again = follow(call, task, last=seen[place].id)
        assert up_to(again, "taskIdle") == seen[place + 1 :]


def test_a_task_is_told_from_its_beginning_to_who_asks_for_that(call: Caller, alice: Actor) -> None:
    other = call.post("/api/tasks", {"message": "[[say Other]]", **WAIT}).json["id"]
    task = call.post("/api/tasks", {"message": "[[say One]]", **WAIT}).json["id"]
    seen = up_to(map(told, frames(call.get(f"/api/tasks/{task}/events?lastEventId=0"))), "taskIdle")
    assert (seen[0].name, seen[0].payload, seen[1].name) == ("taskCreated", [task], "message")
    assert records_of(seen) == {one["ts"]: one for one in logs(call, task)}
    assert other not in str(seen)


def test_the_first_edition_reads_its_own_words(call: Caller, alice: Actor) -> None:
    task = idle_task(alice)
    stream = follow(call, task, query="?status_format=legacy")
    say(call, task, "[[say Hello]]")
    seen = up_to(stream, "taskIdle")
    assert {one.record["type"] for one in seen if one.name == "message"} == {"user", "assistant"}
    assert records_of(seen) == {one["ts"]: one for one in logs(call, task, "?status_format=legacy")}


def test_a_rejection_with_words_is_a_record(call: Caller, alice: Actor) -> None:
    task = idle_task(alice)
    stream = follow(call, task)
    say(call, task, "[[bash rm -rf src]] [[say Then not]]")
    up_to(stream, "taskInteractive")
    say(call, task, "Keep it")
    seen = up_to(stream, "taskIdle")
    said = [one.record for one in seen if one.name == "message" and one.record.get("say") == "user_feedback"]
    assert [(one["text"], one["role"]) for one in said] == [("Keep it", "user")]


def test_a_stopped_task_is_aborted_and_resumable(call: Caller, alice: Actor, model: ModelServer) -> None:
    gate = Gate()
    model.script = [[Say("Half a "), gate]]
    task = idle_task(alice)
    stream = follow(call, task)
    say(call, task, "Go")
    assert gate.reached.wait(45)
    sessions.abort(alice, task)
    seen = up_to(stream, "taskResumable")
    assert [one.name for one in seen][-3:] == ["taskAborted", "message", "taskResumable"]
    assert (seen[-2].record["type"], seen[-2].record["ask"]) == ("ask", "resume_task")
    assert seen[-2].record == logs(call, task)[-1]


def test_a_subagent_is_spawned_and_what_it_asks_is_told(call: Caller, alice: Actor, model: ModelServer) -> None:
    given = {"description": "Look", "prompt": "[[bash echo hi]] [[say Seen]]", "subagent_type": "general"}
    model.script = [[Call("task", given)]]
    task = idle_task(alice)
    stream = follow(call, task)
    say(call, task, "[[say Done]] [[say Done]]")
    seen = up_to(stream, "taskInteractive")
    [child] = sessions.children(alice, task)
    assert [one.payload for one in seen if one.name == "taskSpawned"] == [[task, child.id]]
    call.post(f"/api/tasks/{task}/respond", {"response": "approve"})
    up_to(stream, "taskCompleted")


def test_the_current_task_has_a_stream_and_no_task_has_none(call: Caller) -> None:
    none = call.get("/api/tasks/events")
    assert (none.status_code, none.json) == (404, {"error": "No active task found"})
    lost = call.get("/api/tasks/ses_none/events")
    assert (lost.status_code, lost.json) == (404, {"error": "Task not found"})
    task = call.post("/api/tasks", {"message": "[[say One]]", **WAIT}).json["id"]
    stream = map(told, frames(call.get("/api/tasks/events")))
    say(call, task, "[[say Two]]")
    assert up_to(stream, "taskIdle")[-1].payload == [task]


def test_a_cursor_that_is_none_of_ours_is_told(call: Caller, alice: Actor) -> None:
    task = idle_task(alice)
    answer = call.get(f"/api/tasks/{task}/events", headers={"Last-Event-ID": "tomorrow"})
    assert next(frames(answer)).split("\n")[0] == "event: resync"


def ends(stream: Iterator[Told], act: Callable[[], object]) -> list[Told]:
    """What is still told after an act that ends a stream."""
    rest: list[Told] = []
    reader = threading.Thread(target=lambda: rest.extend(stream))
    reader.start()
    act()
    reader.join(45)
    assert not reader.is_alive(), "the stream went on"
    return rest


def test_the_stream_ends_with_the_task(call: Caller, alice: Actor) -> None:
    task = idle_task(alice)
    stream = follow(call, task)
    assert ends(stream, lambda: sessions.delete(alice, task)) == []
    assert call.get(f"/api/tasks/{task}/events").status_code == 404


def test_the_stream_ends_with_the_right_to_read_the_task(app: Cabin, call: Caller, alice: Actor) -> None:
    bob = member(alice, "Bob")
    task = idle_task(alice)
    his, hers = follow(Caller(app, bob), task), follow(call, task)
    ends(his, lambda: sessions.update(alice, task, visibility="private"))
    say(call, task, "[[say Hello]]")
    up_to(hers, "taskIdle")
    assert Caller(app, bob).get(f"/api/tasks/{task}/events").status_code == 404


def test_the_stream_ends_with_its_token(app: Cabin, alice: Actor) -> None:
    task = idle_task(alice)
    token, secret = accounts.mint_token(alice, "short-lived")
    caller = Caller(app, None)
    caller.headers["Authorization"] = f"Bearer {secret}"
    stream = follow(caller, task)
    ends(stream, lambda: accounts.revoke_token(alice, token.id))


def test_another_s_private_task_has_no_stream(app: Cabin, call: Caller, alice: Actor) -> None:
    task = idle_task(alice)
    sessions.update(alice, task, visibility="private")
    bob = Caller(app, member(alice, "Bob"))
    refused = bob.get(f"/api/tasks/{task}/events")
    assert (refused.status_code, refused.json) == (404, {"error": "Task not found"})


def test_who_may_not_read_what_is_asked_has_no_stream(app: Cabin, alice: Actor) -> None:
    task = idle_task(alice)
    caller = Caller(app, None)
    _token, secret = accounts.mint_token(alice, "narrow", ("sessions:read", "events:read", "projects:read"))
    caller.headers["Authorization"] = f"Bearer {secret}"
    assert caller.get(f"/api/tasks/{task}/events").status_code == 403


@pytest.mark.parametrize("last", ["1", "0", "9" * 30, "-1", "1-2", "\u0666"])
def test_no_cursor_breaks_it(call: Caller, alice: Actor, last: str) -> None:
    task = idle_task(alice)
    with call.get(f"/api/tasks/{task}/events?lastEventId={last}") as answer:
        assert answer.status_code == 200
    until(lambda: call.get(f"/api/tasks/{task}/status").status_code == 200)
