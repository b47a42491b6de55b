"""No operation of any dialect breaks on hostile input: it is refused in the dialect's own envelope."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

import pytest

from app import rooms
from app.actor import Actor
from app.dialects import door
from app.dialects.door import Operation
from app.projects import service as projects
from app.sessions import service as sessions
from tests.conftest import Caller

for _room, _doors in rooms.ROOMS.items():
    for _name in _doors:
        importlib.import_module(f"app.{_room}.{_name}")

# It takes no input and waits, by its nature, until something is to be shown.
WAITS = ("GET", "/tui/control/next")
OPERATIONS = sorted(
    (one for one in door.operations if (one.method, one.path) != WAITS),
    key=lambda one: (one.dialect, one.path, one.method),
)
HUGE = 10**30
JSON = "application/json"
DEEP = 5_000
TEXT = {"type": "text", "text": "x"}
BODIES: dict[str, tuple[bytes, str]] = {
    "null": (b"null", JSON),
    "a list": (b"[]", JSON),
    "a string": (b'"x"', JSON),
    "a number": (b"1e999", JSON),
    "no JSON": (b"{", JSON),
    "not UTF-8": (b'{"title": "\xff\xfe"}', JSON),
    "deep lists": (b"[" * DEEP + b"]" * DEEP, JSON),
    "deep objects": (b'{"parts":' * DEEP + b"1" + b"}" * DEEP, JSON),
    "deep in a field": (b'{"title": ' + b"[" * 90 + b"]" * 90 + b"}", JSON),
    "a NUL": (b'{"title": "a\\u0000b", "text": "a\\u0000b", "message": "\\u0000"}', JSON),
    "lone surrogates": (b'{"title": "\\ud800", "text": "\\udfff", "parts": "\\ud83d"}', JSON),
    "twice the same key": (b'{"title": "a", "title": 5}', JSON),
    "a form": (b"title=x&response=once", "application/x-www-form-urlencoded"),
    "plain text": (b'{"title": "x"}', "text/plain"),
    "no type": (b'{"title": "x"}', ""),
    "a false multipart": (b"--x\r\nnonsense", "multipart/form-data"),
    "an odd charset": (b'{"title": "x"}', "application/json; charset=utf-7"),
}
FIELDS = (
    "title",
    "time",
    "parts",
    "messageID",
    "partID",
    "agent",
    "model",
    "system",
    "tools",
    "noReply",
    "response",
    "reply",
    "message",
    "answers",
    "parentID",
    "service",
    "level",
    "extra",
    "permission",
    "type",
    "text",
    "state",
)
WRONG: list[Any] = [
    None,
    True,
    -1,
    HUGE,
    -HUGE,
    1.5,
    "",
    "x" * 70_000,
    "a\0b",
    [],
    [[]],
    {},
    {"type": "text"},
    [None],
    [HUGE],
    {"archived": HUGE},
    {"archived": -HUGE},
    [[HUGE]],
]
QUERIES = [
    "limit=0",
    f"limit={HUGE}",
    "limit=-1",
    "limit=%00",
    "limit=1e3",
    f"start={HUGE}",
    f"start=-{HUGE}",
    "start=x",
    "roots=maybe",
    "search=%00",
    "search=%25%5C_",
    "before=%00",
    "path=%00",
    "path=" + "a/" * 3000,
    "pattern=%00",
    "pattern=(((",
    "query=%00",
    "query=%FF",
    "messageID=x",
    "messageID=msg%00",
    "directory=%00",
    "directory=..",
    "directory=/",
    "directory=%2Fetc%2F..%2F%ED%A0%80",
    "lastEventId=x",
    f"lastEventId={HUGE}",
    "lastEventId=%00",
]


def is_refusal(answer: Any) -> bool:
    """Whether it is told in OpenCode's envelope."""
    return isinstance(answer, dict) and bool(answer["name"]) and bool(answer["data"]["message"])


def envelope(dialect: str) -> Callable[[Any], bool]:
    return is_refusal if dialect == "opencode" else lambda answer: isinstance(answer, dict)


@pytest.fixture
def session_id(alice: Actor) -> str:
    """A session of alice's that is there."""
    return sessions.create(alice, projects.resolve(alice, None), title="Shop").id


