"""Summing up and taking it back by plain forms, and who may."""

from __future__ import annotations

import re

import pytest

from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service as sessions
from tests.conftest import member
from tests.model_server import ModelServer, Say
from tests.visitor import Browser, until


@pytest.fixture
def session_id(app: Cabin, alice: Actor, scripted: ModelServer) -> str:
    scripted.script = [[Say("It is noon.")], [Say("## Task: tell the time.")]]
    session = sessions.create(alice, projects.resolve(alice, None), provider="openai", model="scripted")
    sessions.send(alice, session.id, [{"type": "text", "text": "What time is it?"}])
    rest(alice, session.id)
    return session.id


def rest(actor: Actor, session_id: str) -> None:
    """Wait until nothing of the session runs."""
    until(lambda: not sessions.get(actor, session_id).is_busy)


def test_forms_sum_up_undo_and_redo(browser: Browser, alice: Actor, session_id: str) -> None:
    there = f"/sessions/{session_id}"
    assert "Sum up the conversation" in browser.get(there).text
    assert browser.post(f"{there}/summarize").status_code == 303
    rest(alice, session_id)
    page = browser.get(there).text
    assert "the model goes on from the summary" in page
    assert "Task: tell the time." in page
    assert "It is noon." in page, "people still see everything"
    found = re.search(r'name="messageID" value="(msg_\w+)"><input type="hidden" name="aside" value="yes"', page)
    assert found, page
    asked = found[1]
    assert browser.post(f"{there}/summary", {"messageID": asked, "aside": "yes"}).status_code == 303
    assert "the model sees the whole conversation" in browser.get(there).text
    assert browser.htmx(f"{there}/summary", {"messageID": asked, "aside": "no"}).status_code == 204
    assert "Undo compaction" in browser.get(there).text


def test_bad_forms_are_told(browser: Browser, app: Cabin, alice: Actor, session_id: str) -> None:
    assert browser.post(f"/sessions/{session_id}/summary", {"messageID": "msg_none"}).status_code == 404
    assert browser.post("/sessions/ses_none/summarize").status_code == 404
    empty = sessions.create(alice, projects.resolve(alice, None))
    answer = browser.post(f"/sessions/{empty.id}/summarize")
    assert answer.status_code == 409
    assert "nothing to sum up" in answer.text


def test_who_may_only_read_sees_no_button(app: Cabin, alice: Actor, session_id: str) -> None:
    reader = Browser(app, member(alice, "Vera", "viewer"))
    page = reader.get(f"/sessions/{session_id}").text
    assert "It is noon." in page
    assert "Sum up the conversation" not in page
    assert reader.post(f"/sessions/{session_id}/summarize").status_code in (403, 404)


def test_a_queued_wish_is_shown_by_its_words(
    browser: Browser, alice: Actor, session_id: str, scripted: ModelServer
) -> None:
    scripted.script = []
    sessions.send(alice, session_id, [{"type": "text", "text": "[[words 400 50]]"}])
    until(lambda: sessions.get(alice, session_id).state == "running")
    sessions.summarize(alice, session_id)
    assert "Sum up the conversation" in browser.get(f"/sessions/{session_id}").text.split('id="session-queue"')[1]
    sessions.abort(alice, session_id)
    rest(alice, session_id)
