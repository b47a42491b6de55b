"""Messages and parts are taken out and set right while nothing runs; marks and search go with them, on both engines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from app import db, dispatch, record
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid, NotFound
from app.sessions import service
from app.sessions.service import Message, Part, Session


@pytest.fixture(autouse=True)
def _store(either_database: db.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of each engine; nothing is woken."""
    monkeypatch.setattr(dispatch, "wake", lambda *_: None)


@pytest.fixture
def session(alice: Actor) -> Session:
    """A session with a prompt, its answer (a text, a call), and a second prompt."""
    thing = SimpleNamespace(id="prj_shop", owner=alice.user, project="prj_shop", visibility="team")
    begun = service.create(alice, SimpleNamespace(project=thing, directory=Path("/nowhere")), title="Shop")
    _, run_id = service.send(alice, begun.id, [{"type": "text", "text": "the brindled gnu"}])
    hold = service.take(run_id or "")
    assert hold is not None
    answer = service.add_message(hold, {"parentID": hold.run.message_id, "finish": "stop"})
    time = {"start": 1, "end": 2}
    service.add_part(hold, answer.id, "text", {"text": "a spotted gnu", "time": time, "signature": "of the model"})
    state = {"status": "completed", "input": {"command": "ls"}, "output": "striped", "title": "ls", "metadata": {}}
    call = {"callID": "call_1", "tool": "bash", "state": {**state, "time": time}, "ready": True}
    service.add_part(hold, answer.id, "tool", call)
    service.save_message(hold, answer, completed=True)
    service.finish(hold, "completed")
    service.send(alice, begun.id, [{"type": "text", "text": "thanks"}], no_reply=True)
    return service.get(alice, begun.id)


def said(alice: Actor, session: Session) -> list[Message]:
    return service.transcript(alice, session.id)


def found(alice: Actor, words: str) -> bool:
    return bool(service.find_words(alice, words))


def change(alice: Actor, part: Part, **data: Any) -> Part:
    new = {**part.data, **data}
    return service.change_part(alice, part.session_id, part.message_id, part.id, part.type, new)


def told(kind: str) -> int:
    with db.read() as connection:
        return sum(row.kind == kind for row in connection.execute(record.events.select()))


def audited() -> list[str]:
    with db.read() as connection:
        return [row.action for row in connection.execute(record.audit_rows.select().order_by("seq"))]


def test_a_message_goes_with_its_parts_and_words(alice: Actor, session: Session) -> None:
    prompt, answer, thanks = said(alice, session)
    service.remove_message(alice, session.id, answer.id)
    assert [message.id for message in said(alice, session)] == [prompt.id, thanks.id]
    assert (found(alice, "spotted"), found(alice, "striped"), found(alice, "brindled")) == (False, False, True)
    assert told("sessions.message_removed") == 1
    assert audited()[-1] == "message.delete"
    with pytest.raises(NotFound):
        service.remove_message(alice, session.id, answer.id)


def test_a_part_goes_and_its_message_stays(alice: Actor, session: Session) -> None:
    answer = said(alice, session)[1]
    service.remove_part(alice, session.id, answer.id, answer.parts[0].id)
    assert [part.type for part in said(alice, session)[1].parts] == ["tool"]
    assert (found(alice, "spotted"), found(alice, "striped")) == (False, True)
    assert (told("sessions.part_removed"), audited()[-1]) == (1, "part.delete")
    with pytest.raises(NotFound):
        service.remove_part(alice, session.id, answer.id, answer.parts[0].id)


def test_a_changed_part_is_found_by_what_it_says_now(alice: Actor, session: Session) -> None:
    text = said(alice, session)[1].parts[0]
    assert change(alice, text).data["signature"] == "of the model"
    changed = change(alice, text, text="a plain horse")
    assert said(alice, session)[1].parts[0] == changed
    assert changed.data == {"text": "a plain horse", "time": {"start": 1, "end": 2}}  # nobody signed that
    assert (found(alice, "spotted"), found(alice, "horse"), audited()[-1]) == (False, True, "part.change")


