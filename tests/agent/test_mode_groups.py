"""What the groups of a mode grant, and what bounds them, in whole turns of the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.agent import chosen, custom_modes, mode_config, modes, profiles, roomodes
from app.approvals import service as approvals
from app.approvals.service import Rule
from app.db import Database
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service as sessions
from tests.agent.talk import Talk
from tests.agent.test_engine import BOTH, settings, store
from tests.agent.test_modes import home, project, write
from tests.agent.test_subagents import asked as waiting
from tests.model_server import Call, ModelServer, Say

__all__ = ["home", "project", "settings", "store"]


def mode(slug: str = "docs", groups: list[Any] | None = None, **more: str) -> dict[str, Any]:
    """A mode in Roo's spelling."""
    written = {"slug": slug, "name": slug.capitalize(), "roleDefinition": f"You are {slug}."}
    return {**written, "groups": ["read"] if groups is None else groups, **more}


def only(pattern: str, why: str = "Documentation only") -> list[Any]:
    return ["edit", {"fileRegex": pattern, "description": why}]


def roomodes_of(place: Path, *found: dict[str, Any]) -> None:
    """Write a project's own modes."""
    (place / ".roomodes").write_text(mode_config.written(mode_config.validated(list(found))))


def errors(talk: Talk) -> list[str]:
    return [call["state"].get("error", "") for call in talk.tools()]


def names(request: dict[str, Any]) -> set[str]:
    return {tool["function"]["name"] for tool in request["tools"]}


# What there is


def test_a_projects_mode_wins_over_the_servers_and_both_over_built_in_ones(
    project: Path, database: Database, alice: Actor
) -> None:
    custom_modes.save(alice, mode("ask", name="Server's"))
    custom_modes.save(alice, mode("docs", name="Server's"))
    roomodes_of(project, mode("docs", name="Project's"), mode("new", name="New"))
    found = {one.name: one for one in modes.of(project)}
    assert [(found[slug].title, found[slug].source) for slug in ("ask", "docs", "new")] == [
        ("Server's", "user"),
        ("Project's", "project"),
        ("New", "project"),
    ]
    assert [one.name for one in modes.of(project)][:3] == ["build", "plan", "general"]
    assert "new" not in {one.name for one in modes.of(None)}


def test_the_server_may_give_a_built_in_mode_more_and_a_repository_may_not(
    project: Path, database: Database, alice: Actor
) -> None:
    everything = ["read", "edit", "command", "mcp"]
    roomodes_of(project, *(mode(slug, everything) for slug in ("ask", "architect", "plan", "orchestrator", "code")))
    found = {one.name: one for one in modes.of(project)}
    assert [found[slug].may_edit for slug in ("ask", "plan", "orchestrator", "architect", "code")] == [
        False, False, False, True, True
    ]  # fmt: skip
    assert [one.pattern for one in found["architect"].limits.only] == [r"\.md$"]
    assert not any(found[slug].may_run for slug in ("ask", "architect", "orchestrator"))
    assert "edit" not in (found["plan"].tools or ())
    custom_modes.save(alice, mode("debug", ["read"]))
    custom_modes.save(alice, mode("orchestrator", everything))
    (project / ".roomodes").unlink()
    found = {one.name: one for one in modes.of(project)}
    assert (found["debug"].may_edit, found["debug"].may_run) == (False, False)
    assert (found["orchestrator"].may_edit, found["orchestrator"].may_run) == (True, True)


def test_a_repository_never_widens_what_the_server_narrowed(project: Path, database: Database, alice: Actor) -> None:
    custom_modes.save(alice, mode("docs", ["read", only(r"^docs/")]))
    roomodes_of(project, mode("docs", ["read", only(r"\.md$"), "command", "mcp"]))
    found = modes.get("docs", project)
    assert {one.pattern for one in found.limits.only} == {r"^docs/", r"\.md$"}
    assert not found.may_run
    assert "bash" not in (found.tools or ())
    assert not found.with_mcp


def test_a_repository_keeps_nothing_of_what_was_allowed_to_a_mode(project: Path, home: Path) -> None:
    write(home, ".config/opencode/agent/docs.md", "---\npermission:\n  bash: allow\n  webfetch: deny\n---\nMine.")
    assert Rule("bash", "*", "allow", "server") in modes.get("docs", project).rules
    roomodes_of(project, mode("docs", ["read", "command"]))
    found = modes.get("docs", project)
    assert (found.role, [str(rule) for rule in found.rules]) == ("You are docs.", ["deny webfetch *"])


