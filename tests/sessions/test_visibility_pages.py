"""Who sees a session, on pages: chosen when it begins, changed on its page, told in lists and live."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import service as approvals
from app.dialects.mount import Cabin
from app.events import service as events
from app.projects import service as projects
from app.sessions import service
from app.sessions.service import Session
from tests.conftest import Caller, member
from tests.model_server import ModelServer
from tests.patience import PATIENCE
from tests.visitor import Browser, data_of, frames, is_whole, until


@pytest.fixture
def session(alice: Actor) -> Session:
    """A session of Alice's that the team sees."""
    return service.create(alice, projects.resolve(alice, None), title="Fix the cent")


def drawn(stream: Callable[[], str], word: str) -> str:
    """All that a page is told until a word is in it."""
    told = ""
    while word not in told:
        told += data_of(stream())
    return told


def test_it_is_chosen_when_a_session_begins(browser: Browser, alice: Actor) -> None:
    home = browser.get("/").text
    assert 'name="visibility"' in home
    assert '<option value="team" selected>' in home
    for wanted in ("private", "team"):
        given = {"text": "[[say Hello]]", "visibility": wanted, "model": "demo/walkthrough"}
        answer = browser.post("/sessions", given)
        assert answer.status_code == 303, answer.text
        assert service.get(alice, answer.headers["Location"].rpartition("/")[2]).visibility == wanted
    accounts.change_visibility(alice, "private")
    assert '<option value="private" selected>' in browser.get("/").text
    assert browser.post("/sessions", {"text": "Hm", "visibility": "everybody"}).status_code == 400


def test_opencodes_clients_say_it_with_a_key_of_ours(call: Caller, alice: Actor) -> None:
    made = call.post("/session", {"title": "Plan", "visibility": "private"}).json
    assert service.get(alice, made["id"]).visibility == "private"
    assert call("PATCH", f"/session/{made['id']}", {"visibility": "team"}).status_code == 200
    assert service.get(alice, made["id"]).visibility == "team"
    assert call.post("/session", {"visibility": "shared"}).status_code == 400
    assert service.get(alice, call.post("/session", {}).json["id"]).visibility == "team"


def test_its_page_has_the_menu_for_its_owner_alone(app: Cabin, browser: Browser, bob: Actor, session: Session) -> None:
    page = browser.get(f"/sessions/{session.id}").text
    assert 'aria-label="Who sees it: the team"' in page
    assert page.count(f'action="/sessions/{session.id}/visibility"') == 2
    assert "Anyone with the link…" in page
    theirs = Browser(app, bob).get(f"/sessions/{session.id}").text
    assert 'title="Who sees it: the team"' in theirs
    assert "/visibility" not in theirs


def test_a_press_changes_it_with_and_without_a_script(browser: Browser, alice: Actor, session: Session) -> None:
    answer = browser.post(f"/sessions/{session.id}/visibility", {"visibility": "private"})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/sessions/{session.id}")
    assert 'aria-label="Who sees it: its owner alone"' in browser.get(f"/sessions/{session.id}").text
    assert browser.htmx(f"/sessions/{session.id}/visibility", {"visibility": "team"}).status_code == 204
    assert service.get(alice, session.id).visibility == "team"
    for wrong in ("", "shared"):
        answer = browser.post(f"/sessions/{session.id}/visibility", {"visibility": wrong})
        assert answer.status_code == 400
        assert is_whole(answer)


def test_nobody_else_presses_it(app: Cabin, alice: Actor, bob: Actor, session: Session) -> None:
    theirs = Browser(app, bob)
    assert theirs.post(f"/sessions/{session.id}/visibility", {"visibility": "private"}).status_code == 403
    admin = Browser(app, member(alice, "Ada", "admin"))
    assert admin.post(f"/sessions/{session.id}/visibility", {"visibility": "private"}).status_code == 403
    service.update(alice, session.id, visibility="private")
    assert theirs.post(f"/sessions/{session.id}/visibility", {"visibility": "team"}).status_code == 404


def test_a_link_is_given_an_end_on_its_page(browser: Browser, alice: Actor, session: Session) -> None:
    path = f"/sessions/{session.id}/share"
    assert 'name="ends"' in browser.get(path).text
    assert browser.post(path, {"ends": "7"}).status_code == 303
    shared = service.get(alice, session.id)
    assert shared.share_until is not None
    page = browser.get(path).text
    assert "it ends 20" in page
    menu = browser.get(f"/sessions/{session.id}").text
    assert "until 20" in menu
    assert service.share_url(shared) in menu
    browser.post(path, {"ends": "", "output": "yes"})
    assert service.get(alice, session.id).share_until == shared.share_until
    browser.post(path, {"ends": "never"})
    assert service.get(alice, session.id).share_until is None
    assert "it has no end" in browser.get(path).text
    assert browser.post(path, {"ends": "100"}).status_code == 400
    assert browser.htmx(f"/sessions/{session.id}/unshare").status_code == 204
    assert service.get(alice, session.id).visibility == "team"


