"""What one page reads once; everywhere else each read looks up."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from app import db, once
from app.actor import Actor
from app.dialects.mount import Cabin
from tests.conftest import Caller


@pytest.fixture(autouse=True)
def no_page() -> Iterator[None]:
    """No test leaves a page open."""
    yield
    once.end()


def test_a_page_reads_the_same_once() -> None:
    count = itertools.count()
    once.begin()
    assert [once.read("people", lambda: next(count)) for _ in range(3)] == [0, 0, 0]
    assert once.read("modes", lambda: next(count)) == 1
    once.begin()
    assert once.read("people", lambda: next(count)) == 2


def test_without_a_page_each_read_looks_up() -> None:
    count = itertools.count()
    once.begin()
    once.end()
    assert [once.read("people", lambda: next(count)) for _ in range(3)] == [0, 1, 2]


def test_another_thread_is_on_no_page() -> None:
    count = itertools.count()
    once.begin()
    once.read("people", lambda: next(count))
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(once.read("people", lambda: next(count))))
    thread.start()
    thread.join()
    assert seen == [1]


def test_a_failure_is_not_kept() -> None:
    once.begin()
    with pytest.raises(ZeroDivisionError):
        once.read("people", lambda: 1 // 0)
    assert once.read("people", lambda: 1) == 1


@pytest.mark.parametrize(
    ("path", "headers", "reads"),
    [
        ("/sessions", {}, [0, 0]),
        ("/sessions", {"Accept": "text/event-stream"}, [0, 1]),
        ("/sessions", {"Upgrade": "websocket"}, [0, 1]),
        ("/session", {}, [0, 1]),
    ],
)
def test_what_goes_on_and_what_clients_ask_for_is_no_page(
    app: Cabin,
    alice: Actor,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    headers: dict[str, str],
    reads: list[int],
) -> None:
    count = itertools.count()
    found: list[int] = []

    def read_twice() -> None:
        found.extend(once.read("people", lambda: next(count)) for _ in range(2))

    monkeypatch.setitem(app.before_request_funcs, None, [*app.before_request_funcs[None], read_twice])
    Caller(app, alice).get(path, headers=headers)
    assert found == reads
    assert [once.read("people", lambda: next(count)) for _ in range(2)] == [reads[-1] + 1, reads[-1] + 2]


def test_who_writes_reads_anew(app: Cabin) -> None:
    count = itertools.count()
    once.begin()
    once.read("people", lambda: next(count))
    with db.transaction():
        assert once.read("people", lambda: next(count)) == 1
    assert once.read("people", lambda: next(count)) == 2
