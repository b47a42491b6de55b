"""OpenCode's routes that change a transcript or fork it, and the rules and states of sessions."""

from __future__ import annotations

from typing import Any

import pytest

from app import ids
from app.accounts import service as accounts
from app.actor import Actor
from tests.conftest import Caller
from tests.dialects.opencode_schemas import check, check_all, check_message, check_refusal
from tests.dialects.opencode_turns import ask, begin, called, idle, said, send, tools, waiting
from tests.model_server import Fail, Gate, ModelServer, Say
from tests.visitor import until

RULE = {"permission": "bash", "pattern": "rm *", "action": "deny"}
SPAN = {"start": 1, "end": 2}
STATE = {"status": "completed", "input": {}, "output": "", "title": "", "metadata": {}, "time": SPAN}


@pytest.fixture
def session_id(call: Caller, scripted: ModelServer) -> str:
    """A session with one turn: a prompt, and an answer with a call."""
    made = begin(call, title="Shop", permission=[{"permission": "*", "pattern": "*", "action": "allow"}])
    ask(call, made, said("[[bash echo hi]] [[say Done.]]"))
    return made


def address(session_id: str, *rest: str) -> str:
    return "/".join((f"/opencode/session/{session_id}", *rest))


def transcript(call: Caller, session_id: str) -> Any:
    return call.get(address(session_id, "message")).json


def part_at(part: dict[str, Any]) -> str:
    return address(part["sessionID"], "message", part["messageID"], "part", part["id"])


def limited(call: Caller, alice: Actor, *scopes: str) -> Caller:
    """A client with a token of alice's that may do no more than this."""
    theirs = Caller.__new__(Caller)
    theirs.client = call.client
    _token, secret = accounts.mint_token(alice, f"limited-{ids.random('n')}", scopes)
    theirs.headers = {**call.headers, "Authorization": f"Bearer {secret}"}
    return theirs


def test_a_fork_answers_the_new_session(call: Caller, session_id: str) -> None:
    fork = call.post(address(session_id, "fork")).json
    check("Session", fork)
    assert (fork["title"], "parentID" in fork) == ("Shop (fork #1)", False)
    copies, source = transcript(call, fork["id"]), transcript(call, session_id)
    for message in copies:
        check_message(message)
    told = [[part["type"] for part in message["parts"]] for message in source]
    assert [[part["type"] for part in message["parts"]] for message in copies] == told
    prompt = source[0]["info"]["id"]
    assert transcript(call, call.post(address(session_id, "fork"), {"messageID": prompt}).json["id"]) == []
    ask(call, fork["id"], said("[[say Here too.]]"))


def test_a_message_and_a_part_go(call: Caller, session_id: str) -> None:
    prompt, *_, last = transcript(call, session_id)
    text = next(part for part in last["parts"] if part["type"] == "text")
    assert call("DELETE", part_at(text)).json is True
    assert text not in transcript(call, session_id)[-1]["parts"]
    check_refusal(call("DELETE", part_at(text)), 404, "NotFoundError")
    there = address(session_id, "message", last["info"]["id"])
    assert call("DELETE", there).json is True
    assert [message["info"]["id"] for message in transcript(call, session_id)][-1] != last["info"]["id"]
    check_refusal(call("DELETE", there), 404, "NotFoundError")
    check_refusal(call("DELETE", address(session_id, "message", "bad")), 400, "BadRequest")
    check_refusal(call("DELETE", address(session_id, "message", prompt["info"]["id"], "part", "x")), 400, "BadRequest")


def test_parts_of_every_kind_that_people_write_can_be_set_right(call: Caller, scripted: ModelServer) -> None:
    made = begin(call)
    file = {"type": "file", "mime": "image/png", "url": "data:image/png;base64,AA==", "filename": "a.png"}
    ask(call, made, said("[[think Hm.]]", {"type": "agent", "name": "plan"}, file))
    changes = {
        "text": {"text": "Better."},
        "reasoning": {"text": "Hmm."},
        "file": {"filename": "b.png"},
        "agent": {"name": "build"},
    }
    parts = {part["type"]: part for message in transcript(call, made) for part in message["parts"]}
    for kind, change in changes.items():
        changed = call("PATCH", part_at(parts[kind]), {**parts[kind], **change})
        assert changed.status_code == 200, changed.text
        assert changed.json == {**parts[kind], **change}
        check("Part", changed.json)
    assert {part["type"]: part for message in transcript(call, made) for part in message["parts"]}["text"]["text"]


def test_a_calls_output_can_be_set_right(call: Caller, session_id: str) -> None:
    part = next(part for message in transcript(call, session_id) for part in message["parts"] if part["type"] == "tool")
    state = {**part["state"], "output": "[left out]"}
    assert call("PATCH", part_at(part), {**part, "state": state}).json["state"]["output"] == "[left out]"
    failed = {"status": "error", "input": {}, "error": "no", "time": SPAN}
    assert call("PATCH", part_at(part), {**part, "state": failed}).json["state"]["status"] == "error"
    assert tools(call, session_id) == [("bash", "error")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "tool", "callID": "c", "tool": "bash", "state": STATE},
        {"type": "nope"},
        {"type": "step-finish", "reason": "stop", "cost": 0, "tokens": {}},
        {"type": "text"},
        {"type": "text", "text": 5},
        {"type": "text", "text": "x", "time": {"start": -1}},
        {"type": "text", "text": "x", "time": {"start": 1}},
        {"type": "text", "text": "x", "metadata": []},
        {"type": "text", "text": "x", "id": "prt_other"},
        {"type": "text", "text": "x", "messageID": "msg_other"},
        {"type": "text", "text": "x", "sessionID": "ses_other"},
        {"text": "x"},
        [],
    ],
    ids=str,
)
def test_a_part_that_is_none_is_refused(call: Caller, session_id: str, wrong: Any) -> None:
    part = transcript(call, session_id)[0]["parts"][0]
    check_refusal(call("PATCH", part_at(part), wrong), 400, "BadRequest")
    assert transcript(call, session_id)[0]["parts"][0] == part


