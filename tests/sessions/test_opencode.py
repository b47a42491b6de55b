"""OpenCode's session routes answer in its shapes and tell bad input plainly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app import ids
from app.actor import Actor
from app.body_limits import MESSAGE
from app.dialects.mount import Cabin
from tests.conftest import Caller
from tests.dialects.opencode_schemas import check, check_all, check_message, check_refusal
from tests.dialects.opencode_turns import ask, begin, called, idle, said, send, tools
from tests.model_server import ModelServer
from tests.visitor import data_of, frames, until

TEXT = {"type": "text", "text": "Hello"}
NONE = "ses_" + "0" * 26
ROUTES = [
    ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/children"), ("GET", "/todo"), ("POST", "/abort"),
    ("GET", "/message"), ("POST", "/message"), ("POST", "/summarize"), ("GET", "/message/msg_none"),
    ("POST", "/prompt_async"), ("POST", "/share"), ("DELETE", "/share"),
    ("POST", "/fork"), ("DELETE", "/message/msg_none"), ("DELETE", "/message/msg_none/part/prt_none"),
    ("PATCH", "/message/msg_none/part/prt_none"),
]  # fmt: skip
BODIES = {
    "/message": {"parts": [TEXT]}, "/prompt_async": {"parts": [TEXT]}, "": {"title": "New"},
    "/summarize": {"providerID": "openai", "modelID": "scripted"},
    "/message/msg_none/part/prt_none": TEXT,
}  # fmt: skip


@pytest.fixture
def session_id(call: Caller) -> str:
    return begin(call, title="Shop")


def address(session_id: str, rest: str) -> str:
    return f"/opencode/session/{session_id}{rest}"


def body_of(method: str, rest: str) -> Any:
    return None if method in ("GET", "DELETE") else BODIES.get(rest)


def test_a_stranger_is_turned_away(stranger: Caller) -> None:
    more = [("GET", "/session"), ("POST", "/session"), ("GET", "/session/status")]
    for method, path in [*more, *((method, f"/session/{NONE}{rest}") for method, rest in ROUTES)]:
        answer = stranger(method, f"/opencode{path}", {} if method == "POST" else None)
        check_refusal(answer, 401, "UnauthorizedError")
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("rest", ["/message", "/prompt_async"])
def test_a_prompt_for_another_agents_session_is_refused(call: Caller, session_id: str, rest: str) -> None:
    prompt = {"parts": [TEXT], "acpConnection": {"connection": {}, "sessionId": "acp-1"}}
    answer = call.post(address(session_id, rest), prompt)
    check_refusal(answer, 400, "BadRequest")
    assert "No ACP session" in answer.json["data"]["message"]
    assert call.get(address(session_id, "/message")).json == []


@pytest.mark.parametrize("connection", [{}, {"sessionId": ""}, {"sessionId": 5}, {"connection": 1, "sessionId": "a"}])
def test_a_connection_that_names_no_session_is_refused(call: Caller, session_id: str, connection: Any) -> None:
    answer = call.post(address(session_id, "/message"), {"parts": [TEXT], "acpConnection": connection})
    check_refusal(answer, 400, "BadRequest")
    assert "acpConnection" in answer.json["data"]["message"]


def test_a_prompt_for_another_agent_tells_nothing_of_an_unknown_session(call: Caller) -> None:
    prompt = {"parts": [TEXT], "acpConnection": {"connection": {}, "sessionId": "acp-1"}}
    assert call.post(address(NONE, "/message"), prompt).status_code == 404


def test_a_session_begins_with_a_title_or_without(call: Caller) -> None:
    named = call.post("/opencode/session", {"title": "Fix the cent"}).json
    check("Session", named)
    assert named["title"] == "Fix the cent"
    plain = call.post("/opencode/session").json
    check("Session", plain)
    assert plain["title"].startswith("New session - ")
    child = call.post("/opencode/session", {"parentID": plain["id"]}).json
    assert (child["parentID"], child["title"][:16]) == (plain["id"], "Child session - ")
    assert call.get(address(plain["id"], "/children")).json == [child]


def test_sessions_are_listed_newest_first(call: Caller) -> None:
    first, second = begin(call, title="One 100%"), begin(call, title="Two")
    found = call.get("/opencode/session").json
    check_all("Session", found)
    assert [one["id"] for one in found] == [second, first]
    assert [one["id"] for one in call.get("/opencode/session?search=0%25").json] == [first]
    assert [one["id"] for one in call.get("/opencode/session?limit=1").json] == [second]
    assert call.get(f"/opencode/session?start={ids.now() + 60_000}").json == []


def test_roots_leaves_children_out(call: Caller, session_id: str) -> None:
    begin(call, parentID=session_id)
    assert [one["id"] for one in call.get("/opencode/session?roots=true").json] == [session_id]
    assert len(call.get("/opencode/session?roots=false").json) == 2
    assert len(call.get("/opencode/session").json) == 2


def test_a_session_is_renamed_archived_and_deleted(call: Caller, session_id: str) -> None:
    there = address(session_id, "")
    assert call("PATCH", there, {"title": "Shop 2"}).json["title"] == "Shop 2"
    archived = call("PATCH", there, {"time": {"archived": 1_764_000_000_000}}).json
    assert archived["time"]["archived"] == 1_764_000_000_000
    check("Session", call.get(there).json)
    assert call("DELETE", there).json is True
    check_refusal(call.get(there), 404, "NotFoundError")


def test_a_prompt_is_answered_with_the_last_message(call: Caller, scripted: ModelServer, session_id: str) -> None:
    given = ids.ascending("msg")
    answer = ask(call, session_id, said("[[say Hello back.]]", messageID=given, agent="plan"))
    check_message(answer)
    check("AssistantMessage", answer["info"])
    assert [part["text"] for part in answer["parts"] if part["type"] == "text"] == ["Hello back."]
    assert (answer["info"]["parentID"], answer["info"]["mode"]) == (given, "plan")
    transcript = call.get(address(session_id, "/message")).json
    for message in transcript:
        check_message(message)
    assert [message["info"]["role"] for message in transcript] == ["user", "assistant"]
    assert transcript[0]["info"]["id"] == given
    assert call.get(address(session_id, f"/message/{given}")).json == transcript[0]
    newest = call.get(address(session_id, "/message?limit=1")).json
    assert newest == transcript[1:]


def test_todos_are_answered(call: Caller, scripted: ModelServer, session_id: str) -> None:
    todo = {"id": "1", "content": "Look", "status": "pending", "priority": "high"}
    ask(call, session_id, said(called("todowrite", {"todos": [todo]})))
    check_all("Todo", call.get(address(session_id, "/todo")).json)


def test_no_reply_stores_the_prompt_alone(call: Caller, session_id: str) -> None:
    answer = ask(call, session_id, {"parts": [TEXT], "noReply": True})
    check("UserMessage", answer["info"])
    check_all("Part", answer["parts"])
    assert len(call.get(address(session_id, "/message")).json) == 1


def test_pictures_files_and_agents_are_parts(call: Caller, session_id: str) -> None:
    parts = [
        TEXT, {"type": "file", "mime": "image/png", "filename": "a.png", "url": "data:image/png;base64,AAAA"},
        {"type": "agent", "name": "plan", "source": {"value": "@plan", "start": 0, "end": 5}},
    ]  # fmt: skip
    answer = ask(call, session_id, {"parts": parts, "noReply": True})
    check_message(answer)
    assert [part["type"] for part in answer["parts"]] == ["text", "file", "agent", "text"]
    assert answer["parts"][3]["synthetic"]
    assert "'plan'" in answer["parts"][3]["text"]


def test_an_attached_file_of_the_machine_is_not_read(
    call: Caller, scripted: ModelServer, session_id: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("topsecret-4711")
    link = {"type": "file", "mime": "text/plain", "url": f"file://{secret}", "filename": "secret.txt"}
    refused = call.post(address(session_id, "/message"), said("[[say Seen.]]", link))
    check_refusal(refused, 403, "ForbiddenError")
    assert "topsecret-4711" not in call.get(address(session_id, "/message")).text
    assert "topsecret-4711" not in str(scripted.requests)


def test_abort_stops_a_turn_and_says_whether_it_did(call: Caller, scripted: ModelServer, session_id: str) -> None:
    assert call.post(address(session_id, "/abort")).json is False
    send(call, session_id, said("[[words 400 50]]"))
    until(lambda: call.get("/opencode/session/status").json.get(session_id))
    assert call.post(address(session_id, "/abort")).json is True
    idle(call, session_id)
    last = call.get(address(session_id, "/message")).json[-1]["info"]
    assert last["role"] == "user" or last["error"]["name"] == "MessageAbortedError"


def test_a_busy_session_is_in_the_status(call: Caller, scripted: ModelServer, session_id: str) -> None:
    assert call.get("/opencode/session/status").json == {}
    send(call, session_id, said("[[words 400 50]]"))
    assert call.get("/opencode/session/status").json == {session_id: {"type": "busy"}}
    call.post(address(session_id, "/abort"))


def test_an_error_of_the_model_is_told_in_the_message(call: Caller, session_id: str) -> None:
    prompt = {"parts": [TEXT], "model": {"providerID": "nosuch", "modelID": "none"}}
    info = ask(call, session_id, prompt)["info"]
    assert info["error"]["name"]
    assert info["error"]["data"]["message"]


@pytest.mark.parametrize(("given", "status", "name"), [
    (NONE, 404, "NotFoundError"), ("msg_" + "0" * 26, 400, "BadRequest"), ("x", 400, "BadRequest"),
])  # fmt: skip
def test_an_id_that_is_none_is_told(call: Caller, given: str, status: int, name: str) -> None:
    for method, rest in ROUTES:
        check_refusal(call(method, address(given, rest), body_of(method, rest)), status, name)


def test_a_message_that_is_not_there_is_told(call: Caller, session_id: str) -> None:
    check_refusal(call.get(address(session_id, "/message/msg_none")), 404, "NotFoundError")
    check_refusal(call.get(address(session_id, "/message/prt_none")), 400, "BadRequest")


WRONG: list[Any] = [
    {}, {"parts": []}, {"parts": "x"}, {"parts": [{}]}, {"parts": [{"type": "socket"}]}, {"parts": [{"type": "text"}]},
    {"parts": [{"type": "text", "text": 5}]}, {"parts": [TEXT], "messageID": "x"}, {"parts": [TEXT], "model": "a/b"},
    {"parts": [TEXT], "model": {"providerID": "a"}}, {"parts": [TEXT], "tools": {"bash": "maybe"}},
    {"parts": [{**TEXT, "id": "x"}]}, {"parts": [TEXT], "noReply": "perhaps"}, {"parts": [TEXT], "agent": 5},
]  # fmt: skip


@pytest.mark.parametrize("rest", ["/message", "/prompt_async"])
def test_a_wrong_prompt_is_refused(call: Caller, session_id: str, rest: str) -> None:
    for body in WRONG:
        check_refusal(call.post(address(session_id, rest), body), 400, "BadRequest")
    assert call.get(address(session_id, "/message")).json == []


def test_an_empty_body_is_refused_with_the_field_that_lacks(call: Caller, session_id: str) -> None:
    answer = call.post(address(session_id, "/message"), content_type="application/json")
    check_refusal(answer, 400, "BadRequest")
    assert answer.json["errors"][0]["path"] == ["parts"]


def test_a_nul_is_shown_as_a_replacement_character(call: Caller) -> None:
    raw = rb'{"title": "a\u0000b \\u0000 \\\u0000"}'
    answer = call.post("/opencode/session", data=raw, content_type="application/json")
    assert answer.json["title"] == "a\ufffdb \\u0000 \\\ufffd"
    check_refusal(call.get("/opencode/session?search=a%00"), 400, "BadRequest")


def test_malformed_json_is_refused(call: Caller, session_id: str) -> None:
    answer = call.post(address(session_id, "/message"), data=b'{"parts": [', content_type="application/json")
    assert "JSON" in check_refusal(answer, 400, "BadRequest")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_of_another_type_is_refused(call: Caller, kind: str) -> None:
    check_refusal(call.post("/opencode/session", data=b'{"title":"x"}', content_type=kind), 415, "UnknownError")
    assert call.get("/opencode/session").json == []


def test_an_agent_that_is_none_is_refused_with_those_there_are(call: Caller, session_id: str) -> None:
    prompt = {"parts": [TEXT], "agent": "nosuch"}
    for answer in (
        call.post(address(session_id, "/message"), prompt), call.post(address(session_id, "/prompt_async"), prompt),
        call.post("/opencode/session", {"agent": "nosuch"}),
    ):  # fmt: skip
        message = check_refusal(answer, 400, "BadRequest")
        assert "build" in message
        assert "plan" in message
        assert answer.json["errors"][0]["path"] == ["agent"]
    assert call.get(address(session_id, "/message")).json == []


def test_the_same_ids_twice_are_a_conflict(call: Caller, session_id: str) -> None:
    prompt = {"parts": [TEXT], "messageID": "msg_" + "a" * 26, "noReply": True}
    ask(call, session_id, prompt)
    check_refusal(call.post(address(session_id, "/message"), prompt), 409, "ConflictError")
    twice = {**TEXT, "id": "prt_" + "a" * 26}
    answer = call.post(address(session_id, "/message"), {"parts": [twice, twice], "noReply": True})
    check_refusal(answer, 409, "ConflictError")
    assert len(call.get(address(session_id, "/message")).json) == 1


def test_a_directory_that_is_no_project_is_refused_with_what_to_do(call: Caller, tmp_path: Path) -> None:
    headers = {"x-opencode-directory": str(tmp_path)}
    for answer in (
        call.post("/opencode/session", {}, headers=headers), call.get("/opencode/session", headers=headers),
        call.post(f"/opencode/session?directory={tmp_path}", {}),
    ):  # fmt: skip
        message = check_refusal(answer, 403, "ForbiddenError")
        assert "Projects page" in message
        assert f"python -m app project add {tmp_path}" in message


def test_no_way_leads_out_of_a_project(call: Caller, alice: Actor, tmp_path: Path) -> None:
    root, outside = Path(call.get("/opencode/path").json["directory"]), tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("topsecret-4711")
    (root / "way").symlink_to(outside)
    (root / "leaf.txt").symlink_to(outside / "secret.txt")
    for path in ("way", "..", "/etc"):
        answer = call.get("/opencode/session", headers={"x-opencode-directory": str(root / path)})
        assert check_refusal(answer, 403, "ForbiddenError")
    for path in ("way/secret.txt", "leaf.txt", "../../outside/secret.txt", str(outside / "secret.txt")):
        answer = call.get(f"/opencode/file/content?path={path}")
        assert "topsecret-4711" not in answer.text
        assert answer.status_code in (400, 403)
    check_refusal(call.get("/opencode/file?path=way"), 403, "ForbiddenError")


def test_a_body_over_the_limit_is_refused(call: Caller, session_id: str) -> None:
    length = {"CONTENT_LENGTH": str(MESSAGE + 1)}
    answer = call.post(address(session_id, "/message"), environ_overrides=length, content_type="application/json")
    assert check_refusal(answer, 413, "TOO_LARGE")
    large = call.post("/opencode/session", {"title": "x" * (1 << 20)})
    assert check_refusal(large, 413, "TOO_LARGE")


@pytest.mark.parametrize("path", ["/opencode/nosuch", "/opencode/session/x/y/z", "/session/ses_x/nosuch"])
def test_an_unknown_route_is_told_in_json(call: Caller, path: str) -> None:
    check_refusal(call.get(path), 404, "NotFoundError")


def test_a_wrong_method_is_told_with_those_there_are(call: Caller, session_id: str) -> None:
    answer = call("PUT", address(session_id, ""), {})
    check_refusal(answer, 405, "UnknownError")
    assert {"GET", "PATCH", "DELETE"} <= set(answer.headers["Allow"].split(", "))


def test_a_tool_that_reads_outside_asks_first(call: Caller, scripted: ModelServer, session_id: str) -> None:
    send(call, session_id, said(called("read", {"filePath": "/etc/hostname"})))
    until(lambda: call.get("/opencode/permission").json or ("read", "error") in tools(call, session_id))
    assert ("read", "completed") not in tools(call, session_id)
    call.post(address(session_id, "/abort"))
    idle(call, session_id)


def test_a_session_is_shared_and_no_more(call: Caller, stranger: Caller, session_id: str) -> None:
    shared = call.post(address(session_id, "/share"))
    assert shared.status_code == 200
    check("Session", shared.json)
    url = shared.json["share"]["url"]
    assert call.post(address(session_id, "/share"), {}).json == shared.json
    assert call.get(address(session_id, "")).json == shared.json
    assert [one["share"] for one in call.get("/opencode/session").json] == [{"url": url}]
    path = "/s/" + url.rpartition("/s/")[2]
    assert stranger.get(path).status_code == 200
    ended = call("DELETE", address(session_id, "/share"))
    check("Session", ended.json)
    assert "share" not in ended.json
    assert call("DELETE", address(session_id, "/share")).json == ended.json
    assert ["share" in one for one in call.get("/opencode/session").json] == [False]
    assert stranger.get(path).status_code == 404
    assert call.post(address(session_id, "/share")).json["share"]["url"] != url


def test_whoever_listens_hears_of_sharing(call: Caller, session_id: str) -> None:
    told = call.get("/opencode/event", buffered=False)
    events = (json.loads(data_of(frame)) for frame in frames(told))
    assert next(events)["type"] == "server.connected"

    def hear(kind: str, *, shared: bool) -> list[Any]:
        """What comes up to the event of a kind about the session as it is shared by then."""
        heard = []
        for event in events:
            heard.append(event)
            if event["type"] == kind and ("share" in event["properties"]["info"]) is shared:
                return heard
        raise AssertionError(heard)

    # Each is heard before the next: a session that is deleted takes along what the log has not yet told of it.
    url = call.post(address(session_id, "/share")).json["share"]["url"]
    seen = hear("session.updated", shared=True)
    assert seen[-1]["properties"]["info"]["share"] == {"url": url}
    call("DELETE", address(session_id, "/share"))
    seen += hear("session.updated", shared=False)
    call("DELETE", address(session_id, ""))
    seen += hear("session.deleted", shared=False)
    told.close()
    assert "share_ended" not in str(seen)


def test_sharing_is_refused_in_the_dialects_own_words(app: Cabin, call: Caller, bob: Actor, session_id: str) -> None:
    his = Caller(app, bob)
    for method in ("POST", "DELETE"):
        check_refusal(call(method, address(NONE, "/share")), 404, "NotFoundError")
        check_refusal(call(method, address("msg_1", "/share")), 400, "BadRequest")
        assert his(method, address(session_id, "/share")).status_code == 403
    assert "share" not in call.get(address(session_id, "")).json
