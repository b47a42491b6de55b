"""OpenCode's configuration over HTTP: set, read back, in force, and told to those who listen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from app.events import service as events
from app.projects import service as projects
from app.settings.events import ConfigChanged
from tests.conftest import Caller, member
from tests.dialects.opencode_schemas import check_refusal
from tests.model_server import ModelServer
from tests.settings.conftest import write


@pytest.fixture
def root(app: Cabin, home: Path) -> Path:
    """The directory of the project that requests mean."""
    return projects.resolve(accounts.local_owner(), None).directory


def patch(call: Caller, body: Any, path: str = "/config") -> Any:
    return call("PATCH", f"/opencode{path}", body)


def prompt(call: Caller, text: str) -> Any:
    session = call.post("/opencode/session", {}).json["id"]
    return call.post(f"/opencode/session/{session}/message", {"parts": [{"type": "text", "text": text}]}).json


def test_what_is_set_is_read_back(call: Caller, root: Path) -> None:
    answer = patch(call, {"theme": "dark", "agent": {"build": {"temperature": 0.5}}})
    assert answer.status_code == 200
    assert answer.json == {"theme": "dark", "agent": {"build": {"temperature": 0.5}}}
    found = call.get("/opencode/config").json
    assert found["theme"] == "dark"
    assert found["agent"]["build"]["temperature"] == 0.5
    assert "theme" not in call.get("/opencode/global/config").json


def test_a_model_that_is_set_answers_the_next_prompt(call: Caller, root: Path, scripted: ModelServer) -> None:
    assert patch(call, {"model": "openai/scripted"}).status_code == 200
    assert call.get("/opencode/config").json["model"] == "openai/scripted"
    said = prompt(call, "[[say From the new one]]")
    assert said["info"]["modelID"] == "scripted"
    assert scripted.requests[-1]["model"] == "scripted"


def test_a_mode_that_is_set_is_an_agent_with_its_words(call: Caller, root: Path, scripted: ModelServer) -> None:
    patch(call, {"model": "openai/scripted", "agent": {"poet": {"prompt": "Answer in rhymes.", "mode": "primary"}}})
    assert "poet" in [one["name"] for one in call.get("/opencode/agent").json]
    session = call.post("/opencode/session", {}).json["id"]
    body = {"agent": "poet", "parts": [{"type": "text", "text": "[[say Hi]]"}]}
    assert call.post(f"/opencode/session/{session}/message", body).status_code == 200
    assert "Answer in rhymes." in str(scripted.requests[-1])


def test_a_permission_that_is_set_decides(call: Caller, root: Path, scripted: ModelServer) -> None:
    patch(call, {"model": "openai/scripted", "permission": {"bash": {"*": "deny", "echo *": "allow"}}})
    said = prompt(call, "[[bash echo hi]] [[bash ls]] [[say Done]]")
    session = said["info"]["sessionID"]
    parts = [part for one in call.get(f"/opencode/session/{session}/message").json for part in one["parts"]]
    assert [part["state"]["status"] for part in parts if part["type"] == "tool"] == ["completed", "error"]


def test_a_command_that_is_set_can_be_run(call: Caller, root: Path) -> None:
    patch(call, {"command": {"greet": {"template": "Greet $ARGUMENTS", "description": "Greets"}}})
    assert "greet" in [one["name"] for one in call.get("/opencode/command").json]
    assert call.get("/opencode/config").json["command"]["greet"]["template"] == "Greet $ARGUMENTS"


def test_a_provider_that_is_set_off_is_gone(call: Caller, root: Path, scripted: ModelServer) -> None:
    assert "openai" in [one["id"] for one in call.get("/opencode/config/providers").json["providers"]]
    patch(call, {"disabled_providers": ["openai"]})
    assert "openai" not in [one["id"] for one in call.get("/opencode/config/providers").json["providers"]]


def test_a_key_goes_into_the_vault_and_comes_out_nowhere(call: Caller, root: Path) -> None:
    mine = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": "https://models.example/v1"},
        "models": {"m": {}},
    }
    mine["options"]["apiKey"] = "sk-very-secret-key"  # type: ignore[index]
    answer = patch(call, {"provider": {"mine": mine}})
    assert answer.status_code == 200
    for path in ("/config", "/config/providers", "/provider", "/global/config"):
        assert "sk-very-secret-key" not in call.get(f"/opencode{path}").text
    assert "sk-very-secret-key" not in answer.text
    assert "mine" in [one["id"] for one in call.get("/opencode/config/providers").json["providers"]]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"theme": 7}, "theme"),
        ({"agent": {"x": {"temperature": 9}}}, "temperature"),
        ({"permission": {"bash": "perhaps"}}, "permission"),
        ({"mcp": {"x": {"type": "local", "command": ["x"]}}}, "POST /mcp"),
        ([], ""),
    ],
)
def test_what_is_no_configuration_is_told_and_changes_nothing(call: Caller, root: Path, body: Any, words: str) -> None:
    for path in ("/config", "/global/config"):
        before = call.get(f"/opencode{path}").json
        answer = patch(call, body, path)
        check_refusal(answer, 400, "BadRequest")
        assert words in answer.text
        assert call.get(f"/opencode{path}").json == before


def test_the_server_s_holds_for_every_project_and_files_go_over_it(call: Caller, root: Path) -> None:
    assert patch(call, {"username": "everybody", "theme": "server"}, "/global/config").status_code == 200
    write(root, "opencode.json", '{"theme": "files"}')
    found = call.get("/opencode/config").json
    assert (found["username"], found["theme"]) == ("everybody", "files")
    assert call.get("/opencode/global/config").json["theme"] == "server"


def test_who_may_not_is_refused(app: Cabin, alice: Actor, root: Path) -> None:
    bob = Caller(app, member(alice, "Bob"))
    for path in ("/config", "/global/config"):
        check_refusal(patch(bob, {"theme": "dark"}, path), 403, "ForbiddenError")


def test_those_who_listen_hear_of_it(call: Caller, alice: Actor, root: Path) -> None:
    heard = events.subscribe(alice, keep=lambda fact: isinstance(fact.event, ConfigChanged))
    facts = heard.facts(heartbeat=None)
    patch(call, {"theme": "dark"})
    assert next(facts).event.directory == str(root)
    patch(call, {"theme": "dark"}, "/global/config")
    assert next(facts).event.directory == ""
    assert call.post("/opencode/instance/dispose").json is True
    assert next(facts).event.directory == str(root)
    assert call.post("/opencode/global/dispose").json is True
    assert next(facts).event.directory == ""
    heard.close()


def test_a_configuration_can_switch_sharing_off_and_never_shares_by_itself(call: Caller, root: Path) -> None:
    session = call.post("/opencode/session", {}).json["id"]
    url = call.post(f"/opencode/session/{session}/share").json["share"]["url"]
    page = "/s/" + url.rpartition("/")[2]
    assert call.get(page).status_code == 200
    assert call.get("/opencode/config").json["share"] == "manual"
    patch(call, {"share": "disabled"})
    assert call.get("/opencode/config").json["share"] == "disabled"
    check_refusal(call.post(f"/opencode/session/{session}/share"), 403, "ForbiddenError")
    assert call.get(page).status_code == 404
    check_refusal(patch(call, {"share": "auto"}), 400, "BadRequest")
