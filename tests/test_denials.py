"""Who is refused by the web is written down: members without the grant, other sites, wrong credentials."""

from __future__ import annotations

import pytest

from app.accounts import failures
from app.actor import Actor
from app.audit import denials, service
from app.dialects.mount import Cabin
from tests.audit.test_denials import denied
from tests.conftest import Caller, member
from tests.visitor import ORIGIN, Browser


def test_a_member_who_may_not_is_written_down_with_the_grant_and_the_request(
    app: Cabin, call: Caller, alice: Actor
) -> None:
    session_id = call.post("/opencode/session", {}).json["id"]
    viewer = member(alice, "Vera", "viewer")
    answer = Browser(app, viewer).post(f"/sessions/{session_id}/send", {"text": "Hi"})
    assert answer.status_code == 403
    [row] = denied()
    assert (row.actor, row.action, row.target) == (viewer.id, "access", "sessions:run")
    assert row.detail["request"] == f"POST /sessions/{session_id}/send"
    assert row.request_id == answer.headers["X-Request-Id"]


def test_a_change_from_another_site_is_written_down(browser: Browser, alice: Actor) -> None:
    answer = browser.post("/signout", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    [row] = denied()
    assert (row.actor, row.target) == (alice.id, "/signout")
    assert "another site" in row.detail["reason"]


@pytest.mark.parametrize("value", ["Bearer sc_wrong", "Basic b3BlbmNvZGU6c2Nfd3Jvbmc="])
def test_wrong_credentials_are_written_down_without_them(stranger: Caller, value: str) -> None:
    for _ in range(3):
        assert stranger.get("/opencode/session", headers={"Authorization": value}).status_code == 401
    [row] = denied()
    assert (row.actor, row.action, row.via) == ("", "signin.token", "opencode")
    assert row.address
    assert "wrong" not in str(row)


def test_who_brings_nothing_is_not_written_down(stranger: Caller) -> None:
    assert stranger.get("/opencode/session").status_code == 401
    assert denied() == []


def test_who_goes_on_trying_codes_is_written_down(stranger: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "PER_ADDRESS", 2)
    post = {"data": {"code": "in_wrong"}, "headers": {"Origin": ORIGIN}}
    assert [stranger.client.post("/signin", **post).status_code for _ in range(5)] == [401, 401, 429, 429, 429]
    assert [row.action for row in denied()] == ["signin.code", "signin.code", "signin.limited"]
    assert "in_wrong" not in str(denied())


def test_the_sweep_and_the_stop_tell_the_counts(stranger: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        stranger.get("/opencode/session", headers={"Authorization": "Bearer sc_wrong"})
    service.tell_denials()
    assert [row.detail["count"] for row in denied()] == [1]
    monkeypatch.setattr(denials, "MINUTE", 0)
    service.stop()
    assert [row.detail["count"] for row in denied()] == [1, 2]
