"""OpenCode's streams: every frame of `/global/event` says in which directory it happened."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from app.events import service as events
from app.sessions import service as sessions
from tests.conftest import Caller
from tests.dialects.opencode_turns import begin, called, idle, said, send, waiting
from tests.model_server import ModelServer
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
