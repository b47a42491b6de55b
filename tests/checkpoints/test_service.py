"""Checkpoints around the steps of runs, what changed, and going back and forth."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from app import db, dispatch, git, record
from app.actor import Actor
from app.checkpoints import figures as counting
from app.checkpoints import service as checkpoints
from app.checkpoints import taking
from app.errors import Conflict, NoSpace, NotFound, Unavailable
from app.projects import service as projects
from app.sessions import service as sessions
from tests.checkpoints.conftest import Agent, write


@pytest.fixture(autouse=True)
def _engine_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are driven by the tests."""
    monkeypatch.setitem(dispatch._works, "agent.advance", lambda *args: None)


def kinds(agent: Agent) -> list[tuple[int, str]]:
    return [(one.number, one.kind) for one in checkpoints.of_session(agent.actor, agent.session.id)]


def test_a_changing_step_has_a_checkpoint_before_and_after(agent: Agent) -> None:
    agent.turn("go", agent.writes("a.txt", "one\nTWO\n"), agent.writes("new.txt", "new\n"))
    found = checkpoints.of_session(agent.actor, agent.session.id)
    assert [(one.number, one.kind) for one in found] == [(0, "before"), (1, "after"), (2, "after")]
    assert found[1].files == [{"path": "a.txt", "status": "modified", "additions": 1, "deletions": 1}]
    assert found[2].files == [{"path": "new.txt", "status": "added", "additions": 1, "deletions": 0}]
    assert (found[1].additions, found[1].deletions, found[2].base) == (1, 1, found[1].tree)
    session = agent.now()
    assert (session.additions, session.deletions, session.files) == (2, 1, 2)


def test_a_step_that_changes_nothing_leaves_none(agent: Agent) -> None:
    agent.turn("go", agent.writes("a.txt", "x\n"), lambda: None, agent.writes("a.txt", "x\n"))
    assert kinds(agent) == [(0, "before"), (1, "after")]


def test_an_edit_by_hand_between_steps_is_not_the_agents(agent: Agent) -> None:
    agent.turn("one", agent.writes("a.txt", "x\n"))
    write(agent.place, "deep/b.txt", "by hand\n")
    agent.turn("two", agent.writes("new.txt", "y\n"))
    assert kinds(agent) == [(0, "before"), (1, "after"), (2, "before"), (3, "after")]
    assert [file.path for file in checkpoints.diff(agent.actor, agent.session.id)] == ["a.txt", "new.txt"]


def test_the_diff_is_of_the_session_or_of_one_turn(agent: Agent) -> None:
    first = agent.turn("one", agent.writes("a.txt", "x\n"))
    second = agent.turn("two", agent.writes("a.txt", "y\n"))
    agent.turn("three")
    (whole,) = checkpoints.diff(agent.actor, agent.session.id)
    assert (whole.before, whole.after) == ("one\ntwo\n", "y\n")
    (turn,) = checkpoints.diff(agent.actor, agent.session.id, first)
    assert (turn.before, turn.after) == ("one\ntwo\n", "x\n")
    (turn,) = checkpoints.diff(agent.actor, agent.session.id, second)
    assert (turn.before, turn.after) == ("x\n", "y\n")
    assert checkpoints.diff(agent.actor, agent.session.id, "msg_unknown") == []
    assert checkpoints.content_before(agent.actor, agent.session.id, "a.txt") == b"one\ntwo\n"
    assert checkpoints.content_before(agent.actor, agent.session.id, "deep/b.txt") is None


def test_one_checkpoint_shows_its_own_step(agent: Agent) -> None:
    agent.turn("one", agent.writes("a.txt", "x\n"), agent.writes("b.txt", "y\n"))
    last = checkpoints.of_session(agent.actor, agent.session.id)[-1]
    assert [file.path for file in checkpoints.diff_of(agent.actor, last.id)] == ["b.txt"]


