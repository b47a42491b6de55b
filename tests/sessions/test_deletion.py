"""A deleted session leaves nothing of what was said in it: not in its tables, and not in the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from app import db, dispatch, record
from app.actor import SYSTEM, Actor
from app.approvals import models as approvals_models
from app.approvals import service as approvals
from app.events import service as events
from app.sessions import events as told
from app.sessions import service as sessions
from app.sessions.service import Hold, Session
from app.wake import Ringer

SECRET = "the basket of the customer"


@pytest.fixture
def database(either_database: db.Database, tmp_path: Path) -> Iterator[db.Database]:
    """Both engines in turn, with the hub and what listens to it."""
    ringer = Ringer(tmp_path)
    record.use(ringer)
    events.start(tmp_path)
    approvals.start()
    yield either_database
    events.stop()
    record.use(None)
    ringer.close()


@pytest.fixture(autouse=True)
def _engine_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "wake", lambda *_: None)


def session_of(actor: Actor, tmp_path: Path, **more: str) -> Session:
    thing = SimpleNamespace(id="prj_shop", owner=actor.user, project="prj_shop", visibility="team")
    return sessions.create(actor, SimpleNamespace(project=thing, directory=tmp_path), title="Shop", **more)


def running(actor: Actor, session: Session) -> Hold:
    """A run that has said something, keeps a list, and begins a call."""
    _, run_id = sessions.send(actor, session.id, [{"type": "text", "text": SECRET}])
    assert run_id is not None
    hold = sessions.take(run_id)
    assert hold is not None
    message = sessions.add_message(hold, {"parentID": hold.run.message_id})
    part = sessions.add_part(hold, message.id, "text", {"text": "", "time": {"start": 1}})
    sessions.append_text(hold, part, SECRET, len(SECRET)).result()
    state = {"status": "running", "input": {"command": SECRET}}
    call = sessions.add_part(hold, message.id, "tool", {"callID": "call_1", "tool": "bash", "state": state})
    sessions.save_part(hold, call, act=SECRET)
    sessions.set_todos(hold, [{"content": SECRET}])
    return hold


def ask(hold: Hold) -> approvals.Ask:
    call = approvals.Call("bash", {"command": f"rm '{SECRET}'"}, "call_1", "msg_1")
    return approvals.ask(hold, call, approvals.decide(hold, call))


def delete(actor: Actor, session_id: str) -> None:
    """Delete it, and wait until the hub has told so: whoever comes from then on reads the log alone."""
    is_it = lambda fact: isinstance(fact.event, told.SessionDeleted) and fact.event.session_id == session_id  # noqa: E731
    with events.subscribe(SYSTEM, keep=is_it) as subscription:
        sessions.delete(actor, session_id)
        assert next(iter(subscription.facts(heartbeat=10))) is not None


def stored() -> str:
    """Everything that the log and the asks hold."""
    with db.read() as connection:
        facts = connection.execute(sa.select(record.events)).all()
        return repr([facts, connection.execute(sa.select(approvals_models.asks)).all()])


def replayed(cursor: str, last: type[record.Event]) -> list[record.Event]:
    """What a reader who comes back with a cursor gets, up to a fact of that kind."""
    seen: list[record.Event] = []
    with events.subscribe(SYSTEM, cursor) as subscription:
        assert not subscription.resync
        for fact in subscription.facts(heartbeat=10):
            assert fact is not None, f"only {[event.kind for event in seen]} came"
            seen.append(fact.event)
            if isinstance(fact.event, last):
                return seen
    raise AssertionError


def test_no_reader_replays_what_was_said_in_it(database: db.Database, alice: Actor, tmp_path: Path) -> None:
    start = events.latest()
    kept = session_of(alice, tmp_path)
    gone = running(alice, session_of(alice, tmp_path)).session
    assert SECRET in stored()
    delete(alice, gone.id)
    seen = replayed(start, told.SessionDeleted)
    assert SECRET not in repr(seen)
    mine = [event for event in seen if getattr(event, "session_id", "") == gone.id]
    assert [event.kind for event in mine] == ["sessions.abort_asked", "sessions.deleted"]
    assert kept.id in repr(seen)
    assert SECRET not in stored()


def test_a_reader_in_the_midst_of_it_comes_back_behind_its_gap(
    database: db.Database, alice: Actor, tmp_path: Path
) -> None:
    session_of(alice, tmp_path)
    gone = running(alice, session_of(alice, tmp_path)).session
    midst = events.latest()
    sessions.update(alice, gone.id, title=SECRET)
    after = session_of(alice, tmp_path)
    delete(alice, gone.id)
    seen = replayed(midst, told.SessionDeleted)
    assert [event.session_id for event in seen if isinstance(event, told.SessionCreated)] == [after.id]
    assert not any(isinstance(event, told.SessionUpdated) and event.session_id == gone.id for event in seen)


def test_what_its_children_said_goes_too(database: db.Database, alice: Actor, tmp_path: Path) -> None:
    session_of(alice, tmp_path)
    start = events.latest()
    parent = session_of(alice, tmp_path)
    child = running(alice, session_of(alice, tmp_path, parent_id=parent.id)).session
    delete(alice, parent.id)
    seen = [event for event in replayed(start, told.SessionDeleted) if isinstance(event, told.SessionDeleted)]
    assert [event.session_id for event in seen] == [child.id]
    assert SECRET not in stored()


def test_what_it_asked_is_withdrawn_without_a_word_of_it(database: db.Database, alice: Actor, tmp_path: Path) -> None:
    hold = running(alice, session_of(alice, tmp_path))
    asked = ask(hold)
    assert sessions.wait(hold, approvals.is_unanswered(hold))
    with events.subscribe(SYSTEM, keep=lambda fact: fact.event.kind == "approvals.withdrawn") as withdrawn:
        sessions.delete(alice, hold.session.id)
        fact = next(iter(withdrawn.facts(heartbeat=10)))
    assert fact is not None
    assert fact.event.ask["id"] == asked.id  # type: ignore[attr-defined]
    assert approvals.waiting(alice) == []
    # The hub's thread withdraws in one transaction: once its fact is out, the ask is gone.
    assert SECRET not in stored()


def test_what_it_asked_goes_at_the_next_start_if_nobody_heard_of_its_end(
    database: db.Database, alice: Actor, tmp_path: Path
) -> None:
    kept, gone = (running(alice, session_of(alice, tmp_path)) for _ in range(2))
    asked, _lost = ask(kept), ask(gone)
    events.stop()
    sessions.delete(alice, gone.session.id)
    assert len(approvals.waiting(alice)) == 2
    approvals.tidy()
    assert approvals.waiting(alice) == [approvals.get(alice, asked.id)]
    sessions.delete(alice, kept.session.id)
    approvals.tidy()
    assert SECRET not in stored()


def test_what_an_ended_run_asked_is_withdrawn_at_the_next_start(
    database: db.Database, alice: Actor, tmp_path: Path
) -> None:
    ended = running(alice, session_of(alice, tmp_path))
    asked = ask(ended)
    events.stop()
    sessions.finish(ended, "completed")
    approvals.tidy()
    assert approvals.get(alice, asked.id).state == "withdrawn"


def test_whoever_waits_for_its_run_hears_of_the_end(database: db.Database, alice: Actor, tmp_path: Path) -> None:
    start = events.latest()
    session = session_of(alice, tmp_path)
    _, run_id = sessions.send(alice, session.id, [{"type": "text", "text": SECRET}])
    delete(alice, session.id)
    ended = [event for event in replayed(start, told.SessionDeleted) if isinstance(event, told.RunEnded)]
    assert [(event.run_id, event.state) for event in ended] == [(run_id, "aborted")]