def test_a_list_that_was_spelled_before_shows_the_change(alice: Actor, session: Session) -> None:
    from app.sessions.opencode.shapes import MESSAGES

    text = said(alice, session)[1].parts[0]
    before = orjson.loads(orjson.dumps(service.spell_transcript(alice, session.id, MESSAGES)))
    change(alice, text, text="a plain horse")
    after = orjson.loads(orjson.dumps(service.spell_transcript(alice, session.id, MESSAGES)))
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]


def test_a_call_stays_the_same_call_and_ended(alice: Actor, session: Session) -> None:
    call = said(alice, session)[1].parts[1]
    output = {**call.data["state"], "output": "nothing to see"}
    assert change(alice, call, state=output).data["ready"] is True
    for wrong in ({"callID": "call_2"}, {"tool": "read"}, {"state": {**output, "status": "running"}}):
        with pytest.raises(Invalid):
            change(alice, call, **wrong)
    with pytest.raises(Invalid, match="of type tool"):
        service.change_part(alice, session.id, call.message_id, call.id, "text", {"text": "x"})


def test_a_text_may_not_begin_to_grow_again(alice: Actor, session: Session) -> None:
    with pytest.raises(Invalid, match="ended"):
        change(alice, said(alice, session)[1].parts[0], time={"start": 1})


def test_a_mark_moves_behind_what_goes(alice: Actor, session: Session) -> None:
    prompt, answer, thanks = said(alice, session)
    text, call = answer.parts
    mark = {"messageID": answer.id, "partID": text.id, "snapshot": "tree", "diff": ""}
    service.set_revert(alice, session.id, mark)
    service.remove_part(alice, session.id, answer.id, text.id)
    assert service.get(alice, session.id).revert == {**mark, "partID": call.id}
    service.remove_part(alice, session.id, answer.id, call.id)
    moved = {"messageID": thanks.id, "snapshot": "tree", "diff": ""}
    assert service.get(alice, session.id).revert == moved
    service.remove_message(alice, session.id, prompt.id)
    assert service.get(alice, session.id).revert == moved
    service.remove_message(alice, session.id, thanks.id)
    assert service.get(alice, session.id).revert is None


def test_a_mark_at_a_message_that_goes_is_at_the_next_one(alice: Actor, session: Session) -> None:
    _, answer, thanks = said(alice, session)
    service.set_revert(alice, session.id, {"messageID": answer.id, "partID": answer.parts[1].id})
    service.remove_message(alice, session.id, answer.id)
    assert service.get(alice, session.id).revert == {"messageID": thanks.id}


def test_nothing_changes_while_it_is_busy(alice: Actor, session: Session) -> None:
    answer = said(alice, session)[1]
    part = answer.parts[0]
    service.send(alice, session.id, [{"type": "text", "text": "more"}])
    with pytest.raises(Conflict):
        service.remove_message(alice, session.id, answer.id)
    with pytest.raises(Conflict):
        service.remove_part(alice, session.id, answer.id, part.id)
    with pytest.raises(Conflict):
        change(alice, part)


def test_an_agent_never_changes_what_was_said(alice: Actor, session: Session) -> None:
    answer = said(alice, session)[1]
    agent = replace(alice, kind="agent")
    with pytest.raises(Denied):
        service.remove_message(agent, session.id, answer.id)
    with pytest.raises(Denied):
        service.remove_part(agent, session.id, answer.id, answer.parts[0].id)
    with pytest.raises(Denied):
        change(agent, answer.parts[0])


def test_a_stranger_sees_nothing_there(charlie: Actor, alice: Actor, session: Session) -> None:
    answer = said(alice, session)[1]
    with pytest.raises(NotFound):
        service.remove_message(charlie, session.id, answer.id)
    with pytest.raises(NotFound):
        change(charlie, answer.parts[0])
