from __future__ import annotations

import re

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import service
from app.approvals.pages import who
from app.approvals.service import Ask
from app.dialects.mount import Cabin
from app.sessions import service as sessions
from tests.conftest import Caller, member
from tests.visitor import Browser, data_of, frames, is_whole, until


@pytest.fixture
def ask(browser: Browser, alice: Actor) -> Ask:
    """The demo's first ask: an edit."""
    return begin(browser, alice)


def begin(browser: Browser, actor: Actor) -> Ask:
    """Run the demo up to its first ask."""
    session_id = browser.post("/demo").headers["Location"].rpartition("/")[2]
    until(lambda: sessions.get(actor, session_id).state == "waiting")
    return until(lambda: next(iter(service.waiting(actor, session_id)), None))


def test_the_inbox_shows_what_waits_and_the_chosen_call(browser: Browser, ask: Ask) -> None:
    page = browser.get("/inbox")
    assert is_whole(page)
    assert f'id="ask-row-{ask.id}"' in page.text
    assert f'action="/inbox/{ask.id}"' in page.text
    assert "billing/proration.py" in page.text
    assert "README.md" in page.text
    assert 'data-open="no"' in page.text
    assert 'data-open="yes"' in browser.get(f"/inbox?ask={ask.id}").text


@pytest.mark.parametrize("tab", ["waiting", "others", "answered", "nonsense"])
def test_every_tab_is_a_whole_page(browser: Browser, tab: str) -> None:
    assert is_whole(browser.get(f"/inbox?tab={tab}"))


def test_an_ask_is_a_page_of_its_own(browser: Browser, ask: Ask) -> None:
    page = browser.get(f"/inbox/{ask.id}")
    assert is_whole(page)
    assert "1 of 1" in page.text


def test_the_session_shows_the_ask_in_its_place(browser: Browser, ask: Ask) -> None:
    page = browser.get(f"/sessions/{ask.session_id}").text
    assert f'id="ask-{ask.id}"' in page
    assert "Reject with this word" in page


