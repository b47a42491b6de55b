"""Pieces of long transcripts and light figures, held against the whole, on both engines."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import db, dispatch
from app.actor import Actor
from app.errors import NotFound
from app.sessions import service
from app.sessions.service import Message, Session, windows


@pytest.fixture(autouse=True)
def database(either_database: db.Database) -> db.Database:
    """Both engines in turn."""
    return either_database


def begin(actor: Actor, directory: Path, **more: Any) -> Session:
    """A session in a project that is there."""
    project = SimpleNamespace(id="prj_app", owner=actor.user, project="prj_app", visibility="team")
    return service.create(actor, SimpleNamespace(project=project, directory=directory), **{"title": "Fix it", **more})


@pytest.fixture
def session(alice: Actor, tmp_path: Path) -> Session:
    """A session of Alice's."""
    return begin(alice, tmp_path)


@pytest.fixture
def messages(alice: Actor, session: Session) -> list[Message]:
    """Its 12 messages, each of two parts."""
    for number in range(12):
        parts = [{"type": "text", "text": f"{number} {half}"} for half in "ab"]
        service.send(alice, session.id, parts, provider="demo", model="demo", no_reply=True)
    return service.transcript(alice, session.id)


def test_a_window_is_the_end_of_the_transcript(alice: Actor, session: Session, messages: list[Message]) -> None:
    assert service.window(alice, session.id, limit=5) == (messages[-5:], True)
    assert service.window(alice, session.id, limit=12) == (messages, False)
    assert service.window(alice, session.id, before=messages[4].id, limit=3) == (messages[1:4], True)
    assert service.window(alice, session.id, before=messages[0].id) == ([], False)


def test_the_tail_is_the_window_at_the_end(
    alice: Actor, bob: Actor, tmp_path: Path, session: Session, messages: list[Message]
) -> None:
    for limit in (5, 11, 12, 20):
        assert service.tail(alice, session, limit) == service.window(alice, session.id, limit=limit)
    assert service.tail(alice, begin(alice, tmp_path), 5) == ([], False)
    with pytest.raises(NotFound):
        service.tail(bob, begin(alice, tmp_path, visibility="private"), 5)


def test_a_window_stands_around_a_message(alice: Actor, session: Session, messages: list[Message]) -> None:
    found, has_earlier = service.window(alice, session.id, at=messages[6].id, limit=4)
    assert (found, has_earlier) == (messages[4:8], True)
    assert service.window(alice, session.id, at=messages[11].id, limit=4) == (messages[-4:], True)
    assert service.window(alice, session.id, at="msg_unknown", limit=4) == (messages[-4:], True)


def test_an_outline_says_no_word_but_keeps_every_place(
    alice: Actor, charlie: Actor, session: Session, messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "wake", lambda *_: None)
    _, run_id = service.send(alice, session.id, [{"type": "text", "text": "?"}], provider="demo", model="demo")
    hold = service.take(run_id or "")
    assert hold is not None
    service.add_message(hold, {"parentID": hold.run.message_id, "finish": "stop"})
    found, whole = service.outline(alice, session.id), service.transcript(alice, session.id)
    assert [(one.id, one.role, one.data.get("parentID")) for one in found] == [
        (one.id, one.role, one.data.get("parentID")) for one in whole
    ]
    assert [[part.id for part in one.parts] for one in found] == [[part.id for part in one.parts] for one in whole]
    assert not any(part.data for one in found for part in one.parts)
    with pytest.raises(NotFound):
        service.outline(charlie, session.id)


