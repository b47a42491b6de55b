"""The preview of OpenCode's second API, and its skills."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.actor import Actor
from app.agent.providers import catalog
from app.projects import service as projects
from tests.conftest import Caller
from tests.dialects.opencode_schemas import check_new

LISTS = {"model": "ModelV2Info", "provider": "ProviderV2Info", "agent": "AgentV2Info", "skill": "SkillV2Info",
         "command": "CommandV2Info", "integration": "IntegrationInfo"}  # fmt: skip


@pytest.fixture
def root(alice: Actor, tmp_path: Path) -> Path:
    """A project of its own with a skill."""
    root = tmp_path / "yard"
    (root / ".opencode" / "skill" / "couple").mkdir(parents=True)
    words = "---\nname: couple\ndescription: How to couple wagons.\n---\nSlowly."
    (root / ".opencode" / "skill" / "couple" / "SKILL.md").write_text(words)
    projects.add(alice, str(root))
    return root


@pytest.mark.parametrize("name", [*(f"api/{name}" for name in LISTS), "skill"])
def test_a_stranger_is_turned_away(stranger: Caller, name: str) -> None:
    assert stranger.get(f"/opencode/{name}").status_code == 401


@pytest.mark.parametrize("name", LISTS)
def test_a_list_says_where_it_holds(call: Caller, root: Path, name: str) -> None:
    answer = call.get(f"/opencode/api/{name}?location[directory]={root}")
    assert answer.status_code == 200, answer.text
    assert answer.json["location"]["directory"] == str(root)
    check_new("LocationInfo", answer.json["location"])
    assert answer.json["data"]
    for one in answer.json["data"]:
        check_new(LISTS[name], one)


@pytest.mark.parametrize("name", [*(f"api/{name}" for name in LISTS), "skill"])
def test_a_directory_that_is_no_project_is_denied(call: Caller, name: str, tmp_path: Path) -> None:
    assert call.get(f"/opencode/{name}?directory={tmp_path}").status_code == 403


def test_a_skill_is_told_with_its_words_and_its_file(call: Caller, root: Path) -> None:
    (skill,) = [one for one in call.get(f"/opencode/skill?directory={root}").json if one["name"] == "couple"]
    assert skill == {
        "name": "couple",
        "description": "How to couple wagons.",
        "location": str(root / ".opencode" / "skill" / "couple" / "SKILL.md"),
        "content": "Slowly.",
    }
    (same,) = [one for one in call.get(f"/api/skill?directory={root}").json["data"] if one["name"] == "couple"]
    assert same == {**skill, "slash": False}


def test_the_plan_mode_denies_edits(call: Caller) -> None:
    found = {one["id"]: one["permissions"] for one in call.get("/api/agent").json["data"]}
    assert {"action": "edit", "resource": "*", "effect": "deny"} in found["plan"]
    assert {"action": "edit", "resource": "*", "effect": "ask"} in found["build"]


def test_an_integration_names_where_its_key_is_and_never_the_key(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-something-secret")
    answer = call.get("/api/integration")
    found = {one["id"]: one for one in answer.json["data"]}
    assert found["groq"]["connections"] == [{"type": "env", "name": "GROQ_API_KEY"}]
    assert {"type": "env", "names": ["DEEPSEEK_API_KEY"]} in found["deepseek"]["methods"]
    assert "gsk-something-secret" not in answer.text


def test_a_key_in_the_vault_is_a_connection(call: Caller, alice: Actor) -> None:
    catalog.connect(alice, "deepseek", "sk-from-the-vault")
    answer = call.get("/api/integration")
    found = {one["id"]: one for one in answer.json["data"]}
    assert found["deepseek"]["connections"] == [{"type": "credential", "id": "deepseek", "label": "API key"}]
    assert "sk-from-the-vault" not in answer.text


def test_a_command_is_told_with_its_words_and_for_whom_it_is(call: Caller, root: Path) -> None:
    (root / ".opencode" / "command").mkdir()
    head = "---\ndescription: Say it.\nagent: plan\nmodel: openai/some/model\nsubtask: true\n---\n"
    (root / ".opencode" / "command" / "say.md").write_text(f"{head}Say $ARGUMENTS.")
    found = {one["name"]: one for one in call.get(f"/opencode/api/command?location[directory]={root}").json["data"]}
    assert set(found) == {"init", "review", "say"}
    assert found["say"] == {
        "name": "say",
        "template": "Say $ARGUMENTS.",
        "description": "Say it.",
        "agent": "plan",
        "model": {"providerID": "openai", "id": "some/model"},
        "subtask": True,
    }
    check_new("CommandV2Info", found["say"])