def test_an_answer_by_form_lets_the_call_run(browser: Browser, alice: Actor, ask: Ask) -> None:
    answer = browser.post(f"/inbox/{ask.id}", {"reply": "once", "next": "/inbox"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/inbox")
    following = until(lambda: next(iter(service.waiting(alice, ask.session_id)), None))
    assert following.tool == "bash"
    assert "saved" in browser.get("/inbox?tab=answered").text
    assert "saved" in browser.get(f"/sessions/{ask.session_id}").text


def test_without_a_next_page_it_goes_on_in_the_session(browser: Browser, ask: Ask) -> None:
    answer = browser.post(f"/inbox/{ask.id}", {"reply": "reject", "next": "https://evil.example"})
    assert answer.headers["Location"].endswith(f"/sessions/{ask.session_id}")


def test_htmx_gets_the_answered_line_alone(browser: Browser, ask: Ask) -> None:
    answer = browser.htmx(f"/inbox/{ask.id}", {"reply": "reject", "word": "<b>later</b>"})
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert 'class="answered"' in answer.text
    assert "<b>later" not in answer.text
    assert "You rejected" in answer.text


def test_the_second_answer_is_told_who_was_first(app: Cabin, browser: Browser, alice: Actor, ask: Ask) -> None:
    service.answer(alice, ask.id, "reject", "no")
    late = browser.htmx(f"/inbox/{ask.id}", {"reply": "once"})
    assert late.status_code == 200
    assert f"Answered by {alice.name}" in late.text
    page = browser.post(f"/inbox/{ask.id}", {"reply": "once"})
    assert page.status_code == 409
    assert is_whole(page)
    assert f"Answered by {alice.name}" in page.text


def test_always_adds_the_rule_that_was_shown(browser: Browser, alice: Actor, ask: Ask) -> None:
    browser.post(f"/inbox/{ask.id}", {"reply": "always", "scope": "project"})
    rules = service.rules_of(alice, "project", ask.project)
    assert [f"{rule.action} {rule.tool} {rule.pattern}" for rule in rules] == [
        f"{rule['action']} {rule['tool']} {rule['pattern']}" for rule in ask.always
    ]


def test_the_composer_rejects_with_its_words(browser: Browser, alice: Actor, ask: Ask) -> None:
    data = {"text": "Use banker's rounding", "as": "reject"}
    assert browser.post(f"/sessions/{ask.session_id}/send", data).status_code == 303
    assert service.get(alice, ask.id).word == "Use banker's rounding"
    until(lambda: sessions.get(alice, ask.session_id).state == "idle")


@pytest.mark.parametrize("data", [{}, {"reply": "maybe"}])
def test_an_answer_that_is_none_is_told_so(browser: Browser, ask: Ask, data: dict[str, str]) -> None:
    assert browser.post(f"/inbox/{ask.id}", data).status_code == 400


def test_forms_need_the_token_and_our_own_origin(browser: Browser, alice: Actor, ask: Ask) -> None:
    assert browser.post(f"/inbox/{ask.id}", {"reply": "once"}, token="x").status_code == 403
    foreign = {"Origin": "https://evil.example"}
    assert browser.post(f"/inbox/{ask.id}", {"reply": "once"}, headers=foreign).status_code == 403
    assert service.get(alice, ask.id).state == "waiting"


def test_a_member_does_not_answer_for_another(app: Cabin, alice: Actor, bob: Actor, browser: Browser, ask: Ask) -> None:
    theirs = Browser(app, bob)
    assert ask.id in theirs.get("/inbox?tab=others").text
    assert ask.id not in theirs.get("/inbox").text
    assert theirs.post(f"/inbox/{ask.id}", {"reply": "once"}).status_code == 403
    assert service.get(alice, ask.id).state == "waiting"


def test_who_may_not_answer_sees_who_can(app: Cabin, alice: Actor, bob: Actor, browser: Browser, ask: Ask) -> None:
    member(alice, "Ada", "admin")
    theirs = Browser(app, bob)
    for path in (f"/sessions/{ask.session_id}", f"/inbox/{ask.id}", f"/inbox?tab=others&ask={ask.id}"):
        page = theirs.get(path).text
        assert f"{alice.name} or Ada can answer." in page
        assert f'action="/inbox/{ask.id}"' not in page or 'name="reply"' not in page
        assert "Reject with this word" not in page
        assert 'name="reply"' in browser.get(path).text


def test_enter_in_a_word_presses_no_answer(browser: Browser, ask: Ask) -> None:
    for path in (f"/sessions/{ask.session_id}", f"/inbox/{ask.id}"):
        form = browser.get(path).text.split(f'action="/inbox/{ask.id}"')[1].split("</form>")[0]
        assert form.index('<button class="sr" disabled') < form.index('name="reply"')


def test_an_answer_that_came_late_is_told_on_a_page_that_lives(browser: Browser, alice: Actor, ask: Ask) -> None:
    service.answer(alice, ask.id, "reject", "no")
    page = browser.post(f"/inbox/{ask.id}", {"reply": "once"}).text
    assert re.search(r'hx-sse:connect="/live\?lastEventId=\d', page)


def test_an_unknown_ask_is_a_page_that_says_so(browser: Browser) -> None:
    for answer in (browser.get("/inbox/per_x"), browser.post("/inbox/per_x", {"reply": "once"})):
        assert answer.status_code == 404
        assert is_whole(answer)


def test_a_stranger_is_led_to_sign_in(stranger: Caller) -> None:
    assert stranger.get("/inbox", headers={"Accept": "text/html"}).status_code == 303
    assert stranger.post("/inbox/per_x").status_code == 401


def test_open_pages_hear_of_an_ask_and_of_its_answer(browser: Browser, alice: Actor) -> None:
    streamed = frames(browser.get("/live?lastEventId=0", buffered=False))
    ask = begin(browser, alice)
    asked = next(data_of(frame) for frame in streamed if 'hx-target="#needs-you"' in frame)
    assert '<hx-partial hx-target=".inbox-count" hx-swap="innerHTML">1</hx-partial>' in asked
    assert "Approval asked: Edit billing/proration.py" in asked
    assert f'id="ask-row-{ask.id}"' in asked
    service.answer(alice, ask.id, "reject")
    answered = next(data_of(frame) for frame in streamed if f'hx-target="#ask-row-{ask.id}" hx-swap="delete"' in frame)
    streamed.close()
    assert '<hx-partial hx-target=".inbox-count" hx-swap="innerHTML"></hx-partial>' in answered


def test_the_sessions_stream_draws_the_card_and_then_the_line(browser: Browser, alice: Actor, ask: Ask) -> None:
    streamed = frames(browser.get(f"/live?at={ask.session_id}&lastEventId=0", buffered=False))
    place, card = f'hx-target="#events-{ask.message_id}" hx-swap="upsert"', f'class="ask" id="ask-{ask.id}"'
    assert next(frame for frame in streamed if place in frame and card in frame)
    service.answer(alice, ask.id, "reject")
    line = next(data_of(frame) for frame in streamed if f'class="answered" id="ask-{ask.id}"' in frame)
    streamed.close()
    assert "rejected" in line


def test_home_and_the_list_carry_the_ask(browser: Browser, ask: Ask) -> None:
    assert f'id="ask-row-{ask.id}"' in browser.get("/").text
    assert f"/inbox/{ask.id}" in browser.get("/sessions").text


def test_who_can_answer_is_looked_up_once_for_a_page(
    app: Cabin, alice: Actor, bob: Actor, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    list_acting = accounts.list_acting

    def counted(actor: Actor) -> list[Actor]:
        looked_up.append(actor.user)
        return list_acting(actor)

    monkeypatch.setattr(accounts, "list_acting", counted)
    with app.test_request_context():
        told = {who.who_answers(bob, one) for one in [ask] * 5}
    assert told == {f"{alice.name} can answer."}
    assert looked_up == [bob.user]
