"""Watching: every kind of change is told, of the right name, once, and nothing that was made in a gap is missed."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import config, inotify
from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from app.errors import Denied, Invalid, Limited, NotFound, Unavailable
from app.files import service, watching
from app.files.coarse import CoarseWatcher
from app.files.paths import TEMPORARY, Root
from app.files.watch import Change, Fact, Gone, Resync, Watch
from app.files.watcher import KernelWatcher
from app.projects import service as projects
from app.projects.service import Place
from tests import repository
from tests.conftest import member
from tests.patience import PATIENCE


@pytest.fixture
def watcher() -> Iterator[KernelWatcher]:
    """A watcher of the test's own."""
    made = KernelWatcher()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The watched directory, with a directory and two files in it."""
    (tmp_path / "top" / "src").mkdir(parents=True)
    (tmp_path / "top" / "a.txt").write_text("a")
    (tmp_path / "top" / "src" / "b.txt").write_text("b")
    return (tmp_path / "top").resolve()


def follow(watcher: watching.Watcher, path: Path, **how: Any) -> Watch:
    watch = Watch(watcher, str(path), **how)
    watcher.attach(watch)
    return watch


def told(watch: Watch) -> list[tuple[str, str]]:
    """What was told of by now, as kinds and names."""
    return [(fact.kind, fact.name) if isinstance(fact, Change) else (type(fact).__name__, "") for fact in watch.drain()]


def wait_for(watch: Watch, enough: Callable[[list[Fact]], bool]) -> list[Fact]:
    """What a thread that waits is told, until that is enough."""
    seen: list[Fact] = []
    for fact in watch.facts(None, time.monotonic() + PATIENCE):
        if fact is not None:
            seen.append(fact)
        if enough(seen):
            return seen
    pytest.fail(f"not told in {PATIENCE} s; last: {seen[-5:]}")


CHANGES: list[tuple[str, Callable[[Path], object], list[tuple[str, str]]]] = [
    ("a new file", lambda top: (top / "n").write_text("x"), [("create", "n"), ("write", "n")]),
    ("an empty file", lambda top: (top / "n").touch(), [("create", "n")]),
    ("a write", lambda top: os.truncate(top / "a.txt", 0), [("write", "a.txt")]),
    ("a mode", lambda top: (top / "a.txt").chmod(0o600), [("chmod", "a.txt")]),
    ("a time", lambda top: os.utime(top / "a.txt"), [("chmod", "a.txt")]),
    ("a removal", lambda top: (top / "a.txt").unlink(), [("remove", "a.txt")]),
    ("a rename", lambda top: (top / "a.txt").rename(top / "z"), [("rename", "a.txt"), ("create", "z")]),
    ("a move down", lambda top: (top / "a.txt").rename(top / "src" / "z"), [("rename", "a.txt"), ("create", "src/z")]),
    ("a move out", lambda top: (top / "a.txt").rename(top.parent / "z"), [("rename", "a.txt")]),
    ("a file below", lambda top: (top / "src" / "n").touch(), [("create", "src/n")]),
    ("a directory", lambda top: (top / "d").mkdir(), [("create", "d")]),
    ("a link", lambda top: (top / "l").symlink_to("/etc"), [("create", "l")]),
    ("a pipe", lambda top: os.mkfifo(top / "p"), [("create", "p")]),
    ("a name that is no Unicode", lambda top: Path(os.fsdecode(os.fsencode(top) + b"/\xff")).touch(), [("create", "?")]),
    ("a tree goes", lambda top: shutil.rmtree(top / "src"), [("remove", "src/b.txt"), ("remove", "src")]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "wanted"), [(c, w) for _, c, w in CHANGES], ids=[n for n, _, _ in CHANGES])
def test_each_kind_of_change_is_told_by_its_name(
    watcher: KernelWatcher, top: Path, change: Callable[[Path], object], wanted: list[tuple[str, str]]
) -> None:
    deep, flat = follow(watcher, top, recursive=True), follow(watcher, top)
    change(top)
    assert told(deep) == wanted
    assert told(flat) == [(kind, name) for kind, name in wanted if "/" not in name]


def test_changes_are_told_to_whoever_waits_without_asking(watcher: KernelWatcher, top: Path) -> None:
    watch = follow(watcher, top)
    slowest = 0.0
    for number in range(20):
        began = time.monotonic()
        (top / f"n{number}").touch()
        assert next(watch.facts(None, began + PATIENCE)) == Change("create", f"n{number}")
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 10  # about 10 ms on a machine that has nothing else to do


def test_a_poured_watch_tells_in_the_watchers_thread_first_what_waited(watcher: KernelWatcher, top: Path) -> None:
    watch, heard, enough, over = follow(watcher, top), [], threading.Event(), threading.Event()
    (top / "first").touch()
    watcher.drain()

    def hear(facts: Sequence[Fact]) -> None:
        heard.extend(facts)
        if len(heard) == 2:
            enough.set()

    watch.pour(hear, over.set)
    (top / "second").touch()
    assert enough.wait(PATIENCE)
    assert heard == [Change("create", "first"), Change("create", "second")]
    watch.close()
    assert over.is_set()
    assert len(watcher) == 0


@pytest.mark.parametrize("depth", [1, 5, 40])
def test_what_is_made_in_a_new_directory_at_once_is_told_once(watcher: KernelWatcher, top: Path, depth: int) -> None:
    watch = follow(watcher, top, recursive=True)
    names = ["/".join(f"d{level}" for level in range(count + 1)) for count in range(depth)]
    (top / names[-1]).mkdir(parents=True)
    (top / names[-1] / "file").write_text("x")
    found = told(watch)
    # How often it was written depends on when the new directory was reached; that it came is told once.
    new = [f"{names[-1]}/file"]
    assert [name for kind, name in found if kind == "create"] == names + new
    assert {(kind, name) for kind, name in found if kind != "create"} <= {("write", new[0])}
    (top / names[-1] / "file").unlink()
    assert told(watch) == [("remove", f"{names[-1]}/file")]


def test_many_new_directories_of_a_storm_are_all_told_exactly_once(watcher: KernelWatcher, top: Path) -> None:
    watch = follow(watcher, top, recursive=True, queue=100_000)
    wanted = {f"d{one}/e{two}/f{three}" for one in range(12) for two in range(6) for three in range(6)}

    def make(part: int) -> None:
        for name in sorted(wanted):
            if int(name[1 : name.index("/")]) % 2 == part:
                (top / name).parent.mkdir(parents=True, exist_ok=True)
                (top / name).touch()

    makers = [threading.Thread(target=make, args=(part,)) for part in range(2)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    created = [name for kind, name in told(watch) if kind == "create" and name.count("/") == 2]
    assert sorted(created) == sorted(wanted)


def test_a_directory_keeps_being_watched_under_its_new_name(watcher: KernelWatcher, top: Path) -> None:
    watch = follow(watcher, top, recursive=True)
    (top / "src").rename(top / "lib")
    (top / "lib" / "n").touch()
    assert told(watch) == [("rename", "src"), ("create", "lib"), ("create", "lib/n")]
    for number in range(200):
        (top / ("lib" if not number % 2 else "src")).rename(top / ("src" if not number % 2 else "lib"))
    assert len(told(watch)) == 400
    (top / "lib" / "m").touch()
    assert told(watch) == [("create", "lib/m")]
    assert len(watcher) == 2


def test_a_directory_that_is_moved_out_is_watched_no_more_and_one_that_comes_in_is(
    watcher: KernelWatcher, top: Path
) -> None:
    watch = follow(watcher, top, recursive=True)
    (top / "src").rename(top.parent / "elsewhere")
    (top.parent / "elsewhere" / "n").touch()
    assert told(watch) == [("rename", "src")]
    (top / "a.txt").touch()
    watcher.drain()
    assert len(watcher) == 1
    watch.drain()
    (top.parent / "elsewhere").rename(top / "back")
    found = told(watch)
    assert found[0] == ("create", "back")
    assert sorted(found[1:]) == sorted(
        (kind, f"back/{name}") for name in ("b.txt", "n") for kind in ("create", "write")
    )
    (top / "back" / "m").touch()
    assert told(watch) == [("create", "back/m")]


@pytest.mark.parametrize("end", ["removed", "moved"])
def test_a_watch_ends_with_its_directory(watcher: KernelWatcher, top: Path, end: str) -> None:
    watch, parent = follow(watcher, top, recursive=True), follow(watcher, top.parent)
    if end == "removed":
        shutil.rmtree(top)
    else:
        top.rename(top.parent / "other")
    assert [fact for fact in watch.facts(None, time.monotonic() + PATIENCE) if fact is not None][-1] == Gone()
    assert watch.is_over
    assert told(parent)[0] == ("remove" if end == "removed" else "rename", "top")
    parent.close()
    assert len(watcher) == 0


def test_links_are_told_and_never_entered(watcher: KernelWatcher, top: Path) -> None:
    outside = top.parent / "outside"
    outside.mkdir()
    (top / "before").symlink_to(outside)
    watch = follow(watcher, top, recursive=True)
    (top / "later").symlink_to(outside)
    (outside / "secret").touch()
    assert told(watch) == [("create", "later")]
    shutil.rmtree(top / "src")
    (top / "src").symlink_to(outside)
    (outside / "more").touch()
    assert ("create", "src/more") not in told(watch)
    assert len(watcher) == 1


def test_watches_share_directories_and_give_them_back(watcher: KernelWatcher, top: Path) -> None:
    (top / "src" / "deep").mkdir()
    outer = follow(watcher, top, recursive=True)
    inner, flat = follow(watcher, top / "src", recursive=True), follow(watcher, top / "src")
    assert len(watcher) == 3
    (top / "src" / "deep" / "n").touch()
    assert (told(outer), told(inner), told(flat)) == ([("create", "src/deep/n")], [("create", "deep/n")], [])
    outer.close()
    assert len(watcher) == 2
    (top / "src" / "deep" / "m").touch()
    assert told(inner) == [("create", "deep/m")]
    inner.close()
    assert len(watcher) == 1
    (top / "src" / "k").touch()
    assert told(flat) == [("create", "k")]
    flat.close()
    flat.close()
    assert len(watcher) == 0


def test_our_own_atomic_writes_look_like_writes(watcher: KernelWatcher, top: Path) -> None:
    watch = follow(watcher, top, recursive=True)
    Root(top).write_bytes("a.txt", b"new")
    assert told(watch) == [("write", "a.txt")]
    Root(top).write_bytes("src/n", b"new")
    assert told(watch) == [("create", "src/n"), ("write", "src/n")]
    (top / f"{TEMPORARY}x").touch()
    (top / f"{TEMPORARY}x").unlink()
    assert told(watch) == []


def test_a_checkout_of_many_files_is_told_whole(watcher: KernelWatcher, tmp_path: Path) -> None:
    shop = repository.make(tmp_path / "shop", files=300).resolve()
    repository.git(shop, "checkout", "-q", "-b", "other")
    shutil.rmtree(shop / "lib03")
    for number in range(400):
        (shop / "new" / f"n{number % 10}").mkdir(parents=True, exist_ok=True)
        (shop / "new" / f"n{number % 10}" / f"f{number}").write_text("x")
    repository.git(shop, "add", "-A")
    repository.git(shop, "-c", "user.name=T", "-c", "user.email=t@example.com", "commit", "-q", "-m", "More")
    watch = follow(watcher, shop, recursive=True, hidden=(".git",), queue=100_000)
    repository.git(shop, "checkout", "-q", "main")
    gone = {name for kind, name in told(watch) if kind == "remove"}
    assert {name for name in gone if name.startswith("new/n")} >= {f"new/n{n % 10}/f{n}" for n in range(400)}
    repository.git(shop, "checkout", "-q", "other")
    came = [name for kind, name in told(watch) if kind == "create"]
    assert sorted(name for name in came if name.count("/") == 2) == sorted(f"new/n{n % 10}/f{n}" for n in range(400))
    assert not any(name.startswith(".git") for name in came)


def test_a_reader_that_does_not_read_is_told_to_look_anew(watcher: KernelWatcher, top: Path) -> None:
    watch = follow(watcher, top, queue=5)
    for number in range(30):
        (top / f"n{number}").touch()
    found = told(watch)
    assert found[0] == ("Resync", "")
    assert len(found) <= 5
    (top / "after").touch()
    assert told(watch) == [("create", "after")]


def test_when_the_kernel_loses_count_all_are_told_to_look_anew_and_nothing_is_missed_later(
    watcher: KernelWatcher, top: Path
) -> None:
    most = int(Path(inotify.LIMITS, "max_queued_events").read_text())
    watch = follow(watcher, top, recursive=True, queue=10 * most)
    with watcher._lock:  # nobody reads meanwhile
        for _ in range(most // 2 + 10):
            (top / "a.txt").chmod(0o600)
            (top / "src").chmod(0o700)
        (top / "unseen" / "deep").mkdir(parents=True)
    assert ("Resync", "") in told(watch)
    (top / "unseen" / "deep" / "n").touch()
    assert told(watch) == [("create", "unseen/deep/n")]


def test_at_the_systems_limit_the_answer_says_which(
    watcher: KernelWatcher, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def inotify_add_watch(self, *_: object) -> int:
            return -1

    monkeypatch.setattr(inotify, "_libc", Full)
    monkeypatch.setattr(inotify.ctypes, "get_errno", lambda: errno.ENOSPC)
    with pytest.raises(Unavailable, match=r"fs\.inotify\.max_user_watches \(now \d+\)"):
        follow(watcher, top, recursive=True)
    assert len(watcher) == 0


def test_a_limit_that_is_met_later_is_told_to_the_watch(
    watcher: KernelWatcher, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = follow(watcher, top, recursive=True)

    def refuse(_folder: int) -> int:
        raise Unavailable("No more.")

    monkeypatch.setattr(watcher._inotify, "add", refuse)
    (top / "d").mkdir()
    assert watch.drain() == [Change("create", "d", is_dir=True), Resync("No more.")]


def test_a_coarse_watcher_tells_the_same_in_its_words(top: Path) -> None:
    watcher = CoarseWatcher()
    watch = follow(watcher, top, recursive=True)
    stopped = threading.Event()

    def write() -> None:  # until it is told: nothing says when such a watch has begun
        number = 0
        while not stopped.wait(0.05):
            number += 1
            (top / "src" / f"n{number}").touch()

    writer = threading.Thread(target=write)
    writer.start()
    wait_for(watch, lambda seen: any(isinstance(one, Change) and one.kind == "create" for one in seen))
    stopped.set()
    writer.join()
    (top / "a.txt").unlink()
    wait_for(watch, lambda seen: Change("remove", "a.txt") in seen)
    watcher.stop()
    assert watch.is_over
    assert len(watcher) == 0


class TestVerbs:
    """Whose watches they are."""

    def test_a_watch_looks_only_where_its_actor_may(
        self, app: Cabin, alice: Actor, charlie: Actor, here: Place
    ) -> None:
        for name in ("../outside", "/etc", "out", "nowhere", "a.txt/x"):
            with pytest.raises((Denied, NotFound)):
                service.watch(alice, here, name)
        with pytest.raises((Denied, NotFound)):
            service.watch(charlie, here, "")
        with pytest.raises(Invalid):
            service.watch(alice, here, "a.txt", only_folders=True)

    def test_a_single_file_is_followed_through_its_replacements(self, app: Cabin, alice: Actor, here: Place) -> None:
        watch = service.watch(alice, here, "a.txt", looks=True)
        (here.directory / "other").touch()
        (here.directory / "a.txt.new").write_text("longer")
        (here.directory / "a.txt.new").rename(here.directory / "a.txt")
        found = watch.drain()
        assert [(one.kind, one.name) for one in found if isinstance(one, Change)] == [("create", "a.txt")]
        assert isinstance(found[0], Change)
        assert found[0].entry is not None
        assert found[0].entry.size == 6
        watch.close()

    def test_the_servers_own_data_is_not_told(self, app: Cabin, alice: Actor, tmp_path: Path) -> None:
        projects.add(alice, str(tmp_path))
        data = config.current().data_dir
        watch = service.watch(alice, projects.resolve(alice, str(tmp_path)), "", recursive=True)
        (data / "secret").touch()
        (data / "new").mkdir()
        (tmp_path / "open").touch()
        assert [fact.name for fact in watch.drain() if isinstance(fact, Change)] == ["open"]
        with pytest.raises(Denied):
            service.watch(alice, projects.resolve(alice, str(tmp_path)), data.name)
        watch.close()

    def test_watchers_belong_to_who_made_them(self, app: Cabin, alice: Actor, here: Place) -> None:
        bob = member(alice, "Bob")
        mine = service.create_watcher(alice, here, "", recursive=True)
        (here.directory / "n").touch()
        for verb in (service.watcher_events, service.remove_watcher, service.watched_name):
            with pytest.raises(NotFound):
                verb(bob, mine)
        assert service.watcher_events(alice, mine) == [Change("create", "n")]
        assert service.watcher_events(alice, mine) == []
        service.remove_watcher(alice, mine)
        with pytest.raises(NotFound):
            service.watcher_events(alice, mine)

    def test_a_watcher_that_nobody_asks_is_forgotten(
        self, app: Cabin, alice: Actor, here: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ended = threading.Event()
        monkeypatch.setattr(watching, "FORGOTTEN", 0.05)
        monkeypatch.setattr(Watch, "end", lambda self, end=Watch.end: (end(self), ended.set()))
        watcher_id = service.create_watcher(alice, here, "")
        assert ended.wait(PATIENCE)
        with pytest.raises(NotFound):
            service.watcher_events(alice, watcher_id)

    def test_nobody_watches_more_than_so_many(
        self, app: Cabin, alice: Actor, here: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watching, "MOST", 3)
        watches = [service.watch(alice, here, "") for _ in range(3)]
        with pytest.raises(Limited):
            service.create_watcher(alice, here, "")
        watches[0].close()
        service.create_watcher(alice, here, "")

    def test_revoking_ends_the_watches(self, app: Cabin, alice: Actor, here: Place) -> None:
        token, _secret = accounts.mint_token(alice, "watching")
        by_token = replace(alice, id=token.id, token=token.id)
        watch, other = service.watch(by_token, here, ""), service.watch(alice, here, "")
        accounts.revoke_token(alice, token.id)
        assert list(watch.facts(None, time.monotonic() + PATIENCE)) == []
        assert watch.is_over
        assert not other.is_over
        other.close()

    def test_stopping_ends_all_watches_and_takes_no_more(self, app: Cabin, alice: Actor, here: Place) -> None:
        watch = service.watch(alice, here, "", recursive=True)
        service.stop()
        assert watch.is_over
        with pytest.raises(Unavailable):
            service.watch(alice, here, "")
        assert "watcher" not in {thread.name for thread in threading.enumerate()}

    def test_a_fork_has_a_watcher_of_its_own(self, app: Cabin, alice: Actor, here: Place) -> None:
        service.watch(alice, here, "")
        child = os.fork()
        if child == 0:
            os._exit(0 if watching._watcher is None and not watching._kept else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
