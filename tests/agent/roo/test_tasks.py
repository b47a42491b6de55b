"""RooCode's External API: tasks are begun, watched, answered and spoken to, in the shapes of both editions."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from app import config
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import service as approvals
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service as sessions
from tests.conftest import Caller, member
from tests.model_server import Call, Gate, ModelServer, Say
from tests.visitor import until

WAIT = {"wait_for_response": True}
QUESTION = {
    "questions": [
        {"question": "Which colour?", "header": "Colour", "options": [{"label": "Red", "description": "warm"}]}
    ]
}


def begin(call: Caller, message: str, **more: Any) -> dict[str, Any]:
    answer = call.post("/api/tasks", {"message": message, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def status_of(call: Caller, task: str) -> str:
    return str(call.get(f"/api/tasks/{task}/status").json["status"])


def test_a_task_is_begun_and_waited_for(call: Caller) -> None:
    done = begin(call, "Say hello [[say Hello there]]", **WAIT)
    assert done["success"]
    assert done["id"] == done["task_id"]
    assert (done["status"], done["legacyStatus"], done["lastMessage"]) == ("completed", "completed", "Hello there")
    assert [(one["type"], one[one["type"]]) for one in done["messages"]] == [
        ("say", "text"),
        ("say", "api_req_started"),
        ("say", "completion_result"),
        ("ask", "completion_result"),
    ]
    times = [one["ts"] for one in done["messages"]]
    assert times == sorted(set(times))
    assert "timeout" not in done


def test_without_a_wait_a_task_goes_on_by_itself(call: Caller, model: ModelServer) -> None:
    gate = Gate()
    model.script = [[gate, Say("Done now")]]
    task = begin(call, "Take your time")
    assert set(task) == {"success", "id", "task_id"}
    assert gate.reached.wait(45)
    now = call.get("/api/tasks/status").json
    assert now["id"] == task["id"]
    assert (now["status"], now["legacyStatus"]) == ("waiting_for_response", "waiting_for_response")
    assert now["lastMessage"] == "Take your time"
    assert now["mode"] == "code"
    gate.opened.set()
    until(lambda: status_of(call, task["id"]) == "completed")
    assert call.get("/api/tasks/status").json["lastMessage"] == "Done now"


def test_a_wait_ends_when_time_is_up_and_the_task_goes_on(call: Caller, model: ModelServer) -> None:
    gate = Gate()
    model.script = [[gate, Say("Late")]]
    late = begin(call, "Slowly", timeout=1, **WAIT)
    assert late["timeout"] is True
    assert late["status"] in ("waiting_for_response", "in_progress")
    gate.opened.set()
    until(lambda: status_of(call, late["id"]) == "completed")


def test_an_approval_ends_a_wait_and_is_approved(call: Caller) -> None:
    asked = begin(call, "[[write notes.txt remember]] [[say Written]]", **WAIT)
    assert (asked["status"], asked["legacyStatus"]) == ("needs_approval", "waiting_for_approval")
    assert asked["lastMessage"].startswith('ask tool: {"tool":"newFileCreated","path":"notes.txt"')
    assert asked["pendingAsk"]["ask"] == "tool"
    done = call.post("/api/tasks/respond", {"response": "approve", **WAIT}).json
    assert (done["status"], done["lastMessage"]) == ("completed", "Written")
    assert all(one["ts"] > asked["messages"][-1]["ts"] for one in done["messages"])
    again = call.post(f"/api/tasks/{asked['id']}/respond", {"response": "approve"})
    assert (again.status_code, again.json) == (400, {"error": "Task is not in a state that needs approval"})


def test_a_rejected_call_is_told_to_the_agent_which_goes_on(call: Caller) -> None:
    asked = begin(call, "[[bash rm -rf src]] [[say Then not]]", **WAIT)
    assert asked["lastMessage"] == "ask command: rm -rf src"
    done = call.post(f"/api/tasks/{asked['id']}/respond", {"response": "reject", **WAIT}).json
    assert (done["status"], done["lastMessage"]) == ("completed", "Then not")


def test_a_message_over_an_approval_is_a_denial_with_its_words(call: Caller, model: ModelServer) -> None:
    asked = begin(call, "[[write notes.txt remember]] [[say Sorry]]", **WAIT)
    done = call.post("/api/messages", {"message": "Into README.md, please", **WAIT}).json
    assert done["id"] == asked["id"]
    assert done["status"] == "completed"
    assert "Into README.md, please" in str(model.requests[-1])
    said = [one for one in done["messages"] if one.get("say") == "user_feedback"]
    assert [one["text"] for one in said] == ["Into README.md, please"]
    assert not approvals.waiting(accounts.local_owner(), asked["id"])


def test_a_question_needs_input_and_a_message_answers_it(call: Caller, model: ModelServer) -> None:
    model.script = [[Call("question", QUESTION)], [Say("Red it is")]]
    asked = begin(call, "Paint it", **WAIT)
    assert (asked["status"], asked["legacyStatus"]) == ("needs_input", "waiting_for_approval")
    assert asked["lastMessage"] == 'ask followup: {"question":"Which colour?","suggest":[{"answer":"Red"}]}'
    refused = call.post("/api/tasks/respond", {"response": "approve"})
    assert refused.json == {"error": "Task is not in a state that needs approval"}
    done = call.post(f"/api/messages/{asked['id']}", {"message": "Red", **WAIT}).json
    assert (done["status"], done["lastMessage"]) == ("completed", "Red it is")


def test_what_follows_is_said_in_the_same_task(call: Caller) -> None:
    first = begin(call, "[[say One]]", **WAIT)
    second = call.post("/api/messages", {"message": "[[say Two]]", "wait_for_response": True}).json
    assert second["id"] == first["id"]
    assert [one["text"] for one in second["messages"] if one.get("say") != "api_req_started"] == [
        "[[say Two]]",
        "Two",
        "",
    ]
    logs = call.get("/api/tasks/logs").json
    assert [one["text"] for one in logs["messages"] if one.get("say") == "completion_result"] == ["One", "Two"]
    assert [(one["role"], one["content"]) for one in logs["apiConversation"]] == [
        ("user", "[[say One]]"),
        ("assistant", "One"),
        ("user", "[[say Two]]"),
        ("assistant", "Two"),
    ]


def test_logs_show_calls_with_what_came_of_them(call: Caller) -> None:
    task = begin(call, "[[bash echo hi]] [[list .]] [[say Done]]", auto_approve=True, **WAIT)
    assert task["status"] == "completed"
    logs = call.get(f"/api/tasks/{task['id']}/logs").json
    told = [(one["type"], one[one["type"]], one["text"]) for one in logs["messages"] if one["text"]]
    assert ("ask", "command", "echo hi") in told
    assert ("say", "command_output", "hi\n") in told or ("say", "command_output", "hi") in told
    assert ("ask", "tool", '{"tool":"listFilesTopLevel","path":"."}') in told
    [called] = [one for one in logs["apiConversation"] if isinstance(one["content"], list) and "command" in str(one)]
    assert called["role"] == "assistant"
    results = [one for one in logs["apiConversation"] if one["role"] == "user" and "tool_result" in str(one)]
    assert len(results) == 2


def test_the_first_edition_reads_its_own_words(call: Caller) -> None:
    task = begin(call, "[[write a.txt a]]", wait_for_completion=True)["task_id"]
    older = call.get(f"/api/tasks/{task}/status?status_format=legacy").json
    assert older["status"] == older["legacyStatus"] == "waiting_for_approval"
    by_header = call.get(f"/api/tasks/{task}/status", headers={"X-Roo-Api-Version": "1"}).json
    assert by_header == older
    logs = call.get(f"/api/tasks/{task}/logs?status_format=legacy").json
    assert logs["messages"][0]["type"] == "user"
    assert logs["messages"][0]["content"] == "[[write a.txt a]]"
    assert {one["type"] for one in logs["messages"][1:]} == {"assistant"}


def test_a_model_that_fails_leaves_an_error(call: Caller, model: ModelServer) -> None:
    failed = begin(call, "[[error 400]]", **WAIT)
    assert (failed["status"], failed["legacyStatus"]) == ("error", "error")
    assert failed["lastMessage"]


def test_tasks_are_listed_newest_first_a_page_at_a_time(call: Caller) -> None:
    assert call.get("/api/tasks").json == []
    made = [begin(call, f"Task number {number}", **WAIT)["id"] for number in range(12)]
    page = call.get("/api/tasks")
    assert page.headers["X-Total-Count"] == "12"
    assert [one["id"] for one in page.json] == made[:1:-1]
    assert page.json[0]["message"] == "Task number 11"
    assert page.json[0]["tokensIn"] > 0
    assert set(page.json[0]) >= {"id", "message", "timestamp", "tokensIn", "tokensOut", "cost"}
    rest = call.get("/api/tasks?limit=5&offset=10")
    assert [one["id"] for one in rest.json] == made[1::-1]
    assert "Link" not in rest.headers
    assert 'rel="next"' in page.headers["Link"]
    for odd in ("0", "-3", "many", ""):
        assert len(call.get(f"/api/tasks?limit={odd}").json) == 10


def test_the_current_task_is_the_one_begun_or_addressed_last(app: Cabin, call: Caller, alice: Actor) -> None:
    for path in ("status", "logs"):
        none = call.get(f"/api/tasks/{path}")
        assert (none.status_code, none.json) == (404, {"error": "No active task found"})
    first, second = (begin(call, text, **WAIT)["id"] for text in ("One", "Two"))
    call.get("/api/tasks")
    assert call.get("/api/tasks/status").json["id"] == second
    call.post(f"/api/messages/{first}", {"message": "Again", **WAIT})
    assert call.get("/api/tasks/status").json["id"] == first
    bob = Caller(app, member(alice, "Bob"))
    assert bob.get("/api/tasks/status").status_code == 404
    sessions.delete(alice, first)
    assert call.get("/api/tasks/status").json["id"] == second
    assert call.get(f"/api/tasks/{first}/status").json == {"error": "Task not found"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "Invalid message format"),
        ({"message": 7}, "Invalid message format"),
        ({"message": "  "}, "Invalid message format"),
        ({"wait_for_response": "yes", "timeout": 0}, "Invalid message format"),
        ({"message": "x", "mode": 1, "images": "a.png", "wait_for_response": 1}, "Invalid images format"),
        ({"message": "x", "images": "a.png"}, "Invalid images format"),
        ({"message": "x", "images": [1]}, "Invalid images format"),
        ({"message": "x", "images": ["notes.txt"]}, "Invalid images format"),
        ({"message": "x", "mode": 1}, "Mode must be a string"),
        ({"message": "x", "profile": ["a"]}, "Profile must be a string"),
        ({"message": "x", "wait_for_response": "yes"}, "wait_for_response must be a boolean"),
        ({"message": "x", "wait_for_completion": 1}, "wait_for_completion must be a boolean"),
        ({"message": "x", "auto_approve": "true"}, "auto_approve must be a boolean"),
        ({"message": "x", "timeout": 0}, "timeout must be a positive number"),
        ({"message": "x", "timeout": "5"}, "timeout must be a positive number"),
        ({"message": "x", "timeout": True}, "timeout must be a positive number"),
    ],
)
def test_a_task_of_the_wrong_form_is_refused_in_the_known_words(call: Caller, body: dict[str, Any], words: str) -> None:
    answer = call.post("/api/tasks", body)
    assert (answer.status_code, answer.json) == (400, {"error": words})
    assert call.get("/api/tasks").json == []


def test_a_task_that_cannot_begin_leaves_nothing_behind(call: Caller, alice: Actor) -> None:
    first = begin(call, "[[say One]]", **WAIT)["id"]
    for wrong in ({"images": ["nowhere.png"]}, {"images": ["../outside.png"]}, {"profile": "gone"}):
        answer = call.post("/api/tasks", {"message": "x", "mode": "ask", **wrong, **WAIT})
        assert answer.status_code in (400, 403, 404), answer.text
    assert [one["id"] for one in call.get("/api/tasks").json] == [first]
    assert call.get("/api/tasks/status").json["id"] == first
    assert call.get("/api/modes/current").json["slug"] == "code"


def test_what_is_missing_is_told_in_the_known_words(call: Caller) -> None:
    for answer, words in (
        (call.post("/api/tasks", {"message": "x", "mode": "nonsense"}), "Mode not found"),
        (call.post("/api/messages", {"message": "x"}), "No active task found"),
        (call.post("/api/messages/ses_none", {"message": "x"}), "Task not found"),
        (call.post("/api/tasks/respond", {"response": "approve"}), "No active task found"),
        (call.post("/api/tasks/ses_none/respond", {"response": "approve"}), "Task not found"),
        (call.get("/api/tasks/ses_none/logs"), "Task not found"),
        (call.get("/api/nothing/here"), "Not found"),
    ):
        assert (answer.status_code, answer.json) == (404, {"error": words})
    odd = call.post("/api/tasks/respond", {"response": "maybe"})
    assert (odd.status_code, odd.json) == (400, {"error": "response must be either 'approve' or 'reject'"})
    broken = call("POST", "/api/tasks", data=b"{", headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json) == (400, {"error": "Invalid JSON body"})
    assert call("DELETE", "/api/tasks").status_code == 405


def test_of_twenty_answers_at_once_one_wins(app: Cabin, alice: Actor, call: Caller) -> None:
    task = begin(call, "[[write a.txt a]] [[say Done]]", **WAIT)["id"]
    callers = [Caller(app, alice) for _ in range(20)]
    answers: list[int] = []
    start = threading.Barrier(len(callers))

    def answer(one: Caller) -> None:
        start.wait()
        answers.append(one.post(f"/api/tasks/{task}/respond", {"response": "approve"}).status_code)

    threads = [threading.Thread(target=answer, args=(one,)) for one in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] + [400] * 19
    until(lambda: status_of(call, task) == "completed")


def test_approving_by_itself_stays_below_the_ceiling(app: Cabin, call: Caller) -> None:
    config.use(replace(config.current(), preset_ceiling="ask"))
    refused = call.post("/api/tasks", {"message": "x", "auto_approve": True})
    assert (refused.status_code, "'ask'" in refused.json["error"]) == (403, True)


def test_other_origins_are_turned_away_before_anything(call: Caller, stranger: Caller) -> None:
    for origin in ("https://evil.example", "http://localhost.evil.example", "http://a@localhost", "null"):
        refused = call.get("/api/tasks", headers={"Origin": origin})
        assert (refused.status_code, refused.json) == (403, {"error": "Origin not allowed"})
        assert "Access-Control-Allow-Origin" not in refused.headers
    for origin in ("http://localhost:5173", "https://127.0.0.1", "http://[::1]:3000"):
        let = call.get("/api/tasks", headers={"Origin": origin})
        assert (let.status_code, let.headers["Access-Control-Allow-Origin"]) == (200, origin)
        assert "Access-Control-Allow-Credentials" not in let.headers
    asked = {"Origin": "http://localhost:5173", "Access-Control-Request-Method": "POST"}
    preflight = stranger(
        "OPTIONS", "/api/tasks", headers={**asked, "Access-Control-Request-Headers": "content-type, authorization"}
    )
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert {one.strip().lower() for one in preflight.headers["Access-Control-Allow-Headers"].split(",")} >= {
        "content-type",
        "authorization",
    }
    assert stranger.get("/api/tasks").status_code == 401


def test_a_task_is_a_session_like_any_other(call: Caller, alice: Actor) -> None:
    task = begin(call, "[[write a.txt a]] [[say Done]]", **WAIT)["id"]
    [asked] = call.get("/opencode/permission").json
    assert asked["sessionID"] == task
    call.post(f"/opencode/permission/{asked['id']}/reply", {"reply": "once"})
    until(lambda: status_of(call, task) == "completed")
    place = projects.resolve(alice, None)
    assert (place.directory / "a.txt").read_text() == "a"
    other = sessions.create(alice, place, provider="openai", model="scripted")
    sessions.send(alice, other.id, [{"type": "text", "text": "[[say From elsewhere]]"}])
    until(lambda: status_of(call, other.id) == "completed")
    assert call.get(f"/api/tasks/{other.id}/status").json["lastMessage"] == "From elsewhere"


def test_an_agents_own_token_begins_no_task(call: Caller, alice: Actor) -> None:
    _token, secret = accounts.mint_token(alice, "helper", is_agent=True)
    for more in ({}, {"auto_approve": True}, WAIT):
        body = {"message": "[[say One]]", **more}
        refused = call.post("/api/tasks", body, headers={"Authorization": f"Bearer {secret}"})
        assert refused.status_code == 403
    assert call.get("/api/tasks").json == []


def test_auto_approve_is_for_who_may_approve(call: Caller, alice: Actor) -> None:
    reads = (f"{noun}:read" for noun in ("system", "events", "projects", "settings", "approvals"))
    scopes = (*reads, "sessions:*", "files:*", "tool:*")
    _token, secret = accounts.mint_token(alice, "runs", scopes)
    headers = {"Authorization": f"Bearer {secret}"}
    assert call.post("/api/tasks", {"message": "[[say One]]", "auto_approve": True}, headers=headers).status_code == 403
    assert call.get("/api/tasks").json == []
    assert call.post("/api/tasks", {"message": "[[say One]]"}, headers=headers).status_code == 200