def addresses(operation: Operation, session_id: str) -> list[str]:
    """The operation's address with an id that is there, and with those that are none."""
    place = f"/{operation.dialect}{operation.path}"
    if "<" not in place:
        return [place]
    there = re.sub(r"<(?:\w+:)?(\w+)>", lambda name: session_id if name[1] == "session_id" else "msg_none", place)
    wrong = ["sample", "ses_" + "0" * 26, "..", "%F0%9F%8E%AD", "x" * 3000, "ses%ED%A0%80"]
    return [there, *(re.sub(r"<[^>]*>", one, place) for one in wrong)]


def check(operation: Operation, answer: Any, given: str) -> None:
    """It did not break, and a refusal says why."""
    if answer.status_code < 400:
        return
    told = f"{operation.method} {operation.path} with {given}: {answer.status_code} {answer.get_data()[:300]!r}"
    assert answer.status_code < 500, told
    assert answer.mimetype == JSON, told
    assert envelope(operation.dialect)(answer.json), told


def name_of(operation: Operation) -> str:
    return f"{operation.dialect} {operation.method} {operation.path}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_no_body_breaks_it(call: Caller, operation: Operation, session_id: str) -> None:
    there, *wrong = addresses(operation, session_id)
    for name, (body, kind) in BODIES.items():
        with call(operation.method, there, data=body, content_type=kind or None) as answer:
            check(operation, answer, name)
    for path in wrong:
        with call(operation.method, path, data=b"{}", content_type=JSON) as answer:
            check(operation, answer, path)


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.body], ids=name_of)
def test_no_wrong_field_breaks_it(call: Caller, operation: Operation, session_id: str) -> None:
    there = addresses(operation, session_id)[0]
    assert operation.body is not None
    own = set(operation.body.model_fields)
    for field in sorted(own | set(FIELDS[:2])):
        for value in WRONG:
            given = {"parts": "none", field: value} if "parts" in own else {field: value}
            with call(operation.method, there, given) as answer:
                check(operation, answer, f"{field} = {str(value)[:60]!r}")


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.method == "GET"], ids=name_of)
def test_no_query_breaks_it(call: Caller, operation: Operation, session_id: str) -> None:
    there = addresses(operation, session_id)[0]
    for query in QUERIES:
        with call.get(f"{there}?{query}") as answer:
            check(operation, answer, query)


PARTS: dict[str, dict[str, Any]] = {
    "text": {"text": "x", "synthetic": True, "ignored": True, "time": {"start": 1, "end": 2}, "metadata": {}},
    "reasoning": {"text": "x", "time": {"start": 1, "end": 2}, "metadata": {}},
    "file": {"mime": "text/plain", "filename": "a", "url": "data:,x", "source": {}},
    "agent": {"name": "build", "source": {}},
    "tool": {"callID": "call_1", "tool": "bash", "state": {"status": "error", "input": {}, "error": "x"}},
}


@pytest.mark.parametrize("kind", PARTS)
def test_no_wrong_part_breaks_it(call: Caller, session_id: str, kind: str) -> None:
    sent = {"parts": [TEXT], "noReply": True}
    part = call.post(f"/opencode/session/{session_id}/message", sent).json["parts"][0]
    there = f"/opencode/session/{session_id}/message/{part['messageID']}/part/{part['id']}"
    operation = next(one for one in OPERATIONS if one.method == "PATCH" and one.path.endswith("<part_id>"))
    for field in ("type", "id", "messageID", "sessionID", *PARTS[kind]):
        for value in WRONG:
            with call("PATCH", there, {"type": kind, **PARTS[kind], field: value}) as answer:
                check(operation, answer, f"{field} = {str(value)[:60]!r}")
    for field in ("status", "input", "error", "output", "title", "metadata", "time", "attachments"):
        for value in WRONG:
            with call(
                "PATCH", there, {**PARTS["tool"], "type": "tool", "state": {"status": "completed", field: value}}
            ) as answer:
                check(operation, answer, f"state.{field} = {str(value)[:60]!r}")
    assert call.get(f"/opencode/session/{session_id}/message").status_code == 200
