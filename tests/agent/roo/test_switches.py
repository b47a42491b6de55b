"""What each of Roo's switches lets run, what it leaves asking, and what reaches nothing at all; through real turns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import config, server
from app.actor import Actor
from app.agent import auto_approve, followups
from app.agent.auto_approve import Switches
from app.approvals import service as approvals
from app.approvals.rules import Ground, Stance, decide
from app.approvals.service import LIMIT, Ask, Rule
from app.audit import service as audit
from app.config import Config
from app.dialects.mount import Cabin
from app.errors import Denied, Invalid
from app.projects import service as projects
from app.projects.service import Place
from app.sessions import service as sessions
from tests.agent.roo.test_costs import counted
from tests.agent.talk import Talk
from tests.conftest import Caller
from tests.model_server import Call, ModelServer, Say

ASKS, DONE = "needs_approval", "completed"
QUESTION = {
    "questions": [
        {"question": "Which colour?", "header": "Colour", "options": [{"label": "Red"}, {"label": "Blue"}]},
        {"question": "How many?", "header": "Count", "options": [{"label": "One"}]},
    ]
}
OPEN = {"questions": [{"question": "What is its name?", "header": "Name", "options": []}]}


@pytest.fixture
def place(app: Cabin, alice: Actor) -> Place:
    return projects.resolve(alice, None)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file of somebody else."""
    path = tmp_path / "elsewhere" / "notes.txt"
    path.parent.mkdir()
    path.write_text("not yours")
    return path


@pytest.fixture
def ceiling(request: pytest.FixtureRequest, in_use: None) -> Iterator[Any]:
    """Have the server allow no more than this preset."""
    before = config.current()
    yield lambda preset: config.use(replace(before, preset_ceiling=preset))
    config.use(before)