def test_a_repository_brings_no_mode_back_that_was_taken_away(project: Path, home: Path) -> None:
    write(home, ".config/opencode/opencode.json", '{"agent": {"code": {"disable": true}}}')
    roomodes_of(project, mode("code", ["read", "edit", "command"]))
    assert modes.find("code", project) is None


def test_the_browser_grants_nothing_and_is_shown(project: Path, database: Database) -> None:
    roomodes_of(project, mode("docs", ["browser"]), mode("none", []))
    found = modes.get("docs", project)
    assert [group.shown for group in found.groups] == ["browser"]
    assert set(found.tools or ()) == set(modes.get("none", project).tools or ())
    assert "question" in (found.tools or ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("customModes: [{slug: docs}]", "mode 1 (docs): name: is missing."),
        ("customModes: &x []", "It cannot be read"),
        ("x" * 200_000, "more than 128 KiB"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (mode_config.written([]).replace("[]", "[" * 200), "It cannot be read"),
    ],
)
def test_a_bad_file_leaves_its_modes_out_and_says_why(
    project: Path, database: Database, text: str | bytes, words: str
) -> None:
    (project / ".roomodes").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert words in roomodes.of(project).fault
    assert [one.name for one in modes.of(project)] == list(modes.MODES)


def test_a_file_is_read_again_when_it_changes_and_no_link_leads_out(
    project: Path, tmp_path: Path, database: Database
) -> None:
    roomodes_of(project, mode("docs"))
    assert modes.find("docs", project)
    roomodes_of(project, mode("other"))
    assert (modes.find("docs", project), modes.get("other", project).title) == (None, "Other")
    (project / ".roomodes").rename(tmp_path / "outside")
    (project / ".roomodes").symlink_to(tmp_path / "outside")
    assert modes.find("other", project) is None
    assert roomodes.of(project).fault


# Turns


def test_a_mode_is_offered_the_tools_of_its_groups_and_told_its_words(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer
) -> None:
    roomodes_of(workspace, mode("docs", ["read", only(r"^docs/")], customInstructions="Be terse.", whenToUse="Docs"))
    talk = Talk(alice, mode="docs")
    talk.ask("[[say Hi]]")
    [request] = model_server.requests
    assert names(request) == {
        "read", "grep", "glob", "list", "webfetch", "edit", "multiedit", "write", "patch",
        "question", "todowrite", "todoread", "task", "switch_mode", "new_task",
    }  # fmt: skip
    system = str(request["messages"][0])
    assert "You are docs." in system
    assert "# Instructions from the mode docs" in system
    assert "Be terse." in system
    assert "- docs: Docs. Docs" in system
    assert "- architect: Architect." in system


def test_other_modes_do_not_hand_work_to_each_other_that_way(
    app: Cabin, alice: Actor, model_server: ModelServer
) -> None:
    Talk(alice).ask("[[say Hi]]")
    assert not names(model_server.requests[0]) & {"switch_mode", "new_task"}


@pytest.mark.parametrize(
    "call",
    [
        Call("write", {"filePath": "shop/new.py", "content": "x"}),
        Call("write", {"filePath": "docs/../shop/new.py", "content": "x"}),
        Call("edit", {"filePath": "shop/tax.py", "oldString": "RATE = 19", "newString": "RATE = 1"}),
        Call("multiedit", {"filePath": "shop/tax.py", "edits": [{"oldString": "19", "newString": "1"}]}),
        Call("patch", {"patchText": "*** Begin Patch\n*** Add File: docs/a.md\n+x\n*** Add File: shop/b.py\n+x\n*** End Patch"}),
        Call("patch", {"patchText": "*** Begin Patch\n*** Update File: docs/in.md\n*** Move to: shop/in.md\n@@\n-in\n+out\n*** End Patch"}),
    ],
    ids=["write", "write by a detour", "edit", "multiedit", "patch of two", "patch that moves"],
)  # fmt: skip
def test_a_file_that_the_pattern_does_not_find_is_not_edited(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer, call: Call
) -> None:
    write(workspace, "docs/in.md", "in\n")
    before = {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()}
    roomodes_of(workspace, mode("docs", ["read", only(r"^docs/")]))
    before[workspace / ".roomodes"] = (workspace / ".roomodes").read_bytes()
    talk = Talk(alice, preset="auto", mode="docs")
    reads = [Call("read", {"filePath": name}) for name in ("shop/tax.py", "docs/in.md")]
    model_server.script = [reads, [call], [Say("I could not.")]]
    talk.ask("go on")
    [error] = [one for one in errors(talk) if one]
    for words in ("mode docs", r"^docs/", "Documentation only", "shop/"):
        assert words in error
    assert {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()} == before


