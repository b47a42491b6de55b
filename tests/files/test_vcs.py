"""What differs from a commit, in OpenCode's newer form: in the working tree, and since the branch began."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app import config
from app.actor import Actor
from app.projects import service as projects
from tests.conftest import Caller
from tests.repository import git

COMMIT = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "-q", "-a", "-m", "Change")


@pytest.fixture
def work(alice: Actor, tmp_path: Path) -> Path:
    """A registered repository with two files, on its branch main."""
    root = tmp_path / "shop"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_text("".join(f"line {number}\n" for number in range(20)))
    (root / "gone.txt").write_text("one\ntwo\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, *COMMIT)
    projects.add(alice, str(root))
    return root


def change(root: Path) -> None:
    """One file modified, one deleted, two added; one of these is binary."""
    text = (root / "src" / "a.py").read_text()
    (root / "src" / "a.py").write_text(text.replace("line 10\n", "line ten\n"))
    (root / "gone.txt").unlink()
    (root / "new.txt").write_text("fresh")
    (root / "img.png").write_bytes(b"\x89PNG\0")


def asked(call: Caller, root: Path, path: str) -> Any:
    answer = call.get(f"/opencode{path}", headers={"x-opencode-directory": str(root)})
    assert answer.status_code == 200, answer.text
    return answer.json


def figures(files: Any) -> list[tuple[str, str, int, int]]:
    return [(file["file"], file["status"], file["additions"], file["deletions"]) for file in files]


CHANGED = [
    ("gone.txt", "deleted", 0, 2),
    ("img.png", "added", 0, 0),
    ("new.txt", "added", 1, 0),
    ("src/a.py", "modified", 1, 1),
]


def test_nothing_differs_at_first(call: Caller, work: Path) -> None:
    for path in ("/vcs/status", "/vcs/diff?mode=git", "/vcs/diff?mode=branch"):
        assert asked(call, work, path) == []


def test_what_differs_is_listed_with_its_patch(call: Caller, work: Path) -> None:
    change(work)
    assert figures(asked(call, work, "/vcs/status")) == CHANGED
    for mode in ("git", "branch"):
        files = asked(call, work, f"/vcs/diff?mode={mode}")
        assert figures(files) == CHANGED
        patches = {file["file"]: file["patch"] for file in files}
        assert patches["img.png"] == ""
        assert patches["new.txt"].endswith("@@ -1,0 +1,1 @@\n+fresh\n\\ No newline at end of file\n")
        assert "-line 10\n+line ten\n" in patches["src/a.py"]
        assert patches["src/a.py"].count("\n line") == 6


def test_the_lines_around_are_as_many_as_asked(call: Caller, work: Path) -> None:
    change(work)
    files = asked(call, work, "/vcs/diff?mode=git&context=0")
    assert files[-1]["patch"].count("\n line") == 0


def test_a_branch_is_compared_with_where_it_began(call: Caller, work: Path) -> None:
    git(work, "checkout", "-q", "-b", "feature")
    (work / "new.txt").write_text("fresh")
    git(work, "add", "-A")
    git(work, *COMMIT)
    git(work, "checkout", "-q", "main")
    (work / "gone.txt").write_text("one\ntwo\nthree\n")
    git(work, *COMMIT)
    git(work, "checkout", "-q", "feature")
    (work / "src" / "b.py").write_text("x\n")
    assert figures(asked(call, work, "/vcs/diff?mode=git")) == [("src/b.py", "added", 1, 0)]
    both = [("new.txt", "added", 1, 0), ("src/b.py", "added", 1, 0)]
    assert figures(asked(call, work, "/vcs/diff?mode=branch")) == both
    (work / "new.txt").unlink()
    assert figures(asked(call, work, "/vcs/diff?mode=branch")) == [("src/b.py", "added", 1, 0)]


def test_a_folder_below_shows_what_is_in_it(call: Caller, alice: Actor, work: Path) -> None:
    change(work)
    below = projects.add(alice, str(work / "src"))
    assert figures(asked(call, Path(below.root), "/vcs/diff?mode=git")) == [("a.py", "modified", 1, 1)]


def test_without_git_or_a_commit_there_is_no_fault(call: Caller, alice: Actor, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "a.txt").write_text("x\n")
    projects.add(alice, str(plain))
    assert asked(call, plain, "/vcs/diff?mode=git") == []
    git(plain, "init", "-q", "-b", "main")
    for mode in ("git", "branch"):
        assert figures(asked(call, plain, f"/vcs/diff?mode={mode}")) == [("a.txt", "added", 1, 0)]


def test_large_files_and_odd_names_are_told_without_contents(call: Caller, work: Path) -> None:
    (work / "large.txt").write_text("x\n" * 200_000)
    (work / "tab\there\nand there.txt").write_text("x\n")
    (work / "link").symlink_to("/etc/hostname")
    files = {file["file"]: file for file in asked(call, work, "/vcs/diff?mode=git")}
    assert files["large.txt"] == {"file": "large.txt", "patch": "", "additions": 0, "deletions": 0, "status": "added"}
    assert all("hostname" not in file["patch"] for file in files.values())


def test_the_servers_own_data_is_never_shown(call: Caller, alice: Actor, tmp_path: Path) -> None:
    root = tmp_path
    git(root, "init", "-q", "-b", "main")
    projects.add(alice, str(root))
    (root / "mine.txt").write_text("x\n")
    data = config.current().data_dir.name
    shown = [file["file"] for file in asked(call, root, "/vcs/diff?mode=git")]
    assert "mine.txt" in shown
    assert [name for name in shown if name.startswith(f"{data}/")] == []


def test_it_wants_the_right_to_read_files(call: Caller, work: Path, stranger: Caller, tmp_path: Path) -> None:
    where = {"x-opencode-directory": str(tmp_path / "elsewhere")}
    assert call.get("/opencode/vcs/diff?mode=git", headers=where).status_code == 403
    assert stranger.get("/opencode/vcs/diff?mode=git").status_code == 401
