"""A session in a worktree of its own: begun by page and API, worked in by commands, and outliving its session."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from app import git
from app.actor import Actor
from app.approvals import service as approvals
from app.checkpoints import service as checkpoints
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service as sessions
from tests.conftest import Caller
from tests.model_server import ModelServer
from tests.visitor import Browser, until


@pytest.fixture
def repository(tmp_path: Path, alice: Actor, app: Cabin) -> Path:
    """A registered repository with one commit."""
    place = tmp_path / "code" / "billing"
    place.mkdir(parents=True)
    (place / "a.txt").write_text("one\n")
    git.commit_all(place, "First", "2026-01-05T09:00:00Z")
    projects.add(alice, str(place))
    return place


@pytest.fixture
def made(call: Caller, alice: Actor, repository: Path, scripted: ModelServer) -> sessions.Session:
    """A session in a worktree, whose calls run without asking."""
    answer = call.post(f"/opencode/session?directory={repository}", {"title": "Fix rounding", "worktree": True})
    assert answer.status_code == 200, answer.text
    return sessions.update(alice, answer.json["id"], preset="auto")


def run(actor: Actor, session: sessions.Session, *directives: str) -> list[str]:
    """Have the model do this; the outputs or errors of its calls."""
    text = " ".join(f"[[{one}]]" for one in directives)
    message, _run = sessions.send(
        actor, session.id, [{"type": "text", "text": text}], provider="openai", model="scripted"
    )

    def answered() -> bool:
        for ask in approvals.waiting(actor, session.id):
            approvals.answer(actor, ask.id, "once")
        return not sessions.get(actor, session.id).is_busy

    until(answered)
    turn = [one for one in sessions.transcript(actor, session.id) if one.data.get("parentID") == message.id]
    states = [part.data["state"] for one in turn for part in one.parts if part.type == "tool"]
    return [str(state.get("output") or state.get("error")) for state in states]


def test_a_session_of_the_api_begins_in_a_worktree(
    call: Caller, alice: Actor, made: sessions.Session, repository: Path
) -> None:
    place = projects.resolve(alice, made.directory)
    assert Path(made.directory) == projects.worktrees_of(place.project) / "fix-rounding"
    listed = call.get(f"/opencode/session?directory={made.directory}").json
    assert [one["id"] for one in listed] == [made.id]
    assert call.get(f"/opencode/vcs?directory={made.directory}").json["branch"] == "signalcabin/fix-rounding"
    current = call.get(f"/opencode/project/current?directory={repository}").json
    assert current["sandboxes"] == [made.directory]


def test_without_the_word_a_session_works_in_place(call: Caller, repository: Path) -> None:
    for body in ({}, {"worktree": False}):
        assert call.post(f"/opencode/session?directory={repository}", body).json["directory"] == str(repository)


def test_where_there_can_be_none_the_reason_is_told(call: Caller, alice: Actor, app: Cabin, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    projects.add(alice, str(tmp_path / "notes"))
    answer = call.post(f"/opencode/session?directory={tmp_path}/notes", {"worktree": True})
    assert answer.status_code == 400
    assert "git repository" in answer.text
    assert sessions.find_page(alice, directory=str(tmp_path / "notes")) == []


def test_a_session_that_cannot_begin_leaves_no_worktree(call: Caller, alice: Actor, repository: Path) -> None:
    body = {"worktree": True, "title": "Child", "parentID": "ses_nobody"}
    assert call.post(f"/opencode/session?directory={repository}", body).status_code == 404
    project = projects.resolve(alice, str(repository)).project
    assert projects.list_worktrees(alice, project) == []
    assert git.list_worktrees(repository) == [repository]


def test_a_form_begins_one_named_after_the_first_line(browser: Browser, alice: Actor, repository: Path) -> None:
    project = projects.resolve(alice, str(repository)).project
    assert "own worktree" in browser.get(f"/?project={project.id}").text
    form = {"text": "Round once\nand test it", "project": project.id, "where": "worktree", "model": "demo/walkthrough"}
    answer = browser.post("/sessions", form)
    assert answer.status_code == 303
    session = sessions.get(alice, answer.headers["Location"].rpartition("/")[2])
    assert Path(session.directory).name == "round-once"
    assert "billing@signalcabin/round-once" in browser.get("/sessions").text


def test_commands_commit_in_it_and_reach_nothing_that_would_run_later(
    alice: Actor, made: sessions.Session, repository: Path
) -> None:
    common = repository / ".git"
    config = (common / "config").read_text()
    commit = "git -c user.name=A -c user.email=a@b commit -qam work && git log --oneline | wc -l"
    outputs = run(
        alice,
        made,
        "bash echo two >> a.txt",
        f"bash {commit}",
        f"bash echo evil > {common}/hooks/pre-commit",
        f"bash git config core.fsmonitor evil; echo x >> {common}/config",
        f"bash echo ref: refs/heads/evil > {common}/HEAD; mv {common}/hooks {common}/gone",
        "bash git worktree list && git status --short && git stash list",
    )
    assert outputs[1].strip() == "2"
    assert all("Read-only file system" in output or "busy" in output for output in outputs[2:5]), outputs
    assert (common / "config").read_text() == config
    assert not (common / "hooks/pre-commit").exists()
    assert (common / "HEAD").read_text() == "ref: refs/heads/main\n"
    assert (repository / "a.txt").read_text() == "one\n"
    assert git.find_blob(repository, "signalcabin/fix-rounding", "a.txt") == b"one\ntwo\n"


def test_nothing_that_it_plants_runs_with_the_next_git_of_the_main_checkout(
    alice: Actor, made: sessions.Session, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common, trap = repository / ".git", Path(made.directory) / "trap"
    run(
        alice,
        made,
        f"bash mkdir trap; cp {common}/config trap; git config -f trap/config core.fsmonitor {trap}/run",
        f"bash printf '#!/bin/sh\\ntouch {trap}/sprung\\n' > trap/run; chmod +x trap/run",
        f"bash ln -s {common}/objects {common}/refs trap; echo {trap} > {common}/commondir",
    )
    assert (trap / "run").exists()
    for setting in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(setting, os.devnull)
    subprocess.run(["git", "status"], cwd=repository, check=True, capture_output=True)
    assert not (trap / "sprung").exists()
    assert not (common / "commondir").exists()


def test_its_checkpoints_go_back_in_the_worktree_alone(alice: Actor, made: sessions.Session, repository: Path) -> None:
    run(alice, made, "bash echo two >> a.txt", "bash echo new > b.txt")
    place = Path(made.directory)
    first = checkpoints.of_session(alice, made.id)[0]
    restored = checkpoints.restore(alice, first.id)
    assert ((place / "a.txt").read_text(), (place / "b.txt").exists()) == ("one\n", False)
    checkpoints.undo(alice, restored.id)
    assert ((place / "a.txt").read_text(), (place / "b.txt").read_text()) == ("one\ntwo\n", "new\n")
    assert git.status(repository) == []
    until(lambda: checkpoints.settle(made.project) or True)
    git.run(["gc", "--prune=now", "-q"], repository)
    checkpoints.restore(alice, first.id)
    assert (place / "a.txt").read_text() == "one\n"


def test_a_deleted_session_leaves_its_worktree_while_that_holds_work(
    call: Caller, alice: Actor, made: sessions.Session
) -> None:
    run(alice, made, "bash echo two >> a.txt")
    project = projects.resolve(alice, made.directory).project
    assert call("DELETE", f"/opencode/session/{made.id}").status_code == 200
    until(lambda: not checkpoints_left(made))
    ((one, standing),) = projects.list_worktrees(alice, project)
    assert (one.directory, standing.would_lose) == (made.directory, "1 file not committed")
    assert Path(made.directory, "a.txt").read_text() == "one\ntwo\n"


def test_a_deleted_session_takes_an_untouched_worktree_along(
    call: Caller, alice: Actor, made: sessions.Session, repository: Path
) -> None:
    assert call("DELETE", f"/opencode/session/{made.id}").status_code == 200
    until(lambda: not Path(made.directory).exists())
    until(lambda: not git.has_branch(repository, "signalcabin/fix-rounding"))


def test_a_worktree_that_another_session_works_in_stays(
    call: Caller, alice: Actor, made: sessions.Session, repository: Path
) -> None:
    other = call.post(f"/opencode/session?directory={made.directory}", {}).json
    gone = sessions.delete(alice, made.id)
    checkpoints._forget(checkpoints.session_events.SessionDeleted(gone.id, gone.plain()))
    assert Path(made.directory).exists()
    assert other["directory"] == made.directory


def checkpoints_left(session: sessions.Session) -> bool:
    """Whether the shadow still keeps anything of a session that is gone."""
    names = checkpoints.Shadow.of(session.project).kept()
    return any(name.startswith("chk_") for name in names)


def test_the_branch_of_a_private_session_says_nothing_of_it(
    call: Caller, browser: Browser, alice: Actor, repository: Path
) -> None:
    body = {"title": "Fire Bob", "worktree": True, "visibility": "private"}
    made = [call.post(f"/opencode/session?directory={repository}", body).json]
    below = {"title": "Fire Bob soon", "worktree": True, "visibility": "team", "parentID": made[0]["id"]}
    made.append(call.post(f"/opencode/session?directory={repository}", below).json)
    project = projects.resolve(alice, str(repository)).project
    form = {"text": "Fire Bob now", "project": project.id, "where": "worktree", "model": "demo/walkthrough"}
    assert browser.post("/sessions", {**form, "visibility": "private"}).status_code == 303
    trees = projects.find_worktrees(alice, project)
    assert len(trees) == 3
    assert len({one.branch for one in trees}) == 3
    assert not any("bob" in f"{one.name} {one.branch} {one.directory}" for one in trees)