def test_revert_puts_files_back_and_unrevert_forth(agent: Agent) -> None:
    agent.turn("one", agent.writes("a.txt", "first\n"))
    second = agent.turn("two", agent.writes("a.txt", "second\n"), agent.writes("new.txt", "new\n"))
    reverted = checkpoints.revert(agent.actor, agent.session.id, second)
    assert reverted.revert is not None
    assert reverted.revert["messageID"] == second
    assert "partID" not in reverted.revert
    assert "-second" in reverted.revert["diff"]
    assert (agent.content("a.txt"), agent.content("new.txt")) == ("first\n", None)
    assert [file.after for file in checkpoints.diff(agent.actor, agent.session.id)] == ["first\n"]
    back = checkpoints.unrevert(agent.actor, agent.session.id)
    assert back.revert is None
    assert (agent.content("a.txt"), agent.content("new.txt")) == ("second\n", "new\n")


def figures(agent: Agent) -> tuple[int, int, int]:
    session = agent.now()
    return session.additions, session.deletions, session.files


def test_the_figures_follow_a_revert_and_its_undoing(agent: Agent) -> None:
    first = agent.turn("one", agent.writes("a.txt", "first\n"))
    second = agent.turn("two", agent.writes("new.txt", "new\n"))
    assert figures(agent) == (2, 2, 2)
    reverted = checkpoints.revert(agent.actor, agent.session.id, second)
    assert figures(agent) == (reverted.additions, reverted.deletions, reverted.files) == (1, 2, 1)
    checkpoints.revert(agent.actor, agent.session.id, first)
    assert figures(agent) == (0, 0, 0)
    back = checkpoints.unrevert(agent.actor, agent.session.id)
    assert figures(agent) == (back.additions, back.deletions, back.files) == (2, 2, 2)


def test_the_figures_follow_a_restore_of_files_alone(agent: Agent) -> None:
    asked = agent.turn("one", agent.writes("a.txt", "first\n"), agent.writes("new.txt", "new\n"))
    start = checkpoints.of_session(agent.actor, agent.session.id)[0]
    checkpoints.restore(agent.actor, start.id, ["new.txt"])
    assert figures(agent) == (1, 2, 1)
    checkpoints.revert(agent.actor, agent.session.id, asked, scope="code")
    assert figures(agent) == (0, 0, 0)


def test_an_edit_by_hand_is_not_counted_for_steps_that_were_reverted(agent: Agent) -> None:
    asked = agent.turn("one", agent.writes("a.txt", "agent\n"))
    write(agent.place, "deep/b.txt", "by hand\n")
    agent.turn("two", agent.writes("deep/b.txt", "agent\n"))
    checkpoints.revert(agent.actor, agent.session.id, asked)
    assert agent.content("deep/b.txt") == "by hand\n"
    assert figures(agent) == (0, 0, 0)


