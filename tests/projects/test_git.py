"""Running git: our own environment, answers no name can forge, and nothing of the repository's runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import config, git


@pytest.fixture(autouse=True)
def _data_dir(tmp_path: Path) -> Iterator[None]:
    before = config._current
    config.use(config.Config(data_dir=tmp_path / "var", testing=True))
    yield
    config._current = before


def test_it_knows_branch_root_and_top(repository: Path) -> None:
    below = repository / "deep"
    below.mkdir()
    assert git.branch(repository) == git.default_branch(repository) == "main"
    assert git.root_commit(below) == git.layout(repository).head
    assert git.find_toplevel(below) == repository
    assert git.find_toplevel(repository.parent.parent) is None


def test_it_is_quiet_without_git_and_without_commits(tmp_path: Path) -> None:
    assert (git.branch(tmp_path), git.root_commit(tmp_path), git.origin(tmp_path)) == ("", "", "")
    place = tmp_path / "new"
    place.mkdir()
    git.run(["init", "-q", "-b", "trunk"], place)
    (place / "new.txt").write_text("x")
    assert (git.branch(place), git.root_commit(place)) == ("trunk", "")
    assert git.status(place) == [git.Change("??", "new.txt")]
    with pytest.raises(git.GitFailed, match="missing"):
        git.run(["status"], tmp_path / "nowhere")


def test_status_tells_every_kind_of_change_and_any_name(repository: Path) -> None:
    (repository / "b.txt").write_text("".join(f"{n}\n" for n in range(40)))
    git.run(["add", "."], repository)
    git.run(["commit", "-q", "-m", "Second"], repository)
    git.run(["mv", "b.txt", "c.txt"], repository)
    (repository / "a.txt").write_text("changed\n")
    (repository / "-x\nü").write_text("new\n")
    assert sorted(git.status(repository), key=lambda c: c.path) == [
        git.Change("??", "-x\nü"),
        git.Change(" M", "a.txt"),
        git.Change("R ", "c.txt", "b.txt"),
    ]
    assert git.ls_files(repository) == ["-x\nü", "a.txt", "c.txt"]
    assert git.ls_files(repository, untracked=False) == ["a.txt", "c.txt"]


def test_standing_counts_commits_ahead_and_behind(repository: Path) -> None:
    head = git.layout(repository).head
    git.run(["update-ref", "refs/remotes/origin/main", head], repository)
    for name, value in (
        ("remote.origin.url", "https://name:secret@example.com/x.git"),
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
        ("branch.main.remote", "origin"),
        ("branch.main.merge", "refs/heads/main"),
    ):
        git.run(["config", name, value], repository)
    git.run(["commit", "-q", "--allow-empty", "-m", "Ahead"], repository)
    assert git.standing(repository) == git.Standing("main", "origin/main", 1, 0)
    assert git.origin(repository) == "https://example.com/x.git"


def test_it_shows_files_of_a_revision(repository: Path) -> None:
    assert git.find_blob(repository, "HEAD", "a.txt") == b"one\n"
    assert git.find_blob(repository, "HEAD", "missing.txt") is None
    assert git.find_blob(repository, "HEAD", "a.txt", limit=2) is None
    assert git.find_blob(repository, "--textconv", "a.txt") is None


def test_the_callers_environment_does_not_reach_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    env = git.environment()
    assert "SECRET_KEY" not in env
    assert not {"GIT_DIR"} & set(env)
    assert env["GIT_CONFIG_GLOBAL"] == os.devnull


def test_nothing_the_repository_configures_runs(repository: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    touch = f"touch {canary}"
    for name in (
        "core.fsmonitor",
        "core.pager",
        "core.editor",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.external",
        "diff.evil.textconv",
        "core.sshCommand",
        "gpg.program",
    ):
        git.run(["config", name, touch], repository)
    git.run(["config", "protocol.ext.allow", "always"], repository)
    git.run(["config", "core.hooksPath", "hooks"], repository)
    for hook in ("pre-commit", "post-checkout", "post-index-change", "reference-transaction"):
        script = repository / "hooks" / hook
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\n{touch}\n")
        script.chmod(0o755)
    (repository / ".gitattributes").write_text("* filter=evil diff=evil\n")
    (repository / "a.txt").write_text("two\n")
    os.utime(repository / "a.txt", (1, 1))
    assert [c.path for c in git.status(repository)][:1] == ["a.txt"]
    git.standing(repository)
    git.ls_files(repository)
    git.find_blob(repository, "HEAD", "a.txt")
    with pytest.raises(git.GitFailed):
        git.run(["fetch", f"ext::{touch}"], repository)
    assert not canary.exists()


def test_a_lie_about_the_working_tree_is_not_believed(repository: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("x")
    git.run(["config", "core.worktree", str(outside)], repository)
    assert "secret.txt" not in [change.path for change in git.status(repository)]


def test_a_git_that_takes_too_long_is_ended(repository: Path) -> None:
    with pytest.raises(git.GitFailed, match="longer than"):
        git.run(["-c", "alias.wait=!sleep 30", "wait"], repository, timeout=0.3)
