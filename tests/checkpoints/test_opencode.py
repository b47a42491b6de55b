"""OpenCode's diff, revert and unrevert answer in its shapes and tell bad input plainly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Caller
from tests.dialects.opencode_schemas import check, check_all, check_refusal
from tests.dialects.opencode_turns import begin, called, idle, said, send, waiting
from tests.model_server import ModelServer
from tests.visitor import data_of, frames, until

NONE = "ses_" + "0" * 26
MESSAGE = "msg_" + "0" * 26
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/diff", None), ("POST", "/revert", {"messageID": MESSAGE}), ("POST", "/unrevert", None),
]  # fmt: skip


@pytest.fixture
def session_id(call: Caller, scripted: ModelServer) -> str:
    return begin(call, title="Shop")


@pytest.fixture
def wrote(call: Caller, session_id: str) -> Path:
    """The file that the session has written."""
    send(call, session_id, said(called("write", {"filePath": "new.txt", "content": "one\ntwo\n"})))
    found = waiting(call, "permission")
    call.post(f"/opencode/permission/{found['id']}/reply", {"reply": "once"})
    idle(call, session_id)
    return Path(call.get("/opencode/path").json["directory"]) / "new.txt"


def address(session_id: str, rest: str) -> str:
    return f"/opencode/session/{session_id}{rest}"


def prompt_of(call: Caller, session_id: str) -> str:
    """The id of the first prompt."""
    found: str = call.get(address(session_id, "/message")).json[0]["info"]["id"]
    return found


def test_a_stranger_is_turned_away(stranger: Caller) -> None:
    for method, rest, body in ROUTES:
        answer = stranger(method, address(NONE, rest), body)
        check_refusal(answer, 401, "UnauthorizedError")
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_an_idle_session_changed_nothing(call: Caller, session_id: str) -> None:
    assert call.get(address(session_id, "/diff")).json == []
    check("Session", call.post(address(session_id, "/unrevert")).json)


def test_the_diff_tells_what_the_session_changed(call: Caller, session_id: str, wrote: Path) -> None:
    found = call.get(address(session_id, "/diff")).json
    check_all("FileDiff", found)
    (change,) = found
    assert (change["file"], change["before"], change["after"]) == ("new.txt", "", "one\ntwo\n")
    assert (change["additions"], change["deletions"], change["status"]) == (2, 0, "added")
    assert "+two" in change["patch"]
    turn = call.get(address(session_id, f"/diff?messageID={prompt_of(call, session_id)}")).json
    assert turn == found
    assert call.get(address(session_id, f"/diff?messageID={MESSAGE}")).json == []


def test_a_revert_takes_the_file_away_and_unrevert_brings_it_back(call: Caller, session_id: str, wrote: Path) -> None:
    prompt = prompt_of(call, session_id)
    reverted = call.post(address(session_id, "/revert"), {"messageID": prompt}).json
    check("Session", reverted)
    assert reverted["revert"]["messageID"] == prompt
    assert not wrote.exists()
    assert len(call.get(address(session_id, "/message")).json) == 3
    back = call.post(address(session_id, "/unrevert")).json
    check("Session", back)
    assert "revert" not in back
    assert wrote.read_text() == "one\ntwo\n"


def test_an_unknown_message_changes_nothing(call: Caller, session_id: str, wrote: Path) -> None:
    answer = call.post(address(session_id, "/revert"), {"messageID": MESSAGE})
    check("Session", answer.json)
    assert "revert" not in answer.json
    assert wrote.exists()


def test_a_busy_session_is_not_reverted(call: Caller, session_id: str, wrote: Path) -> None:
    prompt = prompt_of(call, session_id)
    send(call, session_id, said("[[words 400 50]]"))
    until(lambda: session_id in call.get("/opencode/session/status").json)
    for rest, body in (("/revert", {"messageID": prompt}), ("/unrevert", None)):
        assert "busy" in check_refusal(call.post(address(session_id, rest), body), 409, "ConflictError")
    assert wrote.exists()
    call.post(address(session_id, "/abort"))
    idle(call, session_id)


@pytest.mark.parametrize(
    ("given", "status", "name"), [(NONE, 404, "NotFoundError"), ("msg_x", 400, "BadRequest"), ("x", 400, "BadRequest")]
)
def test_an_id_that_is_none_is_told(call: Caller, given: str, status: int, name: str) -> None:
    for method, rest, body in ROUTES:
        check_refusal(call(method, address(given, rest), body), status, name)


def test_wrong_bodies_are_refused(call: Caller, session_id: str) -> None:
    there = address(session_id, "/revert")
    wrong: list[Any] = [{}, [], "x", {"messageID": None}, {"messageID": 5}, {"messageID": "x"}, {"messageID": "ses_x"}]
    for body in [*wrong, {"messageID": MESSAGE, "partID": "x"}, {"messageID": MESSAGE, "partID": 5}]:
        check_refusal(call.post(there, body), 400, "BadRequest")
    check_refusal(call.post(there), 400, "BadRequest")
    check_refusal(call.post(there, data=b"{", content_type="application/json"), 400, "BadRequest")
    check_refusal(call.post(there, data=b"{}", content_type="text/plain"), 415, "UnknownError")
    check_refusal(call.get(there), 405, "UnknownError")
    check_refusal(call.get(address(session_id, "/diff?messageID=x")), 400, "BadRequest")


def test_parts_that_a_revert_took_are_told_as_removed(call: Caller, session_id: str, wrote: Path) -> None:
    parts = call.get(address(session_id, "/message")).json[1]["parts"]
    message_id, tool = parts[0]["messageID"], next(part for part in parts if part["type"] == "tool")
    call.post(address(session_id, "/revert"), {"messageID": message_id, "partID": tool["id"]})
    coming = frames(call.get("/opencode/event", buffered=False))
    assert "server.connected" in next(coming)
    send(call, session_id, said("[[say Fine.]]"))
    told = []
    while not told or told[-1]["type"] != "session.idle":
        told.append(json.loads(data_of(next(coming))))
    coming.close()  # type: ignore[attr-defined]
    removed = [one["properties"] for one in told if one["type"] == "message.part.removed"]
    gone = [part["id"] for part in parts if part["id"] >= tool["id"]]
    assert removed == [{"sessionID": session_id, "messageID": message_id, "partID": part_id} for part_id in gone]
    assert not {part["id"] for part in call.get(address(session_id, f"/message/{message_id}")).json["parts"]} & {*gone}
    later = [one["properties"]["messageID"] for one in told if one["type"] == "message.removed"]
    assert message_id not in later