def test_a_revert_stands_though_nobody_could_count(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = agent.turn("one", agent.writes("a.txt", "agent\n"))

    def fail(*_: object) -> None:
        raise NoSpace("The disk is full.")

    monkeypatch.setattr(counting, "refresh", fail)
    assert checkpoints.revert(agent.actor, agent.session.id, asked).revert is not None
    assert agent.content("a.txt") == "one\ntwo\n"


def test_a_run_that_lost_its_lease_sets_no_figures(agent: Agent) -> None:
    agent.ask("go")
    agent.step(agent.writes("a.txt", "one\n"))
    hold, was = agent.hold, figures(agent)
    assert hold is not None
    tree = checkpoints.of_session(agent.actor, agent.session.id)[0].tree
    sessions.release(hold)
    with pytest.raises(sessions.Fenced):
        counting.set_in_run(hold, tree)
    assert figures(agent) == was


def test_revert_to_a_part_keeps_the_parts_before_it(agent: Agent) -> None:
    agent.ask("go")
    message, _one, two = agent.step(agent.writes("a.txt", "1\n"), agent.writes("a.txt", "2\n"))
    agent.rest()
    checkpoints.revert(agent.actor, agent.session.id, message, two)
    assert agent.content("a.txt") == "1\n"


def test_reverting_again_moves_the_point_back_and_forth(agent: Agent) -> None:
    first = agent.turn("one", agent.writes("a.txt", "1\n"))
    second = agent.turn("two", agent.writes("a.txt", "2\n"), agent.writes("b.txt", "2\n"))
    third = agent.turn("three", agent.writes("c.txt", "3\n"))
    checkpoints.revert(agent.actor, agent.session.id, second)
    assert [agent.content(p) for p in ("a.txt", "b.txt", "c.txt")] == ["1\n", None, None]
    checkpoints.revert(agent.actor, agent.session.id, first)
    assert [agent.content(p) for p in ("a.txt", "b.txt", "c.txt")] == ["one\ntwo\n", None, None]
    checkpoints.revert(agent.actor, agent.session.id, third)
    assert [agent.content(p) for p in ("a.txt", "b.txt", "c.txt")] == ["2\n", "2\n", None]
    checkpoints.unrevert(agent.actor, agent.session.id)
    assert [agent.content(p) for p in ("a.txt", "b.txt", "c.txt")] == ["2\n", "2\n", "3\n"]
    assert agent.now().revert is None


def test_a_prompt_after_a_revert_makes_it_final(agent: Agent) -> None:
    agent.turn("one", agent.writes("a.txt", "1\n"))
    second = agent.turn("two", agent.writes("b.txt", "2\n"))
    checkpoints.revert(agent.actor, agent.session.id, second)
    third = agent.turn("three", agent.writes("c.txt", "3\n"))
    assert [file.path for file in checkpoints.diff(agent.actor, agent.session.id)] == ["a.txt", "c.txt"]
    checkpoints.revert(agent.actor, agent.session.id, third)
    assert [agent.content(p) for p in ("a.txt", "b.txt", "c.txt")] == ["1\n", None, None]


def test_what_people_did_stays(agent: Agent) -> None:
    write(agent.place, "notes.md", "mine\n")
    write(agent.place, "debug.log", "ignored\n")
    asked = agent.turn("one", agent.writes("a.txt", "agent\n"))
    write(agent.place, "deep/b.txt", "by hand\n")
    write(agent.place, "later.md", "mine too\n")
    (agent.place / "vendored").mkdir()
    git.run(["init", "-q"], agent.place / "vendored")
    shown = checkpoints.preview_revert(agent.actor, agent.session.id, asked)
    assert [file.path for file in shown.put_back] == ["a.txt"]
    assert shown.put_back[0].before == "agent\n"
    assert shown.removed == []
    assert {one.path: one.reason for one in shown.kept} == {
        "deep/b.txt": "changed by hand",
        "later.md": "not made by the agent",
        "vendored": "a repository of its own",
    }
    assert shown.ignored == ["debug.log"]
    assert agent.content("a.txt") == "agent\n"
    checkpoints.revert(agent.actor, agent.session.id, asked)
    assert agent.content("a.txt") == "one\ntwo\n"
    for path in ("notes.md", "debug.log", "deep/b.txt", "later.md", "vendored/.git/HEAD"):
        assert agent.content(path) is not None, path


def test_an_edit_by_hand_before_the_agent_came_to_the_file_stays(agent: Agent) -> None:
    asked = agent.turn("one", agent.writes("a.txt", "agent\n"))
    write(agent.place, "deep/b.txt", "by hand\n")
    agent.turn("two", agent.writes("deep/b.txt", "agent\n"))
    checkpoints.revert(agent.actor, agent.session.id, asked)
    assert (agent.content("a.txt"), agent.content("deep/b.txt")) == ("one\ntwo\n", "by hand\n")


def test_changes_by_commands_go_back_too(agent: Agent) -> None:
    asked = agent.turn(
        "one",
        lambda: shutil.move(agent.place / "deep", agent.place / "moved"),
        (agent.place / "a.txt").unlink,
    )
    checkpoints.revert(agent.actor, agent.session.id, asked)
    assert (agent.content("a.txt"), agent.content("deep/b.txt")) == ("one\ntwo\n", "b\n")
    assert not (agent.place / "moved").exists()


def test_a_file_that_was_ignored_until_now_is_not_taken_for_the_agents(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "LAG", -60_000)
    write(agent.place, "precious.log", "mine\n")
    asked = agent.turn("one", agent.writes(".gitignore", "build/\n"))
    (step,) = [one for one in checkpoints.of_session(agent.actor, agent.session.id) if one.kind == "after"]
    assert step.touched == [".gitignore"]
    checkpoints.revert(agent.actor, agent.session.id, asked)
    assert agent.content("precious.log") == "mine\n"


def test_an_ignored_file_a_tool_names_goes_back(agent: Agent) -> None:
    write(agent.place, "settings.log", "old\n")
    asked = agent.ask("go")
    agent.step(agent.writes("settings.log", "new\n"), paths=(str(agent.place / "settings.log"), "/etc/passwd"))
    agent.rest()
    checkpoints.revert(agent.actor, agent.session.id, asked)
    assert agent.content("settings.log") == "old\n"


def test_scopes_part_code_and_conversation(agent: Agent) -> None:
    asked = agent.turn("one", agent.writes("a.txt", "agent\n"))
    checkpoints.revert(agent.actor, agent.session.id, asked, scope="conversation")
    assert agent.content("a.txt") == "agent\n"
    assert agent.now().revert is not None
    checkpoints.unrevert(agent.actor, agent.session.id)
    assert agent.content("a.txt") == "agent\n"
    checkpoints.revert(agent.actor, agent.session.id, asked, scope="code")
    assert agent.content("a.txt") == "one\ntwo\n"
    assert agent.now().revert is None


def test_restoring_a_checkpoint_can_be_previewed_and_undone(agent: Agent) -> None:
    agent.turn("one", agent.writes("a.txt", "1\n"))
    agent.turn("two", agent.writes("a.txt", "2\n"), agent.writes("b.txt", "2\n"))
    target = checkpoints.of_session(agent.actor, agent.session.id)[1]
    shown = checkpoints.preview(agent.actor, target.id)
    assert ([f.path for f in shown.put_back], [f.path for f in shown.removed]) == (["a.txt"], ["b.txt"])
    automatic = checkpoints.restore(agent.actor, target.id)
    assert (automatic.kind, automatic.note) == ("restore", "Before restore to #1")
    assert (agent.content("a.txt"), agent.content("b.txt")) == ("1\n", None)
    checkpoints.restore(agent.actor, automatic.id)
    assert (agent.content("a.txt"), agent.content("b.txt")) == ("2\n", "2\n")


def test_single_files_can_be_restored(agent: Agent) -> None:
    agent.turn("one", agent.writes("a.txt", "1\n"), agent.writes("b.txt", "1\n"))
    first = checkpoints.of_session(agent.actor, agent.session.id)[0]
    checkpoints.restore(agent.actor, first.id, ["a.txt"])
    assert (agent.content("a.txt"), agent.content("b.txt")) == ("one\ntwo\n", "1\n")


def test_a_busy_session_is_not_reverted(agent: Agent) -> None:
    asked = agent.ask("go")
    agent.step(agent.writes("a.txt", "x\n"))
    for act in (
        lambda: checkpoints.revert(agent.actor, agent.session.id, asked),
        lambda: checkpoints.unrevert(agent.actor, agent.session.id),
        lambda: checkpoints.restore(agent.actor, checkpoints.of_session(agent.actor, agent.session.id)[0].id),
    ):
        with pytest.raises(Conflict):
            act()
    assert agent.content("a.txt") == "x\n"


def test_an_unknown_message_changes_nothing(agent: Agent) -> None:
    agent.turn("one", agent.writes("a.txt", "x\n"))
    assert checkpoints.revert(agent.actor, agent.session.id, "msg_nowhere").revert is None
    assert agent.content("a.txt") == "x\n"


def test_a_turn_without_changes_can_be_reverted(agent: Agent) -> None:
    asked = agent.turn("hello")
    marked = checkpoints.revert(agent.actor, agent.session.id, asked)
    assert marked.revert == {"messageID": asked, "snapshot": "", "diff": ""}
    assert kinds(agent) == []
    assert checkpoints.unrevert(agent.actor, agent.session.id).revert is None


def test_strangers_see_and_change_nothing(agent: Agent, charlie: Actor) -> None:
    asked = agent.turn("one", agent.writes("a.txt", "x\n"))
    one = checkpoints.of_session(agent.actor, agent.session.id)[0]
    for act in (
        lambda: checkpoints.of_session(charlie, agent.session.id),
        lambda: checkpoints.diff(charlie, agent.session.id),
        lambda: checkpoints.revert(charlie, agent.session.id, asked),
        lambda: checkpoints.unrevert(charlie, agent.session.id),
        lambda: checkpoints.preview(charlie, one.id),
        lambda: checkpoints.restore(charlie, one.id),
    ):
        with pytest.raises(NotFound):
            act()
    assert agent.content("a.txt") == "x\n"


def test_no_checkpoint_no_step_and_the_reason_is_kept(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise git.GitFailed(["update-index"], 128, "error: unable to write file: No space left on device")

    agent.ask("go")
    assert agent.hold is not None
    monkeypatch.setattr(checkpoints.Shadow, "snapshot", full)
    with pytest.raises(NoSpace):
        checkpoints.before(agent.hold, "msg_x", "prt_x")
    (failed,) = checkpoints.of_session(agent.actor, agent.session.id)
    assert (failed.kind, failed.tree) == ("failed", "")
    assert "disk is full" in failed.note


def test_a_missing_directory_is_told(agent: Agent) -> None:
    agent.ask("go")
    assert agent.hold is not None
    agent.hold.session = dataclasses.replace(agent.session, directory="/nowhere/at/all")
    with pytest.raises(Unavailable, match="missing"):
        checkpoints.before(agent.hold, "msg_x", "prt_x")


def test_a_run_that_lost_its_lease_leaves_no_checkpoint(agent: Agent) -> None:
    agent.ask("go")
    assert agent.hold is not None
    agent.hold.fence -= 1
    with pytest.raises(sessions.Fenced):
        checkpoints.before(agent.hold, "msg_x", "prt_x")
    assert kinds(agent) == []


def test_it_settles_after_the_first_snapshot(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[tuple[object, ...]] = []
    monkeypatch.setattr(dispatch, "wake", lambda *args: woken.append(args))
    agent.ask("go")
    agent.step(agent.writes("a.txt", "x\n"), agent.writes("a.txt", "y\n"))
    assert woken.count(("checkpoints.settle", agent.session.project)) == 1
    checkpoints.settle(agent.session.project)
    assert not taking.shadow_of(agent.session).snapshot(agent.place).is_borrowing
    assert checkpoints.size_of(agent.actor, agent.session.project) > 0


def test_a_deleted_session_takes_its_checkpoints_along(agent: Agent) -> None:
    agent.turn("one", agent.writes("a.txt", "x\n"))
    gone = sessions.delete(agent.actor, agent.session.id)
    checkpoints._forget(checkpoints.session_events.SessionDeleted(gone.id, gone.plain()))
    refs = taking.shadow_of(agent.session).run(["for-each-ref", "refs/keep"]).decode()
    assert "chk_" not in refs


def test_every_change_is_announced(agent: Agent) -> None:
    asked = agent.turn("one", agent.writes("a.txt", "x\n"))
    checkpoints.revert(agent.actor, agent.session.id, asked)
    with db.read() as conn:
        found = [row.kind for row in conn.execute(record.events.select()) if row.kind.startswith("checkpoints.")]
    added, differs = "checkpoints.added", "checkpoints.diff_changed"
    assert found == [added, added, differs, added, "checkpoints.restored", differs]


def drop_and_prune(agent: Agent) -> None:
    """The project drops its last commit for good, as `git commit --amend` and `git gc --prune=now` do."""
    git.run(["reset", "-q", "--mixed", "HEAD~"], agent.place)
    git.run(["reflog", "expire", "--expire=now", "--all"], agent.place)
    git.run(["gc", "--prune=now", "-q"], agent.place)


@pytest.fixture
def borrowing(either_agent: Agent) -> Agent:
    """The agent's first checkpoint borrows a file from a commit that is dropped; nothing has been copied yet."""
    write(either_agent.place, "a.txt", "amended away\n")
    git.run(["commit", "-q", "-am", "Soon gone"], either_agent.place)
    write(either_agent.place, "ours.txt", "so that the tree is not borrowed\n")
    return either_agent


def test_a_prune_before_anything_was_copied_is_told_and_work_goes_on(borrowing: Agent) -> None:
    agent = borrowing
    agent.ask("go")

    def prunes() -> None:
        drop_and_prune(agent)
        write(agent.place, "a.txt", "by the agent\n")

    agent.step(prunes)
    agent.step(agent.writes("b.txt", "b\n"))
    agent.rest()
    lost, anew, step = checkpoints.of_session(agent.actor, agent.session.id)
    assert (lost.kind, lost.lost) == ("before", taking.LOST)
    assert (anew.kind, anew.lost, anew.files) == ("before", "", [])
    assert [file["path"] for file in step.files] == ["b.txt"]
    for act in (checkpoints.preview, checkpoints.restore):
        with pytest.raises(Conflict, match="git gc"):
            act(agent.actor, lost.id)
    checkpoints.restore(agent.actor, anew.id)
    assert (agent.content("a.txt"), agent.content("b.txt")) == ("by the agent\n", None)


def test_settling_lets_go_of_what_is_lost_and_says_so(borrowing: Agent) -> None:
    agent = borrowing
    agent.turn("one", agent.writes("a.txt", "1\n"))
    drop_and_prune(agent)
    checkpoints.settle(agent.session.project)
    first, step = checkpoints.of_session(agent.actor, agent.session.id)
    assert (first.lost, step.lost) == (taking.LOST, "")
    assert not taking.shadow_of(agent.session).snapshot(agent.place).is_borrowing
    with pytest.raises(Unavailable, match="can't be read"):
        checkpoints.diff(agent.actor, agent.session.id)
    agent.turn("two", agent.writes("a.txt", "2\n"))
    checkpoints.restore(agent.actor, step.id)
    assert agent.content("a.txt") == "1\n"


def test_a_file_that_is_lost_stops_a_restore_before_it_changes_anything(borrowing: Agent) -> None:
    agent = borrowing
    agent.turn("one", agent.writes("a.txt", "1\n"), agent.writes("new.txt", "1\n"))
    drop_and_prune(agent)
    asked = checkpoints.of_session(agent.actor, agent.session.id)[1].message_id
    with pytest.raises(Unavailable, match="can't be read"):
        checkpoints.revert(agent.actor, agent.session.id, asked)
    assert (agent.content("a.txt"), agent.content("new.txt")) == ("1\n", "1\n")
    assert agent.now().revert is None


def test_a_prune_after_settling_costs_nothing(borrowing: Agent) -> None:
    agent = borrowing
    agent.turn("one", agent.writes("a.txt", "1\n"))
    checkpoints.settle(agent.session.project)
    drop_and_prune(agent)
    first, _step = checkpoints.of_session(agent.actor, agent.session.id)
    checkpoints.restore(agent.actor, first.id)
    assert agent.content("a.txt") == "amended away\n"


@pytest.fixture
def plain_agent(alice: Actor, plain: Path) -> Agent:
    """The agent in a directory without git."""
    projects.add(alice, str(plain))
    return Agent(alice, sessions.create(alice, projects.resolve(alice, str(plain)), title="Notes"))


def test_a_directory_without_git_has_checkpoints_too(plain_agent: Agent) -> None:
    agent = plain_agent
    agent.turn("one", agent.writes("a.txt", "1\n"), agent.writes("new.txt", "1\n"))
    first = checkpoints.of_session(agent.actor, agent.session.id)[0]
    shown = checkpoints.preview(agent.actor, first.id)
    assert ([f.path for f in shown.put_back], [f.path for f in shown.removed]) == (["a.txt"], ["new.txt"])
    made = checkpoints.restore(agent.actor, first.id)
    assert (agent.content("a.txt"), agent.content("new.txt")) == ("one\ntwo\n", None)
    checkpoints.undo(agent.actor, made.id)
    assert (agent.content("a.txt"), agent.content("new.txt")) == ("1\n", "1\n")


def test_a_nested_repository_is_kept_and_its_reason_is_told(agent: Agent) -> None:
    write(agent.place, "vendored/x.py", "x\n")
    git.commit_all(agent.place / "vendored", "Theirs", "2026-01-05T09:00:00Z")
    agent.turn("one", agent.writes("vendored/x.py", "by the agent\n"), agent.writes("a.txt", "1\n"))
    first = checkpoints.of_session(agent.actor, agent.session.id)[0]
    assert first.skipped == [{"path": "vendored", "reason": "a repository of its own"}]
    kept = {one.path: one.reason for one in checkpoints.preview(agent.actor, first.id).kept}
    assert kept == {"vendored": "a repository of its own"}
    checkpoints.restore(agent.actor, first.id)
    assert (agent.content("a.txt"), agent.content("vendored/x.py")) == ("one\ntwo\n", "by the agent\n")