def run(call: Caller, message: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = call.post("/api/tasks", {"message": message, "wait_for_response": True, **more}).json
    return found


def status(call: Caller, message: str) -> str:
    return str(run(call, f"{message} [[say Done]]")["status"])


def switch(call: Caller, **given: Any) -> None:
    assert call.post("/api/auto-approve", {"autoApprovalEnabled": True, **given}).json == {"success": True}


# Reading and writing


def test_reading_outside_asks_until_both_switches_are_on(call: Caller, outside: Path) -> None:
    reads = f"[[bash cat {outside}]]"
    switch(call, alwaysAllowExecute=True, allowedCommands=["cat"])
    assert status(call, reads) == ASKS
    switch(call, alwaysAllowReadOnlyOutsideWorkspace=True)
    assert status(call, reads) == ASKS
    switch(call, alwaysAllowReadOnly=True)
    assert status(call, reads) == DONE


def test_what_may_be_read_outside_may_not_be_written(call: Caller, outside: Path) -> None:
    switch(call, alwaysAllowExecute=True, allowedCommands=["touch"], alwaysAllowWrite=True, alwaysAllowReadOnly=True)
    switch(call, alwaysAllowReadOnlyOutsideWorkspace=True)
    assert status(call, f"[[bash touch {outside}]]") == ASKS
    switch(call, alwaysAllowWriteOutsideWorkspace=True)
    assert status(call, f"[[bash touch {outside}]]") == DONE


@pytest.mark.parametrize(
    "path",
    [
        ".rooignore", ".roomodes", ".roorules", ".roorules-code", ".clinerules", ".clinerules-code", ".roo/rules/a.md",
        ".vscode/settings.json", "shop.code-workspace", "sub/shop.code-workspace", ".rooprotected", "AGENTS.md",
        "AGENTS.local.md", "AGENT.md", "CLAUDE.md", ".git/config", "opencode.json", ".Roo/x",
    ],
)  # fmt: skip
def test_a_protected_file_asks_whatever_is_on(path: str) -> None:
    given = Switches(**dict.fromkeys(auto_approve.BOOLEANS, True))  # type: ignore[arg-type]
    stance, ground, rules = Stance("auto"), Ground("/shop"), auto_approve.rules(given)
    for tool in ("write", "edit"):
        assert decide(tool, {"filePath": path}, ground, stance, rules).action == "ask"
    assert decide("bash", {"command": f"tee {path}"}, ground, stance, rules).action == "ask"


def test_the_switch_for_protected_files_is_kept_and_changes_nothing(call: Caller) -> None:
    switch(call, alwaysAllowWrite=True, alwaysAllowWriteProtected=True)
    assert call.get("/api/auto-approve?all=true").json["alwaysAllowWriteProtected"] is True
    assert status(call, "[[write .roorules x]]") == ASKS


# Commands


@pytest.mark.parametrize(
    ("command", "action"),
    [
        ("git status -s", "allow"), ("gitx status", "ask"), ("git", "allow"), ("git push", "deny"),
        ("git pushx", "allow"), ("git push origin main", "allow"), ("git push origin --force", "deny"),
        ("git push origin --force-with-lease", "allow"), ("git push originx", "deny"), ("git -C /x push", "deny"),
        ("/usr/bin/git push", "deny"), ("git status && git push", "deny"), ("git status; make", "ask"),
        ("git status\nmake", "ask"), ("git status & make", "ask"), ("git status | sh", "ask"),
        ("git log $(git push)", "deny"), ("git log `make`", "ask"), ("git log 2>&1", "allow"), ("git $WHAT", "ask"),
        ("bash -c 'git push'", "deny"), ("make", "ask"), ("docker run x", "deny"), ("docker ps", "allow"),
        ("npm test", "deny"), ("xargs docker run", "ask"),
    ],
)  # fmt: skip
def test_of_allowed_and_denied_commands_the_longest_counts_in_every_part(command: str, action: str) -> None:
    allowed = ("git", "git push origin", "docker ps", "npm test", "xargs")
    denied = ("git push", "git push origin --force", "docker", "npm test")
    given = Switches(
        auto_approval_enabled=True, always_allow_execute=True, allowed_commands=allowed, denied_commands=denied
    )
    found = decide("bash", {"command": command}, Ground("/shop"), Stance("ask"), auto_approve.rules(given))
    assert found.action == action, found.why


@pytest.mark.parametrize(
    "command",
    [
        "echo ${x@P}", "echo ${x@E}", "echo ${!x}", 'echo "${!x}"', "cat <<< $(echo a)", "cat <<<`echo a`",
        "cat =(echo a)", "echo *(e:'echo a':)", "echo ${x:-$(make)}",
    ],
)  # fmt: skip
def test_an_expansion_that_may_run_anything_asks(command: str) -> None:
    given = Switches(auto_approval_enabled=True, always_allow_execute=True, allowed_commands=("echo", "cat"))
    for rules in (auto_approve.rules(given), [Rule("*", "*", "allow")]):
        found = decide("bash", {"command": command}, Ground("/shop"), Stance("ask"), rules)
        assert found.action == ("allow" if "make" in command and rules[0].tool == "*" else "ask"), found


def test_a_star_allows_every_command_and_denies_all_but_those_that_are_allowed(ceiling: Any) -> None:
    on = Switches(auto_approval_enabled=True, always_allow_execute=True, allowed_commands=("*",))

    def action(given: Switches, command: str) -> str:
        return decide("bash", {"command": command}, Ground("/shop"), Stance("ask"), auto_approve.rules(given)).action

    assert [action(on, one) for one in ("make", "make && npm test", "rm -rf .git")] == ["allow", "allow", "ask"]
    some = replace(on, allowed_commands=("git log",), denied_commands=("*",))
    assert [action(some, one) for one in ("git log -1", "git logs", "make")] == ["allow", "deny", "deny"]
    ceiling("accept-edits")
    assert action(on, "make") == "ask"


def test_a_longer_allowed_command_asks_while_its_switch_is_off() -> None:
    given = Switches(allowed_commands=("git push origin",), denied_commands=("git push",))
    found = [
        decide("bash", {"command": one}, Ground("/shop"), Stance("ask"), auto_approve.rules(given)).action
        for one in ("git push origin main", "git push")
    ]
    assert found == ["ask", "deny"]


# The ceiling


@pytest.mark.parametrize(
    ("preset", "tools"),
    [
        ("auto", ["edit", "webfetch", "external_directory:read", "external_directory:edit", "x_y", "bash"]),
        ("accept-edits", ["edit", "x_y", "bash"]),
        ("ask", ["x_y", "bash"]),
        ("read-only", []),
    ],
)
def test_a_switch_counts_only_under_the_ceiling(ceiling: Any, preset: str, tools: list[str]) -> None:
    given = Switches(**dict.fromkeys(auto_approve.BOOLEANS, True), allowed_commands=("ls",))  # type: ignore[arg-type]
    ceiling(preset)
    found = [rule.tool for rule in auto_approve.rules(given, ["x_y"])]
    assert [tool for tool in found if tool not in ("switch_mode", "new_task")] == tools


def test_what_the_ceiling_locks_asks_and_is_read_back(call: Caller, ceiling: Any) -> None:
    ceiling("ask")
    switch(call, alwaysAllowWrite=True)
    assert status(call, "[[write a.txt a]]") == ASKS
    assert call.get("/api/auto-approve").json["alwaysAllowWrite"] is True
    ceiling("accept-edits")
    assert status(call, "[[write b.txt b]]") == DONE


# Limits


def ask_of(call: Caller, alice: Actor, task: dict[str, Any]) -> Ask:
    (ask,) = approvals.waiting(alice, task["id"])
    return ask


def test_after_so_many_requests_somebody_is_asked_and_letting_it_go_on_counts_anew(
    call: Caller, alice: Actor, place: Place
) -> None:
    switch(call, alwaysAllowWrite=True, allowedMaxRequests=2)
    task = run(call, "[[write a.txt a]] [[write b.txt b]] [[write c.txt c]] [[write d.txt d]] [[say Done]]")
    assert (task["status"], (place.directory / "a.txt").exists()) == (ASKS, True)
    assert task["lastMessage"] == f'ask {LIMIT}: {{"count":2,"type":"requests"}}'
    ask = ask_of(call, alice, task)
    assert (ask.title, ask.always) == ("Go on after 2 requests: Write b.txt", [])
    assert not (place.directory / "b.txt").exists()
    answer = call.post("/api/tasks/respond", {"response": "approve", "wait_for_response": True}).json
    assert answer["lastMessage"] == f'ask {LIMIT}: {{"count":2,"type":"requests"}}'
    assert (place.directory / "c.txt").exists() is True
    assert not (place.directory / "d.txt").exists()


def test_not_letting_it_go_on_ends_the_turn(call: Caller, alice: Actor, place: Place, model: ModelServer) -> None:
    switch(call, alwaysAllowWrite=True, allowedMaxRequests=1)
    task = run(call, "[[write a.txt a]] [[say Done]]")
    call.post("/api/tasks/respond", {"response": "reject", "wait_for_response": True})
    assert not sessions.get(alice, task["id"]).is_busy
    assert len([one for one in model.requests if one.get("tools")]) == 1
    assert not (place.directory / "a.txt").exists()


def test_a_call_that_asks_anyway_asks_once(call: Caller, alice: Actor) -> None:
    switch(call, alwaysAllowExecute=True, allowedMaxRequests=1)
    task = run(call, "[[bash make]] [[say Done]]")
    assert ask_of(call, alice, task).tool == "bash"


def test_reading_counts_too_and_nothing_counts_without_the_master_switch(call: Caller, alice: Actor) -> None:
    switch(call, allowedMaxRequests=2)
    assert status(call, "[[read README.md]] [[list .]]") == ASKS
    switch(call, autoApprovalEnabled=False)
    assert status(call, "[[read README.md]] [[list .]]") == DONE


def test_after_so_much_cost_somebody_is_asked(call: Caller, alice: Actor, model: ModelServer) -> None:
    priced = {"models": {"scripted": {"cost": {"input": 10_000, "output": 10_000}}}}
    provider = {"options": {"baseURL": model.url, "apiKey": "test-key"}, **priced}
    (config.current().data_dir / "opencode.json").write_text(json.dumps({"provider": {"openai": provider}}))
    switch(call, allowedMaxCost=0.5)
    task = run(call, "[[read README.md]] [[say Done]]")
    cost = sessions.get(alice, task["id"]).cost
    assert ask_of(call, alice, task).input["type"] == "cost"
    assert ask_of(call, alice, task).input["count"] == pytest.approx(cost)
    assert ask_of(call, alice, task).title == f"Go on after ${cost:.2f}: Read README.md"


@pytest.mark.parametrize("name", ["allowedMaxRequests", "allowedMaxCost", "followupAutoApproveTimeoutMs"])
@pytest.mark.parametrize("value", [0, -1, "5", True, [1], 10**12])
def test_a_limit_of_the_wrong_form_changes_nothing(call: Caller, name: str, value: Any) -> None:
    before = call.get("/api/auto-approve?all=true").json
    answer = call.post("/api/auto-approve", {"alwaysAllowWrite": True, name: value})
    assert (answer.status_code, answer.json) == (400, {"error": f"{name} must be a positive number"})
    assert call.get("/api/auto-approve?all=true").json == before


def test_a_limit_is_taken_off_again(call: Caller) -> None:
    switch(call, allowedMaxRequests=3, allowedMaxCost=1.5)
    assert call.get("/api/auto-approve?all=true").json["allowedMaxCost"] == 1.5
    switch(call, allowedMaxRequests=None, allowedMaxCost=None)
    now = call.get("/api/auto-approve?all=true").json
    assert (now["allowedMaxRequests"], now["allowedMaxCost"]) == (None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"allowed_max_requests": 0},
        {"allowed_max_cost": float("nan")},
        {"followup_auto_approve_timeout_ms": 0},
        {"denied_commands": ["  "]},
        {"allowed_commands": ["x" * 401]},
    ],
)
def test_what_cannot_be_set_is_refused_to_others_than_clients_too(
    place: Place, alice: Actor, changes: dict[str, Any]
) -> None:
    with pytest.raises(Invalid):
        auto_approve.change(alice, place, changes)


