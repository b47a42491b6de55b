"""Worktrees of sessions: made on branches of their own, told in figures, and never removed with work unnoticed."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app import config, db, git, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from app.projects import service as projects
from app.projects import trees, worktrees
from app.projects.service import Place, Project, Worktree
from tests.conftest import member


@pytest.fixture
def owner(either_database: db.Database, tmp_path: Path) -> Iterator[Actor]:
    """The owner of an installation on each database in turn, whose data directory holds nothing yet."""
    config.use(dataclasses.replace(config.current(), data_dir=tmp_path / "var"))
    yield accounts.local_owner()
    projects.register_busy(lambda _directory: 0)


@pytest.fixture
def billing(owner: Actor, repository: Path) -> Project:
    return projects.add(owner, str(repository))


def make(actor: Actor, project: Project, words: str = "Fix rounding") -> Place:
    return projects.with_worktree(actor, project, project.path, words)


def only(actor: Actor, project: Project) -> Worktree:
    ((one, _standing),) = projects.list_worktrees(actor, project)
    return one


def look(actor: Actor, project: Project) -> trees.Standing:
    return trees.look(only(actor, project), fresh=True)


def commit(place: Path, name: str, text: str = "x\n") -> None:
    (place / name).write_text(text)
    git.run(["add", "-A"], place)
    git.run(["commit", "-q", "--no-gpg-sign", "-m", name], place)


def test_it_lies_in_the_data_directory_on_a_branch_of_its_own(owner: Actor, billing: Project) -> None:
    place = make(owner, billing)
    assert place.directory == projects.worktrees_of(billing) / "fix-rounding"
    assert place.directory.is_relative_to(config.current().data_dir.resolve() / "worktrees")
    assert (place.directory / "a.txt").read_text() == "one\n"
    assert git.branch(place.directory) == "signalcabin/fix-rounding"
    assert git.status(place.directory) == []
    assert git.branch(billing.path) == "main"
    one = only(owner, billing)
    assert (one.name, one.branch, one.owner) == ("fix-rounding", "signalcabin/fix-rounding", owner.user)
    with db.read() as conn:
        actions = [row.action for row in conn.execute(record.audit_rows.select())]
    assert "worktree.add" in actions


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Fix rounding: cents!", "fix-rounding-cents"),
        ("../../etc/passwd --force", "etc-passwd-force"),
        ("word " * 30, "word-word-word-word-word-word-word-word"),
        ("x" * 90, "x" * 40),
    ],
    ids=["plain", "hostile", "long", "one long word"],
)
def test_its_name_is_made_of_the_words(owner: Actor, billing: Project, words: str, name: str) -> None:
    assert make(owner, billing, words).directory.name == name


def test_the_same_words_and_none_get_names_of_their_own(owner: Actor, billing: Project) -> None:
    git.run(["branch", "signalcabin/fix-rounding-2"], billing.path)
    names = [make(owner, billing, words).directory.name for words in ("Fix rounding", "Fix rounding", "", "日本")]
    assert names[:2] == ["fix-rounding", "fix-rounding-3"]
    assert len(set(names)) == 4


def test_it_is_accepted_wherever_a_directory_is_and_so_is_what_lies_in_it(owner: Actor, billing: Project) -> None:
    made = make(owner, billing)
    (made.directory / "deep").mkdir()
    for asked in (made.directory, made.directory / "deep"):
        place = projects.resolve(owner, str(asked))
        assert (place.project, place.directory, place.root) == (billing, made.directory, made.directory)
    with pytest.raises(Denied):
        projects.resolve(owner, str(projects.worktrees_of(billing)))


def test_nothing_of_the_repository_runs_while_one_is_made(owner: Actor, billing: Project, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    commit(billing.path, ".gitattributes", "* filter=evil\n")
    for name in ("core.fsmonitor", "filter.evil.smudge", "filter.evil.clean", "filter.evil.process"):
        git.run(["config", name, f"touch {canary}"], billing.path)
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        hook = billing.path / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
        hook.chmod(0o755)
    place = make(owner, billing)
    assert look(owner, billing).dirty == 0
    assert (place.directory / "a.txt").exists()
    assert not canary.exists()


def test_there_is_none_without_git_without_a_commit_or_below_the_top(owner: Actor, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    with pytest.raises(Invalid, match="not the top of a git repository"):
        make(owner, projects.add(owner, str(plain)))
    empty = tmp_path / "empty"
    empty.mkdir()
    git.run(["init", "-q"], empty)
    with pytest.raises(Invalid, match="first commit"):
        make(owner, projects.add(owner, str(empty)))
    assert not (config.current().data_dir / "worktrees").exists()


def test_a_git_directory_outside_the_project_is_not_opened(owner: Actor, billing: Project, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("x")
    git.commit_all(secret, "Secret", "2026-01-05T09:00:00Z")
    shutil.rmtree(billing.path / ".git")
    (billing.path / ".git").write_text(f"gitdir: {secret}/.git\n")
    with pytest.raises(Invalid, match="outside the project"):
        make(owner, billing)


def test_many_at_once_get_names_of_their_own(owner: Actor, billing: Project) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _number: make(owner, billing).directory, range(4)))
    assert len({path.name for path in made}) == 4
    assert all((path / "a.txt").exists() for path in made)
    assert len(projects.list_worktrees(owner, billing)) == 4


def test_one_that_fails_half_way_leaves_nothing(
    owner: Actor, billing: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_directory: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(git, "own_dir", full)
    with pytest.raises(Unavailable, match="No space left"):
        make(owner, billing)
    assert projects.list_worktrees(owner, billing) == []
    assert list(projects.worktrees_of(billing).iterdir()) == []
    assert not git.has_branch(billing.path, "signalcabin/fix-rounding")


def test_what_only_it_holds_is_told_in_figures(owner: Actor, billing: Project) -> None:
    place = make(owner, billing).directory
    assert look(owner, billing).would_lose == ""
    commit(place, "b.txt")
    commit(place, "c.txt")
    commit(billing.path, "theirs.txt")
    (place / "draft.txt").write_text("x")
    found = look(owner, billing)
    assert (found.branch, found.base, found.ahead, found.behind) == ("signalcabin/fix-rounding", "main", 2, 1)
    assert (found.own, found.dirty) == (2, 1)
    assert found.would_lose == "2 commits on no other branch, 1 file not committed"


def test_what_is_pushed_or_merged_is_not_lost(owner: Actor, billing: Project) -> None:
    place = make(owner, billing).directory
    commit(place, "b.txt")
    head = git.layout(place).head
    git.run(["update-ref", "refs/remotes/origin/fix", head], billing.path)
    assert look(owner, billing).would_lose == ""
    commit(place, "c.txt")
    assert look(owner, billing).would_lose == "1 commit not pushed"
    git.run(["merge", "-q", "signalcabin/fix-rounding"], billing.path)
    assert look(owner, billing).would_lose == ""


def test_work_left_on_the_first_branch_counts_though_another_is_checked_out(owner: Actor, billing: Project) -> None:
    place = make(owner, billing).directory
    commit(place, "b.txt")
    git.run(["checkout", "-q", "-b", "elsewhere", "main"], place)
    assert look(owner, billing).own == 1


def test_one_with_nothing_of_its_own_goes_with_its_branch(owner: Actor, billing: Project) -> None:
    place = make(owner, billing)
    projects.remove_worktree(owner, only(owner, billing).id)
    assert not place.directory.exists()
    assert projects.list_worktrees(owner, billing) == []
    assert not git.has_branch(billing.path, "signalcabin/fix-rounding")
    assert git.list_worktrees(billing.path) == [billing.path]


def test_one_with_work_goes_only_by_its_name_and_its_commits_stay(owner: Actor, billing: Project) -> None:
    place = make(owner, billing).directory
    commit(place, "b.txt")
    (place / "draft.txt").write_text("x")
    one = only(owner, billing)
    for typed in ("", "fix", "Fix-Rounding"):
        with pytest.raises(Conflict, match="1 commit on no other branch, 1 file not committed"):
            projects.remove_worktree(owner, one.id, typed)
    assert (place / "draft.txt").exists()
    projects.remove_worktree(owner, one.id, "fix-rounding")
    assert not place.exists()
    assert git.find_blob(billing.path, "signalcabin/fix-rounding", "b.txt") == b"x\n"


def test_one_in_use_stays(owner: Actor, billing: Project) -> None:
    place = make(owner, billing).directory
    projects.register_busy(lambda directory: 2 if directory == str(place) else 0)
    with pytest.raises(Conflict, match="2 sessions work in fix-rounding"):
        projects.remove_worktree(owner, only(owner, billing).id)
    projects.release(str(place))
    assert place.exists()


def test_one_whose_session_is_gone_is_released_only_when_empty(owner: Actor, billing: Project) -> None:
    kept, empty = make(owner, billing, "kept").directory, make(owner, billing, "empty").directory
    (kept / "draft.txt").write_text("x")
    for place in (kept, empty, billing.path):
        projects.release(str(place))
    assert (kept.exists(), empty.exists(), billing.path.exists()) == (True, False, True)
    assert only(owner, billing).name == "kept"


def test_one_whose_git_was_broken_is_not_taken_for_empty(owner: Actor, billing: Project) -> None:
    place = make(owner, billing).directory
    (place / ".git").unlink()
    one = only(owner, billing)
    assert look(owner, billing).problem
    projects.release(str(place))
    with pytest.raises(Conflict, match="nobody can count"):
        projects.remove_worktree(owner, one.id)
    projects.remove_worktree(owner, one.id, one.name)
    assert not place.exists()


def test_others_read_and_only_its_owner_removes(owner: Actor, billing: Project, charlie: Actor) -> None:
    bob = member(owner, "Bob")
    viewer = member(owner, "Vera", "viewer")
    make(owner, billing)
    one = only(bob, billing)
    for actor, refusal in ((bob, Denied), (viewer, Denied), (charlie, NotFound)):
        with pytest.raises(refusal):
            projects.remove_worktree(actor, one.id)
    with pytest.raises(Denied):
        make(viewer, billing, "mine")
    with pytest.raises((Denied, NotFound)):
        make(charlie, billing, "mine")
    mine = make(bob, billing, "mine")
    projects.remove_worktree(bob, next(w for w, _ in projects.list_worktrees(bob, billing) if w.name == "mine").id)
    assert not mine.directory.exists()


def test_a_start_tells_which_are_missing_and_its_repository_forgets_them(owner: Actor, billing: Project) -> None:
    place = make(owner, billing).directory
    commit(place, "b.txt")
    shutil.rmtree(place)
    projects.reconcile()
    one = only(owner, billing)
    assert one.missing is not None
    assert look(owner, billing).problem == "The directory is missing."
    assert git.list_worktrees(billing.path) == [billing.path]
    assert git.has_branch(billing.path, one.branch)
    projects.reconcile()
    assert only(owner, billing).missing == one.missing
    projects.remove_worktree(owner, one.id)
    assert projects.list_worktrees(owner, billing) == []
    assert git.find_blob(billing.path, one.branch, "b.txt") == b"x\n"


def test_a_start_lets_a_nested_repository_forget_too(owner: Actor, billing: Project) -> None:
    inner = billing.path / "vendored"
    inner.mkdir()
    (inner / "x.txt").write_text("x\n")
    git.commit_all(inner, "Theirs", "2026-01-05T09:00:00Z")
    place = projects.resolve(owner, str(inner))
    made = projects.with_worktree(owner, place.project, place.directory, "Inner").directory
    assert (made / "x.txt").exists()
    shutil.rmtree(made)
    projects.reconcile()
    assert git.list_worktrees(inner) == [inner]


def test_a_start_leaves_other_peoples_worktrees_alone(owner: Actor, billing: Project, tmp_path: Path) -> None:
    theirs = tmp_path / "usb" / "theirs"
    git.run(["worktree", "add", "-q", "-b", "theirs", str(theirs)], billing.path)
    shutil.rmtree(theirs)
    projects.reconcile()
    assert git.list_worktrees(billing.path) == [billing.path, theirs]
    assert projects.list_worktrees(owner, billing) == []


def test_a_start_takes_in_what_a_killed_one_had_made(owner: Actor, billing: Project) -> None:
    target = projects.worktrees_of(billing) / "half-made"
    target.parent.mkdir(parents=True)
    git.add_worktree(billing.path, target, "signalcabin/half-made")
    projects.reconcile()
    projects.reconcile()
    one = only(owner, billing)
    assert (one.name, one.branch, one.directory) == ("half-made", "signalcabin/half-made", str(target))
    assert projects.beside(str(target)).also == (billing.path / ".git", billing.path / ".git/worktrees/half-made")


def test_commands_in_it_may_write_history_but_not_what_runs(owner: Actor, billing: Project) -> None:
    place = make(owner, billing).directory
    found = projects.beside(str(place))
    common = billing.path / ".git"
    assert found.also == (common, common / "worktrees/fix-rounding")
    assert {common / name for name in ("config", "hooks", "HEAD", "index", "worktrees")} <= set(found.keep)
    assert common / "worktrees/fix-rounding/commondir" in found.keep
    assert projects.beside(str(billing.path)) == projects.Beside()
    shutil.rmtree(common)
    assert projects.beside(str(place)) == projects.Beside()


def test_commands_in_it_cannot_bring_hooks_to_a_repository_that_has_none(owner: Actor, billing: Project) -> None:
    place = make(owner, billing).directory
    hooks = billing.path / ".git/hooks"
    shutil.rmtree(hooks)
    assert hooks in projects.beside(str(place)).keep
    assert list(hooks.iterdir()) == []


def test_names_that_were_taken_are_told_apart_a_hundred_times() -> None:
    names = list(worktrees._names("a"))
    assert len(names) == len(set(names)) == 99