def test_lists_mark_it_and_filter_by_it(browser: Browser, alice: Actor, session: Session) -> None:
    place = projects.resolve(alice, None)
    hidden = service.create(alice, place, title="Quiet plan", visibility="private")
    shared = service.share(alice, service.create(alice, place, title="Loud plan").id)
    rows = re.split(r'<tr id="row-', browser.get("/sessions").text)[1:]
    marks = {row.split('"')[0]: re.findall(r'title="Seen by ([^"]+)"', row) for row in rows}
    assert marks == {session.id: [], hidden.id: ["its owner alone"], shared.id: ["anyone with the link"]}
    for wanted, one in (("private", hidden), ("team", session), ("shared", shared)):
        page = browser.get(f"/sessions?seen={wanted}").text
        assert re.findall(r'<tr id="row-(ses_\w+)"', page) == [one.id]
        assert "seen by " in page
    assert len(re.findall(r'<tr id="row-', browser.get("/sessions?seen=x").text)) == 3


def test_it_goes_from_open_pages_of_those_who_see_it_no_more(
    app: Cabin, alice: Actor, bob: Actor, session: Session
) -> None:
    theirs = Browser(app, bob)
    lists = frames(theirs.get(f"/live?lastEventId={events.latest()}", buffered=False))
    at_it = frames(theirs.get(f"/live?lastEventId={events.latest()}&at={session.id}", buffered=False))
    service.update(alice, session.id, visibility="private")
    told = drawn(lambda: next(lists), f"#row-{session.id}")
    for place in ("row", "side", "run", "recent"):
        assert f'<hx-partial hx-target="#{place}-{session.id}" hx-swap="delete">' in told
    assert 'hx-target="#running-count"' in told
    assert next(one for one in at_it if "event: resync" in one)  # it loads itself anew, and is not found
    at_it.close()
    service.update(alice, session.id, title="A secret plan")
    service.update(alice, session.id, visibility="team")
    told = drawn(lambda: next(lists), f'id="side-{session.id}"')
    lists.close()
    assert "hx-swap" in told


def test_its_asks_go_from_the_inbox_of_others_and_come_back(app: Cabin, browser: Browser, alice: Actor) -> None:
    accounts.create_role(alice, "release", inherits=["member"], permissions=["others:approvals:answer"])
    theirs = Browser(app, member(alice, "Eve", "release"))
    session_id = browser.post("/demo").headers["Location"].rpartition("/")[2]
    ask = until(lambda: next(iter(approvals.waiting(alice, session_id)), None))
    assert ask.id in theirs.get("/inbox").text
    stream = frames(theirs.get(f"/live?lastEventId={events.latest()}", buffered=False))
    service.update(alice, session_id, visibility="private")
    told = drawn(lambda: next(stream), f"#ask-row-{ask.id}")
    assert f'<hx-partial hx-target="#ask-row-{ask.id}" hx-swap="delete">' in told
    assert '<hx-partial hx-target=".inbox-count" hx-swap="innerHTML"></hx-partial>' in told
    assert ask.id not in theirs.get("/inbox").text
    service.update(alice, session_id, visibility="team")
    told = drawn(lambda: next(stream), f'id="ask-row-{ask.id}"')
    stream.close()
    assert '<hx-partial hx-target=".inbox-count" hx-swap="innerHTML">1</hx-partial>' in told


def test_opencodes_clients_are_told_that_it_is_gone(app: Cabin, alice: Actor, bob: Actor, session: Session) -> None:
    his, hers = Caller(app, bob), Caller(app, alice)
    streams = [
        frames(one.get("/event", headers={"Last-Event-ID": events.latest()}, buffered=False)) for one in (his, hers)
    ]
    service.update(alice, session.id, visibility="private", title="A secret plan")
    sentinel = service.create(alice, projects.resolve(alice, None), title="The end")
    his_told, her_told = (drawn(lambda stream=stream: next(stream), sentinel.id) for stream in streams)  # type: ignore[misc]
    for stream in streams:
        stream.close()
    assert "session.deleted" in his_told
    assert "secret" not in his_told
    assert "session.deleted" not in her_told
    assert "secret" in her_told


def test_who_waits_for_an_answer_in_it_waits_no_more(
    app: Cabin, scripted: ModelServer, alice: Actor, bob: Actor
) -> None:
    session = service.create(bob, projects.resolve(bob, None), title="His", provider="openai", model="scripted")
    hers, answers = Caller(app, member(alice, "Ada", "admin")), []

    def ask() -> None:
        parts = [{"type": "text", "text": "[[bash make paint]] [[say Painted.]]"}]
        answers.append(hers.post(f"/session/{session.id}/message", {"parts": parts}))

    waits = threading.Thread(target=ask)
    waits.start()
    until(lambda: approvals.waiting(bob, session.id))
    service.update(bob, session.id, visibility="private")
    waits.join(PATIENCE)
    assert not waits.is_alive()
    assert answers[0].status_code == 404


def test_the_server_has_a_default_on_its_settings_page(app: Cabin, browser: Browser, bob: Actor) -> None:
    page = browser.get("/settings/sessions")
    assert is_whole(page)
    assert "SIGNALCABIN_VISIBILITY" in page.text
    assert browser.post("/settings/sessions", {"visibility": "private"}).status_code == 303
    assert 'value="private" checked' in browser.get("/settings/sessions").text
    theirs = Browser(app, bob)
    assert '<option value="private" selected>' in theirs.get("/").text
    assert theirs.post("/settings/sessions", {"visibility": "team"}).status_code in (403, 404)
    assert browser.post("/settings/sessions", {"visibility": "shared"}).status_code == 400
