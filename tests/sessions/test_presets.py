"""What runs unasked in a session is an answer given beforehand: who may not answer there chooses no such preset."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app import dispatch
from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from app.errors import Denied
from app.sessions import service
from tests.conftest import Caller, member
from tests.sessions.test_service import session_of

FREE = ("accept-edits", "auto")


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine runs here."""
    monkeypatch.setattr(dispatch, "wake", lambda *_given: None)


@pytest.mark.parametrize("preset", FREE)
def test_an_agents_own_token_begins_no_session_that_asks_less(alice: Actor, preset: str) -> None:
    agent = replace(alice, kind="agent", id="tok_1", token="tok_1")
    with pytest.raises(Denied):
        session_of(agent, preset=preset)
    assert [session_of(agent, preset=one).preset for one in ("", "ask", "read-only")] == ["ask", "ask", "read-only"]


@pytest.mark.parametrize("preset", FREE)
def test_a_token_that_may_run_and_not_answer_chooses_none_either(bob: Actor, preset: str) -> None:
    token = replace(bob, kind="token", id="tok_1", token="tok_1", grants=("sessions:*", "projects:read"))
    own = session_of(token)
    for attempt in (lambda: session_of(token, preset=preset), lambda: service.update(token, own.id, preset=preset)):
        with pytest.raises(Denied):
            attempt()
    assert service.update(token, own.id, preset="read-only").preset == "read-only"
    assert service.update(token, own.id, preset="ask").preset == "ask"
    assert service.update(bob, own.id, preset=preset).preset == preset


def test_who_was_lent_the_renaming_of_sessions_lets_nothing_run_in_them(alice: Actor, bob: Actor) -> None:
    eve = replace(member(alice, "Eve"), lent=frozenset({("others:sessions:write", "prj_shop")}))
    his = session_of(bob)
    assert service.update(eve, his.id, title="Renamed").title == "Renamed"
    for preset in FREE:
        with pytest.raises(Denied):
            service.update(eve, his.id, preset=preset)
    answers = replace(eve, lent=eve.lent | {("others:approvals:answer", "prj_shop")})
    assert service.update(answers, his.id, preset="auto").preset == "auto"


def test_one_that_asks_less_already_can_be_given_the_same_or_one_that_asks_more(bob: Actor) -> None:
    token = replace(bob, kind="token", id="tok_1", token="tok_1", grants=("sessions:*", "projects:read"))
    free = session_of(bob, preset="auto")
    assert service.update(token, free.id, preset="auto").preset == "auto"
    assert service.update(token, free.id, preset="accept-edits").preset == "accept-edits"
    with pytest.raises(Denied):
        service.update(token, free.id, preset="auto")


def test_an_agents_own_token_leaves_nothing_behind_on_the_page_either(app: Cabin, alice: Actor, call: Caller) -> None:
    _token, secret = accounts.mint_token(alice, "helper", is_agent=True)
    form = {"text": "Go on", "preset": "auto", "model": "demo/walkthrough"}
    refused = call("POST", "/sessions", data=form, headers={"Authorization": f"Bearer {secret}"})
    assert refused.status_code == 403
    assert service.find_page(alice) == []
