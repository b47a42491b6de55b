"""Instructions and what runs without asking, over RooCode's External API."""

from __future__ import annotations

from typing import Any

import pytest

from app.actor import Actor
from app.agent import auto_approve
from app.agent.auto_approve import NAMES, Switches
from app.dialects.mount import Cabin
from tests.conftest import Caller, member
from tests.model_server import ModelServer

WAIT = {"wait_for_response": True}
SEVEN = (
    "autoApprovalEnabled", "alwaysAllowReadOnly", "alwaysAllowWrite", "alwaysAllowExecute", "alwaysAllowBrowser",
    "alwaysAllowMcp", "alwaysApproveResubmit",
)  # fmt: skip


def run(call: Caller, message: str) -> dict[str, Any]:
    found: dict[str, Any] = call.post("/api/tasks", {"message": message, **WAIT}).json
    return found


def switch(call: Caller, **given: Any) -> None:
    assert call.post("/api/auto-approve", given).json == {"success": True}


def test_instructions_are_told_to_the_caller_s_tasks_until_they_are_cleared(
    app: Cabin, call: Caller, alice: Actor, model: ModelServer
) -> None:
    assert call.get("/api/instructions").json == {"instructions": ""}
    assert call.post("/api/instructions", {"instructions": "Speak like a sailor."}).json == {"success": True}
    assert call.get("/api/instructions").json == {"instructions": "Speak like a sailor."}
    run(call, "[[say Ahoy]]")
    assert "Speak like a sailor." in str(model.requests[-1]["messages"][0])
    bob = Caller(app, member(alice, "Bob"))
    assert bob.get("/api/instructions").json == {"instructions": ""}
    run(bob, "[[say Hello]]")
    assert "Speak like a sailor." not in str(model.requests[-1])
    call.post("/api/instructions", {"instructions": ""})
    run(call, "[[say Hello]]")
    assert "Speak like a sailor." not in str(model.requests[-1])


@pytest.mark.parametrize("body", [{}, {"instructions": None}, {"instructions": 5}, {"instructions": ["x"]}])
def test_instructions_of_the_wrong_form_are_told(call: Caller, body: dict[str, Any]) -> None:
    answer = call.post("/api/instructions", body)
    assert (answer.status_code, answer.json) == (400, {"error": "Invalid instructions format"})


def test_every_switch_is_off_at_first_and_read_back_once_set(call: Caller) -> None:
    first = call.get("/api/auto-approve").json
    assert first == {**dict.fromkeys(SEVEN, False), "alwaysAllowModeSwitch": False}
    switch(call, alwaysAllowWrite=True, alwaysAllowBrowser=True)
    assert call.post("/api/auto-approve/enabled", {"enabled": True}).json == {"success": True}
    now = call.get("/api/auto-approve").json
    assert {name for name, value in now.items() if value} == {
        "autoApprovalEnabled",
        "alwaysAllowWrite",
        "alwaysAllowBrowser",
    }
    assert len(call.get("/api/auto-approve?all=true").json) == len(NAMES)


def test_a_switch_of_the_wrong_form_changes_none(call: Caller) -> None:
    before = call.get("/api/auto-approve").json
    answer = call.post("/api/auto-approve", {"alwaysAllowWrite": True, "alwaysAllowMcp": "yes"})
    assert (answer.status_code, answer.json) == (400, {"error": "alwaysAllowMcp must be a boolean"})
    master = call.post("/api/auto-approve/enabled", {})
    assert (master.status_code, master.json) == (400, {"error": "enabled must be a boolean"})
    assert call.get("/api/auto-approve").json == before


def test_writing_runs_unasked_once_both_switches_are_on(call: Caller) -> None:
    switch(call, alwaysAllowWrite=True)
    assert run(call, "[[write a.txt a]] [[say Done]]")["status"] == "needs_approval"
    switch(call, autoApprovalEnabled=True)
    assert run(call, "[[write b.txt b]] [[say Done]]")["status"] == "completed"
    assert run(call, "[[write .roomodes x]] [[say Done]]")["status"] == "needs_approval"
    assert run(call, "[[bash touch c]] [[say Done]]")["status"] == "needs_approval"


def test_only_commands_that_begin_with_an_allowed_one_run_unasked(call: Caller) -> None:
    switch(call, autoApprovalEnabled=True, alwaysAllowExecute=True, allowedCommands=["touch", "npm test"])
    assert run(call, "[[bash touch c]] [[say Done]]")["status"] == "completed"
    for asks in ("touchy c", "npm testevil", "touch c && rm c", "touch $(rm c)", "npm install"):
        assert run(call, f"[[bash {asks}]] [[say Done]]")["status"] == "needs_approval", asks


def test_a_denied_command_never_runs(call: Caller) -> None:
    switch(
        call, autoApprovalEnabled=True, alwaysAllowExecute=True, allowedCommands=["git"], deniedCommands=["git push"]
    )
    done = run(call, "[[bash git push origin]] [[say Done]]")
    assert done["status"] == "completed"
    assert any("Not allowed here" in one["text"] for one in done["messages"] if one.get("say") == "error")


def test_the_switches_are_their_person_s_alone(app: Cabin, call: Caller, alice: Actor) -> None:
    switch(call, autoApprovalEnabled=True, alwaysAllowWrite=True)
    bob = Caller(app, member(alice, "Bob"))
    assert run(bob, "[[write a.txt a]] [[say Done]]")["status"] == "needs_approval"


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        (Switches(), []),
        (Switches(always_allow_write=True, always_allow_execute=True), []),
        (Switches(auto_approval_enabled=True, always_allow_browser=True), ["webfetch * allow"]),
        (Switches(denied_commands=("rm",)), ["bash rm * deny"]),
        (
            Switches(
                auto_approval_enabled=True, always_allow_execute=True, allowed_commands=("ls",), denied_commands=("rm",)
            ),
            ["bash ls * allow", "bash rm * deny"],
        ),
    ],
)
def test_switches_become_rules(given: Switches, rules: list[str]) -> None:
    assert [f"{rule.tool} {rule.pattern} {rule.action}" for rule in auto_approve.rules(given)] == rules
