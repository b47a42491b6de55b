"""E2B's control plane, over HTTP: shapes, pages, refusals with their reasons."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from tests.conftest import Caller, member
from tests.dialects.e2b.client import E2B
from tests.dialects.e2b.conftest import key
from tests.visitor import Browser

__all__ = ["key"]


def make(key: E2B, **more: Any) -> dict[str, Any]:
    answer = key("POST", "/v2/sandboxes", {"templateID": "base", **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json
    return made


def ids_of(answer: Any) -> list[str]:
    return [one["sandboxID"] for one in answer.json]


def test_a_sandbox_is_made_and_shown(key: E2B) -> None:
    made = make(key, metadata={"a": "b"}, timeout=120)
    assert {"templateID", "sandboxID", "clientID", "envdVersion", "envdAccessToken"} <= set(made)
    assert (made["templateID"], made["envdVersion"]) == ("base", "0.6.4")
    assert made["sandboxID"].isalnum()
    assert made["sandboxID"].islower()
    shown = key("GET", f"/sandboxes/{made['sandboxID']}").json
    assert (shown["state"], shown["metadata"], shown["lifecycle"]["onTimeout"]) == ("running", {"a": "b"}, "kill")
    started, ends = (datetime.fromisoformat(shown[name]) for name in ("startedAt", "endAt"))
    assert ends - started == timedelta(seconds=120)
    assert shown["envdAccessToken"] == made["envdAccessToken"]
    assert shown["cpuCount"] >= 1
    assert shown["memoryMB"] > 0 < shown["diskSizeMB"]


def test_both_generations_of_paths_are_served(key: E2B) -> None:
    old = key("POST", "/sandboxes", {"templateID": "base"})
    assert old.status_code == 201
    sandbox_id = old.json["sandboxID"]
    assert ids_of(key("GET", "/sandboxes")) == ids_of(key("GET", "/v2/sandboxes")) == [sandbox_id]
    assert key("POST", f"/sandboxes/{sandbox_id}/pause", {}).status_code == 204
    assert key("POST", f"/sandboxes/{sandbox_id}/pause", {}).status_code == 409
    assert ids_of(key("GET", "/sandboxes")) == []
    assert key("GET", f"/sandboxes/{sandbox_id}").json["pauseMode"] == "filesystem"
    for path in (f"/sandboxes/{sandbox_id}/resume", f"/sandboxes/{sandbox_id}/connect"):
        assert key("POST", path, {"timeout": 60}).json["sandboxID"] == sandbox_id
    assert key("POST", f"/sandboxes/{sandbox_id}/refreshes", {"duration": 600}).status_code == 204
    assert key("DELETE", f"/sandboxes/{sandbox_id}").status_code == 204
    assert key("DELETE", f"/sandboxes/{sandbox_id}").status_code == 404


def test_a_connect_says_whether_it_was_paused(key: E2B) -> None:
    sandbox_id = make(key)["sandboxID"]
    assert key("POST", f"/v2/sandboxes/{sandbox_id}/connect", {}).status_code == 200
    key("POST", f"/sandboxes/{sandbox_id}/pause", {})
    assert key("POST", f"/v2/sandboxes/{sandbox_id}/connect", {"memory": False}).status_code == 201


def test_lists_are_filtered(key: E2B) -> None:
    one, two = make(key, metadata={"k": "ä&="}), make(key, metadata={"k": "2", "x": "y"})
    metadata = urlencode({quote("k"): quote("ä&=")})
    assert ids_of(key("GET", f"/v2/sandboxes?{urlencode({'metadata': metadata})}")) == [one["sandboxID"]]
    assert ids_of(key("GET", "/v2/sandboxes?metadata=k%3D2%26x%3Dy")) == [two["sandboxID"]]
    assert ids_of(key("GET", "/v2/sandboxes?template=other")) == []
    assert len(ids_of(key("GET", "/v2/sandboxes?template=base"))) == 2
    key("POST", f"/sandboxes/{one['sandboxID']}/pause", {})
    assert ids_of(key("GET", "/v2/sandboxes?state=paused")) == [one["sandboxID"]]
    assert len(ids_of(key("GET", "/v2/sandboxes?state=running,paused"))) == 2
    later = quote((datetime.now(UTC) + timedelta(minutes=1)).isoformat())
    assert ids_of(key("GET", f"/v2/sandboxes?startedAfter={later}")) == []
    assert ids_of(key("GET", "/v2/sandboxes?startedAfter=2020-01-01T00:00:00")) != []


def test_lists_come_in_pages(key: E2B) -> None:
    made = [make(key)["sandboxID"] for _ in range(5)]
    for order, wanted in (("asc", made), ("desc", made[::-1])):
        seen: list[str] = []
        token = ""
        while len(seen) < 5:
            page = key("GET", f"/v2/sandboxes?limit=2&order={order}&nextToken={token}")
            seen += ids_of(page)
            token = page.headers.get("X-Next-Token", "")
            assert bool(token) == (len(seen) < 5)
        assert seen == wanted


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "state=dead", "order=up", "startedAfter=x", "nextToken=x", "nextToken=%C3%A4"]
)
def test_a_bad_list_is_told_plainly(key: E2B, query: str) -> None:
    answer = key("GET", f"/v2/sandboxes?{query}")
    assert (answer.status_code, answer.json["code"]) == (400, 400)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"templateID": ""},
        {"templateID": "base", "timeout": -1},
        {"templateID": "base", "timeout": 86_401},
        {"templateID": "base", "timeout": "long"},
        {"templateID": "base", "metadata": {"a": 1}},
        {"templateID": "base", "envVars": []},
        {"templateID": "base", "autoPause": True, "autoPauseMemory": True},
        {"templateID": "base", "autoResume": {"enabled": True}},
        {"templateID": "base", "mcp": {"x": {}}},
        {"templateID": "base", "network": {"denyOut": ["1.1.1.1"]}},
        {"templateID": "base", "volumeMounts": [{"name": "v", "path": "/v"}]},
    ],
)
def test_what_cannot_be_had_is_told_instead_of_left_out(key: E2B, body: Any) -> None:
    answer = key("POST", "/v2/sandboxes", body)
    assert (answer.status_code, answer.json["code"]) == (400, 400)
    assert len(answer.json["message"]) > 10
    assert key("GET", "/v2/sandboxes").json == []


def test_an_unknown_template_is_404(key: E2B) -> None:
    answer = key("POST", "/v2/sandboxes", {"templateID": "code-interpreter-v1"})
    assert (answer.status_code, answer.json["message"]) == (404, "Template not found: code-interpreter-v1")


def test_memory_is_not_kept_and_says_so(key: E2B) -> None:
    sandbox_id = make(key)["sandboxID"]
    answer = key("POST", f"/sandboxes/{sandbox_id}/pause", {"memory": True})
    assert (answer.status_code, "memory" in answer.json["message"]) == (400, True)
    assert key("GET", f"/sandboxes/{sandbox_id}").json["state"] == "running"
    assert key("POST", f"/sandboxes/{sandbox_id}/pause", {"memory": False}).status_code == 204


@pytest.mark.parametrize(("method", "what"), [("POST", "fork"), ("POST", "snapshots"), ("PUT", "network")])
def test_what_is_not_offered_is_refused_with_its_reason(key: E2B, method: str, what: str) -> None:
    sandbox_id = make(key)["sandboxID"]
    answer = key(method, f"/sandboxes/{sandbox_id}/{what}", {})
    assert (answer.status_code, answer.json["code"]) == (400, 400)
    assert key(method, f"/sandboxes/inobody/{what}", {}).status_code == 404


def test_somebody_elses_sandbox_is_404(app: Cabin, alice: Actor, key: E2B) -> None:
    sandbox_id = make(key)["sandboxID"]
    bob = E2B(app, member(alice, "Bob"))
    calls = [
        ("GET", f"/sandboxes/{sandbox_id}", None),
        ("DELETE", f"/sandboxes/{sandbox_id}", None),
        *(("POST", f"/sandboxes/{sandbox_id}/{verb}", {}) for verb in ("connect", "resume", "pause", "refreshes")),
        ("POST", f"/sandboxes/{sandbox_id}/timeout", {"timeout": 5}),
        ("POST", f"/v2/sandboxes/{sandbox_id}/connect", {}),
    ]
    for method, path, body in calls:
        there, nowhere = bob(method, path, body), bob(method, path.replace(sandbox_id, "inobody"), body)
        assert there.status_code == nowhere.status_code == 404
        assert there.json["message"].replace(sandbox_id, "inobody") == nowhere.json["message"]
    assert bob("GET", "/v2/sandboxes").json == []
    assert key("GET", f"/sandboxes/{sandbox_id}").status_code == 200


def test_a_viewer_may_look_and_make_none(app: Cabin, alice: Actor) -> None:
    viewer = E2B(app, member(alice, "Vic", "member"))
    viewer.key = accounts.mint_token(alice, "looker", ("sandboxes:read",), dialect="e2b")[1]
    assert viewer("GET", "/v2/sandboxes").json == []
    assert viewer("POST", "/v2/sandboxes", {"templateID": "base"}).status_code == 403


def test_a_sandboxs_own_token_steers_nothing(key: E2B, app: Cabin) -> None:
    made = make(key)
    inside = Caller(app, None)
    for header in ("X-API-Key", "X-Access-Token"):
        answer = inside.get("/v2/sandboxes", headers={header: made["envdAccessToken"]})
        assert answer.status_code in (401, 403)
    bearer = {"Authorization": f"Bearer {made['envdAccessToken']}"}
    assert inside.get("/session", headers=bearer).status_code == 401
    assert inside.get("/api/v1/info", headers=bearer).status_code == 401


def test_a_repeated_wish_makes_one(key: E2B) -> None:
    wish = {"templateID": "base"}
    first = key("POST", "/v2/sandboxes", wish, **{"Idempotency-Key": "wish-1"}).json
    again = key("POST", "/v2/sandboxes", wish, **{"Idempotency-Key": "wish-1"}).json
    assert first == again
    other = key("POST", "/v2/sandboxes", {**wish, "metadata": {"a": "b"}}, **{"Idempotency-Key": "wish-1"})
    assert other.status_code == 409


def test_its_maker_sees_it_among_the_projects(browser: Browser, key: E2B) -> None:
    sandbox_id = make(key)["sandboxID"]
    assert f"sandbox {sandbox_id}" in browser.get("/projects").text
    key("DELETE", f"/sandboxes/{sandbox_id}")
    assert f"sandbox {sandbox_id}" not in browser.get("/projects").text
