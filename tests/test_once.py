"""What one page reads once; everywhere else each read looks up."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from app import db, once
from app.dialects.mount import Cabin


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


def test_who_writes_reads_anew(app: Cabin) -> None:
    count = itertools.count()
    once.begin()
    once.read("people", lambda: next(count))
    with db.transaction():
        assert once.read("people", lambda: next(count)) == 1
    assert once.read("people", lambda: next(count)) == 2