def test_what_the_pattern_finds_is_edited_and_a_mode_without_command_has_no_shell(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer
) -> None:
    roomodes_of(workspace, mode("docs", ["read", only(r"\.md$")]))
    talk = Talk(alice, preset="auto", mode="docs")
    model_server.script = [
        [Call("write", {"filePath": "docs/a.md", "content": "A\n"}), Call("bash", {"command": "echo x > b.py"})],
        [Say("Done.")],
    ]
    talk.ask("go on")
    assert (workspace / "docs/a.md").read_text() == "A\n"
    assert errors(talk) == ["", "Not allowed here: bash: the mode docs does not have this tool now"]


def test_a_shell_writes_no_file_that_the_pattern_does_not_find(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer
) -> None:
    roomodes_of(workspace, mode("docs", ["read", only(r"\.md$"), "command"]))
    talk = Talk(alice, preset="auto", mode="docs")
    model_server.script = [[Call("bash", {"command": "echo x > shop/new.py"})], [Say("No.")]]
    talk.ask("go on")
    assert "edits only paths that match" in errors(talk)[0]
    assert not (workspace / "shop/new.py").exists()


@pytest.mark.parametrize("path", ["~/shop/a.md", "/home/user/shop/a.md", "/tmp/a.md", "../a.md", "linked/a.md"])
def test_no_other_name_of_a_file_gets_by_a_pattern(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer, path: str
) -> None:
    (workspace / "linked").symlink_to("shop")
    roomodes_of(workspace, mode("docs", ["read", only(r"^(?!shop/)")]))
    talk = Talk(alice, preset="auto", mode="docs")
    model_server.script = [[Call("write", {"filePath": path, "content": "x"})], [Say("No.")]]
    talk.ask("go on")
    assert errors(talk)[0]
    assert not (workspace / "shop/a.md").exists()


def test_a_pattern_that_never_ends_refuses_and_says_so(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer
) -> None:
    roomodes_of(workspace, mode("docs", ["read", only(r"^(?:(x|xx)+)+$")]))
    talk = Talk(alice, preset="auto", mode="docs")
    model_server.script = [[Call("write", {"filePath": "x" * 200 + "!", "content": "x"})], [Say("No.")]]
    talk.ask("go on")
    assert "takes too long to tell" in errors(talk)[0]


def test_a_mode_of_a_repository_asks_as_every_mode_does(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer
) -> None:
    roomodes_of(workspace, mode("free", ["read", "edit", "command"]))
    talk = Talk(alice, mode="free")
    model_server.script = [[Call("write", {"filePath": "a.txt", "content": "x"})], [Say("Done.")]]
    talk.say("go on")
    assert talk.until_asked()["tool"] == "write"
    assert not (workspace / "a.txt").exists()


def test_an_agent_that_writes_the_file_is_asked_about_it(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer
) -> None:
    talk = Talk(alice, preset="auto", mode="code")
    model_server.script = [[Call("write", {"filePath": ".roomodes", "content": "customModes: []"})], [Say("Done.")]]
    talk.say("go on")
    assert ".roomodes is protected" in talk.until_asked()["why"]


def test_a_mode_binds_the_subagents_that_work_for_it(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer
) -> None:
    roomodes_of(workspace, mode("docs", ["read", only(r"\.md$")]))
    talk = Talk(alice, preset="auto", mode="docs")
    given = {"description": "Do", "prompt": "Write it", "subagent_type": "general"}
    model_server.script = [
        [Call("task", given)],
        [Call("write", {"filePath": "x.py", "content": "x"}), Call("bash", {"command": "touch y"})],
        [Say("I could not.")],
        [Say("Then not.")],
    ]
    talk.ask("go on")
    [child] = sessions.children(alice, talk.id)
    found = [p.data["state"] for m in sessions.transcript(alice, child.id) for p in m.parts if p.type == "tool"]
    assert "the mode docs edits only" in found[0]["error"]
    assert "no shell" in found[1]["error"]
    assert not (workspace / "x.py").exists()


