"""Snapshots of directories, what differs between them, and that they outlive the project's own objects."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

from app import git
from app.checkpoints import compare, putback
from app.checkpoints.shadow import LARGE, Shadow
from tests.checkpoints.conftest import write


def statuses(shadow: Shadow, a: str, b: str) -> dict[str, str]:
    return {entry.path: entry.status for entry in compare.changed(shadow, a, b)}


@pytest.fixture(params=["plain", "repository"])
def place(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def test_it_sees_added_modified_and_deleted_files(shadow: Shadow, place: Path) -> None:
    before = shadow.snapshot(place)
    write(place, "a.txt", "one\nTWO\n")
    write(place, "new.txt", "new\n")
    (place / "deep/b.txt").unlink()
    after = shadow.snapshot(place)
    assert (before.is_first, after.is_first) == (True, False)
    assert statuses(shadow, before.tree, after.tree) == {
        "a.txt": "modified",
        "new.txt": "added",
        "deep/b.txt": "deleted",
    }


def test_the_same_content_is_the_same_tree(shadow: Shadow, place: Path) -> None:
    before = shadow.snapshot(place).tree
    write(place, "a.txt", "else\n")
    assert shadow.snapshot(place).tree != before
    write(place, "a.txt", "one\ntwo\n")
    assert shadow.snapshot(place).tree == before


def test_it_tells_before_after_and_patch(shadow: Shadow, place: Path) -> None:
    before = shadow.snapshot(place).tree
    write(place, "a.txt", "one\nTWO\nthree\n")
    (file,) = compare.diff(shadow, before, shadow.snapshot(place).tree)
    assert (file.path, file.status, file.additions, file.deletions) == ("a.txt", "modified", 2, 1)
    assert (file.before, file.after) == ("one\ntwo\n", "one\nTWO\nthree\n")
    assert file.patch.startswith("diff --git a/a.txt b/a.txt\n")
    assert file.patch.endswith("@@ -1,2 +1,3 @@\n one\n-two\n+TWO\n+three\n")


def test_a_binary_file_has_no_text(shadow: Shadow, place: Path) -> None:
    write(place, "image.bin", b"\0\1\2")
    before = shadow.snapshot(place).tree
    write(place, "image.bin", b"\0\1\3")
    (file,) = compare.diff(shadow, before, shadow.snapshot(place).tree)
    assert file.binary
    assert (file.before, file.after, file.additions) == ("", "", 0)


def test_a_rename_is_told_when_asked(shadow: Shadow, place: Path) -> None:
    write(place, "old.txt", "".join(f"line {n}\n" for n in range(40)))
    before = shadow.snapshot(place).tree
    (place / "old.txt").rename(place / "fresh.txt")
    after = shadow.snapshot(place).tree
    assert statuses(shadow, before, after) == {"old.txt": "deleted", "fresh.txt": "added"}
    (file,) = compare.diff(shadow, before, after, renames=True)
    assert (file.path, file.old_path, file.status) == ("fresh.txt", "old.txt", "renamed")


@pytest.mark.parametrize(
    "name",
    [
        "-rf",
        "--help",
        "two\nlines.txt",
        "ümläut \u4e2d.txt",
        'quo"te\\.txt',
        "*.glob?[a]",
        ":(top)x",
        "$(touch canary)",
    ],
    ids=["dash", "option", "newline", "unicode", "quotes", "glob", "magic", "shell"],
)
def test_it_takes_any_file_name(shadow: Shadow, place: Path, name: str) -> None:
    before = shadow.snapshot(place).tree
    write(place, name, "text\n")
    after = shadow.snapshot(place).tree
    (file,) = compare.diff(shadow, before, after)
    assert (file.path, file.after, file.additions) == (name, "text\n", 1)
    assert compare.read(shadow, after, name) == b"text\n"
    assert not (place / "canary").exists()


def test_a_name_that_forges_a_patch_header_confuses_nothing(shadow: Shadow, place: Path) -> None:
    before = shadow.snapshot(place).tree
    write(place, "a\ndiff --git a/x b/x", "diff --git a/y b/y\n")
    write(place, "z.txt", "diff --git a/z b/z\n--- a\n+++ b\n")
    files = {f.path: f for f in compare.diff(shadow, before, shadow.snapshot(place).tree)}
    assert set(files) == {"a\ndiff --git a/x b/x", "z.txt"}
    assert files["z.txt"].additions == 3


def test_a_name_that_is_not_utf8_is_taken(shadow: Shadow, place: Path) -> None:
    before = shadow.snapshot(place).tree
    write(place, "caf\udce9.txt", "x\n")
    assert statuses(shadow, before, shadow.snapshot(place).tree) == {"caf\udce9.txt": "added"}


def test_the_executable_bit_counts(shadow: Shadow, place: Path) -> None:
    before = shadow.snapshot(place).tree
    (place / "a.txt").chmod(0o755)
    (entry,) = compare.changed(shadow, before, shadow.snapshot(place).tree)
    assert (entry.old_mode, entry.new_mode) == ("100644", "100755")


def test_a_link_is_kept_as_a_link(shadow: Shadow, place: Path) -> None:
    before = shadow.snapshot(place).tree
    (place / "link").symlink_to("/etc/passwd")
    after = shadow.snapshot(place).tree
    (file,) = compare.diff(shadow, before, after)
    assert file.after == "/etc/passwd"


def test_a_file_becomes_a_directory_and_a_directory_a_link(shadow: Shadow, place: Path) -> None:
    before = shadow.snapshot(place).tree
    (place / "a.txt").unlink()
    write(place, "a.txt/inside", "x\n")
    (place / "deep").rename(place / "moved")
    (place / "deep").symlink_to("moved")
    after = shadow.snapshot(place).tree
    assert statuses(shadow, before, after) == {
        "a.txt": "deleted",
        "a.txt/inside": "added",
        "deep": "added",
        "deep/b.txt": "deleted",
        "moved/b.txt": "added",
    }
    assert len(compare.diff(shadow, before, after)) == 5


def test_line_ends_and_filters_are_left_alone(shadow: Shadow, place: Path) -> None:
    write(place, ".gitattributes", "* text=auto eol=lf\n*.big filter=lfs diff=lfs -text\n$Id$ ident\n")
    write(place, "windows.txt", b"one\r\ntwo\r\n")
    write(place, "x.big", "real content\n")
    tree = shadow.snapshot(place).tree
    assert compare.read(shadow, tree, "windows.txt") == b"one\r\ntwo\r\n"
    assert compare.read(shadow, tree, "x.big") == b"real content\n"


def test_ignored_files_are_left_out_unless_named(shadow: Shadow, repository: Path) -> None:
    write(repository, "debug.log", "noise\n")
    write(repository, "build/out.o", "noise\n")
    before = shadow.snapshot(repository).tree
    assert compare.read(shadow, before, "debug.log") is None
    assert shadow.ignored(repository) == ["build/", "debug.log"]
    after = shadow.snapshot(repository, also=["debug.log", "../outside", ".git/config", "missing"]).tree
    assert statuses(shadow, before, after) == {"debug.log": "added"}


def test_a_nested_repository_is_left_alone(shadow: Shadow, place: Path) -> None:
    (place / "vendored").mkdir()
    write(place, "vendored/x.txt", "x\n")
    git.commit_all(place / "vendored", "Theirs", "2026-01-05T09:00:00Z")
    found = shadow.snapshot(place)
    assert [(s.path, s.reason) for s in found.skipped] == [("vendored", "a repository of its own")]
    assert compare.read(shadow, found.tree, "vendored/x.txt") is None


def test_a_huge_file_is_left_alone(shadow: Shadow, place: Path) -> None:
    with (place / "huge.bin").open("wb") as file:
        file.truncate(LARGE + 1)
    assert [s.path for s in shadow.snapshot(place).skipped] == ["huge.bin"]


def test_the_data_directory_below_a_project_is_left_out(shadow: Shadow, data_dir: Path) -> None:
    write(data_dir.parent, "kept.txt", "x\n")
    tree = shadow.snapshot(data_dir.parent).tree
    tree = shadow.snapshot(data_dir.parent).tree
    listed = shadow.run(["ls-tree", "-r", "--name-only", tree]).decode().split()
    assert listed == ["kept.txt"]


def test_it_borrows_from_the_project_and_leaves_it_untouched(shadow: Shadow, repository: Path) -> None:
    index = (repository / ".git/index").read_bytes()
    found = shadow.snapshot(repository)
    assert (found.is_first, found.is_borrowing) == (True, True)
    assert (repository / ".git/index").read_bytes() == index
    assert git.status(repository) == []


def test_staged_sparse_and_conflicting_entries_do_not_matter(shadow: Shadow, repository: Path) -> None:
    write(repository, "a.txt", "staged\n")
    write(repository, "intended.txt", "later\n")
    git.run(["add", "a.txt"], repository)
    git.run(["add", "-N", "intended.txt"], repository)
    git.run(["update-index", "--assume-unchanged", "deep/b.txt"], repository)
    blob = git.text(["rev-parse", "HEAD:a.txt"], repository)
    lines = "".join(f"100644 {blob} {stage}\tconflict.txt\n" for stage in (1, 2, 3))
    git.run(["update-index", "--index-info"], repository, data=lines.encode())
    write(repository, "a.txt", "on disk\n")
    write(repository, "deep/b.txt", "changed\n")
    tree = shadow.snapshot(repository).tree
    assert compare.read(shadow, tree, "a.txt") == b"on disk\n"
    assert compare.read(shadow, tree, "deep/b.txt") == b"changed\n"
    assert compare.read(shadow, tree, "intended.txt") == b"later\n"
    assert compare.read(shadow, tree, "conflict.txt") is None


def test_a_split_index_and_a_sha256_repository_are_taken(shadow: Shadow, tmp_path: Path) -> None:
    place = tmp_path / "new"
    place.mkdir()
    git.run(["init", "-q", "--object-format=sha256"], place)
    write(place, "a.txt", "x\n")
    git.commit_all(place, "First", "2026-01-05T09:00:00Z")
    git.run(["update-index", "--split-index"], place)
    before = shadow.snapshot(place).tree
    assert len(before) == 64
    write(place, "a.txt", "y\n")
    assert statuses(shadow, before, shadow.snapshot(place).tree) == {"a.txt": "modified"}


def test_commands_in_the_projects_configuration_never_run(shadow: Shadow, repository: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for name in (
        "core.fsmonitor",
        "filter.evil.clean",
        "filter.evil.process",
        "diff.external",
        "diff.evil.textconv",
    ):
        git.run(["config", name, f"touch {canary}"], repository)
    hook = repository / ".git/hooks/post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
    hook.chmod(0o755)
    write(repository, ".gitattributes", "* filter=evil diff=evil\n")
    before = shadow.snapshot(repository).tree
    write(repository, "a.txt", "x\n")
    assert compare.diff(shadow, before, shadow.snapshot(repository).tree)
    assert git.status(repository)
    assert not canary.exists()


def test_the_callers_git_variables_are_not_heard(
    shadow: Shadow, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere/index"))
    assert shadow.snapshot(repository).tree
    assert not (tmp_path / "elsewhere").exists()


def prune(repository: Path) -> None:
    git.run(["reflog", "expire", "--expire=now", "--all"], repository)
    git.run(["gc", "--prune=now", "-q"], repository)


def test_a_settled_shadow_outlives_the_projects_objects(shadow: Shadow, repository: Path) -> None:
    write(repository, "a.txt", "amended away\n")
    git.run(["commit", "-q", "-am", "Soon gone"], repository)
    first = shadow.snapshot(repository, "chk_1").tree
    write(repository, "a.txt", "second\n")
    second = shadow.snapshot(repository, "chk_2").tree
    shadow.settle()
    gone = git.text(["rev-parse", "HEAD:a.txt"], repository)
    git.run(["reset", "-q", "--hard", "HEAD~"], repository)
    prune(repository)
    with pytest.raises(git.GitFailed):
        git.run(["cat-file", "-e", gone], repository)
    (file,) = compare.diff(shadow, first, second)
    assert (file.before, file.after) == ("amended away\n", "second\n")
    assert not shadow.snapshot(repository).is_borrowing


def test_what_is_committed_after_settling_is_not_borrowed_either(shadow: Shadow, repository: Path) -> None:
    shadow.snapshot(repository)
    shadow.settle()
    write(repository, "a.txt", "committed, then dropped\n")
    git.run(["commit", "-q", "-am", "Soon gone"], repository)
    tree = shadow.snapshot(repository).tree
    git.run(["reset", "-q", "--hard", "HEAD~"], repository)
    prune(repository)
    assert compare.read(shadow, tree, "a.txt") == b"committed, then dropped\n"


def test_a_pruned_project_before_settling_costs_only_what_is_gone(shadow: Shadow, repository: Path) -> None:
    write(repository, "a.txt", "amended away\n")
    git.run(["commit", "-q", "-am", "Soon gone"], repository)
    first = shadow.snapshot(repository).tree
    git.run(["reset", "-q", "--hard", "HEAD~"], repository)
    prune(repository)
    assert not shadow.has(first) or compare.changed(shadow, first, first) == []
    later = shadow.snapshot(repository).tree
    assert compare.read(shadow, later, "a.txt") == b"one\ntwo\n"


def committed_then_dropped(repository: Path, shadow: Shadow) -> str:
    """A snapshot that borrows a blob which the project then drops; the file is on disk as it was snapped."""
    write(repository, "a.txt", "amended away\n")
    git.run(["commit", "-q", "-am", "Soon gone"], repository)
    write(repository, "ours.txt", "so that the tree itself is not borrowed\n")
    tree = shadow.snapshot(repository, "chk_1").tree
    git.run(["reset", "-q", "--mixed", "HEAD~"], repository)
    prune(repository)
    return tree


def test_what_was_pruned_is_taken_from_the_disk_again_while_it_is_there(shadow: Shadow, repository: Path) -> None:
    tree = committed_then_dropped(repository, shadow)
    assert not shadow.has(tree)
    assert shadow.lost() == ["chk_1"]
    assert shadow.snapshot(repository, "chk_2").tree == tree
    assert shadow.has(tree)
    assert compare.read(shadow, tree, "a.txt") == b"amended away\n"
    shadow.settle()
    assert shadow.lost() == []


def test_settling_refuses_while_something_is_lost_and_works_once_that_is_let_go(
    shadow: Shadow, repository: Path
) -> None:
    tree = committed_then_dropped(repository, shadow)
    write(repository, "a.txt", "else\n")
    later = shadow.snapshot(repository, "chk_2").tree
    with pytest.raises(git.GitFailed):
        shadow.settle()
    assert shadow.snapshot(repository, "chk_3").is_borrowing
    assert shadow.lost() == ["chk_1"]
    shadow.forget(["chk_1"])
    shadow.settle()
    assert not shadow.snapshot(repository).is_borrowing
    assert (shadow.has(tree), shadow.has(later)) == (False, True)


def test_files_are_put_back_from_borrowed_objects(shadow: Shadow, repository: Path) -> None:
    before = shadow.snapshot(repository, "chk_1")
    assert before.is_borrowing
    write(repository, "a.txt", "changed\n")
    (repository / "deep/b.txt").unlink()
    now = shadow.snapshot(repository, "chk_2").tree
    plan = putback.plan(shadow, now, {before.tree: ["a.txt", "deep/b.txt"]})
    done = putback.carry_out(shadow, repository, plan)
    assert done.restored == ("a.txt", "deep/b.txt")
    assert (repository / "a.txt").read_text() == "one\ntwo\n"
    assert (repository / "deep/b.txt").read_text() == "b\n"


def test_what_is_let_go_frees_its_space_and_nothing_else(shadow: Shadow, repository: Path) -> None:
    write(repository, "big.bin", random.Random(1).randbytes(2_000_000))
    first = shadow.snapshot(repository, "chk_1").tree
    (repository / "big.bin").unlink()
    second = shadow.snapshot(repository, "chk_2").tree
    shadow.free()
    full = shadow.size()
    assert (shadow.has(first), full > 2_000_000) == (True, True)
    shadow.forget(["chk_1", "chk_never"])
    shadow.free()
    assert shadow.size() < full - 1_500_000
    assert (shadow.has(first), shadow.has(second)) == (False, True)
    prune(repository)
    assert compare.read(shadow, second, "a.txt") == b"one\ntwo\n"
    assert shadow.snapshot(repository).tree == second


def test_a_shadow_that_was_never_made_has_nothing_to_free(shadow: Shadow) -> None:
    shadow.forget(["chk_1"])
    shadow.free()
    assert (shadow.kept(), shadow.lost()) == ({}, [])


def test_a_submodule_is_left_alone_and_told(shadow: Shadow, repository: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    write(theirs, "lib.py", "x = 1\n")
    git.commit_all(theirs, "Theirs", "2026-01-05T09:00:00Z")
    add = ["submodule", "--quiet", "add", str(theirs), "vendor/lib"]
    git.run(add, repository, settings=("protocol.file.allow=always",), env={"GIT_ALLOW_PROTOCOL": "file"})
    git.run(["commit", "-q", "-m", "With a submodule"], repository)
    before = shadow.snapshot(repository)
    assert [(s.path, s.reason) for s in before.skipped] == [("vendor/lib", "a repository of its own")]
    write(repository, "vendor/lib/lib.py", "x = 2\n")
    write(repository, "a.txt", "x\n")
    after = shadow.snapshot(repository)
    assert statuses(shadow, before.tree, after.tree) == {"a.txt": "modified"}
    assert git.find_blob(repository / "vendor/lib", "HEAD", "lib.py") == b"x = 1\n"


def test_a_submodule_that_was_never_fetched_disturbs_nothing(shadow: Shadow, repository: Path) -> None:
    commit = git.layout(repository).head
    git.run(["update-index", "--add", "--cacheinfo", f"160000,{commit},vendor"], repository)
    (repository / "vendor").mkdir()
    found = shadow.snapshot(repository)
    assert compare.read(shadow, found.tree, "a.txt") == b"one\ntwo\n"
    assert "vendor" not in shadow.run(["ls-tree", "--name-only", found.tree]).decode()


def test_a_worktree_has_an_index_of_its_own(shadow: Shadow, repository: Path, tmp_path: Path) -> None:
    shadow.snapshot(repository)
    shadow.settle()
    other = tmp_path / "worktree"
    git.run(["worktree", "add", "-q", str(other), "-b", "fix"], repository)
    before = shadow.snapshot(other)
    write(other, "a.txt", "fixed\n")
    after = shadow.snapshot(other).tree
    assert (before.is_first, before.is_borrowing) == (True, True)
    assert statuses(shadow, before.tree, after) == {"a.txt": "modified"}
    shadow.settle()
    assert not shadow.snapshot(other).is_borrowing


def test_forgotten_snapshots_go_with_the_next_settling(shadow: Shadow, plain: Path) -> None:
    write(plain, "a.txt", "unique to the first\n")
    first = shadow.snapshot(plain, "chk_1").tree
    write(plain, "a.txt", "second\n")
    second = shadow.snapshot(plain, "chk_2").tree
    shadow.forget(["chk_1"])
    assert shadow.has(second)
    assert first != second


def test_a_lock_left_by_a_killed_git_is_cleared(shadow: Shadow, repository: Path) -> None:
    shadow.snapshot(repository)
    for index in shadow.git_dir.glob("index-*"):
        index.with_name(f"{index.name}.lock").touch()
    assert shadow.snapshot(repository).tree


def test_a_broken_index_is_made_again(shadow: Shadow, repository: Path) -> None:
    before = shadow.snapshot(repository).tree
    (index,) = shadow.git_dir.glob("index-*")
    index.write_bytes(b"DIRC broken")
    assert shadow.snapshot(repository).tree == before


def test_snapshots_of_many_threads_take_turns(shadow: Shadow, repository: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(shadow.snapshot(repository).tree)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 6
    assert len(set(found)) == 1


@pytest.mark.parametrize("kind", ["git", "no git"])
def test_five_thousand_files(shadow: Shadow, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "many"
    dice = random.Random(5)
    for number in range(5000):
        write(place, f"d{number // 100:02}/f{number}.py", f"# {number}\n" * dice.randrange(400))
    if kind == "git":
        git.commit_all(place, "First", "2026-01-05T09:00:00Z")
    figures = {}

    def timed(name: str) -> str:
        start = time.perf_counter()
        tree = shadow.snapshot(place).tree
        figures[name] = round((time.perf_counter() - start) * 1000)
        return tree

    first = timed("first")
    edited = ""
    for round_ in range(5):
        for number in (7, 2500, 4990):
            write(place, f"d{number // 100:02}/f{number}.py", f"edited {round_}\n")
        edited = timed(f"3 edits, {round_}")
    timed("no change")
    start = time.perf_counter()
    files = compare.diff(shadow, first, edited)
    figures["diff"] = round((time.perf_counter() - start) * 1000)
    start = time.perf_counter()
    shadow.settle()
    figures["settle"] = round((time.perf_counter() - start) * 1000)
    with capsys.disabled():
        print(f"\n5,000 files, {kind}, ms: {figures}; {shadow.size() >> 10} KiB")  # noqa: T201 - figures to look at, not to assert
    assert [file.path for file in files] == ["d00/f7.py", "d25/f2500.py", "d49/f4990.py"]
