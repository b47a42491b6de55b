"""Modes of files: read with care, and those of a project may only narrow what runs without asking."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app import config
from app.actor import Actor
from app.agent import front_matter, mode_config, modes
from app.approvals import service as approvals
from app.approvals.service import Rule
from app.config import Config
from app.db import Database
from app.dialects.mount import Cabin
from app.errors import Invalid
from app.sessions import service as sessions
from tests.agent.talk import Talk
from tests.agent.test_engine import settings, store
from tests.conftest import Caller
from tests.dialects.opencode_schemas import check_all, check_refusal
from tests.model_server import Call, ModelServer, Say
from tests.visitor import Browser

__all__ = ["settings", "store"]

REVIEW = """\
---
description: Reviews what others wrote   # and nothing else
mode: primary
model: openai/careful
temperature: 0.1
top_p: 0.9
tools:
  write: false
  edit: false
permission:
  edit: deny
  bash:
    "*": ask
    "git push *": deny
    git status: allow
  webfetch: allow
---
You review.

Be kind.
"""


@pytest.mark.parametrize(
    ("head", "data"),
    [
        ("a: 1\nb: -0.5\nc: true\nd: No\ne:\nf: ~", {"a": 1, "b": -0.5, "c": True, "d": False, "e": None, "f": None}),
        ("a: \"x: #1\" # why\nb: 'it''s'\nc: x # y", {"a": "x: #1", "b": "it's", "c": "x"}),
        ("a:\n  b:\n    c: d\ne: f", {"a": {"b": {"c": "d"}}, "e": "f"}),
        ("a: {b: false, \"c *\": 'd', e: [1, x]}", {"a": {"b": False, "c *": "d", "e": [1, "x"]}}),
        ("a:\n  - x\n  - 2\nb:\n- y", {"a": ["x", 2], "b": ["y"]}),
        ("a: |-\n  one\n\n  two\nb: >-\n  three\n  four", {"a": "one\n\ntwo", "b": "three four"}),
        ("# nothing\n", {}),
        ("a: https://example.org/x", {"a": "https://example.org/x"}),
        ("2: x\ntrue: y", {"2": "x", "True": "y"}),
    ],
)
def test_a_head_is_read_as_plain_data(head: str, data: dict[str, Any]) -> None:
    assert front_matter.split(f"---\n{head}\n---\nBody.\n") == (data, "Body.")
    assert front_matter.split(f"---\n{head}\n---\nBody.".replace("\n", "\r\n")) == (data, "Body.")


def test_a_file_without_a_head_is_all_body() -> None:
    assert front_matter.split("Just words.\n") == ({}, "Just words.")


@pytest.mark.parametrize(
    "head",
    ["a: &x 1", "a: *x", "a: !!python/object:os.system x", "a: [1", "a: 1\n  b: 2", "- x", 'a: "x', "{"],
)
def test_what_is_no_plain_data_is_refused(head: str) -> None:
    assert front_matter.split(f"---\n{head}\n---\nBody.") is None


@pytest.mark.parametrize(
    "value",
    ["!!bool x", "!!timestamp x", "!!int ''", "!!float ''", "! x", f"1{':1' * 200}.5"],
    ids=["a bool", "a day", "no number", "no fraction", "a bare tag", "a fraction in base 60"],
)
def test_a_value_that_its_library_stumbles_over_is_refused(value: str) -> None:
    assert front_matter.split(f"---\na: {value}\n---\nBody.") is None
    with pytest.raises(mode_config.BadModes, match="cannot be read"):
        mode_config.read(f"customModes: {value}")


def test_a_head_that_never_ends_is_refused() -> None:
    assert front_matter.split("---\na: 1\n") is None


def test_a_hostile_head_takes_no_time() -> None:
    for head in (
        "a: " + "{a: " * 20_000,
        "a: " + "[" * 60_000,
        "\n".join(" " * n + "a:" for n in range(300)),
        '"' * 60_000,
    ):
        assert front_matter.split(f"---\n{head}\n---\n") is None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of who runs the server."""
    found = tmp_path / "home"
    found.mkdir()
    monkeypatch.setenv("HOME", str(found))
    return found


@pytest.fixture
def project(tmp_path: Path, home: Path, database: Database) -> Path:
    """A project of somebody else's."""
    found = tmp_path / "shop"
    found.mkdir()
    return found


def write(place: Path, name: str, text: str) -> None:
    (place / name).parent.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(text)


@pytest.mark.parametrize("folder", [".opencode/agent", ".opencode/agents", ".opencode/mode", ".opencode/modes"])
def test_a_projects_mode_denies_and_asks_but_never_allows(project: Path, folder: str) -> None:
    write(project, f"{folder}/review.md", REVIEW)
    mode = modes.get("review", project)
    assert (mode.kind, mode.source, mode.model) == ("primary", "project", ("openai", "careful"))
    assert (mode.description, mode.role) == ("Reviews what others wrote", "You review.\n\nBe kind.")
    assert mode.options == {"temperature": 0.1, "top_p": 0.9}
    assert mode.switches == {"write": False, "edit": False}
    assert mode.rules == (
        Rule("edit", "*", "deny", "project"),
        Rule("bash", "*", "ask", "project"),
        Rule("bash", "git push *", "deny", "project"),
        Rule("bash", "git status", "ask", "project"),
    )