def test_an_agent_changes_none_and_what_people_change_is_audited(place: Place, alice: Actor) -> None:
    agent = replace(alice, kind="agent", id="agent:ses_x")
    with pytest.raises(Denied):
        auto_approve.change(agent, place, {"auto_approval_enabled": True})
    assert auto_approve.get(alice, place) == Switches()
    auto_approve.change(alice, place, {"always_allow_write": True, "denied_commands": ["rm"]})
    entry = next(one for one in audit.entries(alice) if one.action == "agent.choose")
    assert (entry.actor, entry.detail) == (alice.id, {"always_allow_write": True, "denied_commands": ["rm"]})


# Questions


def test_a_question_takes_its_first_suggestions_in_time(call: Caller, alice: Actor, model: ModelServer) -> None:
    switch(call, alwaysAllowFollowupQuestions=True, followupAutoApproveTimeoutMs=1)
    talk = Talk(alice)
    model.script = [[Call("question", QUESTION)], [Say("Red it is")]]
    talk.ask("Ask me.")
    (asked,) = approvals.of_session(alice, talk.id)
    assert (asked.answers, asked.answered_name) == ([["Red"], ["One"]], "Auto-approve")
    assert 'They answered: "Which colour?"="Red"' in str(model.requests[-1])


def test_a_question_waits_for_a_person_without_the_switch_or_a_suggestion(
    app: Cabin, alice: Actor, place: Place, model: ModelServer
) -> None:
    talk = Talk(alice)
    model.script = [[Call("question", QUESTION)], [Say("Fine")], [Call("question", OPEN)], [Say("Fine")]]
    talk.say("Ask me.")
    first = talk.until_asked()["id"]
    followups.answer(first)
    assert approvals.get(alice, first).state == "waiting"
    auto_approve.change(alice, place, {"always_allow_followup_questions": True, "followup_auto_approve_timeout_ms": 1})
    followups.answer(first)
    assert approvals.get(alice, first).state == "waiting", "the master switch is off"
    approvals.answer_question(alice, first, [["Blue"], []])
    talk.until_idle()
    followups.answer(first)
    assert approvals.get(alice, first).answers == [["Blue"], []]
    auto_approve.change(alice, place, {"auto_approval_enabled": True})
    talk.say("Ask me again.")
    second = talk.until_asked()["id"]
    followups.answer(second)
    assert approvals.get(alice, second).state == "waiting"
    followups.answer("que_unknown")


