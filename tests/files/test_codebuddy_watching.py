"""CodeBuddy's routes of watching and searching, as the real server answered."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from app import config
from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from app.files import pathlist, watching
from app.projects import service as projects
from tests.conftest import Caller, member
from tests.patience import PATIENCE
from tests.running import TOKEN, Running


@pytest.fixture
def work(app: Cabin, depot: Path) -> Path:
    """The depot, as the directory that requests mean when they name none."""
    config.use(replace(config.current(), project=depot))
    projects.ensure_defaults()
    return depot


def ask(call: Caller, verb: str, **body: Any) -> Any:
    return call.post(f"/api/v1/fs/{verb}", body)


def error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["error"]["code"]


class Stream:
    """The events of an open POST stream, from a test client or a connection."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines

    def next(self) -> tuple[str, dict[str, Any]]:
        """The next event's name and data."""
        name = ""
        for line in self._lines:
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                name = text[7:]
            elif text.startswith("data: "):
                return name, json.loads(text[6:])
        return "end", {}

    def changes(self, count: int) -> list[tuple[str, str, int, int]]:
        """The next changes: what kind, which path, its size and mode."""
        found = []
        for _ in range(count):
            name, data = self.next()
            assert name == "fs_event"
            entry = data["entry"]
            found.append((data["eventType"], entry["path"], entry["size"], entry["mode"]))
        return found


def lines_of(answer: Any) -> Iterator[bytes]:
    for chunk in answer.iter_encoded():
        yield from chunk.splitlines(keepends=True)


def test_a_stream_tells_what_the_real_server_told(call: Caller, work: Path) -> None:
    (work / "w").mkdir()
    answer = ask(call, "watch", path="w", recursive=True)
    assert answer.content_type == "text/event-stream"
    stream = Stream(lines_of(answer))
    name, data = stream.next()
    assert (name, list(data)) == ("start", ["watcherId"])
    (work / "f1").write_text("1")
    (work / "f1").chmod(0o644)
    (work / "f1").rename(work / "w" / "f1")  # there with its content at once, however soon it is looked at
    watching.running().drain()
    (work / "w" / "f1").open("a").close()
    with (work / "w" / "f1").open("r+") as file:  # not emptied first
        file.write("12")
    watching.running().drain()
    (work / "w" / "f1").chmod(0o600)
    watching.running().drain()
    (work / "w" / "f1").rename(work / "w" / "f2")
    (work / "w" / "dd").mkdir(mode=0o755)
    watching.running().drain()
    (work / "w" / "f2").unlink()
    assert stream.changes(7) == [
        ("rename", "w/f1", 1, 0o100644),
        ("write", "w/f1", 2, 0o100644),
        ("write", "w/f1", 2, 0o100600),
        ("rename", "w/f1", 0, 0),
        ("rename", "w/f2", 2, 0o100600),
        ("rename", "w/dd", (work / "w" / "dd").stat().st_size, 0o040755),
        ("rename", "w/f2", 0, 0),
    ]
    (work / "w" / "dd").rmdir()
    (work / "w").rmdir()
    assert stream.changes(2) == [("rename", "w/dd", 0, 0), ("rename", "w", 0, 0)]
    assert stream.next() == ("end", {})
    answer.close()


def test_what_is_gone_is_told_with_an_empty_entry(call: Caller, work: Path) -> None:
    watcher = ask(call, "watcher/create", path=str(work)).json["data"]["watcherId"]
    (work / "a.txt").unlink()
    (event,) = ask(call, "watcher/events", watcherId=watcher).json["data"]["events"]
    assert event["entry"].pop("modifiedTime").endswith("Z")
    assert event == {
        "entry": {
            "name": "a.txt", "type": "file", "path": f"{work}/a.txt", "size": 0, "mode": 0, "permissions": "",
            "owner": "", "group": "",
        },
        "eventType": "rename",
    }  # fmt: skip


