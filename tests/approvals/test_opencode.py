"""OpenCode's permissions and questions: both generations' answers, once each, and plain refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Caller
from tests.dialects.opencode_schemas import check, check_refusal
from tests.dialects.opencode_turns import begin, called, idle, said, send, tools, waiting
from tests.model_server import ModelServer

NONE = "0" * 26
QUESTION = {
    "header": "Colour", "question": "Which colour?",
    "options": [{"label": "Red", "description": "Warm"}, {"label": "Blue", "description": "Cool"}],
}  # fmt: skip
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/permission", None), ("GET", "/question", None),
    ("POST", f"/session/ses_{NONE}/permissions/per_{NONE}", {"response": "once"}),
    ("POST", f"/permission/per_{NONE}/reply", {"reply": "once"}),
    ("POST", f"/question/que_{NONE}/reply", {"answers": [["Red"]]}),
    ("POST", f"/question/que_{NONE}/reject", None),
]  # fmt: skip


@pytest.fixture
def session_id(call: Caller, scripted: ModelServer) -> str:
    return begin(call, title="Shop")


def asked_to_write(call: Caller, session_id: str, name: str = "new.txt") -> dict[str, Any]:
    """The permission of a session that wants to write a file."""
    send(call, session_id, said(called("write", {"filePath": name, "content": "Hello\n"})))
    return waiting(call, "permission")


def written(call: Caller, name: str = "new.txt") -> Path:
    return Path(call.get("/opencode/path").json["directory"]) / name


def test_a_stranger_is_turned_away(stranger: Caller) -> None:
    for method, path, body in ROUTES:
        answer = stranger(method, f"/opencode{path}", body)
        check_refusal(answer, 401, "UnauthorizedError")
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_nothing_waits_at_first(call: Caller) -> None:
    assert call.get("/opencode/permission").json == []
    assert call.get("/opencode/question").json == []


def test_a_permission_has_the_fields_of_both_generations(call: Caller, session_id: str) -> None:
    found = asked_to_write(call, session_id)
    check("Permission", found)
    assert (found["sessionID"], found["type"], found["permission"]) == (session_id, "write", "edit")
    assert found["tool"] == {"messageID": found["messageID"], "callID": found["callID"]}
    assert isinstance(found["patterns"], list)
    assert isinstance(found["always"], list)


@pytest.mark.parametrize("generation", ["older", "newer"])
@pytest.mark.parametrize(("reply", "state"), [("once", "completed"), ("always", "completed"), ("reject", "error")])
def test_an_answer_lets_the_turn_go_on(call: Caller, session_id: str, generation: str, reply: str, state: str) -> None:
    found = asked_to_write(call, session_id)
    assert not written(call).exists()
    if generation == "older":
        path, body = f"/session/{session_id}/permissions/{found['id']}", {"response": reply}
    else:
        path, body = f"/permission/{found['id']}/reply", {"reply": reply, "message": "As you like."}
    answer = call.post(f"/opencode{path}", body)
    assert (answer.status_code, answer.json) == (200, True)
    idle(call, session_id)
    assert tools(call, session_id) == [("write", state)]
    assert written(call).exists() is (state == "completed")
    assert call.get("/opencode/permission").json == []


def test_the_second_answer_is_a_conflict(call: Caller, session_id: str) -> None:
    found = asked_to_write(call, session_id)
    path = f"/opencode/permission/{found['id']}/reply"
    assert call.post(path, {"reply": "reject"}).json is True
    message = check_refusal(call.post(path, {"reply": "once"}), 409, "ConflictError")
    assert "before you" in message
    idle(call, session_id)
    assert not written(call).exists()


def test_only_its_own_session_answers_a_permission(call: Caller, session_id: str) -> None:
    found = asked_to_write(call, session_id)
    other = begin(call)
    answer = call.post(f"/opencode/session/{other}/permissions/{found['id']}", {"response": "once"})
    check_refusal(answer, 404, "NotFoundError")
    assert answer.json["_tag"] == "PermissionNotFoundError"
    assert len(call.get("/opencode/permission").json) == 1


def test_a_question_is_answered(call: Caller, session_id: str) -> None:
    send(call, session_id, said(called("question", {"questions": [QUESTION]})))
    found = waiting(call, "question")
    assert found["sessionID"] == session_id
    assert found["questions"][0]["question"] == "Which colour?"
    assert set(found["tool"]) == {"messageID", "callID"}
    path = f"/opencode/question/{found['id']}"
    check_refusal(call.post(f"{path}/reply", {"answers": []}), 400, "BadRequest")
    check_refusal(call.post(f"/opencode/permission/per_{NONE}/reply", {"reply": "once"}), 404, "NotFoundError")
    assert call.post(f"{path}/reply", {"answers": [["Blue"]]}).json is True
    check_refusal(call.post(f"{path}/reply", {"answers": [["Red"]]}), 409, "ConflictError")
    idle(call, session_id)
    assert tools(call, session_id) == [("question", "completed")]


def test_a_question_is_left_unanswered(call: Caller, session_id: str) -> None:
    send(call, session_id, said(called("question", {"questions": [QUESTION]})))
    found = waiting(call, "question")
    assert call.post(f"/opencode/question/{found['id']}/reject").json is True
    idle(call, session_id)
    assert call.get("/opencode/question").json == []


def test_what_is_not_there_is_told(call: Caller, session_id: str) -> None:
    for method, path, body in ROUTES[2:]:
        answer = call(method, f"/opencode{path}", body)
        check_refusal(answer, 404, "NotFoundError")
        asked = "per_" if "/permission" in path else "que_"
        assert answer.json["_tag"] == f"{'Permission' if asked == 'per_' else 'Question'}NotFoundError"
        assert answer.json["requestID"] == asked + NONE
        assert answer.json["message"] == answer.json["data"]["message"]


def test_an_id_of_another_kind_is_refused(call: Caller) -> None:
    for method, path, body in ROUTES[2:]:
        wrong = path.replace("per_", "que_") if "per_" in path else path.replace("que_", "per_")
        check_refusal(call(method, f"/opencode{wrong}", body), 400, "BadRequest")


def test_a_wrong_answer_is_refused(call: Caller, session_id: str) -> None:
    found = asked_to_write(call, session_id)
    older, newer = (
        f"/opencode/session/{session_id}/permissions/{found['id']}",
        f"/opencode/permission/{found['id']}/reply",
    )
    for word in ("", "maybe", None, 5, ["once"], True):
        check_refusal(call.post(older, {"response": word}), 400, "BadRequest")
        check_refusal(call.post(newer, {"reply": word}), 400, "BadRequest")
    for path in (older, newer):
        check_refusal(call.post(path), 400, "BadRequest")
        check_refusal(call.post(path, data=b"{", content_type="application/json"), 400, "BadRequest")
        check_refusal(call.post(path, data=b"reply=once", content_type="text/plain"), 415, "UnknownError")
        check_refusal(call(("GET"), path), 405, "UnknownError")
    check_refusal(call.post(newer, {"reply": "once", "message": 5}), 400, "BadRequest")
    assert len(call.get("/opencode/permission").json) == 1
    assert not written(call).exists()
