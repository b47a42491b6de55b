from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from app import db
from app.actor import Actor
from app.approvals import service as approvals
from app.checkpoints import rows, taking
from app.checkpoints import service as checkpoints
from app.checkpoints.service import Checkpoint
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service as sessions
from app.sessions.service import Part, Session
from tests.conftest import member
from tests.visitor import Browser, data_of, frames, is_whole, until

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


def test_a_refused_step_is_told_where_one_was(browser: Browser, alice: Actor) -> None:
    session_id = browser.post("/demo").headers["Location"].rpartition("/")[2]
    until(lambda: approvals.waiting(alice, session_id))
    where, data = f"/sessions/{session_id}/revert", {"messageID": sessions.transcript(alice, session_id)[0].id}
    by_script = browser.htmx(where, data)
    assert (by_script.status_code, "stop it first" in by_script.text, "<html" in by_script.text) == (409, True, False)
    by_form = browser.post(where, data)
    assert by_form.status_code == 409
    assert f'href="/sessions/{session_id}">Go back</a>' in by_form.text
    sessions.abort(alice, session_id)
    until(lambda: not sessions.get(alice, session_id).is_busy)
    assert browser.htmx(where, data).status_code == 204
    assert browser.htmx(f"/sessions/{session_id}/unrevert").status_code == 204


@pytest.mark.parametrize("path", ["revert", "unrevert"])
def test_forms_need_the_token_and_our_own_origin(browser: Browser, session: Session, path: str) -> None:
    where = f"/sessions/{session.id}/{path}"
    assert browser.post(where, token="").status_code == 403
    assert browser.post(where, headers={"Origin": "https://evil.example"}).status_code == 403


def test_an_unknown_session_is_a_page_that_says_so(browser: Browser) -> None:
    assert browser.post("/sessions/ses_x/revert", {"messageID": "msg_x"}).status_code == 404


def made(browser: Browser, answer: Any) -> str:
    """Follow a form's answer; the page it leads to."""
    assert answer.status_code == 303, answer.text
    assert "/checkpoints?" in answer.headers["Location"]
    return str(browser.get(answer.headers["Location"]).text)


def numbered(actor: Actor, session: Session, number: int) -> Checkpoint:
    return next(one for one in checkpoints.of_session(actor, session.id) if one.number == number)


def test_the_timeline_is_a_whole_page(browser: Browser, session: Session) -> None:
    page = browser.get(f"/checkpoints?session={session.id}")
    assert is_whole(page)
    for words in ("#0 Before the first change", "#1 ", "after edit", "as in #1", "2 kept", "30 days", "Restore to #1"):
        assert words in page.text
    assert f"/checkpoints?session={session.id}" in browser.get(f"/sessions/{session.id}").text
    assert 'href="/checkpoints"' in browser.get("/").text


def test_the_newest_session_with_changes_is_shown_without_being_named(browser: Browser, session: Session) -> None:
    assert f'value="{session.id}" selected' in browser.get("/checkpoints").text


def test_a_server_without_sessions_and_a_session_without_checkpoints_say_so(browser: Browser, alice: Actor) -> None:
    assert "None yet. One is made before the agent" in browser.get("/checkpoints").text
    new = sessions.create(alice, projects.resolve(alice, None))
    page = browser.get(f"/checkpoints?session={new.id}")
    assert is_whole(page)
    assert "None yet. One is made before the agent" in page.text


def test_what_going_back_would_do_stands_in_three_groups(browser: Browser, session: Session) -> None:
    place = Path(session.directory)
    (place / "notes.md").write_text("mine\n")
    (place / ".env.local").write_text("x\n")
    (place / ".gitignore").write_text("*.local\n")
    page = browser.get(f"/checkpoints?session={session.id}&at=0").text
    put_back = page.split("<b>Put back</b>")[1].split("<b>Removed</b>")[0]
    kept = page.split("<b>Kept</b>")[1]
    assert "billing/proration.py" in put_back
    assert "checked" in put_back
    assert "notes.md" in kept
    assert "not made by the agent" in kept
    assert re.search(r"\.env\.local.*ignored", kept)
    assert 'class="minus"' in page
    assert "The present state becomes #2 first, so this can be undone." in page
    assert "Restore <span data-chosen>1 file</span> to #0" in page


