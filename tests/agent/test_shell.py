"""A person's own commands in a session: run as they are typed, seen as they run, ended, never repeated, told on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import config, db, ids, redact
from app.actor import Actor
from app.agent import service as agent
from app.agent.conversation import INTERRUPTED
from app.audit import service as audit
from app.checkpoints import service as checkpoints
from app.config import Config, Limits
from app.dialects.mount import Cabin
from app.errors import Busy, Denied, Invalid, NotFound
from app.projects import service as projects
from app.sessions import events as told
from app.sessions import models
from app.sessions import service as sessions
from app.sessions.service import Message
from tests import repository
from tests.agent.talk import Talk
from tests.conftest import member
from tests.model_server import ModelServer

BOTH = pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])


@pytest.fixture
def store() -> str:
    """Which database a test runs on."""
    return "sqlite"


@pytest.fixture
def settings(
    settings: Config,
    store: str,
    workspace: Path,
    model_server: ModelServer,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Config:
    """A server on the small project, whose model is the model server."""
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    settings = replace(settings, project=workspace, model="openai/scripted")
    if store == "sqlite":
        return settings
    return replace(settings, database_url=request.getfixturevalue("postgres_database"))


@pytest.fixture
def talk(app: Cabin, alice: Actor) -> Talk:
    """A session that asks before it changes anything."""
    return Talk(alice)


def type_in(talk: Talk, command: str, *args: str, **more: Any) -> str:
    """Run a command of one's own; the id of its message."""
    return agent.run_shell(talk.actor, talk.id, command, args, **more)[0].id


def ran(talk: Talk, command: str, *args: str, **more: Any) -> Message:
    """Run a command to its end; its answer."""
    prompt = type_in(talk, command, *args, **more)
    talk.until_idle()
    [answer] = talk.answers(prompt)
    return answer


def state_of(answer: Message) -> dict[str, Any]:
    """The state of an answer's call."""
    [state] = [part.data["state"] for part in answer.parts if part.type == "tool"]
    assert isinstance(state, dict)
    return state


@BOTH
def test_a_command_is_a_run_with_a_message_of_the_person_and_one_call(talk: Talk, model_server: ModelServer) -> None:
    answer = ran(talk, "echo hi; echo err >&2; pwd")
    state = state_of(answer)
    assert state["status"] == "completed"
    assert sorted(state["output"].split()) == sorted(["hi", "err", talk.session.directory])
    assert state["metadata"]["output"] == state["output"]
    assert state["metadata"]["stderr"] == "err\n"
    assert (answer.data["exitCode"], answer.data["command"]) == (0, "echo hi; echo err >&2; pwd")
    assert answer.data["workingDirectory"] == talk.session.directory
    assert answer.data["duration"] >= 0
    assert answer.completed
    prompt = sessions.message(talk.actor, talk.id, answer.data["parentID"])
    assert [(part.data["text"], part.data["synthetic"]) for part in prompt.parts] == [
        ("The following tool was executed by the user", True)
    ]
    seen = talk.kinds()
    kinds = [kind for kind in seen[seen.index("busy") :] if kind != "added"]
    until = kinds.index("tool running")
    assert kinds[:until] == ["busy", "user", "text", "assistant", "tool pending", "queued", "running", "busy"]
    after = [kind for kind in kinds[until:] if kind != "tool running"]
    assert after == ["tool completed", "assistant", "assistant done", "idle", "run_ended", "idle"]
    assert model_server.requests == []


def test_a_bad_exit_code_is_a_result(talk: Talk) -> None:
    answer = ran(talk, "echo no; exit 5")
    state = state_of(answer)
    assert (state["status"], state["output"], state["metadata"]["exit"]) == ("completed", "no\n", 5)
    assert answer.data["exitCode"] == 5
    assert talk.state() == "idle"


def test_arguments_reach_the_program_as_they_are(talk: Talk) -> None:
    words = ["%s|", "a b", "$(id)", ";", "*", "'q'", "", "two\nlines"]
    answer = ran(talk, "printf", *words)
    assert state_of(answer)["output"] == "".join(f"{word}|" for word in words[1:])
    assert answer.data["args"] == words
    assert state_of(answer)["input"]["command"].startswith("printf '%s|' 'a b' '$(id)'")


def test_a_program_that_is_not_there_is_told(talk: Talk) -> None:
    answer = ran(talk, "no such program", "x")
    assert (state_of(answer)["status"], answer.data["exitCode"]) == ("completed", 127)


def test_several_lines_are_one_script(talk: Talk) -> None:
    answer = ran(talk, "word=kept\nfor n in 1 2; do\n  echo \"$word $n\"\ndone\ncat <<'END'\n  as it is\nEND\n")
    assert state_of(answer)["output"] == "kept 1\nkept 2\n  as it is\n"