def test_nothing_changes_while_a_turn_runs(call: Caller, session_id: str, scripted: ModelServer) -> None:
    gate = Gate()
    scripted.script.append([gate, Say("Done.")])
    part = transcript(call, session_id)[0]["parts"][0]
    send(call, session_id, said("wait"))
    assert gate.reached.wait(10)
    there = address(session_id, "message", part["messageID"])
    for method, path, body in (
        ("DELETE", there, None),
        ("DELETE", part_at(part), None),
        ("PATCH", part_at(part), part),
    ):
        check_refusal(call(method, path, body), 409, "ConflictError")
    gate.opened.set()
    idle(call, session_id)
    assert call("DELETE", there).json is True


def test_a_session_begins_with_a_model_and_rules(call: Caller) -> None:
    made = call.post("/opencode/session", {"model": {"providerID": "p", "id": "m"}, "permission": [RULE]}).json
    check("Session", made)
    assert (made["model"]["providerID"], made["model"]["id"], made["permission"]) == ("p", "m", [RULE])
    more = {"permission": "edit", "pattern": "src/*", "action": "allow"}
    assert call("PATCH", address(made["id"]), {"permission": [more]}).json["permission"] == [RULE, more]
    assert call.get(address(made["id"])).json["permission"] == [RULE, more]
    assert "permission" not in call.get("/opencode/session").json[0]


def test_its_rules_hold(call: Caller, scripted: ModelServer) -> None:
    allowed = {"permission": "bash", "pattern": "*", "action": "allow"}
    made = begin(call, permission=[allowed, {"permission": "question", "pattern": "*", "action": "deny"}])
    question = {"question": "Which?", "header": "Pick", "options": [{"label": "A", "description": "a"}]}
    ask(call, made, said(called("bash", {"command": "echo hi", "description": "Says hi"})))
    ask(call, made, said(called("question", {"questions": [question]})))
    assert tools(call, made) == [("bash", "completed"), ("question", "error")]


def test_a_child_has_its_parents_rules(call: Caller, scripted: ModelServer) -> None:
    parent = begin(call, permission=[{"permission": "bash", "pattern": "*", "action": "deny"}])
    child = begin(call, parentID=parent)
    ask(call, child, said("[[bash echo hi]]"))
    assert tools(call, child) == [("bash", "error")]


def test_who_may_not_answer_may_forbid_but_not_allow(call: Caller, alice: Actor) -> None:
    theirs = limited(call, alice, "sessions:*", "projects:read", "settings:read")
    made = theirs.post("/opencode/session", {"permission": [RULE]})
    assert made.json["permission"] == [RULE]
    for action in ("allow", "ask"):
        given = {"permission": [{**RULE, "action": action}]}
        check_refusal(theirs.post("/opencode/session", given), 403, "ForbiddenError")
        check_refusal(theirs("PATCH", address(made.json["id"]), given), 403, "ForbiddenError")
    assert len(call.get("/opencode/session").json) == 1
    assert call.get(address(made.json["id"])).json["permission"] == [RULE]


@pytest.mark.parametrize(
    "rules",
    [5, [5], [{}], [{**RULE, "action": "maybe"}], [{**RULE, "pattern": ""}], [{**RULE, "permission": ""}],
     [{**RULE, "pattern": "x" * 1001}], [RULE] * 201],
    ids=lambda rules: str(rules)[:30],
)  # fmt: skip
def test_rules_that_are_none_are_refused(call: Caller, rules: Any) -> None:
    check_refusal(call.post("/opencode/session", {"permission": rules}), 400, "BadRequest")
    assert call.get("/opencode/session").json == []


def test_a_session_that_asks_its_model_again_says_so(call: Caller, scripted: ModelServer) -> None:
    made = begin(call)
    scripted.script += [[Fail(429, headers=(("Retry-After", "2"),))], [Say("Here.")]]
    send(call, made, said("hello"))
    state = until(
        lambda: next((one for one in call.get("/opencode/session/status").json.values() if "next" in one), None)
    )
    assert (state["type"], state["attempt"]) == ("retry", 1)
    assert state["message"]
    assert 0 < state["next"] - ids.now() <= 2_000
    idle(call, made)
    assert call.get("/opencode/session/status").json == {}


def test_a_session_that_waits_for_a_person_is_busy(call: Caller, scripted: ModelServer) -> None:
    made = begin(call)
    send(call, made, said(called("write", {"filePath": "a.txt", "content": "x"})))
    waiting(call, "permission")
    assert call.get("/opencode/session/status").json == {made: {"type": "busy"}}


def test_children_of_nobody_are_not_found(call: Caller, session_id: str) -> None:
    check_refusal(call.get(address("ses_none", "children")), 404, "NotFoundError")
    assert call.get(address(session_id, "children")).json == []
    begin(call, parentID=session_id)
    check_all("Session", call.get(address(session_id, "children")).json)
