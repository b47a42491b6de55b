"""The queue of writes: fair, batched, in order, on both engines where they differ."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app import db
from app.errors import Invalid
from tests import postgres

notes = sa.Table(
    "test_db_note",
    sa.MetaData(),
    sa.Column("seq", db.BigSerial, primary_key=True, autoincrement=True),
    sa.Column("word", sa.Text, nullable=False),
    sa.Column("data", db.Json, nullable=True),
)


class Broken(Exception):
    """What a test raises."""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[db.Database]:
    """A database of its own with one table, in use."""
    if request.param == "sqlite":
        opened = db.Database(f"sqlite:///{tmp_path / 'test.db'}")
    else:
        found: postgres.Server = request.getfixturevalue("postgres_server")
        opened = db.Database(found.create(f"db_{time.time_ns()}"))
    db.use(opened)
    notes.create(opened.engine)
    yield opened
    opened.close()


def write(word: str, data: Any = None) -> None:
    with db.transaction() as connection:
        connection.execute(notes.insert().values(word=word, data=data))


def append(word: str) -> Future[Any]:
    def work(connection: sa.Connection) -> str:
        connection.execute(notes.insert().values(word=word))
        return word

    return db.append(work)


def words() -> list[str]:
    with db.read() as connection:
        return list(connection.scalars(sa.select(notes.c.word).order_by(notes.c.seq)))


def test_turns_are_handed_on_in_the_order_of_asking() -> None:
    turns, order = db._Turns(), []
    turns.acquire()

    def take(number: int) -> None:
        turns.acquire()
        order.append(number)
        turns.release()

    threads = []
    for number in range(8):
        threads.append(threading.Thread(target=take, args=(number,)))
        threads[-1].start()
        while len(turns._waiting) <= number:
            threading.Event().wait(0.001)  # a lock has no event that says somebody stands before it
    turns.release()
    for thread in threads:
        thread.join(5)
    assert order == list(range(8))


def test_a_threads_appends_are_there_before_its_next_transaction(store: db.Database) -> None:
    def work(name: str) -> None:
        for number in range(20):
            append(f"{name}-{number}-a")
            append(f"{name}-{number}-b")
            write(f"{name}-{number}-c")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    found = words()
    for name in "abcd":
        mine = [word for word in found if word.startswith(name)]
        assert mine == [f"{name}-{number}-{step}" for number in range(20) for step in "abc"]


def test_a_failing_append_harms_no_other_of_its_batch(store: db.Database) -> None:
    def fail(connection: sa.Connection) -> None:
        connection.execute(notes.insert().values(word="half"))
        raise ValueError("no")

    with db.transaction():  # nothing is flushed while the turn is held
        futures = [append("a"), db.append(fail), append("b")]
    assert [future.exception(5) is None for future in futures] == [True, False, True]
    assert sorted(words()) == ["a", "b"]
    assert append("c").result(5) == "c"


def test_hooks_run_after_the_commit_once_and_never_after_a_rollback(store: db.Database) -> None:
    ran: list[list[str]] = []
    note = lambda: ran.append(words())  # noqa: E731
    with db.transaction() as connection:
        connection.execute(notes.insert().values(word="a"))
        db.after_commit(note)
        db.after_commit(note)
        assert ran == []
    assert ran == [["a"]]

    def broken() -> None:
        with db.transaction() as connection:
            connection.execute(notes.insert().values(word="b"))
            db.after_commit(note)
            raise Broken

    with pytest.raises(Broken):
        broken()
    assert ran == [["a"]]
    assert words() == ["a"]
    with pytest.raises(RuntimeError):
        db.after_commit(note)


def test_hooks_of_appends_run_too_and_a_failing_hook_undoes_nothing(
    store: db.Database, caplog: pytest.LogCaptureFixture
) -> None:
    ran = threading.Event()

    def fail() -> None:
        raise Broken

    def work(connection: sa.Connection) -> None:
        connection.execute(notes.insert().values(word="once"))
        db.after_commit(fail)
        db.after_commit(ran.set)

    db.append(work).result(5)
    assert ran.wait(5)
    with db.transaction() as connection:
        connection.execute(notes.insert().values(word="twice"))
        db.after_commit(fail)
    assert words() == ["once", "twice"]
    assert append("alive").result(5) == "alive"
    assert caplog.text.count("tests.test_db.Broken") == 2


def test_a_transaction_inside_another_joins_it(store: db.Database) -> None:
    def outer() -> None:
        with db.transaction() as connection:
            write("inner")
            with db.read() as reading:
                assert reading is connection
            assert words() == ["inner"]
            raise Broken

    with pytest.raises(Broken):
        outer()
    assert words() == []


def test_a_reader_sees_one_moment(store: db.Database) -> None:
    write("a")
    with db.read() as connection:
        query = sa.select(sa.func.count()).select_from(notes)
        assert connection.scalar(query) == 1
        thread = threading.Thread(target=write, args=("b",))
        thread.start()
        thread.join(5)
        assert connection.scalar(query) == 1
    assert words() == ["a", "b"]


@pytest.mark.parametrize("text", ["a\0b", "\0", "\\u0000", "\\\0", "\\\\u0000\0", "é\u2028"])
def test_any_text_can_be_stored_as_json(store: db.Database, text: str) -> None:
    write("x", {"key": [text]})
    with db.read() as connection:
        assert connection.scalar(sa.select(notes.c.data)) == {"key": [db.storable(text)]}


def test_closing_commits_what_is_queued(tmp_path: Path) -> None:
    opened = db.Database(f"sqlite:///{tmp_path / 'test.db'}")
    db.use(opened)
    notes.create(opened.engine)
    futures = [append(str(number)) for number in range(50)]
    opened.close()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError):
        append("late")
    again = db.Database(f"sqlite:///{tmp_path / 'test.db'}")
    db.use(again)
    assert words() == [str(number) for number in range(50)]
    again.close()


def test_eight_writers_wait_fairly(tmp_path: Path) -> None:
    opened = db.Database(f"sqlite:///{tmp_path / 'test.db'}")
    db.use(opened)
    notes.create(opened.engine)
    seconds: list[float] = []

    def work() -> None:
        for _ in range(60):
            append("delta")
            began = time.perf_counter()
            write("verb")
            seconds.append(time.perf_counter() - began)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(words()) == 960
    opened.close()
    # Free competition for SQLite's lock takes seconds here; the bound leaves room for a busy machine.
    assert sorted(seconds)[int(len(seconds) * 0.9)] < 1


@pytest.mark.postgres
def test_a_text_that_postgresql_cannot_take_is_the_caller_s_mistake(postgres_database: str) -> None:
    opened = db.Database(postgres_database)
    query = sa.text("SELECT :text")
    with pytest.raises(Invalid, match="NUL"), opened.read() as connection:
        connection.execute(query, {"text": "a\0b"})
    with opened.transaction() as connection:
        assert connection.scalar(query, {"text": "ab"}) == "ab"
    opened.close()
