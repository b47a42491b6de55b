"""What scripts may send by mistake or with intent: it is refused in the known words, or taken as it is meant."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from app.actor import Actor
from app.projects import service as projects
from app.sessions import service as sessions
from tests.conftest import Caller
from tests.model_server import ModelServer

WAIT = {"wait_for_response": True}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 64).decode()
PICTURES = {"error": "Invalid images format"}
HUGE = 10**30


@pytest.fixture
def root(alice: Actor) -> Path:
    """The directory of the usual workspace."""
    return Path(projects.resolve(alice, None).directory)


@pytest.fixture
def task(alice: Actor) -> str:
    """A task in which nothing was said yet."""
    return sessions.create(alice, projects.resolve(alice, None), provider="openai", model="scripted").id


WRONG_PICTURES = {
    "a data address without data": "data:image/png;base64",
    "no base64": "data:image/png;base64,@@@@",
    "half a base64": "data:image/png;base64,abc",
    "a drawing with scripts": "data:image/svg+xml;base64," + base64.b64encode(b"<svg onload='alert(1)'/>").decode(),
    "a plain drawing": "data:image/svg+xml,%3Csvg/%3E",
    "a text": "data:text/plain,hello",
    "a page": "data:text/html;base64," + base64.b64encode(b"<script>").decode(),
    "no type": "data:,hello",
    "too large a picture": f"data:image/png;base64,{'A' * (7 * 1024 * 1024)}",
    "far too large a picture": f"data:image/png;base64,{'A' * (16 * 1024 * 1024)}",
    "a file that is not there": "nowhere.png",
    "a file outside": "../outside.png",
    "a file outside by name": "/etc/hostname.png",
    "a file outside by a link": "link.png",
    "a file outside by address": "file:///etc/passwd",
    "a folder with the name of a picture": "folder.png",
    "a text of the project": "README.md",
    "our own settings": ".git/config",
    "a home": "~/picture.png",
    "a name that is too long": "x" * 5000 + ".png",
    "a path that is too deep": "a/" * 3000 + "x.png",
    "a NUL": "a\0b.png",
    "only blanks": "   ",
    "half an address": "https://[",
    "an address without a host": "https://",
    "a plain address": "http://example.com/a.png",
    "another scheme": "ftp://example.com/a.png",
    "a script": "javascript:alert(1)",
    "nothing but a colon": ":",
}


@pytest.mark.parametrize("image", WRONG_PICTURES.values(), ids=WRONG_PICTURES.keys())
def test_no_wrong_picture_begins_a_task_or_is_said_in_one(call: Caller, root: Path, task: str, image: str) -> None:
    outside = root.parent / "outside.png"
    outside.write_bytes(base64.b64decode(PNG))
    (root / "link.png").symlink_to(outside)
    (root / "folder.png").mkdir()
    for path in ("/api/tasks", f"/api/messages/{task}", "/api/messages"):
        answer = call.post(path, {"message": "Look", "images": [image], **WAIT})
        assert (answer.status_code, answer.json) == (400, PICTURES), path
    assert [one["id"] for one in call.get("/api/tasks").json] == [task]
    assert call.get(f"/api/tasks/{task}/logs").json["messages"] == []


def test_pictures_are_shown_to_the_model_and_in_the_logs(call: Caller, root: Path, model: ModelServer) -> None:
    (root / "shots").mkdir()
    (root / "shots/a b.png").write_bytes(base64.b64decode(PNG))
    images = [
        "shots/a b.png",
        str(root / "shots/a b.png"),
        f"data:image/png;base64,{PNG}",
        "https://example.com/a.webp",
    ]
    task = call.post("/api/tasks", {"message": "", "images": images, **WAIT}).json
    assert task["status"] == "completed", task
    [first] = [one for one in task["messages"] if one["role"] == "user"]
    assert first["images"] == [f"data:image/png;base64,{PNG}"] * 3 + ["https://example.com/a.webp"]
    assert str(model.requests[-1]).count("image_url") >= 4


def test_a_long_message_is_taken_and_a_longer_one_refused(call: Caller, task: str) -> None:
    long = call.post(f"/api/messages/{task}", {"message": "long " * 100_000 + "[[say Read]]", **WAIT})
    assert (long.json["status"], long.json["lastMessage"]) == ("completed", "Read")
    for path in ("/api/tasks", f"/api/messages/{task}"):
        longer = call.post(path, {"message": "x" * 1_000_001})
        assert (longer.status_code, longer.json) == (400, {"error": "Invalid message format"})
    far = call(
        "POST",
        f"/api/messages/{task}",
        data=b'{"message": "' + b"x" * 40_000_000 + b'"}',
        content_type="application/json",
    )
    assert (far.status_code, "too large" in far.json["error"]) == (413, True)


def test_a_nul_is_no_end_of_a_message(call: Caller, task: str) -> None:
    body = b'{"message": "before\\u0000after [[say Read]]", "wait_for_response": true}'
    said = call("POST", f"/api/messages/{task}", data=body, content_type="application/json")
    assert said.json["messages"][0]["text"] == "before\ufffdafter [[say Read]]"


@pytest.mark.parametrize("half", ["\\ud800", "\\udfff", "\\ud83d x", "\\udc00\\ud800"])
def test_half_a_character_is_no_json(call: Caller, task: str, half: str) -> None:
    for path in ("/api/tasks", f"/api/messages/{task}"):
        answer = call("POST", path, data=f'{{"message": "a{half}"}}'.encode(), content_type="application/json")
        assert (answer.status_code, answer.json) == (400, {"error": "Invalid JSON body"})


@pytest.mark.parametrize("timeout", [0.001, 0.5, 1, 1.5, 86_400_000])
def test_any_positive_time_is_one(call: Caller, task: str, timeout: float) -> None:
    done = call.post(f"/api/messages/{task}", {"message": "[[say Read]]", "timeout": timeout})
    assert (done.status_code, done.json) == (200, {"success": True})


@pytest.mark.parametrize(
    "timeout", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e308", "0", "-0.0", "1" * 400, '"1"', "true"]
)
def test_what_is_no_time_is_told(call: Caller, task: str, timeout: str) -> None:
    body = f'{{"message": "x", "timeout": {timeout}}}'.encode()
    answer = call("POST", f"/api/messages/{task}", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json["error"] in ("timeout must be a positive number", "Invalid JSON body")
    assert call.get(f"/api/tasks/{task}/logs").json["messages"] == []


LISTS = [
    ("limit=1", 1),
    ("limit=2", 2),
    ("limit=1000", 12),
    ("limit=1001", 12),
    (f"limit={HUGE}", 10),
    ("limit=0", 10),
    ("limit=-1", 10),
    ("limit=-0", 10),
    ("limit=1e3", 10),
    ("limit=1.5", 10),
    ("limit=0x10", 10),
    ("limit=NaN", 10),
    ("limit=%D9%A3", 10),
    ("limit=", 10),
    ("limit=3&limit=4", 3),
    ("offset=0", 10),
    ("offset=11", 1),
    ("offset=12", 0),
    ("offset=-1", 10),
    (f"offset={2**63}", 10),
    (f"offset={HUGE}", 10),
    ("offset=999999999999999", 0),
    ("offset=x", 10),
    ("limit=5&offset=10", 2),
    ("nonsense=1", 10),
]


def test_lists_are_lenient(call: Caller, alice: Actor) -> None:
    for _ in range(12):
        sessions.create(alice, projects.resolve(alice, None))
    found = {query: len(call.get(f"/api/tasks?{query}").json) for query, _ in LISTS}
    assert found == dict(LISTS)


def test_twice_the_same_key_counts_once(call: Caller, task: str) -> None:
    body = b'{"message": "[[say No]]", "message": 7}'
    assert call("POST", f"/api/messages/{task}", data=body, content_type="application/json").status_code == 400


def test_unknown_keys_do_no_harm(call: Caller, task: str) -> None:
    more: dict[str, Any] = {"__proto__": {"x": 1}, "constructor": 1, "model": HUGE, "id": "ses_x", "session": None}
    said = call.post(f"/api/messages/{task}", {**json.loads(json.dumps(more)), "message": "[[say Read]]", **WAIT})
    assert (said.status_code, said.json["id"], said.json["lastMessage"]) == (200, task, "Read")


@pytest.mark.parametrize("header", ["1", "2", "", "1; drop", "x" * 5000])
def test_no_version_breaks_it(call: Caller, task: str, header: str) -> None:
    for path in ("status", "logs"):
        answer = call.get(f"/api/tasks/{task}/{path}?status_format={header}", headers={"X-Roo-Api-Version": header})
        assert answer.status_code == 200


def test_what_a_task_is_told_is_no_markup_or_order_to_the_server(call: Caller, task: str) -> None:
    words = (
        "'; DROP TABLE session; -- <script>alert(1)</script> {{ 7*7 }} ${7*7} %s %n ../../etc/passwd \u202e\u0000\ufeff"
    )
    said = call.post(f"/api/messages/{task}", {"message": words, **WAIT}).json
    assert said["messages"][0]["text"] == words.replace("\0", "\ufffd")
    assert call.get(f"/api/tasks/{task}/status").json["status"] == "completed"
