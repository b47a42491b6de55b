"""Answers that come at the same time, on both engines: each counts, and the run goes on exactly once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from app import db, dispatch
from app.actor import Actor
from app.approvals import service as approvals
from app.approvals.service import Ask, Call
from app.errors import Conflict
from app.sessions import service as sessions
from app.sessions.service import Hold
from tests.patience import PATIENCE

Act = Callable[[], object]


@pytest.fixture
def database(either_database: db.Database) -> db.Database:
    """Both engines in turn."""
    return either_database


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that would be woken: no engine runs here."""
    runs: list[str] = []
    monkeypatch.setattr(dispatch, "wake", lambda _name, run_id: runs.append(run_id))
    return runs


@pytest.fixture
def hold(alice: Actor, tmp_path: Path, woken: list[str]) -> Hold:
    """A run of Alice's."""
    project = SimpleNamespace(id="prj_app", owner=alice.user, project="prj_app", visibility="team")
    session = sessions.create(alice, SimpleNamespace(project=project, directory=tmp_path), title="Fix it")
    _message, run_id = sessions.send(alice, session.id, [{"type": "text", "text": "go"}], provider="demo", model="demo")
    assert run_id is not None
    held = sessions.take(run_id)
    assert held is not None
    woken.clear()
    return held


def asked(hold: Hold, command: str, call_id: str) -> Ask:
    call = Call("bash", {"command": command}, call_id, "msg_1", "prt_1")
    return approvals.ask(hold, call, approvals.decide(hold, call))


def waits(database: db.Database) -> bool:
    """Whether a statement of another transaction waits for a lock (PostgreSQL)."""
    blocked = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with database.engine.connect() as connection:
        return bool(connection.scalar(blocked))


def at_once(database: db.Database, first: Act, second: Act) -> Future[object]:
    """Do the first, and before it commits begin the second; returns what became of that.

    On PostgreSQL the second goes as far as it gets meanwhile; on SQLite it stands in the queue of the writer.
    """
    with ThreadPoolExecutor(1) as pool:
        with db.transaction():
            first()
            begun = threading.Event()

            def begin() -> object:
                begun.set()
                return second()

            other = pool.submit(begin)
            assert begun.wait(PATIENCE)
            deadline = time.monotonic() + PATIENCE
            while not database.is_sqlite and not other.done() and not waits(database):
                assert time.monotonic() < deadline
        other.exception(PATIENCE)
        return other


def state_of(alice: Actor, hold: Hold) -> str:
    run = sessions.last_run(alice, hold.session.id)
    assert run is not None
    return run.state


def test_a_run_goes_on_once_when_both_its_asks_are_answered_at_the_same_time(
    database: db.Database, hold: Hold, alice: Actor, woken: list[str]
) -> None:
    one, two = asked(hold, "rm a", "call_1"), asked(hold, "rm b", "call_2")
    assert sessions.wait(hold, approvals.is_unanswered(hold))
    at_once(
        database, lambda: approvals.answer(alice, one.id, "once"), lambda: approvals.answer(alice, two.id, "once")
    ).result()
    assert (state_of(alice, hold), woken) == ("queued", [hold.run_id])


def test_an_approval_and_a_question_answered_at_the_same_time_let_the_run_go_on(
    database: db.Database, hold: Hold, alice: Actor, woken: list[str]
) -> None:
    questions = [{"question": "Keep it?", "header": "v1", "options": []}]
    one = asked(hold, "rm a", "call_1")
    two = approvals.question(hold, Call("question", {}, "call_2", "msg_1"), questions)
    assert sessions.wait(hold, approvals.is_unanswered(hold))
    at_once(
        database,
        lambda: approvals.reject_question(alice, two.id),
        lambda: approvals.answer(alice, one.id, "reject"),
    ).result()
    assert (state_of(alice, hold), woken) == ("queued", [hold.run_id])


def test_two_answers_with_always_do_not_wait_for_each_other_in_a_ring(
    database: db.Database, hold: Hold, alice: Actor, woken: list[str]
) -> None:
    one, two = asked(hold, "git push a", "call_1"), asked(hold, "git push b", "call_2")
    assert sessions.wait(hold, approvals.is_unanswered(hold))
    second = at_once(
        database, lambda: approvals.answer(alice, two.id, "always"), lambda: approvals.answer(alice, one.id, "always")
    )
    assert isinstance(second.exception(), Conflict)
    assert approvals.get(alice, one.id).is_allowed
    assert (state_of(alice, hold), woken) == ("queued", [hold.run_id])


def test_the_same_ask_answered_twice_at_the_same_time_is_answered_once(
    database: db.Database, hold: Hold, alice: Actor
) -> None:
    one = asked(hold, "rm a", "call_1")
    second = at_once(
        database, lambda: approvals.answer(alice, one.id, "reject"), lambda: approvals.answer(alice, one.id, "once")
    )
    assert isinstance(second.exception(), Conflict)
    assert approvals.get(alice, one.id).reply == "reject"


def test_an_answer_while_the_run_begins_to_wait_lets_it_go_on(
    database: db.Database, hold: Hold, alice: Actor, woken: list[str]
) -> None:
    one = asked(hold, "rm a", "call_1")
    at_once(
        database,
        lambda: sessions.wait(hold, approvals.is_unanswered(hold)),
        lambda: approvals.answer(alice, one.id, "once"),
    ).result()
    assert (state_of(alice, hold), woken) == ("queued", [hold.run_id])
