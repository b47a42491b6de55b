"""Slash commands: which there are, what they become, and that they are no more than words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import config
from app.actor import Actor
from app.agent import commands
from app.agent.commands import Command
from app.agent.events import CommandExecuted
from app.config import Config
from app.dialects.mount import Cabin
from app.errors import Invalid
from app.projects import service as projects
from app.sessions import service as sessions
from tests.agent.talk import Talk
from tests.conftest import Caller
from tests.dialects.opencode_schemas import check_refusal
from tests.model_server import Call, ModelServer, Say


@pytest.fixture
def settings(settings: Config, workspace: Path, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A server on the small project, whose model is the model server."""
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    return replace(settings, project=workspace, model="openai/scripted")


@pytest.fixture
def talk(app: Cabin, alice: Actor) -> Talk:
    """A session that asks before it changes anything."""
    return Talk(alice)


@pytest.fixture
def free(app: Cabin, alice: Actor) -> Talk:
    """A session that asks nobody."""
    return Talk(alice, preset="auto")


@pytest.mark.parametrize(
    ("template", "arguments", "filled"),
    [
        ("Greet $ARGUMENTS.", "Alice and Bob", "Greet Alice and Bob."),
        ("Greet.", "", "Greet."),
        ("Greet.", "Alice", "Greet.\n\nAlice"),
        ("$1 to $2", "one 'two three' four", "one to two three four"),
        ("$2 before $1", 'a "b c"', "b c before a"),
        ("only $3", "a", "only "),
        ("costs $15 and $x", "a", "costs $15 and $x\n\na"),
        ("Say $ARGUMENTS", "$1 !`rm -rf /` $ARGUMENTS", "Say $1 !`rm -rf /` $ARGUMENTS"),
        ("See !`git log -n $1`.", "3", f"See [git log -n 3].\n\n{commands.RUN_FIRST}"),
    ],
)
def test_arguments_go_where_the_template_wants_them(template: str, arguments: str, filled: str) -> None:
    assert Command("one", template).filled(arguments) == filled


def test_hints_are_the_places_for_arguments() -> None:
    assert Command("one", "$2 $ARGUMENTS $1 !`ls $3`").hints == ["$1", "$2", "$3", "$ARGUMENTS"]


def write(top: Path, name: str, text: str) -> None:
    file = top / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_commands_are_built_in_or_written_by_the_server_or_a_project(app: Cabin, tmp_path: Path) -> None:
    data, project = config.current().data_dir, tmp_path / "there"
    write(data, "command/greet.md", "---\ndescription: Greets\nmodel: a/b\n---\nHello of the server")
    write(data, "commands/deep/er.md", "Deeper")
    write(data, "opencode.json", '{"command": {"set": {"template": "Set", "agent": "plan", "subtask": true}}}')
    write(project, ".opencode/command/greet.md", "Hello of the project")
    write(
        project,
        "opencode.jsonc",
        '{"command": {"odd name!": {"template": "x"}, "none": {}, "own": {"template": "Own"}}}',
    )
    found = commands.of(project)
    assert list(found) == ["deep/er", "greet", "init", "own", "review", "set"]
    assert found["greet"] == Command("greet", "Hello of the project", source="project")
    assert found["set"] == Command("set", "Set", agent="plan", subtask=True, source="user")
    assert commands.of(None)["greet"].model == "a/b"


def test_no_link_of_a_project_leads_out_of_it(app: Cabin, tmp_path: Path) -> None:
    outside, project = tmp_path / "outside", tmp_path / "there"
    write(outside, "secret.md", "secret")
    (project / ".opencode").mkdir(parents=True)
    (project / ".opencode/command").symlink_to(outside)
    assert set(commands.of(project)) == {"init", "review"}


def test_a_file_whose_head_nobody_can_read_is_no_command(app: Cabin, tmp_path: Path) -> None:
    write(tmp_path, ".opencode/command/broken.md", "---\n[[[\n---\nHello")
    write(tmp_path, ".opencode/command/empty.md", "---\ndescription: x\n---\n")
    assert set(commands.of(tmp_path)) == {"init", "review"}


