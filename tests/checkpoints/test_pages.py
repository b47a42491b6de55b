from __future__ import annotations

from pathlib import Path

import pytest

from app.actor import Actor
from app.approvals import service as approvals
from app.sessions import service as sessions
from app.sessions.service import Part, Session
from tests.visitor import Browser, until

FIXED = "delta = (new.price - old.price) * ratio"


@pytest.fixture
def session(browser: Browser, alice: Actor) -> Session:
    """The demo after its edit, stopped before its tests."""
    session_id = browser.post("/demo").headers["Location"].rpartition("/")[2]
    edit = until(lambda: next(iter(approvals.waiting(alice, session_id)), None))
    approvals.answer(alice, edit.id, "once")
    until(lambda: [ask for ask in approvals.waiting(alice, session_id) if ask.id != edit.id])
    sessions.abort(alice, session_id)
    return until(lambda: one if not (one := sessions.get(alice, session_id)).is_busy else None)


def edit_of(actor: Actor, session: Session) -> Part:
    """The part of the edit."""
    parts = [part for message in sessions.transcript(actor, session.id) for part in message.parts]
    return next(part for part in parts if part.type == "tool" and part.data["tool"] == "edit")


def code(session: Session) -> str:
    """The file that the demo edits."""
    return (Path(session.directory) / "billing/proration.py").read_text()


def test_the_pages_show_what_changed(browser: Browser, session: Session) -> None:
    assert "billing/proration.py" in browser.get(f"/sessions/{session.id}").text.split('id="session-panel"')[1]
    changes = browser.get(f"/sessions/{session.id}/changes").text
    assert "billing/proration.py" in changes
    assert 'class="plus"' in changes


def test_a_step_back_and_forth_by_forms(browser: Browser, alice: Actor, session: Session) -> None:
    part = edit_of(alice, session)
    assert FIXED in code(session)
    data = {"messageID": part.message_id, "partID": part.id}
    answer = browser.post(f"/sessions/{session.id}/revert", data)
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith(f"/sessions/{session.id}")
    assert FIXED not in code(session)
    assert "Undo the step back" in browser.get(f"/sessions/{session.id}").text
    assert browser.post(f"/sessions/{session.id}/unrevert").status_code == 303
    assert FIXED in code(session)


@pytest.mark.parametrize("path", ["revert", "unrevert"])
def test_forms_need_the_token_and_our_own_origin(browser: Browser, session: Session, path: str) -> None:
    where = f"/sessions/{session.id}/{path}"
    assert browser.post(where, token="").status_code == 403
    assert browser.post(where, headers={"Origin": "https://evil.example"}).status_code == 403


def test_an_unknown_session_is_a_page_that_says_so(browser: Browser) -> None:
    assert browser.post("/sessions/ses_x/revert", {"messageID": "msg_x"}).status_code == 404
