"""A fork begins with copies of what was said, under ids of their own, and carries no rights over; on both engines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import db, dispatch, record
from app.actor import Actor
from app.errors import NotFound
from app.sessions import service
from app.sessions.service import Session

THING = SimpleNamespace(id="prj_shop", owner="", project="prj_shop", visibility="team")
PLACE = SimpleNamespace(project=THING, directory=Path("/nowhere"))


@pytest.fixture(autouse=True)
def _store(either_database: db.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of each engine; nothing is woken."""
    monkeypatch.setattr(dispatch, "wake", lambda *_: None)


def begin(alice: Actor, **more: Any) -> Session:
    return service.create(alice, PLACE, title="Shop", **more)


def turn(alice: Actor, session: Session, prompt: str) -> None:
    """A prompt, its answer, and what it listed to do."""
    _, run_id = service.send(alice, session.id, [{"type": "text", "text": prompt}])
    hold = service.take(run_id or "")
    assert hold is not None
    answer = service.add_message(hold, {"parentID": hold.run.message_id, "finish": "stop"})
    service.add_part(hold, answer.id, "text", {"text": f"done: {prompt}", "time": {"start": 1, "end": 2}})
    service.set_todos(hold, [{"id": "1", "content": prompt, "status": "completed", "priority": "low"}])
    service.save_message(hold, answer, completed=True)
    service.finish(hold, "completed")


def texts(actor: Actor, session: Session) -> list[str]:
    return [part.data["text"] for message in service.transcript(actor, session.id) for part in message.parts]


def test_it_begins_with_all_that_was_said(alice: Actor) -> None:
    source = begin(alice)
    turn(alice, source, "one")
    turn(alice, source, "two")
    fork = service.fork(alice, PLACE, source.id)
    assert texts(alice, fork) == ["one", "done: one", "two", "done: two"]
    prompt, answer, *_ = service.transcript(alice, fork.id)
    assert answer.data["parentID"] == prompt.id
    old = {message.id for message in service.transcript(alice, source.id)}
    assert old.isdisjoint(message.id for message in service.transcript(alice, fork.id))
    assert fork.todos == service.get(alice, source.id).todos != []
    assert (fork.title, fork.state, fork.cost, fork.parent_id) == ("Shop (fork #1)", "idle", 0.0, None)
    assert service.children(alice, source.id) == []


def test_it_ends_before_a_message(alice: Actor) -> None:
    source = begin(alice)
    turn(alice, source, "one")
    turn(alice, source, "two")
    second = service.transcript(alice, source.id)[2]
    assert texts(alice, service.fork(alice, PLACE, source.id, second.id)) == ["one", "done: one"]
    with pytest.raises(NotFound):
        service.fork(alice, PLACE, source.id, "msg_elsewhere")


def test_a_summary_of_the_source_is_one_of_the_fork(alice: Actor) -> None:
    source = begin(alice)
    turn(alice, source, "one")
    turn(alice, source, "two")
    first, _, second, _ = service.transcript(alice, source.id)
    _, run_id = service.send(alice, source.id, [{"type": "text", "text": "Sum up"}])
    hold = service.take(run_id or "")
    assert hold is not None
    told = {"auto": False, "tail_start_id": second.id, "beside": [first.id]}
    asked = service.add_message(hold, {"for": hold.run.message_id})
    service.add_part(hold, asked.id, "compaction", told)
    service.save_message(hold, asked, completed=True)
    service.finish(hold, "completed")
    copied = service.transcript(alice, service.fork(alice, PLACE, source.id).id)
    part = copied[-1].parts[0]
    assert (part.data["tail_start_id"], part.data["beside"]) == (copied[2].id, [copied[0].id])
    assert copied[-1].data["for"] == copied[4].id


def test_forks_are_counted(alice: Actor) -> None:
    first = service.fork(alice, PLACE, begin(alice).id)
    second = service.fork(alice, PLACE, first.id)
    assert (first.title, second.title) == ("Shop (fork #1)", "Shop (fork #2)")


def test_what_is_reverted_or_still_written_stays_behind(alice: Actor) -> None:
    source = begin(alice)
    turn(alice, source, "one")
    turn(alice, source, "two")
    service.set_revert(alice, source.id, {"messageID": service.transcript(alice, source.id)[2].id})
    fork = service.fork(alice, PLACE, source.id)
    assert (texts(alice, fork), fork.revert) == (["one", "done: one"], None)
    answer = service.transcript(alice, source.id)[1]
    service.set_revert(alice, source.id, {"messageID": answer.id, "partID": answer.parts[0].id})
    assert texts(alice, service.fork(alice, PLACE, source.id)) == ["one"]
    service.set_revert(alice, source.id, None)
    _, run_id = service.send(alice, source.id, [{"type": "text", "text": "three"}])
    hold = service.take(run_id or "")
    assert hold is not None
    service.add_message(hold, {"parentID": hold.run.message_id})
    assert texts(alice, service.fork(alice, PLACE, source.id))[-1] == "three"


def test_each_copy_is_announced_and_found(alice: Actor) -> None:
    source = begin(alice)
    turn(alice, source, "the brindled gnu")
    fork = service.fork(alice, PLACE, source.id)
    with db.read() as connection:
        rows = connection.execute(record.events.select().where(record.events.c.session_id == fork.id)).all()
    message, part = "sessions.message_updated", "sessions.part_updated"
    expected = ["sessions.created", "sessions.updated", message, part, message, part]
    assert [row.kind for row in sorted(rows, key=lambda row: row.seq)] == expected
    assert {session.id for session, _ in service.find_words(alice, "brindled")} == {source.id, fork.id}


def test_nobody_inherits_another_ones_preset(alice: Actor, bob: Actor) -> None:
    source = begin(alice, preset="auto")
    assert service.fork(alice, PLACE, source.id).preset == "auto"
    theirs = service.fork(bob, PLACE, source.id)
    assert (theirs.preset, theirs.owner) == ("ask", bob.user)
    assert service.fork(replace(alice, kind="agent"), PLACE, source.id).preset == "ask"


def test_a_stranger_cannot_fork(charlie: Actor, bob: Actor, alice: Actor) -> None:
    with pytest.raises(NotFound):
        service.fork(charlie, PLACE, begin(alice).id)
    with pytest.raises(NotFound):
        service.fork(bob, PLACE, begin(alice, visibility="private").id)


def test_an_empty_session_forks_too(alice: Actor) -> None:
    assert texts(alice, service.fork(alice, PLACE, begin(alice).id)) == []