@pytest.mark.parametrize("named", ["shop", "./shop/../shop", "~/shop", "/home/user/shop"])
def test_it_runs_in_a_directory_of_the_project(talk: Talk, named: str) -> None:
    answer = ran(talk, "pwd -P; ls", directory=named)
    place = f"{talk.session.directory}/shop"
    assert state_of(answer)["output"].split() == [place, "cart.py", "tax.py"]
    assert answer.data["workingDirectory"] == place


@pytest.mark.parametrize("named", ["..", "/", "/tmp", "/etc", "shop/../..", "out", "~somebody", "nowhere", "README.md"])
def test_no_other_directory_is_taken(talk: Talk, workspace: Path, tmp_path: Path, named: str) -> None:
    (workspace / "out").symlink_to(tmp_path)
    with pytest.raises(Invalid):
        type_in(talk, "ls", directory=named)
    assert sessions.transcript(talk.actor, talk.id) == []


@pytest.mark.parametrize(
    ("command", "args"),
    [("", []), (" \n", []), ("a\0b", []), ("true", ["\0"]), ("x" * 100_001, []), ("x", ["y"] * 1001)],
)
def test_what_cannot_be_run_is_refused(talk: Talk, command: str, args: list[str]) -> None:
    with pytest.raises(Invalid):
        type_in(talk, command, *args)
    assert sessions.transcript(talk.actor, talk.id) == []


def test_it_is_seen_as_it_runs_and_can_be_stopped(talk: Talk) -> None:
    prompt = type_in(talk, "echo trouble >&2; echo first; sleep 62")
    talk.until_tool("running", "first")
    assert sessions.abort(talk.actor, talk.id)
    talk.until_idle()
    [answer] = talk.answers(prompt)
    state = state_of(answer)
    assert (state["status"], state["error"]) == ("error", "The command was stopped.")
    assert "first" in state["metadata"]["output"]
    assert state["metadata"]["stderr"] == "trouble\n"
    assert answer.data["error"]["name"] == "MessageAbortedError"
    assert answer.completed
    ended = next(event for event in reversed(talk.seen) if isinstance(event, told.RunEnded))
    assert ended.state == "aborted"


def test_a_busy_session_takes_none_and_a_prompt_waits_for_its_end(talk: Talk, model_server: ModelServer) -> None:
    type_in(talk, "echo begun; until [ -e go ]; do sleep 0.05; done; echo gone")
    talk.until_tool("running", "begun")
    with pytest.raises(Busy):
        type_in(talk, "echo second")
    prompt = talk.say("[[say I saw it.]]")
    assert model_server.requests == []
    (Path(talk.session.directory) / "go").touch()
    talk.until(told.RunEnded, lambda event: event.message_id == prompt)
    assert len(talk.tools()) == 1
    assert "gone" in str(model_server.requests[0]["messages"])


def test_the_next_turn_of_the_model_sees_command_and_output_without_colours(
    talk: Talk, model_server: ModelServer
) -> None:
    ran(talk, r"printf '\033[31mred\033[0m\n'; exit 3")
    assert state_of(talk.answers(sessions.transcript(talk.actor, talk.id)[0].id)[0])["output"] == "\33[31mred\33[0m\n"
    talk.ask("[[say Three.]]")
    asked = model_server.requests[0]["messages"]
    assert [one["role"] for one in asked][-4:] == ["user", "assistant", "tool", "user"]
    assert asked[-4]["content"] == "The following tool was executed by the user"
    assert "033[31mred" in asked[-3]["tool_calls"][0]["function"]["arguments"]
    assert asked[-2]["content"] == "red\n\n(Exit code 3)"


def test_the_first_prompt_after_it_still_names_the_session(talk: Talk) -> None:
    ran(talk, "true")
    assert sessions.get(talk.actor, talk.id).title.startswith("New session - ")
    talk.ask("Mend the tax")
    assert sessions.get(talk.actor, talk.id).title == "Mend the tax"


@BOTH
def test_one_whose_end_nobody_saw_is_not_repeated(talk: Talk, workspace: Path) -> None:
    prompt = type_in(talk, "echo line >> lines.txt; echo started; sleep 62")
    talk.until_tool("running", "started")
    with db.transaction() as connection:
        lost = {"lease_until": ids.now() - 1, "lease_owner": "another-host|1|0|a"}
        connection.execute(models.runs.update().where(models.runs.c.session_id == talk.id).values(**lost))
    assert sessions.end_lost_leases() == 1
    talk.until_idle()
    [answer] = talk.answers(prompt)
    state = state_of(answer)
    assert (state["status"], state["error"]) == ("error", INTERRUPTED)
    assert state["metadata"]["output"] == "started\n"
    assert answer.completed
    assert (workspace / "lines.txt").read_text() == "line\n"
    assert sessions.last_run(talk.actor, talk.id).state == "interrupted"  # type: ignore[union-attr]
    assert ran(talk, "cat lines.txt").data["exitCode"] == 0


