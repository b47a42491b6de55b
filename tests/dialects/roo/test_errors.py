"""What RooCode's External API says where something is wrong: a status and its exact words, for every endpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app import config
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import auto_approve, chosen, profiles
from app.config import Config
from app.dialects import door
from app.dialects.mount import Cabin
from app.mcp import service as mcp
from app.projects import service as projects
from app.sessions import service as sessions
from tests.conftest import Caller
from tests.dialects.test_seed_endpoints import shape
from tests.model_server import ModelServer

BY_ID = "ses_0000000000000000000000000"
ILL = "Invalid message format"
PICTURES = "Invalid images format"
TIME = "timeout must be a positive number"
VERDICT = "response must be either 'approve' or 'reject'"
NOTHING = "Task is not in a state that needs approval"
NO_TASK, LOST = "No active task found", "Task not found"
SAID = {"message": "x"}
OK = {"response": "approve"}

SWITCHES = (
    "autoApprovalEnabled",
    "alwaysAllowReadOnly",
    "alwaysAllowWrite",
    "alwaysAllowExecute",
    "alwaysAllowBrowser",
    "alwaysAllowMcp",
    "alwaysApproveResubmit",
    "alwaysAllowModeSwitch",
)

Case = tuple[str, str, Any, int, str]
WAITS: list[tuple[dict[str, Any], str]] = [
    ({"wait_for_response": "true"}, "wait_for_response must be a boolean"),
    ({"wait_for_response": 1}, "wait_for_response must be a boolean"),
    ({"wait_for_response": None}, "wait_for_response must be a boolean"),
    ({"wait_for_completion": "yes"}, "wait_for_completion must be a boolean"),
    ({"wait_for_completion": []}, "wait_for_completion must be a boolean"),
    *(({"timeout": wrong}, TIME) for wrong in (0, -1, 0.0, "5", True, [], {}, 1e12, 10**30, -(10**30))),
]
WORDS: list[tuple[dict[str, Any], str]] = [
    ({}, ILL),
    *(({"message": wrong}, ILL) for wrong in (None, 7, True, [], {}, "", " \n\t ")),
    ({"message": "", "images": []}, ILL),
    *(
        ({**SAID, "images": wrong}, PICTURES)
        for wrong in ("a.png", 7, {}, [1], [None], [["a.png"]], [""], ["a.png"] * 21)
    ),
]


def cases() -> list[Case]:
    """Method, path, body, status and words of each."""
    found: list[Case] = []
    for path in ("/api/tasks", "/api/messages", f"/api/messages/{BY_ID}"):
        found += [("POST", path, body, 400, words) for body, words in WORDS]
        found += [("POST", path, {**SAID, **body}, 400, words) for body, words in WAITS]
    found += [
        ("POST", "/api/tasks", {**SAID, "mode": 7}, 400, "Mode must be a string"),
        ("POST", "/api/tasks", {**SAID, "mode": ["code"]}, 400, "Mode must be a string"),
        ("POST", "/api/tasks", {**SAID, "profile": {}}, 400, "Profile must be a string"),
        ("POST", "/api/tasks", {**SAID, "auto_approve": "true"}, 400, "auto_approve must be a boolean"),
        ("POST", "/api/tasks", {**SAID, "mode": "nonsense"}, 404, "Mode not found"),
        ("POST", "/api/tasks", {**SAID, "mode": ""}, 404, "Mode not found"),
        ("POST", "/api/tasks", {**SAID, "profile": "gone"}, 404, "Profile 'gone' not found"),
        ("POST", "/api/tasks", {**SAID, "profile": 'it\'s "gone"'}, 404, "Profile 'it's \"gone\"' not found"),
    ]
    for path in ("/api/tasks/respond", f"/api/tasks/{BY_ID}/respond"):
        found += [
            ("POST", path, body, 400, VERDICT)
            for body in ({}, {"response": 1}, {"response": "maybe"}, {"response": "Approve"}, {"response": None})
        ]
        found += [("POST", path, {**OK, **body}, 400, words) for body, words in WAITS]
    found += [
        ("POST", "/api/messages", SAID, 404, NO_TASK),
        ("POST", "/api/tasks/respond", OK, 404, NO_TASK),
        ("POST", f"/api/messages/{BY_ID}", SAID, 404, LOST),
        ("POST", f"/api/tasks/{BY_ID}/respond", OK, 404, LOST),
    ]
    for word in ("status", "logs", "events"):
        found += [
            ("GET", f"/api/tasks/{word}", None, 404, NO_TASK),
            ("GET", f"/api/tasks/{BY_ID}/{word}", None, 404, LOST),
        ]
    for word in ("status", "logs", "respond", "events", "a%20b", "%F0%9F%8E%AD", "..", "x" * 3000):
        found += [("GET", f"/api/tasks/{word}/{what}", None, 404, LOST) for what in ("status", "logs", "events")]
        found.append(("POST", f"/api/messages/{word}", SAID, 404, LOST))
        found.append(("POST", f"/api/tasks/{word}/respond", OK, 404, LOST))
    found += [
        ("POST", "/api/modes/switch", body, 400, "Mode must be a string") for body in ({}, {"mode": 1}, {"mode": None})
    ]
    found.append(("POST", "/api/modes/switch", {"mode": "nonsense"}, 404, "Mode not found"))
    found += [
        ("POST", "/api/profiles/switch", body, 400, "Profile name is required")
        for body in ({}, {"name": ""}, {"name": 1}, {"name": None})
    ]
    found.append(("POST", "/api/profiles/switch", {"name": "my own"}, 404, "Profile 'my own' not found"))
    found += [
        ("POST", "/api/auto-approve", {name: wrong}, 400, f"{name} must be a boolean")
        for name in SWITCHES
        for wrong in ("true", 1, None)
    ]
    found += [
        ("POST", "/api/auto-approve/enabled", body, 400, "enabled must be a boolean")
        for body in ({}, {"enabled": "true"}, {"enabled": 1}, {"enabled": None})
    ]
    for name in ("none", "spotify-mcp", "a%20b", "a.b", "a%2Fb", "a/b/c", "status", "x/status"):
        found += [
            ("GET", f"/api/mcps/{name}", None, 404, "MCP not found"),
            ("POST", f"/api/mcps/{name}/status", {"enabled": True}, 404, "MCP not found"),
            ("POST", f"/api/mcps/{name}/status", {"enabled": "yes"}, 400, "enabled must be a boolean"),
            ("POST", f"/api/mcps/{name}/status", {}, 400, "enabled must be a boolean"),
        ]
    found += [
        ("POST", "/api/instructions", body, 400, "Invalid instructions format")
        for body in ({}, {"instructions": 1}, {"instructions": None}, {"instructions": ["a"]})
    ]
    for path in ("/api", "/api/", "/api/nothing", "/api/tasks/x", "/api/tasks/x/nothing", "/api/tasks/x/status/more"):
        found.append(("GET", path, None, 404, "Not found"))
    return found


def test_each_wrong_request_is_told_in_the_known_words(call: Caller) -> None:
    wrong = {}
    for method, path, body, status, words in cases():
        with call(method, f"/roo{path}", body) as answer:
            if (answer.status_code, answer.json) != (status, {"error": words}):
                wrong[f"{method} {path} {str(body)[:80]}"] = (answer.status_code, answer.get_data()[:200])
    assert wrong == {}
    assert call.get("/roo/api/tasks").json == []


def test_the_first_that_is_wrong_is_told(call: Caller) -> None:
    body: dict[str, Any] = {"timeout": 0, "wait_for_response": 1, "profile": 1, "mode": 1, "images": 1, "message": 1}
    order = [
        ILL,
        PICTURES,
        "Mode must be a string",
        "Profile must be a string",
        "wait_for_response must be a boolean",
        TIME,
    ]
    right = {"message": "x", "images": [], "mode": "gone", "profile": "gone", "wait_for_response": True, "timeout": 1}
    for name, words in zip(reversed(body), order, strict=True):
        assert call.post("/api/tasks", body).json == {"error": words}
        body[name] = right[name]
    assert call.post("/api/tasks", body).json == {"error": "Mode not found"}


def test_a_body_that_is_no_json_is_told_so(call: Caller) -> None:
    takers = {one.path for one in door.operations if one.dialect == "roo" and one.body}
    assert len(takers) == 11
    for path in takers:
        there = path.replace("<task_id>", BY_ID).replace("<path:mcp_id>", "none")
        for body in (b"{", b"{'message': 'x'}", b"\xff\xfe", b'{"message": "x",}', b"nothing"):
            answer = call("POST", there, data=body, content_type="application/json")
            assert (answer.status_code, answer.json) == (400, {"error": "Invalid JSON body"}), (path, body)
        assert call("POST", there, [1]).json == {"error": "The body must be a JSON object"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/tasks"),
        ("PUT", "/api/messages"),
        ("POST", "/api/modes"),
        ("GET", "/api/tasks/respond"),
        ("POST", f"/api/tasks/{BY_ID}/status"),
        ("PATCH", "/api/mcps/a%2Fb"),
    ],
)
def test_a_method_that_is_none_is_told_in_json(call: Caller, method: str, path: str) -> None:
    answer = call(method, path)
    assert (answer.status_code, answer.mimetype, list(answer.json)) == (405, "application/json", ["error"])
    assert answer.headers["Allow"]


def test_an_answer_that_nothing_waits_for_is_refused(call: Caller, scripted: ModelServer) -> None:
    task = call.post("/api/tasks", {"message": "[[say Hello]]", "wait_for_response": True}).json["id"]
    for path in ("/api/tasks/respond", f"/api/tasks/{task}/respond"):
        answer = call.post(path, OK)
        assert (answer.status_code, answer.json) == (400, {"error": NOTHING})


@pytest.fixture
def settings(settings: Config) -> Config:
    """A server whose tasks ask the scripted model, where one is."""
    return replace(settings, model="openai/scripted")


def breaks(*_: object, **__: object) -> None:
    raise RuntimeError("a wheel came off")


# What breaks, and what is said then.
BROKEN: list[tuple[str, str, Any, Any, str, str]] = [
    ("POST", "/api/tasks", SAID, projects, "resolve", "Failed to start task"),
    ("GET", "/api/tasks", None, sessions, "by_creation", "Failed to list tasks"),
    ("GET", "/api/tasks/status", None, chosen, "task", "Failed to get task status"),
    ("GET", f"/api/tasks/{BY_ID}/status", None, sessions, "get", "Failed to get task status"),
    ("GET", "/api/tasks/logs", None, chosen, "task", "Failed to get task logs"),
    ("GET", f"/api/tasks/{BY_ID}/logs", None, sessions, "get", "Failed to get task logs"),
    ("POST", "/api/tasks/respond", OK, chosen, "task", "Failed to respond to task"),
    ("POST", f"/api/tasks/{BY_ID}/respond", OK, sessions, "get", "Failed to respond to task"),
    ("POST", "/api/messages", SAID, chosen, "task", "Failed to send message"),
    ("POST", f"/api/messages/{BY_ID}", SAID, sessions, "get", "Failed to send message"),
    ("GET", "/api/modes", None, projects, "resolve", "Failed to get modes"),
    ("GET", "/api/modes/current", None, chosen, "mode", "Failed to get current mode"),
    ("POST", "/api/modes/switch", {"mode": "ask"}, chosen, "choose", "Failed to switch mode"),
    ("GET", "/api/profiles", None, profiles, "list_all", "Failed to list configs"),
    ("GET", "/api/profiles/current", None, profiles, "current", "Failed to get state"),
    ("POST", "/api/profiles/switch", {"name": "x"}, profiles, "switch", "Failed to switch profile"),
    ("GET", "/api/auto-approve", None, auto_approve, "get", "Failed to get auto-approve settings"),
    ("POST", "/api/auto-approve", {}, auto_approve, "change", "Failed to update auto-approve settings"),
    ("POST", "/api/auto-approve/enabled", {"enabled": True}, auto_approve, "change", "Failed to update auto-approve enabled setting"),
    ("GET", "/api/mcps", None, mcp, "list_servers", "Failed to get MCPs"),
    ("GET", "/api/mcps/x", None, mcp, "list_servers", "Failed to get MCP details"),
    ("POST", "/api/mcps/x/status", {"enabled": True}, mcp, "list_servers", "Failed to update MCP status"),
    ("GET", "/api/instructions", None, chosen, "get", "Failed to get instructions"),
    ("POST", "/api/instructions", {"instructions": ""}, chosen, "choose", "Failed to set instructions"),
]  # fmt: skip


def test_what_breaks_is_told_by_what_it_was_to_do(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    for method, path, body, room, verb, words in BROKEN:
        with monkeypatch.context() as patch:
            patch.setattr(room, verb, breaks)
            answer = call(method, path, body)
        assert (answer.status_code, answer.json) == (500, {"error": words}), (method, path)
        assert answer.headers["X-Request-Id"]
    told = {(method, shape(path.replace(BY_ID, "{id}").replace("/x", "/{id}"))) for method, path, *_ in BROKEN}
    there = {
        (one.method, shape(one.path))
        for one in door.operations
        if one.dialect == "roo" and one.path.startswith("/api/")
    }
    assert {route for route in there - told if not route[1].endswith("/events")} <= {
        ("GET", "/api/openapi.json"),
        ("GET", "/api/docs"),
    }


FOREIGN = [
    "https://evil.example",
    "http://localhost.evil.com",
    "http://localhost.evil.com:3000",
    "http://evil.com:80@localhost",
    "http://a@localhost",
    "http://localhost:3000.evil.com",
    "http://localhost:123456",
    "http://127.0.0.1.evil.com",
    "http://127.0.0.2",
    "ftp://localhost",
    "file://",
    "localhost",
    "http://",
    "null",
    "HTTP://LOCALHOST ",
    "http://localhost/",
    "http://localhost:3000/path",
    "http://[::1].evil.com",
]
AT_HOME = [
    "http://localhost",
    "https://localhost:8443",
    "http://localhost:1",
    "http://127.0.0.1:65535",
    "http://[::1]:3000",
]
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_of_another_origin_is_refused_before_anything_runs(
    app: Cabin, call: Caller, stranger: Caller, origin: str
) -> None:
    wrong = Caller(app, None)
    wrong.headers["Authorization"] = "Bearer wrong"
    refused: list[Any] = []
    for one in (call, stranger, wrong):
        refused += [
            one.get("/api/tasks", headers={"Origin": origin}),
            one("OPTIONS", "/api/tasks", headers={"Origin": origin, **PREFLIGHT}),
            one("POST", "/api/tasks", data=b"{", content_type="application/json", headers={"Origin": origin}),
            one.get("/api/nothing", headers={"Origin": origin}),
            one("DELETE", "/api/tasks", headers={"Origin": origin}),
            one.get(f"/api/tasks/{BY_ID}/events", headers={"Origin": origin}),
        ]
    for answer in refused:
        assert (answer.status_code, answer.json) == (403, {"error": "Origin not allowed"})
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize("origin", AT_HOME)
def test_a_page_of_this_machine_reads_what_it_is_told(call: Caller, stranger: Caller, origin: str) -> None:
    asked = {"Origin": origin, **PREFLIGHT}
    for path in ("/api/tasks", f"/api/tasks/{BY_ID}/respond", "/api/mcps/a%2Fb/status", "/api/instructions"):
        let = stranger("OPTIONS", path, headers=asked)
        assert (let.status_code, let.headers["Access-Control-Allow-Origin"]) == (200, origin)
        assert let.headers["Access-Control-Allow-Methods"] == "GET, POST"
        assert "content-type" in let.headers["Access-Control-Allow-Headers"].lower()
        assert "Access-Control-Allow-Credentials" not in let.headers
    read = call.get("/api/tasks", headers={"Origin": origin})
    assert (read.status_code, read.headers["Access-Control-Allow-Origin"]) == (200, origin)
    assert "X-Total-Count" in read.headers["Access-Control-Expose-Headers"]
    wrong = call.post("/api/tasks", {}, headers={"Origin": origin})
    assert (wrong.status_code, wrong.headers["Access-Control-Allow-Origin"]) == (400, origin)
    assert stranger.get("/api/tasks", headers={"Origin": origin}).status_code == 401


def test_an_origin_of_the_settings_is_let_in_exactly_as_it_stands_there(call: Caller) -> None:
    config.use(replace(config.current(), cors_origins=("https://tools.example",)))
    let = call.get("/api/tasks", headers={"Origin": "https://tools.example"})
    assert (let.status_code, let.headers["Access-Control-Allow-Origin"]) == (200, "https://tools.example")
    for other in ("https://tools.example:8443", "http://tools.example", "https://tools.example.evil.com"):
        assert call.get("/api/tasks", headers={"Origin": other}).json == {"error": "Origin not allowed"}


def test_a_page_of_another_origin_gets_nothing_by_a_cookie(app: Cabin, alice: Actor) -> None:
    client = app.test_client()
    code = accounts.sign_in_code(alice, alice.user)
    assert client.post("/signin", data={"code": code}, headers={"Origin": "http://localhost"}).status_code == 303
    for origin in ("https://evil.example", "http://localhost.evil.com"):
        for method in ("GET", "POST"):
            answer = client.open("/api/tasks", method=method, json=SAID, headers={"Origin": origin})
            assert (answer.status_code, answer.json) == (403, {"error": "Origin not allowed"})
