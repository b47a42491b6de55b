"""OpenCode's streams: every frame of `/global/event` says in which directory it happened."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.actor import Actor
from app.events import service as events
from app.projects import service as projects
from app.sessions import service as sessions
from tests.conftest import Caller
from tests.dialects.opencode_turns import begin, called, idle, said, send, waiting
from tests.model_server import Fail, ModelServer, Say
from tests.visitor import data_of, frames


@pytest.fixture
def everywhere(call: Caller, scripted: ModelServer) -> Iterator[Iterator[dict[str, Any]]]:
    """The frames of `/global/event` from now on."""
    coming = frames(call.get("/opencode/global/event", buffered=False))
    assert json.loads(data_of(next(coming)))["payload"]["type"] == "server.connected"
    yield (json.loads(data_of(frame)) for frame in coming)
    coming.close()  # type: ignore[attr-defined]


def until_idle(coming: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    seen = []
    for frame in coming:
        seen.append(frame)
        if frame["payload"]["type"] == "session.idle":
            return seen
    raise AssertionError


def test_every_fact_of_a_session_names_its_directory(call: Caller, everywhere: Iterator[dict[str, Any]]) -> None:
    here = call.get("/opencode/path").json["directory"]
    session_id = begin(call)
    send(call, session_id, said(called("write", {"filePath": "new.txt", "content": "one\n"})))
    call.post(f"/opencode/permission/{waiting(call, 'permission')['id']}/reply", {"reply": "once"})
    idle(call, session_id)
    seen = until_idle(everywhere)
    kinds = {frame["payload"]["type"] for frame in seen}
    assert {"permission.asked", "permission.replied", "message.part.updated", "session.status"} <= kinds
    assert {(frame["payload"]["type"], frame["directory"]) for frame in seen} == {(kind, here) for kind in kinds}
    assert {frame["project"] for frame in seen} == {call.get(f"/opencode/session/{session_id}").json["projectID"]}


def test_a_deleted_sessions_last_fact_names_its_directory(call: Caller, everywhere: Iterator[dict[str, Any]]) -> None:
    here = call.get("/opencode/path").json["directory"]
    call("DELETE", f"/opencode/session/{begin(call)}")
    last = next(frame for frame in everywhere if frame["payload"]["type"] == "session.deleted")
    assert last["directory"] == here


def test_the_directory_of_a_session_is_read_once(
    call: Caller, everywhere: Iterator[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: Counter[str] = Counter()

    def counted(connection: sa.Connection, session_id: str) -> str | None:
        reads[session_id] += 1
        return sessions.directory_of(connection, session_id)

    events.register_directory(counted)
    session_id = begin(call)
    send(call, session_id, said("[[say Hello.]]"))
    idle(call, session_id)
    until_idle(everywhere)
    events.register_directory(sessions.directory_of)
    assert reads == {session_id: 1}


def grown(seen: list[dict[str, Any]]) -> dict[str, str]:
    """What the pieces of each part make up."""
    texts: dict[str, str] = {}
    for payload in seen:
        if payload["type"] == "message.part.delta":
            part_id = payload["properties"]["partID"]
            texts[part_id] = texts.get(part_id, "") + payload["properties"]["delta"]
    return texts


def ended(seen: list[dict[str, Any]]) -> dict[str, str]:
    """The whole texts at their ends."""
    parts = [one["properties"]["part"] for one in seen if one["type"] == "message.part.updated"]
    return {part["id"]: part["text"] for part in parts if "end" in part.get("time", {})}


def test_the_newer_stream_tells_pieces_and_then_the_whole(call: Caller, everywhere: Iterator[dict[str, Any]]) -> None:
    send(call, begin(call), said("[[words 30 5]]"))
    seen = [frame["payload"] for frame in until_idle(everywhere)]
    deltas = [one["properties"] for one in seen if one["type"] == "message.part.delta"]
    assert len(deltas) > 1
    assert {tuple(sorted(delta)) for delta in deltas} == {("delta", "field", "messageID", "partID", "sessionID")}
    assert {delta["field"] for delta in deltas} == {"text"}
    assert {part: text.rstrip() for part, text in grown(seen).items()} == ended(seen)
    assert not any("delta" in one["properties"] for one in seen if one["type"] == "message.part.updated")
    assert all(one["properties"]["time"] for one in seen if one["type"] == "message.part.updated")
    assert all(one["properties"]["sessionID"] for one in seen)
    assert len({one["id"] for one in seen}) == len(seen)


def test_the_older_stream_tells_the_whole_with_the_piece(call: Caller, scripted: ModelServer) -> None:
    coming = frames(call.get("/opencode/event", buffered=False))
    send(call, begin(call), said("[[words 30 5]]"))
    texts: dict[str, str] = {}
    for frame in coming:
        payload = json.loads(data_of(frame))
        assert payload["type"] != "message.part.delta"
        if delta := payload["properties"].get("delta"):
            part = payload["properties"]["part"]
            texts[part["id"]] = texts.get(part["id"], "") + delta
            assert part["text"] == texts[part["id"]]
        if payload["type"] == "session.idle":
            break
    coming.close()  # type: ignore[attr-defined]
    assert len(texts) == 1


def test_the_newer_stream_goes_on_where_it_broke_off(call: Caller, everywhere: Iterator[dict[str, Any]]) -> None:
    send(call, begin(call), said("[[words 30 5]]"))
    whole = [frame["payload"] for frame in until_idle(everywhere)]
    middle = [place for place, one in enumerate(whole) if one["type"] == "message.part.delta"][1]
    last_id = whole[middle]["id"].removeprefix("evt_")
    again = frames(call.get("/opencode/global/event", buffered=False, headers={"Last-Event-ID": last_id}))
    next(again)
    rest = []
    for frame in again:
        rest.append(json.loads(data_of(frame))["payload"])
        if rest[-1]["type"] == "session.idle":
            break
    again.close()  # type: ignore[attr-defined]
    assert rest == whole[middle + 1 :]


def test_a_failing_model_is_told_as_a_state(
    call: Caller, everywhere: Iterator[dict[str, Any]], scripted: ModelServer
) -> None:
    scripted.script += [[Fail(503)], [Say("Here.")]]
    send(call, begin(call), said("hello"))
    seen = [frame["payload"] for frame in until_idle(everywhere)]
    states = [one["properties"]["status"] for one in seen if one["type"] == "session.status"]
    assert [state["type"] for state in states] == ["busy", "retry", "busy", "idle"]
    retry = states[1]
    assert (sorted(retry), retry["attempt"]) == (["attempt", "message", "next", "type"], 1)


def test_a_written_file_is_told_as_edited_and_as_seen(call: Caller, everywhere: Iterator[dict[str, Any]]) -> None:
    made = begin(call, permission=[{"permission": "edit", "pattern": "*", "action": "allow"}])
    new = {"filePath": "new.txt", "content": "one\n"}
    prompt = f"[[call write {json.dumps(new)}]] [[edit new.txt|one|two]]"
    send(call, made, said(prompt))
    seen = [frame["payload"] for frame in until_idle(everywhere)]
    file = call.get("/opencode/path").json["directory"] + "/new.txt"
    told = [one["properties"] for one in seen if one["type"] == "file.watcher.updated"]
    assert told == [{"file": file, "event": "add"}, {"file": file, "event": "change"}]
    assert [one["properties"] for one in seen if one["type"] == "file.edited"] == [{"file": file}] * 2
    diffs = [one["properties"]["diff"] for one in seen if one["type"] == "session.diff"]
    assert diffs[-1] == [{"file": "new.txt", "additions": 1, "deletions": 0, "status": "added"}]


def test_a_stream_of_a_directory_tells_of_it_alone(
    call: Caller, scripted: ModelServer, alice: Actor, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    projects.add(alice, str(other))
    coming = frames(call.get(f"/opencode/event?directory={other}", buffered=False))
    here = begin(call)
    there = call.post("/opencode/session", headers={"x-opencode-directory": str(other)}).json["id"]
    for session_id in (here, there):
        call("DELETE", f"/opencode/session/{session_id}")
    told = []
    for frame in coming:
        payload = json.loads(data_of(frame))
        told.append((payload["type"], payload["properties"].get("info", {}).get("id")))
        if told[-1] == ("session.deleted", there):
            break
    coming.close()  # type: ignore[attr-defined]
    assert {session_id for _, session_id in told} == {None, there}


def test_a_stream_of_a_directory_that_is_no_project_is_denied(call: Caller, tmp_path: Path) -> None:
    assert call.get(f"/opencode/event?directory={tmp_path}").status_code == 403


def test_only_so_many_directories_are_remembered(app: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.events import directories

    monkeypatch.setattr(directories, "KEPT", 2)
    read: list[str] = []

    def find(_connection: sa.Connection, session_id: str) -> str:
        read.append(session_id)
        return f"/{session_id}"

    known = directories.Directories(find)
    assert [known.of(one) for one in ("a", "b", "a", "c", "a", "b")] == ["/a", "/b", "/a", "/c", "/a", "/b"]
    assert read == ["a", "b", "c", "b"]