def test_a_mode_of_who_runs_the_server_may_allow(project: Path, home: Path) -> None:
    write(home, ".config/opencode/agent/review.md", REVIEW)
    mode = modes.get("review", project)
    assert mode.source == "user"
    assert Rule("bash", "git status", "allow", "server") in mode.rules
    assert Rule("webfetch", "*", "allow", "server") in mode.rules


def test_a_projects_file_takes_what_was_allowed_to_the_mode_it_changes(project: Path, home: Path) -> None:
    write(home, ".config/opencode/agent/review.md", REVIEW)
    write(project, ".opencode/agent/review.md", "---\ndescription: Mine now\ntools: {write: true}\n---\nPush it all.")
    mode = modes.get("review", project)
    assert (mode.description, mode.role, mode.kind) == ("Mine now", "Push it all.", "primary")
    assert "allow" not in {rule.action for rule in mode.rules}
    assert Rule("edit", "*", "deny", "server") in mode.rules
    assert not mode.switches["write"]


def test_the_configuration_writes_modes_too(project: Path) -> None:
    write(project, "words.md", "From a file.")
    write(
        project,
        "opencode.json",
        """{"agent": {"look": {"description": "Looks", "mode": "subagent", "prompt": "{file:./words.md}"},
                      "plan": {"disable": true}, "build": {"disable": true, "permission": "allow"}},
            "mode": {"old": {"prompt": "Old.", "hidden": true}, "bad": 7}}""",
    )
    found = {mode.name: mode for mode in modes.of(project)}
    assert set(found) == {*modes.MODES, "look", "old"} - {"plan"}
    assert (found["look"].kind, found["look"].role) == ("subagent", "From a file.")
    assert (found["old"].kind, found["old"].is_primary) == ("primary", False)
    assert found["build"].rules == ()


def test_plan_stays_what_it_is_whatever_a_project_writes(project: Path) -> None:
    write(project, ".opencode/agent/plan.md", "---\npermission: allow\ntools: {edit: true, write: true}\n---\nDo it.")
    mode = modes.get("plan", project)
    assert (mode.base, mode.rules) == ("plan", ())
    assert "edit" not in (mode.tools or ())
    assert not approvals.limits_of(mode.base).edits


def test_no_file_outside_the_project_is_read(project: Path, tmp_path: Path) -> None:
    write(tmp_path, "secrets/key.md", "topsecret")
    folder = project / ".opencode/agent"
    folder.mkdir(parents=True)
    (folder / "leak.md").symlink_to(tmp_path / "secrets/key.md")
    (project / ".opencode/mode").symlink_to(tmp_path / "secrets")
    os.mkfifo(folder / "pipe.md")
    write(project, "opencode.json", '{"agent": {"out": {"prompt": "{file:../secrets/key.md}"}}}')
    found = modes.of(project)
    assert [mode.name for mode in found] == [*modes.MODES, "out"]
    assert not any("topsecret" in mode.role for mode in found)


@pytest.mark.parametrize("text", ["---\na: [\n---\nx", "\0", "x" * 70_000])
def test_a_file_that_cannot_be_read_is_no_mode(project: Path, text: str) -> None:
    write(project, ".opencode/agent/broken.md", text)
    assert [mode.name for mode in modes.of(project)] == list(modes.MODES)


@pytest.mark.parametrize(
    ("head", "wrong"),
    [
        ("temperature: hot", "temperature"),
        ("temperature: 9", "temperature"),
        ("top_p: 1.5", "top_p"),
        ("model: gpt", "model"),
        ("mode: boss", "kind"),
    ],
)
def test_a_value_that_cannot_be_is_left_out(project: Path, head: str, wrong: str) -> None:
    write(project, ".opencode/agent/odd.md", f"---\n{head}\n---\nx")
    assert getattr(modes.get("odd", project), wrong) == ("all" if wrong == "kind" else None)


def test_a_mode_that_is_none_is_told_with_those_there_are(project: Path) -> None:
    with pytest.raises(Invalid, match="there are build, plan, general, code"):
        modes.get("nobody", project)


@pytest.fixture
def reviewed(workspace: Path, home: Path) -> Path:
    """The project of the running server, with a mode of its own."""
    write(workspace, ".opencode/agent/review.md", REVIEW)
    return workspace


def test_a_turn_has_the_words_tools_model_and_warmth_of_its_mode(
    reviewed: Path, app: Cabin, alice: Actor, model_server: ModelServer
) -> None:
    talk = Talk(alice)
    sessions.send(alice, talk.id, [{"type": "text", "text": "Hi"}], mode="review")
    talk.until_idle()
    [request] = model_server.requests
    assert (request["model"], request["temperature"], request["top_p"]) == ("careful", 0.1, 0.9)
    assert "You review." in str(request["messages"][0])
    assert "- general: " in str(request["messages"][0])
    offered = {tool["function"]["name"] for tool in request["tools"]}
    assert "bash" in offered
    assert not offered & {"edit", "write"}


