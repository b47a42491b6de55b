"""Waking background work: after the commit, in threads of its own, whatever fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from app import db, dispatch, ids
from tests.patience import PATIENCE


class Broken(Exception):
    """What a test raises."""


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No work and no sweeps but the test's own."""
    monkeypatch.setattr(dispatch, "_works", {})
    monkeypatch.setattr(dispatch, "_sweeps", [])
    yield
    dispatch.stop(PATIENCE)


class Heard:
    """Work that remembers what it was called with."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self._came = threading.Condition()

    def __call__(self, what: object) -> None:
        with self._came:
            self.calls.append(what)
            self._came.notify_all()

    def wait_for(self, count: int) -> None:
        with self._came:
            assert self._came.wait_for(lambda: len(self.calls) >= count, PATIENCE), self.calls


@pytest.fixture
def heard(works: None) -> Heard:
    """A work called "test.hear"."""
    made = Heard()
    dispatch.actor("test.hear")(made)
    return made


def test_it_starts_at_once_without_a_transaction(database: db.Database, heard: Heard) -> None:
    dispatch.start(threads=2)
    assert dispatch.is_running()
    dispatch.wake("test.hear", "now")
    heard.wait_for(1)
    assert heard.calls == ["now"]


def test_it_starts_after_the_commit_and_never_after_a_rollback(database: db.Database, heard: Heard) -> None:
    dispatch.start(threads=2)

    def broken() -> None:
        with db.transaction():
            dispatch.wake("test.hear", "never")
            raise Broken

    with pytest.raises(Broken):
        broken()
    with db.transaction():
        dispatch.wake("test.hear", "later")
        assert heard.calls == []
    heard.wait_for(1)
    assert heard.calls == ["later"]


def test_a_failure_is_logged_and_not_tried_again(
    database: db.Database, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    tries = Heard()

    def fail(what: str) -> None:
        tries(what)
        raise ValueError(what)

    dispatch.actor("test.fail")(fail)
    dispatch.start(threads=1)
    dispatch.wake("test.fail", "once")
    dispatch.wake("test.hear", "after")
    heard.wait_for(1)
    assert tries.calls == ["once"]
    assert "background work test.fail('once',) failed" in caplog.text


def test_work_runs_side_by_side(database: db.Database, works: None) -> None:
    meeting = threading.Barrier(3)

    def meet() -> None:
        meeting.wait(PATIENCE)

    dispatch.actor("test.meet")(meet)
    dispatch.start(threads=2)
    dispatch.wake("test.meet")
    dispatch.wake("test.meet")
    meeting.wait(PATIENCE)


def test_stopping_lets_what_runs_come_to_its_end(database: db.Database, works: None) -> None:
    begun, end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        end.wait(PATIENCE)
        ended.set()

    dispatch.actor("test.work")(work)
    dispatch.start(threads=1)
    dispatch.wake("test.work")
    assert begun.wait(PATIENCE)
    threading.Timer(0.05, end.set).start()
    dispatch.stop(PATIENCE)
    assert ended.is_set()
    assert not dispatch.is_running()
    dispatch.wake("test.work")  # nobody takes it; a sweep of the next start will


def test_sweeps_run_every_so_often(database: db.Database, works: None) -> None:
    swept = Heard()
    dispatch.every(0.05)(lambda: swept("sweep"))
    dispatch.start(threads=1)
    swept.wait_for(2)


def test_work_starts_at_its_time_and_the_last_time_counts(database: db.Database, heard: Heard) -> None:
    dispatch.start(threads=1)
    now = ids.now()
    dispatch.at(now + 60_000, "test.hear", "moved")
    dispatch.at(now + 600_000, "test.hear", "much later")
    dispatch.at(now, "test.hear", "moved")
    heard.wait_for(1)
    assert heard.calls == ["moved"]
    with pytest.raises(KeyError):
        dispatch.at(now, "test.unknown")


def test_unknown_work_is_a_mistake_of_ours(works: None) -> None:
    with pytest.raises(KeyError, match=r"test\.unknown"):
        dispatch.wake("test.unknown")
