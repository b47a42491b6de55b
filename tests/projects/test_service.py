"""Registering directories, and finding the one that a request means."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from app import config, db, git, record
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid, NotFound
from app.projects import sample
from app.projects import service as projects


def kinds() -> list[str]:
    with db.read() as conn:
        return [
            row.kind
            for row in conn.execute(record.events.select().order_by(record.events.c.seq))
            if row.kind.startswith("projects.")
        ]


def test_it_registers_a_repository(alice: Actor, repository: Path) -> None:
    project = projects.add(alice, str(repository))
    assert (project.name, project.root, project.vcs, project.state) == (
        "billing",
        str(repository),
        True,
        "ready",
    )
    assert project.git_root == git.root_commit(repository)
    assert project.id.startswith("prj_")
    assert projects.list_all(alice) == [project] == [projects.get(alice, project.id)]
    assert kinds() == ["projects.added"]


def test_it_registers_a_directory_without_git(alice: Actor, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    project = projects.add(alice, str(tmp_path / "notes"))
    assert (project.vcs, project.git_root) == (False, "")


def test_the_real_path_is_stored_once(alice: Actor, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(repository)
    first = projects.add(alice, str(tmp_path / "link"))
    assert first.root == str(repository)
    assert projects.add(alice, f"{repository}/../billing/") == first


@pytest.mark.parametrize(
    "path",
    ["/", "relative", "/nowhere/at/all", "", "/etc/hostname", "/tmp\n/x", "/tmp\0"],
    ids=["root", "relative", "missing", "empty", "a file", "newline", "nul"],
)
def test_it_refuses_what_is_no_directory_to_work_in(alice: Actor, path: str) -> None:
    with pytest.raises(Invalid):
        projects.add(alice, path)


def test_it_refuses_the_data_directory(alice: Actor) -> None:
    data_dir = config.current().data_dir
    (data_dir / "checkpoints").mkdir()
    for path in (data_dir, data_dir / "checkpoints"):
        with pytest.raises(Invalid, match="own data directory"):
            projects.add(alice, str(path))


def test_bob_may_not_add_and_charlie_sees_nothing(alice: Actor, bob: Actor, charlie: Actor, repository: Path) -> None:
    with pytest.raises(Denied):
        projects.add(bob, str(repository))
    project = projects.add(alice, str(repository))
    assert projects.list_all(bob) == [project]
    with pytest.raises((Denied, NotFound)):
        projects.list_all(charlie)
    with pytest.raises(NotFound):
        projects.get(charlie, project.id)
    with pytest.raises(Denied):
        projects.remove(bob, project.id)


def test_removing_keeps_files_and_adding_again_keeps_the_id(alice: Actor, repository: Path) -> None:
    project = projects.add(alice, str(repository))
    projects.remove(alice, project.id)
    assert (repository / "a.txt").exists()
    assert projects.list_all(alice) == []
    with pytest.raises(NotFound):
        projects.get(alice, project.id)
    assert projects.add(alice, str(repository)).id == project.id
    assert kinds() == ["projects.added", "projects.removed", "projects.added"]


def test_a_directory_below_belongs_to_its_root(alice: Actor, repository: Path) -> None:
    project = projects.add(alice, str(repository))
    (repository / "deep/er").mkdir(parents=True)
    for asked in (repository, repository / "deep", repository / "deep/er"):
        place = projects.resolve(alice, str(asked))
        assert (place.project, place.directory, place.root) == (project, repository, repository)


def test_a_repository_below_a_root_is_a_directory_of_its_own(alice: Actor, repository: Path) -> None:
    outer = repository.parent
    project = projects.add(alice, str(outer))
    (repository / "deep").mkdir()
    place = projects.resolve(alice, str(repository / "deep"))
    assert (place.project, place.directory, place.root) == (project, repository, outer)


def test_the_innermost_root_counts(alice: Actor, repository: Path) -> None:
    projects.add(alice, str(repository.parent))
    inner = projects.add(alice, str(repository))
    assert projects.resolve(alice, str(repository)).project == inner


def test_our_worktrees_are_places(alice: Actor, repository: Path) -> None:
    project = projects.add(alice, str(repository))
    tree = projects.worktrees_of(project) / "fix"
    tree.parent.mkdir(parents=True)
    git.run(["worktree", "add", "-q", "-b", "fix", str(tree)], repository)
    (tree / "deep").mkdir()
    place = projects.resolve(alice, str(tree / "deep"))
    assert (place.project, place.directory, place.root) == (project, tree, tree)


@pytest.mark.parametrize("asked", ["/etc", "{}/..", "{}/link/x", "{}2"], ids=["outside", "dots", "link", "prefix"])
def test_it_refuses_other_directories_and_says_how(alice: Actor, repository: Path, asked: str) -> None:
    projects.add(alice, str(repository))
    (repository / "link").symlink_to("/etc")
    with pytest.raises(Denied, match=r"Projects page.*python -m app project add"):
        projects.resolve(alice, asked.format(repository))
    db.append(lambda conn: None).result(10)
    (refused,) = projects.list_refusals(alice)
    assert (refused.times, refused.user) == (1, alice.user)
    assert "projects.directory_refused" in kinds()


def test_refusals_are_counted_and_told_once_a_minute(alice: Actor) -> None:
    for _ in range(3):
        with pytest.raises(Denied):
            projects.resolve(alice, "/etc")
    db.append(lambda conn: None).result(10)
    assert [(one.path, one.times) for one in projects.list_refusals(alice)] == [("/etc", 3)]
    assert kinds().count("projects.directory_refused") == 1


def test_a_missing_directory_below_a_root_is_told_apart(alice: Actor, repository: Path) -> None:
    projects.add(alice, str(repository))
    with pytest.raises(Invalid, match="missing"):
        projects.resolve(alice, str(repository / "nowhere"))


def test_a_token_reaches_its_own_project_only(alice: Actor, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = projects.add(alice, str(tmp_path / "other"))
    projects.add(alice, str(repository))
    bound = dataclasses.replace(alice, project=other.id)
    assert projects.resolve(bound, None).project == other
    with pytest.raises(Denied):
        projects.resolve(bound, str(repository))


def test_without_a_directory_it_is_the_sample_or_the_configured_one(alice: Actor, repository: Path) -> None:
    projects.ensure_defaults()
    projects.ensure_defaults()
    (only,) = projects.list_all(alice)
    assert projects.resolve(alice, None).directory == sample.root() == only.path
    config.use(dataclasses.replace(config.current(), project=repository))
    projects.ensure_defaults()
    assert projects.resolve(alice, None).directory == repository
    assert projects.resolve(alice, "").directory == repository


def test_a_removed_sample_stays_removed(alice: Actor) -> None:
    projects.ensure_defaults()
    projects.remove(alice, projects.list_all(alice)[0].id)
    projects.ensure_defaults()
    assert projects.list_all(alice) == []


def test_a_configured_project_that_is_missing_does_not_stop_the_server(
    alice: Actor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config.use(dataclasses.replace(config.current(), project=tmp_path / "nowhere"))
    projects.ensure_defaults()
    assert "SIGNALCABIN_PROJECT" in caplog.text


def test_it_describes_how_a_directory_stands(alice: Actor, repository: Path, tmp_path: Path) -> None:
    (repository / "a.txt").write_text("changed\n")
    (repository / "new.txt").write_text("new\n")
    project = projects.add(alice, str(repository))
    assert projects.describe(project) == projects.Condition("main", "", 0, 0, 2)
    (repository / "more.txt").write_text("new\n")
    assert projects.describe(project).dirty == 2
    gone = dataclasses.replace(project, root=str(tmp_path / "gone"))
    assert projects.describe(gone).is_missing


def test_the_sample_has_one_failing_test_that_one_edit_mends(alice: Actor) -> None:
    projects.ensure_defaults()
    root = sample.root()
    assert git.status(root) == []
    assert git.branch(root) == "main"

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "unittest", "-q"]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=60)

    assert "FAILED (failures=1)" in run().stderr
    assert [change.path for change in git.status(root)] == []
    file = root / "billing/proration.py"
    old = "    unused = (old.price * ratio).quantize(CENT)\n    due = (new.price * ratio).quantize(CENT) - unused\n"
    new = (
        "    # Round once, on the difference. Two roundings can drift by a cent.\n"
        "    delta = (new.price - old.price) * ratio\n"
        "    due = delta.quantize(CENT)\n"
    )
    assert file.read_text().count(old) == 1
    file.write_text(file.read_text().replace(old, new))
    done = run()
    assert done.returncode == 0, done.stderr


def test_a_project_being_cloned_is_not_a_place_yet(alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.projects.clones.check", lambda url: None)
    project = projects.add(alice, "https://example.com/group/Ledger_Export.git")
    assert (project.name, project.state, project.origin) == (
        "ledger_export",
        "cloning",
        "https://example.com/group/Ledger_Export.git",
    )
    project.path.mkdir(parents=True)
    with pytest.raises(Conflict, match="still being cloned"):
        projects.resolve(alice, project.root)