def test_watchers_are_asked_and_removed(call: Caller, work: Path) -> None:
    made = ask(call, "watcher/create", path="docs", recursive=True)
    assert (made.status_code, list(made.json["data"])) == (200, ["watcherId"])
    watcher = made.json["data"]["watcherId"]
    (work / "docs" / "deep" / "n").touch()
    (work / "a.txt").write_text("not below docs")
    events = ask(call, "watcher/events", watcherId=watcher).json["data"]["events"]
    assert [(one["eventType"], one["entry"]["path"]) for one in events] == [("rename", "docs/deep/n")]
    assert ask(call, "watcher/events", watcherId=watcher).json == {"data": {"events": []}}
    assert ask(call, "watcher/remove", watcherId=watcher).json == {"data": {}}
    assert error(ask(call, "watcher/remove", watcherId=watcher)) == (404, "NOT_FOUND")
    assert ask(call, "watcher/events", watcherId=watcher).json == {"data": {"events": []}}


def test_too_many_changes_are_told_as_an_overflow(call: Caller, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = ask(call, "watcher/create", path=".").json["data"]["watcherId"]
    monkeypatch.setattr(watching._kept[watcher].watch, "_most", 3)
    for number in range(10):
        (work / f"n{number}").touch()
    assert ask(call, "watcher/events", watcherId=watcher).json == {"data": {"events": [], "overflow": True}}
    (work / "later").touch()
    events = ask(call, "watcher/events", watcherId=watcher).json["data"]["events"]
    assert [one["entry"]["path"] for one in events] == ["./later"]


@pytest.mark.parametrize("verb", ["watch", "watcher/create"])
def test_what_cannot_be_watched_is_told_in_the_dialects_words(call: Caller, work: Path, verb: str) -> None:
    assert error(ask(call, verb)) == error(ask(call, verb, path="")) == (400, "PATH_REQUIRED")
    assert error(ask(call, verb, path="none")) == (404, "NOT_FOUND")
    assert error(ask(call, verb, path="/etc/passwd")) == (404, "NOT_FOUND")
    assert error(ask(call, verb, path=5)) == (400, "BAD_REQUEST")
    assert error(ask(call, verb, path="docs", recursive="often")) == (400, "BAD_REQUEST")
    for path in ("../outside", "out", "leak", "a\0b", "x" * 5000, "~root"):
        assert ask(call, verb, path=path).status_code in (400, 403, 404)


@pytest.mark.parametrize("verb", ["watcher/events", "watcher/remove"])
def test_a_watcher_must_be_named(call: Caller, work: Path, verb: str) -> None:
    for body in ({}, {"watcherId": ""}, {"watcherId": 7}, {"watcherId": "x" * 500}):
        assert error(ask(call, verb, **body)) == (400, "BAD_REQUEST")


def test_nobody_asks_anothers_watcher(app: Cabin, alice: Actor, call: Caller, work: Path) -> None:
    watcher = ask(call, "watcher/create", path=".").json["data"]["watcherId"]
    other = Caller(app, member(alice, "Bob"))
    (work / "n").touch()
    assert ask(other, "watcher/events", watcherId=watcher).json == {"data": {"events": []}}
    assert error(ask(other, "watcher/remove", watcherId=watcher)) == (404, "NOT_FOUND")
    assert len(ask(call, "watcher/events", watcherId=watcher).json["data"]["events"]) == 1


@pytest.mark.parametrize("verb", ["watch", "watcher/create", "watcher/events", "watcher/remove"])
def test_a_stranger_is_turned_away(stranger: Caller, work: Path, verb: str) -> None:
    assert ask(stranger, verb, path=".", watcherId="x").status_code == 401


class TestSearch:
    """fs/search."""

    def items(self, call: Caller, query: str) -> list[tuple[str, str]]:
        answer = call.get(f"/api/v1/fs/search{query}")
        assert answer.status_code == 200
        assert answer.json["items"] == answer.json["data"]["items"]
        assert all(one["name"] == one["path"].rpartition("/")[2] for one in answer.json["items"])
        return [(one["path"], one["type"]) for one in answer.json["items"]]

    def test_it_finds_files_and_folders(self, call: Caller, work: Path) -> None:
        assert self.items(call, "?query=gui") == [("docs/guide.md", "file")]
        assert self.items(call, "?query=deep&limit=1") == [("docs/deep", "directory")]
        assert self.items(call, "?query=zzzqqq") == []

    def test_without_letters_it_lists_files(self, call: Caller, work: Path) -> None:
        listed = [("a.txt", "file"), ("docs/guide.md", "file"), ("docs/deep/note.txt", "file")]
        assert self.items(call, "") == self.items(call, "?query=") == listed
        assert self.items(call, "?limit=1") == listed[:1]
        for odd in ("abc", "-5", "", "1e9"):
            assert self.items(call, f"?limit={odd}") == listed
        assert self.items(call, "?limit=99999999999") == listed

    def test_what_is_hidden_is_left_out(self, call: Caller, work: Path) -> None:
        (work / ".env").touch()
        (work / ".cache").mkdir()
        (work / ".cache" / "env.txt").touch()
        (work / "env.txt").touch()
        assert self.items(call, "?query=env") == [("env.txt", "file")]

    def test_a_new_file_is_found_at_once_and_a_removed_one_no_more(self, call: Caller, work: Path) -> None:
        self.items(call, "?query=a")
        assert pathlist.of(work).settled.wait(PATIENCE)
        assert pathlist.of(work).is_watched
        for number in range(5):
            (work / "docs" / f"fresh{number}.txt").touch()
            assert self.items(call, f"?query=fresh{number}") == [(f"docs/fresh{number}.txt", "file")]
            (work / "docs" / f"fresh{number}.txt").unlink()
            assert self.items(call, f"?query=fresh{number}") == []

    def test_a_query_may_not_be_endless(self, call: Caller, stranger: Caller, work: Path) -> None:
        assert error(call.get(f"/api/v1/fs/search?query={'x' * 1001}")) == (400, "BAD_REQUEST")
        assert stranger.get("/api/v1/fs/search").status_code == 401


def test_a_revoked_token_watches_no_more(app: Cabin, alice: Actor, work: Path) -> None:
    token, secret = accounts.mint_token(alice, "watching")
    call = Caller(app, None)
    call.headers["Authorization"] = f"Bearer {secret}"
    answer = ask(call, "watch", path=".")
    stream = Stream(lines_of(answer))
    assert stream.next()[0] == "start"
    accounts.revoke_token(alice, token.id)
    assert stream.next() == ("end", {})
    answer.close()


def test_streams_hold_no_threads_and_end_with_the_server(tmp_path: Path, depot: Path) -> None:
    with Running(tmp_path / "data", depot) as running, contextlib.ExitStack() as stack:
        assert running.process is not None

        def threads() -> int:
            tree = [psutil.Process(running.process.pid), *psutil.Process(running.process.pid).children()]
            return sum(process.num_threads() for process in tree)

        def follow() -> Stream:
            connection = stack.enter_context(
                contextlib.closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE))
            )
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            connection.request("POST", "/api/v1/fs/watch", json.dumps({"path": ".", "recursive": True}), headers)
            stream = Stream(iter(connection.getresponse().readline, b""))
            assert stream.next()[0] == "start"
            return stream

        follow()
        before = threads()
        streams = [follow() for _ in range(30)]
        assert threads() < before + 10
        (depot / "docs" / "n").touch()
        for stream in streams:
            assert stream.changes(1)[0][:2] == ("rename", "./docs/n")
        stopper = threading.Thread(target=running.stop)
        stopper.start()
        assert [stream.next() for stream in streams] == [("end", {})] * 30
        stopper.join()
        assert "Traceback" not in running.log.read_text()
