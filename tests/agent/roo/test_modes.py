"""Modes over RooCode's External API: what there is, which is current, and what a switch does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.agent import custom_modes
from app.dialects.mount import Cabin
from app.projects import service as projects
from tests.conftest import Caller, member
from tests.model_server import ModelServer

WAIT = {"wait_for_response": True}
DOCS: dict[str, Any] = {
    "slug": "docs-writer",
    "name": "Docs Writer",
    "roleDefinition": "You write documentation.",
    "groups": ["read", ["edit", {"fileRegex": r"\.md$", "description": "Markdown only"}], "browser"],
    "whenToUse": "For documentation",
    "customInstructions": "Be brief.",
}
SWITCH = '[[call switch_mode {"mode_slug": "code", "reason": "To write"}]] [[say Done.]]'
TASK = '[[call new_task {"mode": "ask", "message": "Look around"}]] [[say Done.]]'


@pytest.fixture
def root(app: Cabin) -> Path:
    """The directory of the workspace."""
    return projects.resolve(accounts.local_owner(), None).directory


def test_built_in_modes_come_with_their_groups(call: Caller) -> None:
    found = call.get("/api/modes").json
    by_slug = {one["slug"]: one for one in found["builtIn"]}
    assert {"code", "architect", "ask", "debug", "orchestrator"} <= by_slug.keys()
    assert "general" not in by_slug
    assert by_slug["code"]["groups"] == ["read", "edit", "browser", "command", "mcp"]
    assert by_slug["code"]["roleDefinition"].startswith("You are Roo, a highly skilled software engineer")
    assert by_slug["architect"]["groups"][1] == ["edit", {"fileRegex": r"\.md$", "description": "Markdown files only"}]
    assert by_slug["plan"]["groups"] == ["read", "browser", "command"]
    assert by_slug["orchestrator"]["groups"] == []
    assert found["custom"] == []


def test_modes_that_somebody_wrote_are_custom(call: Caller, root: Path) -> None:
    (root / ".opencode/agent").mkdir(parents=True)
    (root / ".opencode/agent/review.md").write_text("---\ndescription: Reviews\ntools:\n  bash: false\n---\nReview it.")
    [custom] = call.get("/api/modes").json["custom"]
    assert (custom["slug"], custom["name"], custom["roleDefinition"]) == ("review", "Review", "Review it.")
    assert custom["groups"] == ["read", "edit", "browser", "mcp"]
    assert custom["source"] == "project"


def test_a_switch_holds_for_its_person_and_the_next_task(app: Cabin, call: Caller, alice: Actor) -> None:
    assert call.get("/api/modes/current").json["slug"] == "code"
    assert call.post("/api/modes/switch", {"mode": "ask"}).json == {"message": "Mode switched successfully"}
    assert call.get("/api/modes/current").json["slug"] == "ask"
    task = call.post("/api/tasks", {"message": "[[say Hi]]", **WAIT}).json
    assert task["mode"] == "ask"
    bob = Caller(app, member(alice, "Bob"))
    assert bob.get("/api/modes/current").json["slug"] == "code"


def test_a_task_that_names_a_mode_switches_to_it(call: Caller) -> None:
    task = call.post("/api/tasks", {"message": "[[say Hi]]", "mode": "architect", **WAIT}).json
    assert (task["mode"], call.get("/api/modes/current").json["slug"]) == ("architect", "architect")
    call.post("/api/modes/switch", {"mode": "debug"})
    assert call.get(f"/api/tasks/{task['id']}/status").json["mode"] == "architect"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "Mode must be a string"),
        ({"mode": 5}, 400, "Mode must be a string"),
        ({"mode": "nobody"}, 404, "Mode not found"),
        ({"mode": "general"}, 404, "Mode not found"),
    ],
)
def test_a_switch_to_nothing_is_told(call: Caller, body: dict[str, object], status: int, words: str) -> None:
    answer = call.post("/api/modes/switch", body)
    assert (answer.status_code, answer.json) == (status, {"error": words})


def test_an_architect_edits_markdown_alone(call: Caller, root: Path) -> None:
    asked = call.post("/api/tasks", {"message": "[[write a.py x]] [[write a.md x]]", "mode": "architect", **WAIT}).json
    assert asked["status"] == "needs_approval"
    assert '"path":"a.md"' in asked["lastMessage"]
    assert any("edits only" in one["text"] for one in asked["messages"] if one.get("say") == "error")
    assert not (root / "a.py").exists()


def test_who_asks_changes_nothing(call: Caller, model: ModelServer) -> None:
    done = call.post("/api/tasks", {"message": "[[write a.md x]] [[bash ls]] [[say No]]", "mode": "ask", **WAIT}).json
    assert (done["status"], done["lastMessage"]) == ("completed", "No")
    assert len([one for one in done["messages"] if one.get("say") == "error"]) == 2
    offered = {tool["function"]["name"] for tool in model.requests[0]["tools"]}
    assert {"read", "grep", "webfetch", "question"} <= offered
    assert not offered & {"write", "edit", "multiedit", "patch", "bash"}


def test_custom_modes_are_told_as_they_were_written(call: Caller, root: Path, alice: Actor) -> None:
    custom_modes.save(alice, DOCS)
    custom_modes.save(alice, {**DOCS, "slug": "ask", "groups": []})
    (root / ".roomodes").write_text(json.dumps({"customModes": [{**DOCS, "slug": "local"}]}))
    found = call.get("/api/modes").json
    by_slug = {one["slug"]: one for one in found["custom"]}
    assert by_slug["docs-writer"] == {**DOCS, "description": "For documentation", "source": "global"}
    assert (by_slug["local"]["source"], by_slug["ask"]["groups"]) == ("project", [])
    assert "ask" not in {one["slug"] for one in found["builtIn"]}


def test_a_custom_mode_is_switched_to_and_current(call: Caller, root: Path) -> None:
    (root / ".roomodes").write_text(json.dumps({"customModes": [DOCS]}))
    assert call.post("/api/modes/switch", {"mode": "docs-writer"}).status_code == 200
    current = call.get("/api/modes/current").json
    assert (current["slug"], current["customInstructions"]) == ("docs-writer", "Be brief.")
    assert call.post("/api/tasks", {"message": "[[say Hi]]", **WAIT}).json["mode"] == "docs-writer"


@pytest.mark.parametrize("text", ["customModes: [", "customModes: [{}]", "\x00", "&a *a"])
def test_a_bad_file_of_a_project_leaves_the_others(call: Caller, root: Path, text: str) -> None:
    (root / ".roomodes").write_text(text)
    assert call.get("/api/modes").json["custom"] == []
    assert call.get("/api/modes/current").json["slug"] == "code"


def test_opencodes_clients_are_offered_custom_modes_too(call: Caller, root: Path) -> None:
    (root / ".roomodes").write_text(json.dumps({"customModes": [DOCS]}))
    found = {one["name"]: one for one in call.get("/opencode/agent").json}["docs-writer"]
    assert (found["mode"], found["builtIn"], found["prompt"]) == ("primary", False, "You write documentation.")
    assert (found["permission"]["edit"], found["permission"]["bash"]["*"]) == ("ask", "deny")
    assert (found["tools"]["read"], found["tools"]["bash"]) == (True, False)


def test_a_switch_of_the_agents_waits_for_its_approval(call: Caller) -> None:
    asked = call.post("/api/tasks", {"message": SWITCH, "mode": "ask", **WAIT}).json
    assert asked["status"] == "needs_approval"
    kind, _, text = asked["lastMessage"].partition(": ")
    assert (kind, json.loads(text)) == ("ask tool", {"tool": "switchMode", "mode": "code", "reason": "To write"})
    done = call.post(f"/api/tasks/{asked['id']}/respond", {"response": "approve", **WAIT}).json
    assert (done["status"], call.get(f"/api/tasks/{asked['id']}/status").json["mode"]) == ("completed", "code")
    assert call.get("/api/modes/current").json["slug"] == "ask"


def test_the_switch_lets_agents_change_modes_unasked(call: Caller) -> None:
    call.post("/api/auto-approve", {"alwaysAllowModeSwitch": True})
    assert call.post("/api/tasks", {"message": SWITCH, "mode": "ask", **WAIT}).json["status"] == "needs_approval"
    call.post("/api/auto-approve/enabled", {"enabled": True})
    done = call.post("/api/tasks", {"message": SWITCH, "mode": "ask", **WAIT}).json
    assert (done["status"], done["mode"]) == ("completed", "code")


def test_a_task_that_an_agent_hands_out_is_told_with_its_end(call: Caller) -> None:
    asked = call.post("/api/tasks", {"message": TASK, "mode": "orchestrator", **WAIT}).json
    text = asked["lastMessage"].partition(": ")[2]
    assert json.loads(text) == {"tool": "newTask", "mode": "ask", "content": "Look around"}
    done = call.post(f"/api/tasks/{asked['id']}/respond", {"response": "approve", **WAIT}).json
    assert done["status"] == "completed"
    logs = call.get(f"/api/tasks/{asked['id']}/logs").json["messages"]
    [result] = [one["text"] for one in logs if one.get("say") == "subtask_result"]
    assert result


def test_the_switch_lets_agents_hand_out_tasks_unasked(call: Caller) -> None:
    call.post("/api/auto-approve?all=true", {"alwaysAllowSubtasks": True})
    call.post("/api/auto-approve/enabled", {"enabled": True})
    assert call.post("/api/tasks", {"message": TASK, "mode": "orchestrator", **WAIT}).json["status"] == "completed"
