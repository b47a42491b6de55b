"""The client of language servers, against one that behaves well and in every bad way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app import config
from app.config import Config
from app.languages.client import DEAF, Client, Failed, path_of, uri_of
from app.processes import spawn
from tests.patience import PATIENCE

FAKE = Path(__file__).parent / "fake_server.py"
Begin = Callable[[str], Client]


@pytest.fixture
def over() -> threading.Event:
    return threading.Event()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def begin(tmp_path: Path, over: threading.Event, told: list[str]) -> Iterator[Begin]:
    """Start the fake server in a manner; it is ended after the test."""
    config.use(Config(data_dir=tmp_path / "data", testing=True))
    work = tmp_path / "project"
    for folder in (work, tmp_path / "data"):
        folder.mkdir()
    clients: list[Client] = []

    def start(manner: str) -> Client:
        argv = [sys.executable, str(FAKE), manner]
        child = spawn.start(argv, cwd=work, workspace=work, private=tmp_path / "private", stdin=True, sandbox=False)
        clients.append(Client(child, work, told.append, over.set))
        return clients[-1]

    yield start
    for client in clients:
        client.kill()


@pytest.mark.parametrize("manner", ["good", "pull", "odd", "chatty", "floods"])
def test_what_is_wrong_appears_with_a_change_and_goes_with_the_next(
    begin: Begin, told: list[str], tmp_path: Path, manner: str
) -> None:
    client = begin(manner)
    client.begin(PATIENCE)
    path = str(tmp_path / "project" / "a b.py")
    assert client.diagnose(path, "fine\n", "python", PATIENCE) == []
    assert told == []
    found = client.diagnose(path, "fine\nwrong\n", "python", PATIENCE)
    assert [(one["message"], one["range"]["start"]["line"]) for one in found] == [("wrong\nword", 1)]
    assert told == [path]
    assert client.diagnose(path, "fine\nwrong\n", "python", PATIENCE) == found
    assert client.diagnose(path, "fine again\n", "python", PATIENCE) == []
    assert told == [path, path]


def test_a_good_server_ends_when_it_is_asked_to(begin: Begin, over: threading.Event) -> None:
    client = begin("good")
    client.begin(PATIENCE)
    client.end()
    assert over.wait(PATIENCE)
    assert client.child.exited()


def test_a_crash_is_told_to_whoever_waits(begin: Begin, over: threading.Event) -> None:
    client = begin("crashes")
    client.begin(PATIENCE)
    with pytest.raises(Failed, match=r"ended|takes nothing"):
        client.diagnose("/x.py", "fine\n", "python", PATIENCE)
    assert over.wait(PATIENCE)
    assert not client.was_stopped


@pytest.mark.parametrize("manner", ["garbage", "huge", "negative", "nameless", "endless"])
def test_one_that_does_not_speak_the_protocol_is_ended(begin: Begin, over: threading.Event, manner: str) -> None:
    client = begin(manner)
    with pytest.raises(Failed, match=r"does not speak the protocol|takes nothing"):
        client.begin(PATIENCE)
    assert over.wait(PATIENCE)
    assert client.why.startswith("It does not speak the protocol")
    assert client.child.exited()


def test_one_that_tells_nothing_holds_nobody_up_for_longer_than_wanted(begin: Begin) -> None:
    client = begin("mute")
    client.begin(PATIENCE)
    with pytest.raises(Failed, match="not told in time"):
        client.diagnose("/x.py", "wrong\n", "python", 0.05)
    assert client.symbols("o", PATIENCE) == [{"name": "one"}]


def test_one_that_reads_nothing_is_ended_instead_of_waited_for(begin: Begin, over: threading.Event) -> None:
    client = begin("deaf")
    with pytest.raises(Failed, match=DEAF):
        client.tell("textDocument/didOpen", {"text": "x" * (1 << 20)})
    assert over.wait(PATIENCE)


def test_what_a_server_refuses_is_told_in_its_words(begin: Begin) -> None:
    client = begin("refuses")
    client.begin(PATIENCE)
    with pytest.raises(Failed, match="not now"):
        client.symbols("o", PATIENCE)


def test_a_files_address_leads_back_to_it() -> None:
    for path in ("/a b/ü%.py", "/x#y?z.py"):
        assert path_of(uri_of(path)) == path
    assert path_of("https://example.com/a.py") == ""