def test_files_go_back_and_one_press_undoes_it(browser: Browser, alice: Actor, session: Session) -> None:
    target = numbered(alice, session, 0)
    page = made(browser, browser.post(f"/checkpoints/{target.id}/restore", {"path": "billing/proration.py"}))
    assert FIXED not in code(session)
    assert "1 file is set back." in page
    undo = re.search(r'action="(/checkpoints/chk_\w+/undo)"', page)
    assert undo
    page = made(browser, browser.post(undo[1]))
    assert FIXED in code(session)
    assert "The restore is undone." in page
    again = re.search(r'action="(/checkpoints/chk_\w+/undo)"', page)
    assert again
    made(browser, browser.post(again[1]))
    assert FIXED not in code(session)


def test_the_conversation_goes_back_with_the_files(browser: Browser, alice: Actor, session: Session) -> None:
    target = numbered(alice, session, 0)
    form = {"path": "billing/proration.py", "scope": "both"}
    page = made(browser, browser.post(f"/checkpoints/{target.id}/restore", form))
    assert "1 file and the conversation are set back." in page
    assert "Undo the step back" in browser.get(f"/sessions/{session.id}").text
    undo = re.search(r'action="(/checkpoints/chk_\w+/undo)"', page)
    assert undo
    made(browser, browser.post(undo[1]))
    assert sessions.get(alice, session.id).revert is None
    assert FIXED in code(session)


def test_the_conversation_alone_can_go_back(browser: Browser, alice: Actor, session: Session) -> None:
    target = numbered(alice, session, 0)
    page = made(browser, browser.post(f"/checkpoints/{target.id}/restore", {"scope": "conversation"}))
    assert "The conversation is set back." in page
    assert FIXED in code(session)
    assert sessions.get(alice, session.id).revert is not None


def test_the_three_views_are_in_the_url(browser: Browser, session: Session) -> None:
    step = browser.get(f"/checkpoints?session={session.id}&at=1&view=step").text
    assert "What this step changed" in step
    assert 'class="plus"' in step
    assert "What changed from the start to #1" in browser.get(f"/checkpoints?session={session.id}&at=1&view=start").text
    assert "Restore to #1" in browser.get(f"/checkpoints?session={session.id}&at=1&view=nonsense").text


def test_htmx_gets_one_files_difference_alone(browser: Browser, session: Session) -> None:
    where = f"/checkpoints?session={session.id}&at=0&file=billing/proration.py"
    answer = browser.get(where, headers={"HX-Request": "true"}).text
    assert "<html" not in answer
    assert answer.lstrip().startswith("<section")
    assert "billing/proration.py" in answer


def test_two_are_compared_by_their_numbers_in_the_url(browser: Browser, session: Session) -> None:
    page = browser.get(f"/checkpoints?session={session.id}&from=0&to=1").text
    assert "1 file from #0 to #1" in page
    assert 'class="plus"' in page
    assert "0 files from #1 to now" in browser.get(f"/checkpoints?session={session.id}&from=1&to=now").text
    assert "Compare two" in browser.get(f"/checkpoints?session={session.id}&compare=1").text


def test_why_one_is_missing_or_lost_is_told(browser: Browser, alice: Actor, session: Session) -> None:
    failed = dataclasses.replace(taking.blank(session, "failed"), note="No checkpoint could be made: the disk is full.")
    lost = numbered(alice, session, 0)
    with db.transaction() as conn:
        rows.insert(conn, failed, session)
        rows.mark_lost(conn, [lost.id], taking.LOST)
    page = browser.get(f"/checkpoints?session={session.id}&at=0").text
    assert "the disk is full" in page
    assert "be gone back to any more." in page
    assert "(git gc --prune)" in page
    assert "data-chosen" not in page
    assert browser.post(f"/checkpoints/{lost.id}/restore", {"path": "billing/proration.py"}).status_code == 409


def test_a_directory_that_is_gone_is_told_and_the_page_stands(browser: Browser, session: Session) -> None:
    place = Path(session.directory)
    place.rename(place.with_name("elsewhere"))
    page = browser.get(f"/checkpoints?session={session.id}")
    assert is_whole(page)
    assert page.text.count("is missing") >= 2