def test_an_outline_can_be_of_some_messages_alone(
    alice: Actor, bob: Actor, tmp_path: Path, messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    of, whole = messages[0].session_id, service.outline(alice, messages[0].session_id)
    other = begin(alice, tmp_path, visibility="private")
    ids = {messages[2].id, messages[7].id, "msg_unknown"}
    assert service.outline(alice, of, ids) == [whole[2], whole[7]]
    assert (service.outline(alice, of, set()), service.outline(alice, other.id, ids)) == ([], [])
    for asked in (ids, set[str]()):
        with pytest.raises(NotFound):
            service.outline(bob, other.id, asked)
    monkeypatch.setattr(windows, "FEW", 2)
    assert service.outline(alice, of, ids) == whole


def test_what_came_before_a_part_comes_in_order(alice: Actor, session: Session, messages: list[Message]) -> None:
    every = [part for message in messages for part in message.parts]
    at = every[7]
    assert service.parts_before(alice, session.id, at.message_id, at.id, 3) == every[4:7]
    first = every[0]
    assert service.parts_before(alice, session.id, first.message_id, first.id) == []


def test_the_export_is_the_whole_transcript(alice: Actor, session: Session, messages: list[Message]) -> None:
    told, found = service.export(alice, session.id)
    assert (told.id, list(found)) == (session.id, messages)


def test_a_stranger_finds_nothing(alice: Actor, bob: Actor, tmp_path: Path) -> None:
    hidden = begin(alice, tmp_path, visibility="private")
    for look in (
        lambda: service.window(bob, hidden.id),
        lambda: service.parts_before(bob, hidden.id, "msg_1", "prt_1"),
        lambda: service.export(bob, hidden.id),
    ):
        with pytest.raises(NotFound):
            look()
    assert service.labels(bob, [hidden.id]) == {}
    assert service.labels(alice, [hidden.id])[hidden.id].title == "Fix it"


def test_labels_are_those_of_the_sessions(alice: Actor, bob: Actor, charlie: Actor, session: Session) -> None:
    label = service.labels(bob, [session.id, "ses_unknown"])[session.id]
    assert (label.title, label.directory, label.owner) == (session.title, session.directory, alice.user)
    assert service.labels(charlie, [session.id]) == {}


def test_what_was_begun_comes_with_its_first_words(
    alice: Actor, bob: Actor, tmp_path: Path, session: Session, messages: list[Message]
) -> None:
    silent, hidden = begin(alice, tmp_path, title="Silent"), begin(alice, tmp_path, visibility="private")
    parts = [{"type": "text", "text": text} for text in ("One", "", "two")]
    service.send(alice, hidden.id, [{"type": "text", "text": "By itself", "synthetic": True}, *parts], no_reply=True)
    service.update(alice, begin(alice, tmp_path).id, archived=1)
    begin(alice, tmp_path, parent_id=session.id)
    found, total = service.by_creation(alice, project="prj_app")
    assert [(one.id, one.said) for one in found] == [
        (hidden.id, "One\ntwo"),
        (silent.id, None),
        (session.id, "0 a\n0 b"),
    ]
    now = service.get(alice, silent.id)
    assert total == 3
    assert (found[1].title, found[1].mode, found[1].tokens) == (now.title, now.mode, now.tokens)
    assert (found[1].cost, found[1].created, found[1].updated) == (now.cost, now.created, now.updated)
    for offset in range(5):
        assert service.by_creation(alice, project="prj_app", offset=offset, limit=1) == (found[offset : offset + 1], 3)
    assert service.by_creation(bob, project="prj_app") == (found[1:], 2)
    assert service.by_creation(alice, project="prj_other") == ([], 0)


def test_the_newest_is_the_one_that_was_created_last(
    alice: Actor, bob: Actor, tmp_path: Path, session: Session
) -> None:
    here = {"directory": str(tmp_path), "owner": alice.user}
    hidden = begin(alice, tmp_path, visibility="private")
    service.update(alice, begin(alice, tmp_path).id, archived=1)
    service.update(alice, session.id, title="Touched last")
    assert service.newest(alice, **here) == service.get(alice, hidden.id)
    assert service.newest(bob, **here) == service.get(alice, session.id)
    assert service.newest(alice, directory="/nowhere", owner=alice.user) is None


def test_what_runs_is_counted_as_the_states_are(
    alice: Actor, bob: Actor, tmp_path: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "wake", lambda *_: None)
    for one in (session, begin(alice, tmp_path), begin(alice, tmp_path, visibility="private")):
        service.send(alice, one.id, [{"type": "text", "text": "go"}], provider="demo", model="demo")
    service.update(alice, session.id, archived=1)
    for actor in (alice, bob):
        counts = service.count_by_state(actor)
        assert service.count_running(actor) == counts.get("running", 0) + counts.get("queued", 0)
    assert (service.count_running(alice), service.count_running(bob)) == (2, 1)
