"""Over CodeBuddy's routes, whoever asks sees their own processes and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.actor import Actor
from app.dialects.mount import Cabin
from app.processes import live as lives
from tests.conftest import Caller

SELECTED: list[tuple[str, dict[str, Any]]] = [
    ("connect", {}),
    ("input/send", {"input": {"stdin": "x"}}),
    ("signal/send", {"signal": 9}),
    ("stdin/close", {}),
    ("update", {"pty": {"size": {"cols": 80, "rows": 24}}}),
]


@pytest.fixture
def begun(call: Caller) -> Iterator[dict[str, Any]]:
    """A process of Alice's, as its start told of it."""
    yield call.post("/api/v1/process/start", {"process": {"cmd": "cat"}, "tag": "mine"}).get_json()["data"]
    lives.stop()


def test_somebody_elses_process_is_as_unknown_as_one_that_never_was(
    app: Cabin, call: Caller, bob: Actor, begun: dict[str, Any]
) -> None:
    theirs = Caller(app, bob)
    assert theirs.get("/api/v1/process/list").get_json() == {"data": {"processes": []}}
    for path, body in SELECTED:
        for selector, never in (({"pid": begun["pid"]}, {"pid": 4_000_000}), ({"tag": "mine"}, {"tag": "none"})):
            found = theirs.post(f"/api/v1/process/{path}", {"process": selector, **body})
            unknown = theirs.post(f"/api/v1/process/{path}", {"process": never, **body})
            assert found.status_code == unknown.status_code == 404
            assert found.get_json()["error"]["code"] == unknown.get_json()["error"]["code"] == "PROCESS_NOT_FOUND"
            named, unnamed = str(*selector.values()), str(*never.values())
            assert (
                found.get_json()["error"]["message"].replace(named, unnamed) == unknown.get_json()["error"]["message"]
            )
    streamed = theirs("POST", f"/api/v1/process/input/stream?pid={begun['pid']}", data=b"x")
    assert streamed.status_code == 404
    assert [one["tag"] for one in call.get("/api/v1/process/list").get_json()["data"]["processes"]] == ["mine"]


def test_a_tag_may_be_anybodys(app: Cabin, call: Caller, bob: Actor, begun: dict[str, Any]) -> None:
    theirs = Caller(app, bob)
    other = theirs.post("/api/v1/process/start", {"process": {"cmd": "cat"}, "tag": "mine"}).get_json()["data"]
    assert other["pid"] != begun["pid"]
    assert theirs.post("/api/v1/process/signal/send", {"process": {"tag": "mine"}, "signal": 9}).status_code == 200
    assert (
        call.post("/api/v1/process/input/send", {"process": {"tag": "mine"}, "input": {"stdin": "x"}}).status_code
        == 200
    )