def test_what_agents_and_files_are_called_is_text(browser: Browser, alice: Actor, session: Session) -> None:
    (Path(session.directory) / "<b>evil.txt").write_text("<script>alert(1)</script>\n")
    note = dataclasses.replace(taking.blank(session, "failed"), note="<i>evil</i>")
    with db.transaction() as conn:
        rows.insert(conn, note, session)
    page = browser.get(f"/checkpoints?session={session.id}&from=1&to=now").text
    assert "&lt;b&gt;evil.txt" in page
    for markup in ("<b>evil", "<i>evil", "<script>alert"):
        assert markup not in page


@pytest.mark.parametrize(
    ("query", "status"),
    [("at=99", 404), ("at=x", 404), ("at=-1", 404), ("from=0&to=99", 404), ("from=x", 404), ("at=" + "9" * 40, 404)],
)
def test_a_number_that_is_none_is_told(browser: Browser, session: Session, query: str, status: int) -> None:
    answer = browser.get(f"/checkpoints?session={session.id}&{query}")
    assert answer.status_code == status
    assert is_whole(answer)


@pytest.mark.parametrize(
    ("form", "status"),
    [({"path": []}, 400), ({"path": "a", "scope": "all"}, 400), ({"path": "../../etc/passwd"}, 303)],
    ids=["nothing chosen", "no scope", "a path outside"],
)
def test_a_form_that_makes_no_sense_is_told_so(
    browser: Browser, alice: Actor, session: Session, form: dict[str, Any], status: int
) -> None:
    target = numbered(alice, session, 0)
    assert browser.post(f"/checkpoints/{target.id}/restore", form).status_code == status
    assert FIXED in code(session)


def test_others_see_no_checkpoint_of_a_private_session(app: Cabin, alice: Actor, bob: Actor, session: Session) -> None:
    target = numbered(alice, session, 0)
    sessions.update(alice, session.id, visibility="private")
    theirs = Browser(app, bob)
    assert theirs.get(f"/checkpoints?session={session.id}").status_code == 404
    assert session.id not in theirs.get("/checkpoints").text
    for act in ("restore", "undo"):
        assert theirs.post(f"/checkpoints/{target.id}/{act}", {"path": "billing/proration.py"}).status_code == 404


def test_who_may_only_read_looks_and_finds_no_button(app: Cabin, alice: Actor, session: Session) -> None:
    viewer = Browser(app, member(alice, "Vera", "viewer"))
    page = viewer.get(f"/checkpoints?session={session.id}&at=0").text
    assert "billing/proration.py" in page
    assert "data-chosen" not in page
    target = numbered(alice, session, 0)
    assert viewer.post(f"/checkpoints/{target.id}/restore", {"path": "billing/proration.py"}).status_code == 403


@pytest.mark.parametrize("act", ["restore", "undo"])
def test_going_back_needs_the_token_and_our_own_origin(browser: Browser, session: Session, act: str) -> None:
    where = f"/checkpoints/chk_x/{act}"
    assert browser.post(where, token="").status_code == 403
    assert browser.post(where, headers={"Origin": "https://evil.example"}).status_code == 403
    assert browser.post(where, {"path": "a"}).status_code == 404


def test_an_open_page_hears_of_new_checkpoints(browser: Browser, alice: Actor, session: Session) -> None:
    page = browser.get(f"/checkpoints?session={session.id}").text
    stream = re.search(r'hx-sse:connect="([^"]+)"', page)
    assert stream
    streamed = frames(browser.get(stream[1].replace("&amp;", "&"), buffered=False))
    checkpoints.restore(alice, numbered(alice, session, 0).id)
    assert "new checkpoints" in next(data_of(frame) for frame in streamed if "checkpoints-more" in frame)
    streamed.close()


def test_who_edits_is_told_that_the_agent_wrote_the_file(browser: Browser, session: Session) -> None:
    at = browser.get("/browse/at", query_string={"directory": session.directory, "path": "billing/proration.py"})
    where = at.headers["Location"]
    page = browser.get(f"{where}?view=edit").text
    assert "The agent wrote this file" in page
    assert f'href="/sessions/{session.id}"' in page.split("The agent wrote this file")[1]
    assert "The agent wrote this file" not in browser.get(where).text
    other = where.replace("proration.py", "plans.py")
    assert "The agent wrote this file" not in browser.get(f"{other}?view=edit").text
    clash = browser.post(where.replace("/browse/", "/browse/save/"), {"text": "mine", "stamp": "0123"})
    assert clash.status_code == 409
    assert "The agent wrote this file" in clash.text
