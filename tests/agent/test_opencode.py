"""OpenCode's providers, agents and configuration answer in its shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app import ids, redact
from app.actor import SYSTEM
from app.agent.providers import Cancel, Request, Text, UserTurn, catalog
from tests.conftest import Caller
from tests.dialects.opencode_schemas import check_all, check_refusal
from tests.model_server import ModelServer

BUILT_IN = ["build", "plan", "general", "code", "architect", "ask", "debug", "orchestrator"]
PATHS = ["/config/providers", "/provider", "/agent", "/config", "/global/config"]


def test_a_stranger_is_turned_away(stranger: Caller) -> None:
    for path in PATHS:
        answer = stranger.get(f"/opencode{path}")
        check_refusal(answer, 401, "UnauthorizedError")
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_providers_come_with_their_models(call: Caller, scripted: ModelServer) -> None:
    found = call.get("/opencode/config/providers").json
    for one in found["providers"]:
        # The newer generation knows a further word, and needs it.
        assert {model.pop("status") for model in one["models"].values()} <= {"active"}
    check_all("Provider", found["providers"])
    names = {one["id"]: one for one in found["providers"]}
    assert "openai" in names
    assert "demo" in names
    assert set(found["default"]) == set(names)
    for provider, model in found["default"].items():
        assert model in names[provider]["models"]


@pytest.mark.parametrize(("provider", "key"), [("anthropic", "ANTHROPIC_API_KEY"), ("google", "GEMINI_API_KEY")])
def test_other_wires_are_listed_once_they_are_connected(
    call: Caller, monkeypatch: pytest.MonkeyPatch, provider: str, key: str
) -> None:
    assert provider not in {one["id"] for one in call.get("/opencode/config/providers").json["providers"]}
    monkeypatch.setenv(key, "test-key")
    found = call.get("/opencode/config/providers").json
    [one] = [one for one in found["providers"] if one["id"] == provider]
    model = one["models"][found["default"][provider]]
    assert model["cost"]["cache"]["read"] < model["cost"]["input"]
    assert model["modalities"]["input"] == ["text", "image"]
    assert provider in call.get("/opencode/provider").json["connected"]


def test_the_newer_form_says_the_same(call: Caller, scripted: ModelServer) -> None:
    older, newer = call.get("/opencode/config/providers").json, call.get("/opencode/provider").json
    assert newer["all"] == older["providers"]
    assert newer["default"] == older["default"]
    assert newer["connected"] == [one["id"] for one in older["providers"]]


def test_no_key_is_told(call: Caller, scripted: ModelServer) -> None:
    for path in PATHS:
        assert "test-key" not in call.get(f"/opencode{path}").text


def test_agents_are_the_modes(call: Caller) -> None:
    found = call.get("/opencode/agent").json
    check_all("Agent", found)
    assert [one["name"] for one in found] == BUILT_IN
    assert {one["name"] for one in found if one["permission"]["edit"] == "deny"} == {"plan", "ask", "orchestrator"}
    assert [one["name"] for one in found if one["mode"] != "primary"] == ["general"]


def test_the_configuration_names_user_model_and_agents(call: Caller) -> None:
    found = call.get("/opencode/config").json
    assert found["username"]
    assert found["model"].count("/") >= 1
    assert list(found["agent"]) == BUILT_IN
    assert "demo" in found["provider"]


def test_the_configuration_of_all_directories_needs_none(call: Caller, tmp_path: Path) -> None:
    answer = call.get("/opencode/global/config", headers={"x-opencode-directory": str(tmp_path)})
    assert answer.json.keys() == call.get("/opencode/config").json.keys()
    assert "demo" in answer.json["provider"]


@pytest.mark.parametrize("path", ["/config/providers", "/provider", "/config"])
def test_a_directory_that_is_no_project_is_denied(call: Caller, path: str, tmp_path: Path) -> None:
    answer = call.get(f"/opencode{path}", headers={"x-opencode-directory": str(tmp_path)})
    message = check_refusal(answer, 403, "ForbiddenError")
    assert "Projects page" in message
    assert "python -m app project add" in message


def sent(model_server: ModelServer) -> str | None:
    """What the next call of a model brings as its credentials."""
    asked = Request("gpt-5", "", (UserTurn((Text("hello"),)),))
    assert list(catalog.resolve(SYSTEM, "openai", "gpt-5").stream(asked, Cancel()))
    return model_server.headers[-1].get("Authorization")


LOGINS = [
    ({"type": "api", "key": "sk-acme-secret-1"}, "sk-acme-secret-1"),
    ({"type": "wellknown", "key": "ACME_TOKEN", "token": "tok-acme-secret-2"}, "tok-acme-secret-2"),
    (
        {"type": "oauth", "refresh": "ref-acme-secret-3", "access": "acc-acme-secret-3", "expires": 0},
        "acc-acme-secret-3",
    ),
]


@pytest.mark.parametrize(("login", "secret"), LOGINS, ids=["api", "wellknown", "oauth"])
def test_a_login_is_used_at_the_next_call_and_never_shown(
    call: Caller, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, login: dict[str, Any], secret: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    assert call("PUT", "/opencode/auth/openai", json=login).json is True
    assert "openai" in call.get("/opencode/provider").json["connected"]
    assert sent(model_server) == f"Bearer {secret}"
    for path in PATHS:
        assert secret not in call.get(f"/opencode{path}").text
    assert secret not in redact.text(f"leaked: {secret}")
    assert call("DELETE", "/opencode/auth/openai").json is True
    assert call("DELETE", "/opencode/auth/openai").json is True
    assert sent(model_server) is None


@pytest.mark.parametrize(
    ("provider", "body", "field"),
    [
        ("openai", {}, "type"),
        ("openai", {"type": "api"}, "key"),
        ("openai", {"type": "api", "key": ""}, "key"),
        ("openai", {"type": "api", "key": "a\nb"}, "key"),
        ("openai", {"type": "api", "key": 1}, "key"),
        ("openai", {"type": "api", "key": "k", "more": 1}, "more"),
        ("openai", {"type": "oauth", "access": "a", "refresh": "r", "expires": -1}, "expires"),
        ("openai", {"type": "magic", "key": "k"}, "magic"),
        ("demo", {"type": "api", "key": "k"}, "id"),
        ("No Such", {"type": "api", "key": "k"}, "id"),
    ],
)
def test_a_login_that_is_none_is_refused(call: Caller, provider: str, body: dict[str, Any], field: str) -> None:
    answer = call("PUT", f"/opencode/auth/{provider}", json=body)
    check_refusal(answer, 400, "BadRequest")
    assert field in answer.text


def test_an_expired_login_opens_nothing(
    call: Caller, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    login = {"type": "oauth", "refresh": "r" * 12, "access": "a" * 12, "expires": ids.now() - 1}
    assert call("PUT", "/opencode/auth/openai", json=login).json is True
    assert sent(model_server) is None


def test_each_provider_says_how_it_is_connected(call: Caller) -> None:
    found = call.get("/opencode/provider/auth").json
    assert {"openai", "anthropic", "google"} <= set(found)
    assert all(methods == [{"type": "api", "label": "API key"}] for methods in found.values())


def test_other_methods_are_refused(call: Caller) -> None:
    for path in PATHS:
        check_refusal(call("DELETE", f"/opencode{path}"), 405, "UnknownError")
