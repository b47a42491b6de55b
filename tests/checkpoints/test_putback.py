"""Putting files back: what the agent touched and nothing else, beneath the root and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import git
from app.checkpoints import putback
from app.checkpoints.shadow import Shadow, shown
from tests.checkpoints.conftest import write


@pytest.fixture(params=["plain", "repository"])
def place(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def go_back(shadow: Shadow, place: Path, then: str, touched: list[str]) -> putback.Outcome:
    now = shadow.snapshot(place, also=touched).tree
    return putback.carry_out(shadow, place, putback.plan(shadow, now, {then: touched}))


def test_it_puts_back_removes_and_brings_back(shadow: Shadow, place: Path) -> None:
    before = shadow.snapshot(place).tree
    write(place, "a.txt", "changed\n")
    write(place, "new/deep/c.txt", "new\n")
    (place / "deep/b.txt").unlink()
    (place / "deep").rmdir()
    done = go_back(shadow, place, before, ["a.txt", "new/deep/c.txt", "deep/b.txt"])
    assert (done.restored, done.removed, done.kept) == (("a.txt", "deep/b.txt"), ("new/deep/c.txt",), ())
    assert (place / "a.txt").read_text() == "one\ntwo\n"
    assert (place / "deep/b.txt").read_text() == "b\n"
    assert not (place / "new").exists()
    assert shadow.snapshot(place).tree == before


def test_it_keeps_what_the_agent_did_not_touch(shadow: Shadow, place: Path) -> None:
    write(place, "untracked.txt", "mine\n")
    before = shadow.snapshot(place).tree
    write(place, "a.txt", "by the agent\n")
    write(place, "deep/b.txt", "by hand\n")
    write(place, "notes.md", "mine, made later\n")
    (place / "untracked.txt").unlink()
    done = go_back(shadow, place, before, ["a.txt"])
    assert done.restored == ("a.txt",)
    assert {s.path: s.reason for s in done.kept} == {
        "deep/b.txt": "changed by hand",
        "notes.md": "not made by the agent",
        "untracked.txt": "removed by hand",
    }
    assert (place / "deep/b.txt").read_text() == "by hand\n"
    assert (place / "notes.md").exists()
    assert not (place / "untracked.txt").exists()


def test_ignored_files_stay(shadow: Shadow, repository: Path) -> None:
    before = shadow.snapshot(repository).tree
    write(repository, "build/out.o", "precious\n")
    write(repository, "debug.log", "precious\n")
    write(repository, "a.txt", "x\n")
    go_back(shadow, repository, before, ["a.txt"])
    assert (repository / "build/out.o").exists()
    assert (repository / "debug.log").exists()


def test_an_ignored_file_the_agent_wrote_goes_back_when_it_was_named(shadow: Shadow, repository: Path) -> None:
    write(repository, ".env.log", "old\n")
    before = shadow.snapshot(repository, also=[".env.log"]).tree
    write(repository, ".env.log", "new\n")
    assert go_back(shadow, repository, before, [".env.log"]).restored == (".env.log",)
    assert (repository / ".env.log").read_text() == "old\n"


def test_it_can_be_undone(shadow: Shadow, place: Path) -> None:
    touched = ["a.txt", "new.txt", "deep/b.txt"]
    before = shadow.snapshot(place).tree
    write(place, "a.txt", "agent\n")
    write(place, "new.txt", "agent\n")
    (place / "deep/b.txt").unlink()
    automatic = shadow.snapshot(place, "chk_auto").tree
    go_back(shadow, place, before, touched)
    go_back(shadow, place, automatic, touched)
    assert shadow.snapshot(place).tree == automatic


def test_modes_and_links_go_back(shadow: Shadow, place: Path) -> None:
    (place / "run.sh").write_text("#!/bin/sh\n")
    (place / "run.sh").chmod(0o750)
    (place / "link").symlink_to("a.txt")
    (place / "real").symlink_to("/etc/hostname")
    before = shadow.snapshot(place).tree
    (place / "run.sh").chmod(0o640)
    (place / "link").unlink()
    write(place, "link", "a file now\n")
    (place / "real").unlink()
    done = go_back(shadow, place, before, ["run.sh", "link", "real"])
    assert done.restored == ("link", "real", "run.sh")
    assert (place / "run.sh").stat().st_mode & 0o777 == 0o750
    assert str((place / "link").readlink()) == "a.txt"
    assert str((place / "real").readlink()) == "/etc/hostname"


def test_permissions_other_than_executable_stay(shadow: Shadow, place: Path) -> None:
    (place / "a.txt").chmod(0o600)
    before = shadow.snapshot(place).tree
    write(place, "a.txt", "x\n")
    go_back(shadow, place, before, ["a.txt"])
    assert (place / "a.txt").stat().st_mode & 0o777 == 0o600


def test_a_link_in_a_directorys_place_does_not_lead_out(shadow: Shadow, place: Path, tmp_path: Path) -> None:
    before = shadow.snapshot(place).tree
    outside = tmp_path / "outside"
    outside.mkdir()
    write(outside, "b.txt", "theirs\n")
    (place / "deep/b.txt").unlink()
    (place / "deep").rmdir()
    (place / "deep").symlink_to(outside)
    done = go_back(shadow, place, before, ["deep/b.txt"])
    assert done.restored == ()
    assert ("deep/b.txt", "its directory is a link or a file now") in [(s.path, s.reason) for s in done.kept]
    assert (outside / "b.txt").read_text() == "theirs\n"
    assert go_back(shadow, place, before, ["deep", "deep/b.txt"]).restored == ("deep/b.txt",)
    assert (outside / "b.txt").read_text() == "theirs\n"
    assert (place / "deep/b.txt").read_text() == "b\n"


def test_a_directory_in_a_files_place_is_kept(shadow: Shadow, repository: Path) -> None:
    before = shadow.snapshot(repository).tree
    (repository / "a.txt").unlink()
    write(repository, "a.txt/x.log", "precious\n")
    done = go_back(shadow, repository, before, ["a.txt"])
    assert ("a.txt", "a directory with other files is in its place") in [(s.path, s.reason) for s in done.kept]
    assert (repository / "a.txt/x.log").exists()


def test_a_file_changed_after_the_snapshot_is_kept(shadow: Shadow, place: Path) -> None:
    before = shadow.snapshot(place).tree
    write(place, "a.txt", "agent\n")
    planned = putback.plan(shadow, shadow.snapshot(place).tree, {before: ["a.txt"]})
    write(place, "a.txt", "a person, just now\n")
    done = putback.carry_out(shadow, place, planned)
    assert done.restored == ()
    assert (place / "a.txt").read_text() == "a person, just now\n"


@pytest.mark.parametrize("name", ["-rf", "two\nlines", "ümläut", "caf\udce9"], ids=["dash", "newline", "utf8", "bytes"])
def test_any_file_name_goes_back(shadow: Shadow, place: Path, name: str) -> None:
    write(place, f"d/{name}", "old\n")
    before = shadow.snapshot(place).tree
    write(place, f"d/{name}", "new\n")
    assert go_back(shadow, place, before, [shown(f"d/{name}")]).restored == (shown(f"d/{name}"),)
    assert (place / f"d/{name}").read_text() == "old\n"


def test_two_files_with_one_content_go_back(shadow: Shadow, place: Path) -> None:
    write(place, "x.txt", "same\n")
    write(place, "y.txt", "same\n")
    before = shadow.snapshot(place).tree
    (place / "x.txt").unlink()
    (place / "y.txt").unlink()
    assert go_back(shadow, place, before, ["x.txt", "y.txt"]).restored == ("x.txt", "y.txt")


def test_it_goes_back_from_a_settled_shadow_after_a_prune(shadow: Shadow, repository: Path) -> None:
    before = shadow.snapshot(repository, "chk_1").tree
    shadow.settle()
    write(repository, "a.txt", "agent\n")
    git.run(["checkout", "-q", "--orphan", "other"], repository)
    git.run(["commit", "-q", "-am", "Rewritten"], repository)
    git.run(["branch", "-q", "-D", "main"], repository)
    git.run(["reflog", "expire", "--expire=now", "--all"], repository)
    git.run(["gc", "--prune=now", "-q"], repository)
    assert go_back(shadow, repository, before, ["a.txt"]).restored == ("a.txt",)
    assert (repository / "a.txt").read_text() == "one\ntwo\n"