def test_a_projects_mode_denies_under_every_preset(
    reviewed: Path, app: Cabin, alice: Actor, model_server: ModelServer
) -> None:
    talk = Talk(alice, preset="auto")
    push, status = Call("bash", {"command": "git push origin"}), Call("bash", {"command": "git status"})
    model_server.script = [[push, status], [Say("Done.")]]
    talk.say("Hi", mode="review")
    assert talk.until_asked()["input"]["command"] == "git status"
    assert "project rule: deny" in talk.tools()[0]["state"]["error"]


def test_a_mode_binds_the_subagents_it_calls(
    reviewed: Path, app: Cabin, alice: Actor, model_server: ModelServer
) -> None:
    talk = Talk(alice, preset="auto")
    given = {"description": "Do", "prompt": "Write it", "subagent_type": "general"}
    model_server.script = [
        [Call("task", given)],
        [Call("write", {"filePath": "x.txt", "content": "x"})],
        [Say("I could not.")],
        [Say("Then not.")],
    ]
    talk.ask("Hi", mode="review")
    assert not (reviewed / "x.txt").exists()
    [child] = sessions.children(alice, talk.id)
    call = next(p for m in sessions.transcript(alice, child.id) for p in m.parts if p.type == "tool")
    assert "project rule: deny" in call.data["state"]["error"]


def test_a_mode_of_another_project_is_none_here(app: Cabin, alice: Actor, home: Path) -> None:
    with pytest.raises(Invalid, match="no mode 'review'"):
        Talk(alice, mode="review")


def test_clients_and_pages_are_offered_the_modes_of_the_project(
    reviewed: Path, app: Cabin, call: Caller, browser: Browser
) -> None:
    found = {one["name"]: one for one in call.get("/opencode/agent").json}
    check_all("Agent", list(found.values()))
    assert (found["general"]["mode"], found["build"]["mode"]) == ("subagent", "primary")
    assert (found["general"]["builtIn"], found["review"]["builtIn"]) == (True, False)
    assert found["review"]["model"] == {"providerID": "openai", "modelID": "careful"}
    assert found["review"]["permission"]["edit"] == "deny"
    assert found["review"]["permission"]["bash"]["git push *"] == "deny"
    assert found["review"]["tools"] == {"write": False, "edit": False}
    assert call.get("/opencode/config").json["agent"]["review"]["mode"] == "primary"
    page = browser.get("/").text
    assert '<option value="review"' in page
    assert '<option value="general"' not in page


@pytest.fixture
def ceiling(settings: Config) -> Callable[[str], None]:
    """Sets the highest preset that the server allows."""
    return lambda preset: config.use(Config(**{**config.current().__dict__, "preset_ceiling": preset}))


def test_a_preset_above_the_ceiling_is_refused(app: Cabin, alice: Actor, ceiling: Callable[[str], None]) -> None:
    ceiling("ask")
    with pytest.raises(Invalid, match="allows at most the preset 'ask'"):
        Talk(alice, preset="auto")
    talk = Talk(alice)
    with pytest.raises(Invalid, match="allows at most the preset 'ask'"):
        sessions.update(alice, talk.id, preset="accept-edits")
    with pytest.raises(Invalid, match="read-only, ask"):
        sessions.update(alice, talk.id, preset="everything")
    ceiling("read-only")
    assert Talk(alice).session.preset == "read-only"


def test_the_ceiling_lowers_sessions_that_were_given_more(
    app: Cabin, alice: Actor, browser: Browser, ceiling: Callable[[str], None], workspace: Path
) -> None:
    talk = Talk(alice, preset="auto")
    ceiling("ask")
    talk.say("[[write a.txt x]]")
    talk.until_asked()
    assert not (workspace / "a.txt").exists()
    page = browser.get(f"/sessions/{talk.id}").text
    assert '<option value="auto"' not in page
    assert '<option value="ask" selected' in page
    assert "lowered by this server" in page
    answer = browser.post(f"/sessions/{talk.id}/send", {"text": "x", "preset": "auto"})
    assert answer.status_code == 400


def test_a_ceiling_that_is_none_is_told() -> None:
    with pytest.raises(Invalid, match="PRESET_CEILING is one of read-only, ask"):
        Config.from_environ({"SIGNALCABIN_PRESET_CEILING": "everything"})


def test_an_unknown_agent_is_refused_by_its_name(call: Caller, home: Path) -> None:
    session = call.post("/opencode/session", {}).json["id"]
    parts = [{"type": "text", "text": "x"}]
    answer = call.post(f"/opencode/session/{session}/prompt_async", {"parts": parts, "agent": "nobody"})
    assert "there are build, plan, general, code" in check_refusal(answer, 400, "BadRequest")