# Switching


@BOTH
def test_an_agent_switches_its_mode_once_a_person_agrees(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer
) -> None:
    talk = Talk(alice, mode="ask")
    model_server.script = [
        [Call("switch_mode", {"mode_slug": "code", "reason": "It must be written"})],
        [Call("write", {"filePath": "a.txt", "content": "x"})],
        [Say("Done.")],
    ]
    talk.say("go on")
    asked = talk.until_asked()
    assert (asked["tool"], asked["always"]) == ("switch_mode", [])
    assert asked["why"] == "code: the mode code may do more: edit files, run commands"
    assert asked["metadata"]["gains"] == "edit files, run commands"
    assert sessions.get(alice, talk.id).mode == "ask"
    approvals.answer(alice, asked["id"], "once")
    written = talk.until_asked()
    assert (written["tool"], written["mode"]) == ("write", "code")
    assert sessions.get(alice, talk.id).mode == "code"
    approvals.answer(alice, written["id"], "once")
    talk.until_idle()
    assert (workspace / "a.txt").read_text() == "x"
    assert "write" not in names(model_server.requests[0])
    assert "write" in names(model_server.requests[1])
    assert "highly skilled software engineer" in str(model_server.requests[1]["messages"][0])


def test_a_rejected_switch_changes_nothing(app: Cabin, alice: Actor, model_server: ModelServer) -> None:
    talk = Talk(alice, mode="ask")
    model_server.script = [[Call("switch_mode", {"mode_slug": "code"})], [Say("Fine.")]]
    talk.say("go on")
    talk.answer("reject", "Stay where you are.")
    talk.until_idle()
    assert sessions.get(alice, talk.id).mode == "ask"
    assert "Stay where you are." in errors(talk)[0]


def test_no_preset_lets_an_agent_gain_by_a_switch(app: Cabin, alice: Actor, model_server: ModelServer) -> None:
    talk = Talk(alice, mode="ask", preset="auto")
    model_server.script = [[Call("switch_mode", {"mode_slug": "code"})], [Say("Done.")]]
    talk.say("go on")
    assert talk.until_asked()["tool"] == "switch_mode"


def test_the_calls_of_a_step_are_judged_by_the_mode_it_was_asked_in(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer
) -> None:
    talk = Talk(alice, mode="ask")
    model_server.script = [
        [Call("switch_mode", {"mode_slug": "code"}), Call("write", {"filePath": "a.txt", "content": "x"})],
        [Say("Done.")],
    ]
    talk.say("go on")
    talk.answer()
    talk.until_idle()
    assert sessions.get(alice, talk.id).mode == "code"
    assert "does not have this tool now" in errors(talk)[1]
    assert not (workspace / "a.txt").exists()


def test_a_switch_to_less_runs_under_auto(app: Cabin, alice: Actor, model_server: ModelServer) -> None:
    talk = Talk(alice, mode="code", preset="auto")
    model_server.script = [[Call("switch_mode", {"mode_slug": "ask"})], [Say("Done.")]]
    talk.ask("go on")
    assert sessions.get(alice, talk.id).mode == "ask"


@pytest.mark.parametrize("slug", ["nobody", "general", "ask"])
def test_a_switch_to_no_other_mode_is_told(app: Cabin, alice: Actor, model_server: ModelServer, slug: str) -> None:
    talk = Talk(alice, mode="ask")
    model_server.script = [[Call("switch_mode", {"mode_slug": slug})], [Say("Hm.")]]
    talk.ask("go on")
    assert (
        "You are in the mode ask already." in errors(talk)[0] if slug == "ask" else "there are build" in errors(talk)[0]
    )


def allow_switching(actor: Actor, preset: str = "ask", tool: str = "switch_mode") -> Talk:
    """A session in mode ask whose person lets a tool pass."""
    talk = Talk(actor, mode="ask", preset=preset)
    approvals.add_rule(actor, Rule(tool, "*", "allow", "session"), talk.id)
    return talk


