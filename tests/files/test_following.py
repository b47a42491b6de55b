"""Following a directory: its listeners hear what changes in it, whoever does it, and nobody else hears anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app import db, inotify, record
from app.actor import Actor
from app.errors import Unavailable
from app.events import hub
from app.events import service as events
from app.events.service import Fact
from app.files import following, pathlist, service, watching
from app.files.events import FileSeen
from app.files.pathlist import PathList
from app.projects import service as projects
from app.projects.service import Place
from tests import repository
from tests.conftest import Caller
from tests.dialects.opencode_turns import said, send
from tests.model_server import ModelServer
from tests.patience import PATIENCE
from tests.visitor import Browser, data_of, frames, until

Told = tuple[str, str]
Listen = Callable[..., "Listener"]


class Listener:
    """Somebody's stream, from its first frame on."""

    def __init__(self, call: Caller, path: str, headers: dict[str, str] | None = None) -> None:
        self._frames = frames(call.get(f"/opencode{path}", buffered=False, headers=headers or {}))
        assert self._next()["type"] == "server.connected"

    def told(self, count: int) -> list[Told]:
        """The next so many changes of files, as paths and what became of them."""
        seen = (one["properties"] for one in iter(self._next, None) if one["type"] == "file.watcher.updated")
        return [(one["file"], one["event"]) for one in islice(seen, count)]

    def until(self, last: Told) -> list[Told]:
        """What is told up to this."""
        found = [self.told(1)[0]]
        while found[-1] != last:
            found += self.told(1)
        return found

    def types(self, last: str) -> list[str]:
        """The types of events up to one of this type."""
        found = [self._next()["type"]]
        while found[-1] != last:
            found.append(self._next()["type"])
        return found

    def close(self) -> None:
        """Hang up."""
        self._frames.close()  # type: ignore[attr-defined]

    def _next(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(data_of(next(self._frames)))
        payload: dict[str, Any] = read.get("payload", read)
        return payload


@pytest.fixture
def shop(alice: Actor, tmp_path: Path) -> Path:
    """A project with an ignore file."""
    made = repository.make(tmp_path / "shop", files=20).resolve()
    (made / ".gitignore").write_text("node_modules/\n*.log\n")
    projects.add(alice, str(made))
    return made


@pytest.fixture
def listen(call: Caller, shop: Path) -> Iterator[Listen]:
    """Open a stream of the shop, or another path, which is watched when this returns."""
    opened: list[Listener] = []

    def open_one(path: str = f"/event?directory={shop}", by: Caller = call, **headers: str) -> Listener:
        opened.append(Listener(by, path, headers))
        until(lambda: is_watched(shop))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Nothing is told until this is set."""
    release = threading.Event()
    news = PathList.news
    monkeypatch.setattr(PathList, "news", lambda listing: (release.wait(PATIENCE), news(listing))[1])
    yield release
    release.set()


def is_watched(directory: Path) -> bool:
    listing = pathlist._kept.get(str(directory))
    return listing is not None and listing.follower is not None and listing.is_watched


def watched() -> int:
    """How many directories the kernel watches for this process."""
    return len(watching.running())


def test_who_listens_to_the_directory_hears_of_it(listen: Listen, shop: Path) -> None:
    both = [listen(), listen()]
    (shop / "new.txt").touch()
    assert [one.told(1) for one in both] == [[(f"{shop}/new.txt", "add")]] * 2
    (shop / "README.md").chmod(0o600)
    assert [one.told(1) for one in both] == [[(f"{shop}/README.md", "change")]] * 2
    (shop / "new.txt").rename(shop / "shop" / "newer.txt")
    heard = [one.told(2) for one in both]
    assert heard == [[(f"{shop}/new.txt", "unlink"), (f"{shop}/shop/newer.txt", "add")]] * 2


def test_who_listens_to_everything_hears_of_the_directories_that_they_name(
    listen: Listen, call: Caller, shop: Path
) -> None:
    everywhere = Listener(call, "/global/event")
    call.get(f"/opencode/path?directory={shop}")
    until(lambda: is_watched(shop))
    (shop / "new.txt").touch()
    assert everywhere.told(1) == [(f"{shop}/new.txt", "add")]
    everywhere.close()
    until(lambda: not is_watched(shop))


def test_a_file_that_is_put_in_place_of_another_has_changed(listen: Listen, shop: Path) -> None:
    one = listen()
    (shop / "node_modules").mkdir()
    (shop / "node_modules" / "draft").write_text("written aside")
    (shop / "node_modules" / "draft").rename(shop / "README.md")
    assert one.told(1) == [(f"{shop}/README.md", "change")]


def test_folders_come_and_go_with_what_lies_in_them(listen: Listen, shop: Path) -> None:
    one = listen()
    (shop / "docs" / "deep").mkdir(parents=True)
    (shop / "first.txt").touch()
    assert one.told(1) == [(f"{shop}/first.txt", "add")]
    (shop / "docs" / "deep" / "note.md").touch()
    assert one.told(3) == [(f"{shop}/docs{name}", "add") for name in ("", "/deep", "/deep/note.md")]
    (shop / "docs").rename(shop / "words")
    assert one.until((f"{shop}/words/deep/note.md", "add")) == [
        *((f"{shop}/docs{name}", "unlink") for name in ("", "/deep", "/deep/note.md")),
        *((f"{shop}/words{name}", "add") for name in ("", "/deep", "/deep/note.md")),
    ]


def test_nothing_is_told_of_what_is_ignored(listen: Listen, shop: Path, held: threading.Event) -> None:
    one = listen()
    (shop / "node_modules" / "left-pad").mkdir(parents=True)
    (shop / "node_modules" / "left-pad" / "index.js").touch()
    (shop / "debug.log").write_text("ignored")
    (shop / ".git" / "index.lock").touch()
    (shop / ".git" / "index.lock").unlink()
    (shop / ".git" / "HEAD").write_text("ref: refs/heads/other\n")
    (shop / "last.txt").touch()
    held.set()
    assert one.told(2) == [(f"{shop}/last.txt", "add"), (f"{shop}/.git/HEAD", "change")]


def test_files_that_other_rules_hide_or_show_did_not_come_or_go(listen: Listen, shop: Path) -> None:
    (shop / "debug.log").write_text("ignored")
    one = listen()
    (shop / ".gitignore").write_text("*.md\n")
    assert one.told(1) == [(f"{shop}/.gitignore", "change")]
    (shop / "last.txt").touch()
    assert set(one.until((f"{shop}/last.txt", "add"))) <= {
        (f"{shop}/.gitignore", "change"),
        (f"{shop}/last.txt", "add"),
    }


def test_nothing_of_it_is_stored(listen: Listen, shop: Path, call: Caller) -> None:
    one = listen()
    before = events.latest()
    (shop / "new.txt").touch()
    assert one.told(1) == [(f"{shop}/new.txt", "add")]
    with db.read() as connection:
        kinds = set(connection.scalars(sa.select(record.events.c.kind)))
    assert FileSeen.kind not in kinds
    again = listen(**{"Last-Event-ID": before})
    (shop / "newer.txt").touch()
    assert again.told(1) == [(f"{shop}/newer.txt", "add")]


def test_what_is_written_through_the_server_is_told_once(
    listen: Listen, shop: Path, alice: Actor, held: threading.Event
) -> None:
    one = listen()
    place = projects.resolve(alice, str(shop))
    service.write(alice, place, "by-door.txt", b"one")
    service.move(alice, place, "by-door.txt", "moved.txt")
    service.remove(alice, place, "moved.txt")
    service.write(alice, place, "docs/left.txt", b"one")
    (shop / "by-hand.txt").touch()
    written = one.told(5)
    held.set()
    assert written + one.told(2) == [
        (f"{shop}/by-door.txt", "add"),
        (f"{shop}/by-door.txt", "unlink"),
        (f"{shop}/moved.txt", "add"),
        (f"{shop}/moved.txt", "unlink"),
        (f"{shop}/docs/left.txt", "add"),
        (f"{shop}/by-hand.txt", "add"),
        (f"{shop}/docs", "add"),
    ]


def test_a_stranger_hears_nothing(
    listen: Listen, shop: Path, alice: Actor, bob: Actor, charlie: Actor, stranger: Caller, tmp_path: Path
) -> None:
    one = listen()
    (tmp_path / "other").mkdir()
    other = projects.add(alice, str(tmp_path / "other"))
    bound = replace(bob, project=other.id)
    named = following.follow(charlie, str(shop)), following.follow(bound, str(shop))
    assert named == (following.nothing, following.nothing)
    assert stranger.get(f"/opencode/event?directory={shop}").status_code == 401
    with events.subscribe(bound, keep=is_seen, files="") as theirs, events.subscribe(bob, keep=is_seen) as team:
        (shop / "new.txt").touch()
        assert one.told(1) == [(f"{shop}/new.txt", "add")]
        assert [len(each._queue) for each in (theirs, team)] == [0, 1]


def is_seen(fact: Fact) -> bool:
    return isinstance(fact.event, FileSeen)


def test_the_watch_goes_with_the_last_listener(listen: Listen, shop: Path) -> None:
    assert (following.count(), watched()) == (0, 0)
    first, second = listen(), listen()
    assert following.count() == 1
    first.close()
    (shop / "new.txt").touch()
    assert second.told(1) == [(f"{shop}/new.txt", "add")]
    second.close()
    until(lambda: watched() == 0)
    assert (following.count(), following._roamers) == (0, {})


def test_a_search_keeps_its_list_when_the_last_listener_goes(listen: Listen, shop: Path, alice: Actor) -> None:
    one = listen()
    place: Place = projects.resolve(alice, str(shop))
    assert service.find_files(alice, place, "basket.py", limit=1) == ["shop/basket.py"]
    one.close()
    until(lambda: following.count() == 0)
    (shop / "found.txt").touch()
    assert service.find_files(alice, place, "found.txt", limit=1) == ["found.txt"]


def test_what_is_done_in_one_moment_is_told_once(listen: Listen, shop: Path, held: threading.Event) -> None:
    one = listen()
    for words in ("one", "two", "three"):
        (shop / "README.md").write_text(words)
        (shop / "new.txt").write_text(words)
    (shop / "passing.txt").touch()
    (shop / "passing.txt").unlink()
    held.set()
    assert one.told(2) == [(f"{shop}/new.txt", "add"), (f"{shop}/README.md", "change")]
    (shop / "last.txt").touch()
    assert one.told(1) == [(f"{shop}/last.txt", "add")]


def test_very_many_changes_are_told_as_changed_folders(listen: Listen, shop: Path, held: threading.Event) -> None:
    one = listen()
    for number in range(2_000):
        (shop / "shop" / f"made-{number}.txt").touch()
    (shop / ".git" / "HEAD").write_text("ref: refs/heads/other\n")
    held.set()
    assert one.told(2) == [(f"{shop}/.git/HEAD", "change"), (f"{shop}/shop", "change")]


def test_more_than_can_be_said_is_told_of_the_directory_itself(
    listen: Listen, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PER_SECOND", 1)
    one = listen()
    (shop / "shop" / "new.txt").touch()
    (shop / "README.md").write_text("other")
    (shop / "last.txt").touch()
    assert (str(shop), "change") in one.until((str(shop), "change"))


def test_changes_that_nobody_could_count_are_found_by_looking(listen: Listen, shop: Path) -> None:
    one = listen()
    with watching.running()._lock:  # type: ignore[attr-defined]
        (shop / "missed.txt").touch()
        watching.running()._inotify.read()  # type: ignore[attr-defined]
        watching.running()._start_over()  # type: ignore[attr-defined]
    assert one.told(1) == [(f"{shop}/missed.txt", "add")]


def test_a_storm_of_changes_keeps_no_message_waiting(
    listen: Listen, shop: Path, call: Caller, scripted: ModelServer, held: threading.Event
) -> None:
    one = listen()
    for number in range(2_000):
        (shop / f"made-{number}.txt").touch()
    made = call.post(f"/opencode/session?directory={shop}", {}).json["id"]
    send(call, made, said("[[say Hello.]]"))
    assert "file.watcher.updated" not in one.types("session.idle")
    held.set()
    assert one.told(1) == [(str(shop), "change")]


def test_who_is_far_behind_is_not_dropped_for_what_passes(call: Caller, alice: Actor, shop: Path) -> None:
    project = projects.resolve(alice, str(shop)).project
    with events.subscribe(alice, keep=is_seen) as slow:
        for number in range(2 * hub.QUEUE):
            events.tell(FileSeen(str(shop), f"{shop}/{number}", "change"), project)
        assert (slow._ended, len(slow._queue)) == (False, hub.QUEUE_PASSING)


def test_a_directory_that_cannot_be_watched_is_named_in_the_log(
    call: Caller, shop: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> int:
        raise Unavailable("The system lets nothing more be watched.")

    monkeypatch.setattr(inotify.Inotify, "add", full)
    one = Listener(call, f"/event?directory={shop}")
    warnings = until(lambda: [line.getMessage() for line in caplog.records if line.levelname == "WARNING"])
    assert warnings == [f"{shop}: changes of its files can't be told: The system lets nothing more be watched."]
    one.close()
    until(lambda: following.count() == 0)


def test_no_more_directories_are_followed_than_may_be(
    listen: Listen, call: Caller, alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MOST", 1)
    listen()
    (tmp_path / "other").mkdir()
    projects.add(alice, str(tmp_path / "other"))
    assert following.follow(alice, str(tmp_path / "other")) is following.nothing


def test_who_roams_follows_the_directories_named_last(
    call: Caller, alice: Actor, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MOST_ROAMED", 2)
    end = following.follow(alice, "")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        projects.add(alice, str(tmp_path / name))
        projects.resolve(alice, str(tmp_path / name))
    assert sorted(following._followed) == [str(tmp_path / "one"), str(tmp_path / "two")]
    also = following.follow(alice, "")
    assert len(following._roamers[alice.user]) == 1
    end()
    assert following.count() == 2
    also()
    assert (following.count(), following._roamers) == (0, {})


def test_an_open_page_of_the_files_is_told_too(listen: Listen, browser: Browser, shop: Path) -> None:
    page = frames(browser.get(f"/live?files={shop}&shown=shop", buffered=False))
    aside = frames(browser.get(f"/live?files={shop.parent}&shown=shop", buffered=False))
    until(lambda: is_watched(shop))
    (shop / "elsewhere.txt").touch()
    (shop / "shop" / "new.txt").touch()
    news = next(page)
    assert ("files-news" in news, "id:" in news) == (True, False)
    for stream in (page, aside):
        stream.close()  # type: ignore[attr-defined]
    until(lambda: following.count() == 0)
