"""Modes over RooCode's External API: what there is, which is current, and what a switch does."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import service as projects
from tests.conftest import Caller, member
from tests.model_server import ModelServer

WAIT = {"wait_for_response": True}


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
