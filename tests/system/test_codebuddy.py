"""CodeBuddy's routes of the system: what they tell, in the dialect's envelope, and nothing of the server's secrets."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from app import config
from app.dialects.mount import Cabin
from tests.conftest import Caller

PATHS = ["health", "info", "metrics", "envs"]


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_is_turned_away_in_codebuddys_words(stranger: Caller, path: str) -> None:
    answer = stranger.get(f"/api/v1/{path}")
    assert answer.status_code == 401
    assert answer.json == {"error": {"code": "AUTH_REQUIRED", "message": "Sign in first."}}


def test_health_tells_how_long_it_is_up(call: Caller) -> None:
    first = call.get("/api/v1/health").json["data"]
    assert first["status"] == "ok"
    assert first["pid"] == os.getpid()
    assert first["platforms"] == ["generic", "wecom", "wechat-kf"]
    assert call.get("/codebuddy/api/v1/health").json["data"]["uptime"] >= first["uptime"] > 0


def test_info_names_the_directory_that_requests_work_in(call: Caller, settings: config.Config) -> None:
    told = call.get("/api/v1/info").json["data"]
    assert told["cwd"] == str(settings.data_dir / "sample")
    assert told["os"] in {"linux", "darwin"}
    assert told["uptime"] > 0


def test_metrics_tell_what_is_in_use(call: Caller) -> None:
    told = call.get("/api/v1/metrics").json["data"]
    assert abs(told["ts"] - time.time()) < 60
    assert 0 < told["memUsedMib"] < told["memTotalMib"]
    assert 0 < told["diskUsed"] <= told["diskTotal"]
    assert 0 <= told["cpuUsedPct"] <= 100
    [instance] = told["instances"]
    assert instance["pid"] == os.getpid()
    assert instance["rssMib"] > 10
    assert instance["isCurrent"]


def test_envs_are_those_of_commands_and_none_of_the_servers(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:pass@db/x")
    told = call.get("/api/v1/envs").json["data"]
    assert {"PATH", "HOME", "LANG"} <= set(told)
    assert not {"SOME_API_KEY", "DATABASE_URL"} & set(told)
    assert "very-secret" not in str(told)


def test_the_document_is_bare(call: Caller) -> None:
    told = call.get("/codebuddy/api/openapi.json").json
    assert told["openapi"] == "3.1.0"
    assert "/api/v1/health" in told["paths"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_is_not_there_is_told_in_codebuddys_words(call: Caller, method: str) -> None:
    answer = call(method, "/api/v1/nope")
    assert answer.status_code == 404
    assert answer.json["error"]["code"] == "NOT_FOUND"
    assert call("DELETE", "/api/v1/health").json["error"]["code"] == "NOT_FOUND"


class TestThePasswordInTheAddress:
    @pytest.fixture
    def secret(self, call: Caller) -> str:
        return call.headers["Authorization"].removeprefix("Bearer ")

    def allow(self, **changes: object) -> None:
        config.use(replace(config.current(), **changes))  # type: ignore[arg-type]

    def test_it_is_off_by_default(self, stranger: Caller, secret: str) -> None:
        assert stranger.get(f"/api/v1/health?password={secret}").status_code == 401

    def test_a_setting_lets_it_in(self, stranger: Caller, secret: str) -> None:
        self.allow(query_password=True)
        assert stranger.get(f"/api/v1/health?password={secret}").status_code == 200
        assert stranger.get("/api/v1/health?password=wrong").status_code == 401

    def test_the_gateways_own_setting_counts_on_a_loopback_address_only(self, stranger: Caller, secret: str) -> None:
        self.allow(codebuddy_auth="password")
        assert stranger.get(f"/api/v1/health?password={secret}").status_code == 200
        self.allow(host="0.0.0.0")
        assert stranger.get(f"/api/v1/health?password={secret}").status_code == 401

    def test_it_opens_no_other_dialect(self, stranger: Caller, secret: str) -> None:
        self.allow(query_password=True)
        assert stranger.get(f"/session?password={secret}").status_code == 401

    def test_it_is_written_down_nowhere(
        self, app: Cabin, stranger: Caller, secret: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.allow(query_password=True)
        stranger.get(f"/api/v1/health?password={secret}")
        stranger.get(f"/api/v1/nope?password={secret}")
        assert secret not in caplog.text
