"""What envd tells of itself, and where E2B's paths answer: at the root only those that are nobody else's."""

from __future__ import annotations

import pytest

from app.actor import Actor
from app.dialects.mount import Cabin
from tests.conftest import Caller, member
from tests.dialects.e2b.client import E2B, Envd
from tests.dialects.e2b.conftest import envd, key

__all__ = ["envd", "key"]


def test_health_is_that_of_the_sandbox(key: E2B, envd: Envd) -> None:
    assert envd("GET", "/health").status_code == 204
    key("DELETE", f"/sandboxes/{envd.id}")
    gone = envd("GET", "/health")
    assert (gone.status_code, gone.json["message"]) == (502, "The sandbox was not found")


def test_usage_is_told_in_envds_words(envd: Envd) -> None:
    told = envd("GET", "/metrics").json
    assert told["cpu_count"] >= 1
    assert 0 < told["mem_used"] < told["mem_total"]
    assert 0 < told["disk_used"] < told["disk_total"]


def test_metrics_are_those_of_now(app: Cabin, alice: Actor, key: E2B, envd: Envd) -> None:
    [metric] = key("GET", f"/sandboxes/{envd.id}/metrics").json
    assert metric["memUsed"] < metric["memTotal"]
    now = metric["timestampUnix"]
    assert key("GET", f"/sandboxes/{envd.id}/metrics?end={now - 60}").json == []
    assert len(key("GET", f"/sandboxes/{envd.id}/metrics?start={now - 60}&end={now + 60}").json) == 1
    assert key("GET", f"/sandboxes/{envd.id}/metrics?start=x").status_code == 400
    several = key("GET", f"/sandboxes/metrics?sandbox_ids={envd.id},inobody").json
    assert list(several["sandboxes"]) == [envd.id]
    bob = E2B(app, member(alice, "Bob"))
    assert bob("GET", f"/sandboxes/{envd.id}/metrics").status_code == 404
    assert bob("GET", f"/sandboxes/metrics?sandbox_ids={envd.id}").json == {"sandboxes": {}}


def test_the_environment_is_nothing_of_the_servers(envd: Envd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-server")
    told = envd("GET", "/envs").json
    assert told["HOME"] == "/home/user"
    assert "OPENAI_API_KEY" not in told


@pytest.mark.parametrize("path", ["/health", "/metrics", "/envs", "/init", "/openapi.json"])
def test_what_others_have_at_the_root_is_theirs(call: Caller, path: str) -> None:
    answer = call.get(path, headers={"Accept": "application/json"})
    assert answer.status_code != 502
    assert set(answer.json) != {"code", "message"}
    assert call.get(f"/e2b{path}").status_code != 404


@pytest.mark.parametrize("path", ["/sandboxes", "/v2/sandboxes"])
def test_the_rest_answers_at_the_root(call: Caller, path: str) -> None:
    assert call.get(path).json == []


def test_errors_are_e2bs(call: Caller, stranger: Caller) -> None:
    assert call.get("/sandboxes/inobody").json == {"code": 404, "message": "Sandbox not found: inobody"}
    assert call.get("/e2b/nowhere").json["code"] == 404
    assert call("PATCH", "/sandboxes").json["code"] == 405
    assert stranger.get("/v2/sandboxes").json == {"code": 401, "message": "Sign in first."}