def test_a_question_that_waits_already_is_timed_once_the_switch_is_on_and_after_a_restart(
    app: Cabin, alice: Actor, place: Place, model: ModelServer, settings: Config
) -> None:
    talk = Talk(alice)
    model.script = [[Call("question", QUESTION)], [Say("Fine")]]
    talk.say("Ask me.")
    asked = talk.until_asked()["id"]
    server.stop_background()
    auto_approve.change(
        alice,
        place,
        {
            "auto_approval_enabled": True,
            "always_allow_followup_questions": True,
            "followup_auto_approve_timeout_ms": 1,
        },
    )
    assert approvals.get(alice, asked).state == "waiting"
    server.start_background(settings)
    talk.follow()
    talk.until_idle()
    assert approvals.get(alice, asked).answered_name == "Auto-approve"


def test_questions_are_timed_by_as_many_queries_for_a_hundred_as_for_one(
    app: Cabin, alice: Actor, place: Place, model: ModelServer
) -> None:
    talk = Talk(alice)
    model.script = [[Call("question", QUESTION)], [Say("Fine")]]
    talk.say("Ask me.")
    asked = approvals.get(alice, talk.until_asked()["id"])
    auto_approve.change(alice, place, {"auto_approval_enabled": True, "always_allow_followup_questions": True})
    with counted() as alone:
        one = list(followups._dues([asked]))
    with counted() as together:
        many = list(followups._dues([replace(asked, id=f"que_{number}") for number in range(100)]))
    assert (len(one), len(many)) == (1, 100)
    assert len(alone) == len(together) == 2