def test_a_command_is_sent_as_its_words_and_told_when_it_has_ended(free: Talk, model_server: ModelServer) -> None:
    write(Path(free.session.directory), ".opencode/command/greet.md", "Greet $ARGUMENTS and read @README.md")
    model_server.script = [[Say("Hello Bob.")]]
    command = commands.get("greet", Path(free.session.directory))
    sent, run_id = commands.send(free.actor, free.id, command, "Bob")
    assert run_id
    done = free.until(CommandExecuted)
    texts = [part.data.get("text") for part in sent.parts]
    assert texts[0] == "Greet Bob and read @README.md"
    assert "file" in [part.type for part in sent.parts]
    [answer] = free.answers(sent.id)
    assert done == CommandExecuted(free.id, "greet", "Bob", answer.id)


def test_what_a_template_wants_run_is_run_by_the_agent_which_asks(talk: Talk, model_server: ModelServer) -> None:
    write(Path(talk.session.directory), ".opencode/command/log.md", "Sum up !`git log`")
    model_server.script = [[Call("bash", {"command": "git log", "description": "reads the log"})], [Say("One commit.")]]
    commands.send(talk.actor, talk.id, commands.get("log", Path(talk.session.directory)), "")
    assert talk.until_asked()
    assert "[git log]" in str(model_server.requests[0]["messages"])


def test_a_command_for_a_subagent_is_handed_to_it(free: Talk, model_server: ModelServer) -> None:
    write(Path(free.session.directory), ".opencode/command/dig.md", "---\nagent: general\n---\nDig")
    model_server.script = [[Say("Done.")]]
    sent, _ = commands.send(free.actor, free.id, commands.get("dig", Path(free.session.directory)), "")
    free.until_idle()
    assert [part.data["name"] for part in sent.parts if part.type == "agent"] == ["general"]
    assert sessions.get(free.actor, free.id).mode == "build"


def test_an_unknown_command_names_those_there_are(app: Cabin, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="there are init, review"):
        commands.get("nope", tmp_path)


def test_init_notes_that_the_project_is_known(free: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Call("write", {"filePath": "AGENTS.md", "content": "# How we work\n"})], [Say("Written.")]]
    commands.send(free.actor, free.id, commands.get("init", Path(free.session.directory)), "")
    free.answer()  # rules files are written by nobody without a word
    free.until(CommandExecuted)
    assert (Path(free.session.directory) / "AGENTS.md").read_text() == "# How we work\n"
    project = projects.get(free.actor, sessions.get(free.actor, free.id).project)
    assert project.initialized


def test_the_door_lists_them_in_the_shape_of_its_schema(call: Caller) -> None:
    found = call.get("/opencode/command").json
    assert [one["name"] for one in found] == ["init", "review"]
    assert all(set(one) == {"name", "description", "template", "hints", "source"} for one in found)
    assert all(one["hints"] == ["$ARGUMENTS"] for one in found)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"command": "nope", "arguments": ""}, "command"),
        ({"command": "init"}, "arguments"),
        ({"arguments": ""}, "command"),
        ({"command": "init", "arguments": "x" * 40_000}, "arguments"),
        ({"command": "init", "arguments": "", "model": "gpt"}, "model"),
        ({"command": "init", "arguments": "", "agent": "nobody"}, "nobody"),
        ({"command": "init", "arguments": "", "messageID": "ses_1"}, "messageID"),
    ],
)
def test_a_command_that_is_none_is_refused(call: Caller, body: dict[str, Any], field: str) -> None:
    session = call("POST", "/opencode/session", json={}).json["id"]
    answer = call("POST", f"/opencode/session/{session}/command", json=body)
    check_refusal(answer, 400, "BadRequest")
    assert field in answer.text
    assert call.get(f"/opencode/session/{session}/message").json == []


def test_there_is_no_command_in_a_session_that_is_not_there(call: Caller) -> None:
    for path, body in (
        ("command", {"command": "init", "arguments": ""}),
        ("init", {"modelID": "m", "providerID": "p", "messageID": "msg_1"}),
    ):
        answer = call("POST", f"/opencode/session/ses_nothere/{path}", json=body)
        check_refusal(answer, 404, "NotFoundError")