def test_what_it_changed_is_a_checkpoint_to_go_back_to(app: Cabin, alice: Actor, tmp_path: Path) -> None:
    root = repository.make(tmp_path.resolve() / "shop", files=3)
    talk = Talk(alice)
    talk.session = sessions.create(alice, projects.resolve(alice, projects.add(alice, str(root)).root))
    talk.id = talk.session.id
    talk.follow()
    answer = ran(talk, "echo new > made.txt")
    assert [part.data["files"] for part in answer.parts if part.type == "patch"] == [[str(root / "made.txt")]]
    checkpoints.revert(alice, talk.id, answer.data["parentID"])
    assert not (root / "made.txt").exists()


def test_it_runs_in_the_session_s_own_worktree(app: Cabin, alice: Actor, tmp_path: Path) -> None:
    root = repository.make(tmp_path.resolve() / "shop", files=3)
    place = projects.resolve(alice, projects.add(alice, str(root)).root)
    talk = Talk(alice)
    talk.session = sessions.create(alice, place, worktree="Try it")
    talk.id = talk.session.id
    talk.follow()
    assert talk.session.directory != str(root)
    answer = ran(talk, "pwd -P; git branch --show-current; echo here > made.txt")
    assert state_of(answer)["output"].split() == [talk.session.directory, "signalcabin/try-it"]
    assert not (root / "made.txt").exists()
    with pytest.raises(Invalid, match="outside"):
        type_in(talk, "ls", directory=str(root))


def test_long_output_is_cut_and_kept_whole_in_a_file(talk: Talk) -> None:
    state = state_of(ran(talk, "seq 1 20000"))
    assert state["output"].startswith("1\n2\n")
    assert len(state["output"]) < 31_000
    path = state["metadata"]["outputPath"]
    assert any(path in note for note in state["metadata"]["notes"])
    assert state_of(ran(talk, f"tail -n 1 {path}"))["output"] == "20000\n"


def test_secrets_are_not_in_what_it_printed(talk: Talk) -> None:
    redact.watch("KEY", "topsecretvalue")
    try:
        answer = ran(talk, "echo topsecretvalue; echo topsecretvalue >&2", directory="shop")
        for event in talk.seen:
            if isinstance(event, told.PartUpdated):
                assert "topsecretvalue" not in str(event.part)
        assert "topsecretvalue" not in str(answer)
        assert "[secret:KEY]" in state_of(answer)["output"]
    finally:
        redact.forget("KEY")


def test_programs_are_told_to_use_colours_and_find_nothing_of_ours(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ours")
    output = state_of(ran(talk, "env"))["output"]
    assert {"TERM=xterm", "FORCE_COLOR=1", "CLICOLOR_FORCE=1"} <= set(output.split())
    assert "sk-ours" not in output


def test_it_ends_at_the_server_s_limit(app: Cabin, settings: Config, alice: Actor) -> None:
    config.use(replace(config.current(), limits=Limits(seconds=1)))
    talk = Talk(alice)
    state = state_of(ran(talk, "echo begun; sleep 62"))
    assert state["status"] == "completed"
    assert state["metadata"]["notes"] == ["The command was ended after 1 s."]
    assert state["metadata"]["exit"] != 0


def test_who_may_not_run_commands_is_refused(talk: Talk, alice: Actor, charlie: Actor) -> None:
    viewer = member(alice, "Vera", "viewer")
    narrow = replace(alice, grants=("sessions:*", "projects:read", "settings:read"))
    agents = replace(alice, kind="agent", grants=("sessions:*", "tool:*", "settings:read"))
    for actor, refusal in ((viewer, Denied), (narrow, Denied), (agents, Denied), (charlie, NotFound)):
        with pytest.raises(refusal):
            agent.run_shell(actor, talk.id, "id")
    assert sessions.transcript(talk.actor, talk.id) == []


def test_who_ran_what_is_written_down(talk: Talk, alice: Actor) -> None:
    ran(talk, "printf", "x", directory="shop")
    [row] = [row for row in audit.entries(alice) if row.action == "session.shell"]
    assert (row.target, row.detail) == (talk.id, {"command": "printf", "args": ["x"], "directory": "shop"})