def test_a_rule_lets_a_switch_pass_but_not_to_a_mode_of_a_repository(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer
) -> None:
    roomodes_of(workspace, mode("free", ["read", "edit"]))
    talk = allow_switching(alice)
    model_server.script = [[Call("switch_mode", {"mode_slug": "code"})], [Say("Done.")]]
    talk.ask("go on")
    assert sessions.get(alice, talk.id).mode == "code"
    other = allow_switching(alice)
    model_server.script = [[Call("switch_mode", {"mode_slug": "free"})], [Say("Done.")]]
    other.say("go on")
    assert other.until_asked()["metadata"]["gains"] == "edit files"


def test_under_read_only_no_rule_lets_a_switch_pass(app: Cabin, alice: Actor, model_server: ModelServer) -> None:
    talk = allow_switching(alice, "read-only")
    model_server.script = [[Call("switch_mode", {"mode_slug": "code"})], [Say("Done.")]]
    talk.say("go on")
    assert talk.until_asked()["tool"] == "switch_mode"


def test_an_approved_switch_is_asked_again_if_the_mode_became_another(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer
) -> None:
    roomodes_of(workspace, mode("free", ["read", only(r"\.md$")]))
    talk = Talk(alice, mode="ask")
    model_server.script = [[Call("switch_mode", {"mode_slug": "free"})], [Say("Hm.")]]
    talk.say("go on")
    asked = talk.until_asked()
    roomodes_of(workspace, mode("free", ["read", "edit", "command"]))
    approvals.answer(alice, asked["id"], "once")
    talk.until_idle()
    assert sessions.get(alice, talk.id).mode == "ask"
    assert "what that mode may do has changed" in errors(talk)[0]


# Tasks


@BOTH
def test_a_task_in_another_mode_has_the_rights_of_its_mode_once_a_person_agrees(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer
) -> None:
    talk = Talk(alice, mode="orchestrator")
    model_server.script = [
        [Call("new_task", {"mode": "code", "message": "Write   a.txt\nnow"})],
        [Call("write", {"filePath": "a.txt", "content": "x"})],
        [Say("It is written.")],
        [Say("All done.")],
    ]
    talk.say("go on")
    asked = talk.until_asked()
    assert (asked["tool"], asked["why"].partition(": ")[2]) == (
        "new_task",
        "the mode code may do more: edit files, run commands, use glob, grep, list, read, webfetch",
    )
    approvals.answer(alice, asked["id"], "once")
    [written] = waiting(alice)
    approvals.answer(alice, written.id, "once")
    talk.until_idle()
    [child] = sessions.children(alice, talk.id)
    assert (child.mode, child.title) == ("code", "Write a.txt now (@code)")
    assert (workspace / "a.txt").read_text() == "x"
    [call] = talk.tools()
    assert call["state"]["output"].startswith("It is written.")


def test_a_subagent_of_a_plan_gains_nothing_by_switching(
    app: Cabin, alice: Actor, workspace: Path, model_server: ModelServer
) -> None:
    custom_modes.save(alice, mode("general", ["read"]))
    talk = Talk(alice, mode="plan", preset="auto")
    given = {"description": "Do", "prompt": "Write it", "subagent_type": "general"}
    model_server.script = [
        [Call("task", given)],
        [Call("switch_mode", {"mode_slug": "code"})],
        [Call("write", {"filePath": "x.py", "content": "x"})],
        [Say("I could not.")],
        [Say("Then not.")],
    ]
    talk.say("go on")
    [asked] = waiting(alice)
    assert "edit files" not in asked.metadata["gains"]
    approvals.answer(alice, asked.id, "once")
    talk.until_idle()
    [child] = sessions.children(alice, talk.id)
    found = [p.data["state"] for m in sessions.transcript(alice, child.id) for p in m.parts if p.type == "tool"]
    assert "edits nothing" in found[1]["error"]
    assert not (workspace / "x.py").exists()


def test_the_profile_that_is_linked_to_a_mode_follows_the_switch(
    app: Cabin, alice: Actor, model_server: ModelServer
) -> None:
    place = projects.resolve(accounts.local_owner(), None)
    saved = profiles.save(alice, place, "Careful", "openai", "careful")
    chosen.choose(alice, place, mode="ask")
    chosen.choose(alice, place, profile=saved.id)
    chosen.choose(alice, place, mode="code")
    talk = Talk(alice, mode="code", preset="auto")
    model_server.script = [[Call("switch_mode", {"mode_slug": "ask"})], [Say("Done.")]]
    talk.ask("go on")
    assert [request["model"] for request in model_server.requests] == ["scripted", "careful"]
    assert sessions.get(alice, talk.id).model == "careful"
