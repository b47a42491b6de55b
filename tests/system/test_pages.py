from __future__ import annotations

import pytest

from app import __version__
from app.actor import Actor
from app.approvals import service as approvals
from app.sessions import service as sessions
from tests.conftest import Caller
from tests.visitor import Browser, is_whole, until


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "OPENROUTER_API_KEY",
        "DEEPSEEK_API_KEY",
        "GROQ_API_KEY",
    ):
        monkeypatch.delenv(name, raising=False)


def test_the_first_home_has_three_doors(browser: Browser) -> None:
    page = browser.get("/")
    assert is_whole(page)
    for word in ("Run the demo", "Connect a key", "Ollama", "sample", __version__, "First steps"):
        assert word in page.text


def test_the_demo_runs_to_its_end(browser: Browser, alice: Actor) -> None:
    answer = browser.post("/demo")
    assert answer.status_code == 303
    session_id = answer.headers["Location"].rpartition("/")[2]
    for _ in range(2):
        ask = until(lambda: next(iter(approvals.waiting(alice, session_id)), None))
        approvals.answer(alice, ask.id, "once")
    until(lambda: sessions.get(alice, session_id).state == "idle")
    page = browser.get(f"/sessions/{session_id}").text
    assert "The key" not in page
    assert "<strong>Cause</strong>" in page


def test_with_work_home_shows_it_and_keeps_the_doors_near(browser: Browser, alice: Actor) -> None:
    session_id = browser.post("/demo").headers["Location"].rpartition("/")[2]
    until(lambda: approvals.waiting(alice, session_id))
    page = browser.get("/").text
    assert "Needs you" in page
    assert f"/sessions/{session_id}" in page
    assert "Connect a key" not in page
    assert 'href="/?connect=1"' in page
    assert "Connect a key" in browser.get("/?connect=1").text


def test_the_rail_counts_what_waits(browser: Browser, alice: Actor) -> None:
    session_id = browser.post("/demo").headers["Location"].rpartition("/")[2]
    until(lambda: approvals.waiting(alice, session_id))
    page = browser.get("/projects").text
    assert "<title>(1) Projects" in page
    assert 'inbox-count">1</span>' in page
    assert "/live?lastEventId=" in page


def test_forms_need_the_token_and_our_own_origin(browser: Browser) -> None:
    assert browser.post("/demo", token="").status_code == 403
    assert browser.post("/demo", headers={"Origin": "https://evil.example"}).status_code == 403


def test_an_unknown_page_says_so(browser: Browser) -> None:
    answer = browser.get("/nothing/here")
    assert answer.status_code == 404
    assert is_whole(answer)


def test_a_stranger_is_led_to_sign_in(stranger: Caller) -> None:
    answer = stranger.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/signin?next=/")
