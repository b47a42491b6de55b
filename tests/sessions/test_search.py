"""What was said in any transcript is found by its words, on both engines, by those who may read it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import db, dispatch
from app.actor import Actor
from app.sessions import service
from app.sessions.service import Hold, Message, Session, index


@pytest.fixture(autouse=True)
def store(either_database: db.Database, monkeypatch: pytest.MonkeyPatch) -> db.Database:
    """A database of each engine; nothing is woken."""
    monkeypatch.setattr(dispatch, "wake", lambda _name, _run_id: None)
    return either_database


def begin(actor: Actor, title: str = "Session", **more: Any) -> Session:
    thing = SimpleNamespace(id="prj_shop", owner=actor.user, project="prj_shop", visibility="team")
    return service.create(actor, SimpleNamespace(project=thing, directory=Path("/nowhere")), title=title, **more)


def say(actor: Actor, session: Session, text: str) -> Message:
    return service.send(actor, session.id, [{"type": "text", "text": text}], no_reply=True)[0]


def at_work(actor: Actor, session: Session) -> tuple[Hold, Message]:
    """A run of the session, and the answer it writes."""
    sent, run_id = service.send(actor, session.id, [{"type": "text", "text": "go"}])
    hold = service.take(run_id or "")
    assert isinstance(hold, Hold)
    return hold, service.add_message(hold, {"parentID": sent.id})


def places(actor: Actor, words: str) -> list[str]:
    return [session.id for session, _ in service.find_words(actor, words)]


def test_words_are_found_by_their_beginnings_in_any_order(alice: Actor) -> None:
    session = begin(alice)
    say(alice, session, "Round the half-cents of Zoë's basket_total upwards")
    for words in ("basket", "upw round", "BASKET_TOTAL", "half-cents", "cents up"):
        assert places(alice, words) == [session.id], words
    for words in ("asket", "basket downwards", "", "()", "* "):
        assert places(alice, words) == [], words


def test_the_words_around_the_hit_are_shown(alice: Actor) -> None:
    session = begin(alice)
    sent = say(alice, session, f"{'before ' * 30}the  needle\nis here {'after ' * 30}")
    [(_, found)] = service.find_words(alice, "needle")
    assert (found.message_id, found.part_id) == (sent.id, sent.parts[0].id)
    assert "before the needle is here after" in found.around
    assert found.around.startswith("…")
    assert found.around.endswith("…")
    assert len(found.around) < 150


def test_a_text_that_grows_is_found_once_it_has_ended(alice: Actor) -> None:
    session = begin(alice)
    hold, answer = at_work(alice, session)
    part = service.add_part(hold, answer.id, "text", {"text": "", "time": {"start": 1}})
    service.append_text(hold, part, "the brindled gnu", 16).result(timeout=10)
    assert places(alice, "brindled") == []
    part.data.update(text="the brindled gnu", time={"start": 1, "end": 2})
    service.save_part(hold, part)
    assert places(alice, "brindled gnu") == [session.id]


def test_calls_are_found_by_what_they_were_given_and_what_they_gave(alice: Actor) -> None:
    session = begin(alice)
    hold, answer = at_work(alice, session)
    state = {"status": "running", "input": {"command": "pytest -k proration", "more": ["deeply", {"x": "nested"}]}}
    part = service.add_part(hold, answer.id, "tool", {"callID": "c1", "tool": "bash", "state": state})
    assert places(alice, "proration") == []
    part.data["state"] = {**state, "status": "completed", "output": "3 failed in carousel", "title": "Run tests"}
    service.save_part(hold, part)
    for words in ("proration", "nested", "carousel failed", "bash run"):
        assert places(alice, words) == [session.id], words


def test_what_was_changed_is_found_by_its_new_words_only(alice: Actor) -> None:
    session = begin(alice)
    hold, answer = at_work(alice, session)
    part = service.add_part(hold, answer.id, "text", {"text": "old wording", "time": {"start": 1, "end": 2}})
    part.data["text"] = "new wording"
    service.save_part(hold, part)
    assert places(alice, "old") == []
    assert places(alice, "new wording") == [session.id]


def test_what_is_gone_is_not_found(alice: Actor) -> None:
    reverted, deleted = begin(alice), begin(alice)
    sent = say(alice, reverted, "the quagga")
    service.set_revert(alice, reverted.id, {"messageID": sent.id})
    say(alice, reverted, "the zebra")
    say(alice, deleted, "the quagga again")
    service.delete(alice, deleted.id)
    assert places(alice, "quagga") == []
    assert places(alice, "zebra") == [reverted.id]


def test_nobody_finds_what_they_may_not_read(alice: Actor, bob: Actor) -> None:
    secret, told = begin(alice, visibility="private"), begin(alice)
    for session in (secret, told):
        say(alice, session, "the launch code")
    assert set(places(alice, "launch")) == {secret.id, told.id}
    assert places(bob, "launch") == [told.id]


def test_the_newest_sessions_come_first_each_once(alice: Actor) -> None:
    sessions = [begin(alice) for _ in range(4)]
    for session in sessions:
        for _ in range(3):
            say(alice, session, "the same words")
    newest = [session.id for session in reversed(sessions)]
    assert [session.id for session, _ in service.find_words(alice, "same", limit=3)] == newest[:3]


def test_the_list_of_sessions_seeks_in_titles_and_in_what_was_said(alice: Actor) -> None:
    titled, said, other = begin(alice, "About tapirs"), begin(alice, "Something"), begin(alice, "Nothing")
    say(alice, said, "tapirs are shy")
    say(alice, other, "okapis are shyer")
    found = {session.id for session in service.find_page(alice, words="tapir", in_messages=True)}
    assert found == {titled.id, said.id}


def test_a_long_text_is_found_by_its_beginning(alice: Actor) -> None:
    session = begin(alice)
    say(alice, session, f"platypus {'x' * 300_000} echidna")
    assert places(alice, "platypus") == [session.id]
    assert places(alice, "echidna") == []


def test_a_word_that_many_say_is_found_alike(alice: Actor, bob: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MANY", 1)
    secret, older, newer = begin(alice, visibility="private"), begin(alice), begin(alice)
    titled, other = begin(alice, title="A gnu by name"), begin(alice)
    for session, text in (
        (newer, "gnu"),
        (secret, "gnu"),
        (older, "gnu okapi"),
        (other, "okapi"),
        (newer, "gnu okapi"),
    ):
        said = say(alice, session, text)
    [(_, last), _ignored] = service.find_words(bob, "okap gnu")
    assert (places(bob, "gnu"), last.message_id) == ([newer.id, older.id], said.id)
    found = {session.id for session in service.find_page(bob, words="gnu", in_messages=True)}
    assert found == {newer.id, older.id, titled.id}
