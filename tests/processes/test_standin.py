"""What commands in a worktree do at the top of their repository's git directory never reaches the git of others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app import git
from app.processes import carrying, standin
from app.processes.child import Child, start
from app.processes.spawn import Finished
from app.projects import worktrees
from tests.processes.conftest import World
from tests.visitor import until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no sandbox elsewhere")
IDENTITY = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@dataclass(frozen=True)
class Tree:
    """A repository with a worktree, in which commands run as ours do."""

    world: World
    main: Path
    place: Path

    @property
    def top(self) -> Path:
        return self.main / ".git"

    @property
    def also(self) -> tuple[Path, Path]:
        return self.top, self.top / "worktrees" / self.place.name

    def sh(self, script: str) -> Finished:
        keep = [self.top / name for name in worktrees.KEPT] + [self.also[1] / "commondir"]
        world = replace(self.world, workspace=self.place)
        return world.run("sh", "-ec", script, also=self.also, keep=keep, env=IDENTITY)

    def begin(self, script: str) -> Child:
        """A command that goes on while its input is open."""
        return start(
            ["sh", "-ec", script], cwd=self.place, workspace=self.place, private=self.world.private, also=self.also,
            env=IDENTITY, stdin=True,
        )  # fmt: skip

    def git(self, *words: str, at: Path | None = None) -> str:
        """A person's own git, which trusts what lies in the repository."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.world.data), **IDENTITY}
        done = subprocess.run(
            ["git", *words], cwd=at or self.main, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def refs(self) -> str:
        return self.git("for-each-ref", "--format=%(refname:short) %(contents:subject)")


@pytest.fixture
def tree(world: World, tmp_path: Path) -> Iterator[Tree]:
    main, place = tmp_path / "main", tmp_path / "data" / "worktrees" / "fix"
    main.mkdir()
    place.parent.mkdir(parents=True)
    (main / "a.txt").write_text("one\n")
    git.commit_all(main, "First", "2026-01-05T09:00:00Z")
    git.add_worktree(main, place, "fix")
    for name in worktrees.MADE:
        (main / ".git" / name).mkdir(exist_ok=True)
    yield Tree(world, main, place)
    standin.stop()
    assert standin._known == {}
    assert list(world.private.glob("git/*")) == []


PLANTED = {
    "another directory for what is shared": "mkdir $T/evil; cp -r $T/config $T/evil; "
    "git config -f $T/evil/config core.fsmonitor $PWD/evil; echo evil > $T/commondir",
    "settings of the main checkout alone": "git config -f $T/config.worktree core.fsmonitor $PWD/evil",
    "a rebase to go on with": "mkdir $T/rebase-merge; echo 'exec ./evil' > $T/rebase-merge/git-rebase-todo",
    "a message that is written elsewhere": "ln -s $PWD/elsewhere $T/COMMIT_EDITMSG",
    "a module's own repository": "git init -q --bare $T/modules/sub",
    "another index": "mv $T/index $T/gone; cp a.txt $T/index",
    "hooks in place of hooks": "mv $T/hooks $T/gone",
    "no objects": "mv $T/objects $T/gone",
    "another HEAD": "rm $T/HEAD; echo ref: refs/heads/fix > $T/HEAD",
    "a lock that stays": "touch $T/index.lock $T/config.lock $T/packed-refs.lock $T/HEAD.lock",
}


@pytest.mark.parametrize("script", PLANTED.values(), ids=list(PLANTED))
def test_what_is_planted_at_the_top_is_not_there_for_others(tree: Tree, script: str) -> None:
    (tree.place / "evil").write_text(f"#!/bin/sh\ntouch {tree.main}/ran\n")
    (tree.place / "evil").chmod(0o755)
    tree.git("config", "extensions.worktreeConfig", "true")
    before = sorted(tree.top.iterdir())
    tree.sh(f"T={tree.top}; {script}")
    assert sorted(tree.top.iterdir()) == before
    tree.git("status")
    tree.git("commit", "--allow-empty", "-qm", "Second")
    assert not (tree.main / "ran").exists()
    assert not (tree.place / "elsewhere").exists()
    assert tree.git("symbolic-ref", "HEAD") == "refs/heads/main"


def test_no_link_stays_where_git_would_write_along_it(tree: Tree) -> None:
    tree.git("commit", "--allow-empty", "-qm", "Second")
    outside = tree.world.data.parent / "profile"
    outside.mkdir()
    (outside / "main").write_text("mine\n")
    links = f"cd {tree.top}; rm logs/HEAD; ln -s {outside}/main logs/HEAD; rm -r logs/refs/heads; "
    links += f"ln -s {outside} logs/refs/heads; ln -s {outside} refs/heads/sub; ln -s refs/heads/main refs/heads/alias"
    assert tree.sh(links).exit_code == 0
    tree.git("commit", "--allow-empty", "-qm", "Third; evil")
    tree.git("branch", "sub/main")
    assert (outside / "main").read_text() == "mine\n"
    assert [one.name for one in outside.iterdir()] == ["main"]
    assert (tree.top / "refs/heads/alias").is_symlink()


def test_settings_stay_closed_after_somebody_has_written_them_anew(tree: Tree) -> None:
    child = tree.begin(f"read go; git config core.fsmonitor evil; echo evil >> {tree.top}/config")
    tree.git("config", "user.name", "Alice")
    assert child.stdin is not None
    child.stdin.write(b"go\n")
    assert child.wait(10) != 0
    child.close()
    assert "evil" not in (tree.top / "config").read_text()
    assert tree.git("config", "user.name") == "Alice"


def test_git_works_there_as_it_does_anywhere(tree: Tree) -> None:
    tree.git("branch", "other")
    tree.git("pack-refs", "--all")
    tree.git("remote", "add", "up", str(tree.main))
    done = tree.sh(
        "git status --short; echo two >> a.txt; git commit -qam Two; echo three >> a.txt; git stash -q; git stash pop -q;"
        "git commit -qam Three; git checkout -q -b side HEAD~1; echo side > b.txt; git add b.txt; git commit -qm Side;"
        "git rebase -q fix; git checkout -q fix; git cherry-pick side; git reset -q --hard HEAD~1; git merge -q side;"
        "git tag -a v1 -m v1; git branch -d side other; git tag -d v1; git worktree list; git gc -q; git fsck;"
        "git revert --no-edit HEAD; git bisect start; git bisect reset; git reflog; git log --oneline"
    )
    assert done.exit_code == 0, done.output
    assert tree.refs() == 'fix Revert "Side"\nmain First'
    told = [line for line in done.output.splitlines() if line.startswith(("fatal", "error", "warning"))]
    assert all(".git/config" in line or "config-file" in line or "/info/" in line for line in told), told
    assert str(tree.main) in done.output, "the list of worktrees names the main checkout"
    tree.git("fsck", "--strict")


def test_refs_that_others_pack_are_there_and_those_it_deletes_are_gone(tree: Tree) -> None:
    tree.git("tag", "-a", "v1", "-m", "v1")
    for name in ("one", "two", "three"):
        tree.git("branch", name)
    child = tree.begin(
        "echo begun; read go; git branch -q -D one; git rev-parse two v1^{}; git pack-refs --all; read go"
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == b"begun\n"
    tree.git("pack-refs", "--all")
    shown = next(iter(standin._known.values()))
    until(lambda: carrying.read(shown._fds[1], "packed-refs") == (tree.top / "packed-refs").read_bytes())
    child.stdin.write(b"go\n")
    head = tree.git("rev-parse", "HEAD").encode() + b"\n"
    assert [child.stdout.readline(), child.stdout.readline()] == [head, head]
    until(lambda: "one" not in tree.refs())
    tree.git("branch", "-D", "three")
    until(lambda: b"three" not in (carrying.read(shown._fds[1], "packed-refs") or b""))
    child.stdin.write(b"go\n")
    assert child.wait(10) == 0
    child.close()
    assert tree.refs() == "fix First\nmain First\ntwo First\nv1 v1"
    assert tree.git("rev-parse", "v1^{}").encode() + b"\n" == head


def test_refs_that_it_packs_itself_stay(tree: Tree) -> None:
    tree.git("branch", "one")
    script = "git pack-refs --all; git update-ref refs/heads/two one; git branch -qD one; git pack-refs --all"
    assert tree.sh(f"{script}; git rev-parse two").exit_code == 0
    assert tree.refs() == "fix First\nmain First\ntwo First"
    assert not (tree.top / "refs/heads/two").exists()
    assert tree.sh("rm $(git rev-parse --git-common-dir)/packed-refs").exit_code == 0
    assert tree.refs() == "fix First\nmain First\ntwo First"


SPOILED = {
    "locked for good": "touch packed-refs.lock",
    "a directory": "touch packed-refs.lock; rm packed-refs; mkdir packed-refs",
    "a pipe": "touch packed-refs.lock; rm packed-refs; mkfifo packed-refs",
    "a link": "touch packed-refs.lock; rm packed-refs; ln -s /etc/passwd packed-refs",
    "too large": "truncate -s 65M packed-refs",
}


@pytest.mark.parametrize("script", SPOILED.values(), ids=list(SPOILED))
def test_what_it_makes_of_the_file_of_refs_spoils_nothing(tree: Tree, script: str) -> None:
    tree.git("branch", "one")
    tree.git("pack-refs", "--all")
    before = (tree.top / "packed-refs").read_bytes()
    assert tree.sh(f"cd {tree.top}; {script}").exit_code == 0
    assert (tree.top / "packed-refs").read_bytes() == before
    assert not (tree.top / "packed-refs.lock").exists()
    standin.sweep()
    assert tree.refs() == "fix First\nmain First\none First"


def test_it_is_made_anew_when_the_repository_is_another(tree: Tree) -> None:
    assert tree.sh("git tag before").exit_code == 0
    first = next(iter(standin._known.values()))
    assert tree.sh("git tag again").exit_code == 0
    assert next(iter(standin._known.values())) is first
    (tree.top / "lfs").mkdir()
    assert tree.sh(f"touch {tree.top}/lfs/object").exit_code == 0
    assert (tree.top / "lfs" / "object").exists()
    assert next(iter(standin._known.values())) is not first
    first.retire()


def test_two_that_run_at_once_see_one_another(tree: Tree) -> None:
    tree.git("branch", "one")
    tree.git("pack-refs", "--all")
    child = tree.begin("echo begun; read go; git for-each-ref --format='%(refname:short)'")
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == b"begun\n"
    assert tree.sh("git branch -D one; git branch new").exit_code == 0
    child.stdin.write(b"go\n")
    assert child.stdout.read() == b"fix\nmain\nnew\n"
    child.close()


def test_a_shallow_history_is_fetched_and_completed(tree: Tree) -> None:
    far = tree.place / "far"
    tree.git("clone", "-q", "--bare", str(tree.main), str(far))
    tree.git("remote", "add", "up", f"file://{far}")
    for name in ("Second", "Third"):
        tree.git("commit", "--allow-empty", "-qm", name)
    tree.git("push", "-q", str(far), "main")
    tree.git("reset", "-q", "--hard", "HEAD~2")
    tree.git("reflog", "expire", "--expire=all", "--all")
    tree.git("gc", "-q", "--prune=now")
    assert tree.sh("git fetch -q --depth=1 up").output == ""
    assert (tree.top / "shallow").exists()
    assert tree.git("log", "--format=%s", "up/main") == "Third"
    assert tree.sh("git fetch -q --unshallow up").output == ""
    assert not (tree.top / "shallow").exists()
    assert tree.git("log", "--format=%s", "up/main") == "Third\nSecond\nFirst"


def test_a_start_carries_over_what_a_killed_server_left(tree: Tree) -> None:
    for name in ("one", "two"):
        tree.git("branch", name)
    tree.git("pack-refs", "--all")
    assert tree.sh("git status").exit_code == 0
    one = next(iter(standin._known.values()))
    killed = shutil.copytree(one.folder, one.folder.with_name("top_killed"), symlinks=True)
    packed = killed / "top" / "packed-refs"
    packed.write_text("".join(line for line in packed.read_text().splitlines(keepends=True) if "one" not in line))
    (tree.top / "logs/link").symlink_to("/")
    standin.sweep()
    assert one.folder.is_dir(), "its process lives"
    assert not killed.exists()
    assert tree.refs() == "fix First\nmain First\ntwo First"
    assert not (tree.top / "logs/link").is_symlink()
