from __future__ import annotations

from pathlib import Path

import pytest

from app import __version__
from app.actor import Actor
from app.approvals import service as approvals
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service as sessions
from app.system.pages.search import KEYS
from tests.conftest import Caller, member
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
    assert "Schedules" not in page


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


def test_the_search_is_a_page_and_a_fragment(browser: Browser, alice: Actor) -> None:
    session_id = browser.post("/demo").headers["Location"].rpartition("/")[2]
    ask = until(lambda: next(iter(approvals.waiting(alice, session_id)), None))
    page = browser.get("/search?q=customers")
    assert is_whole(page)
    hits = browser.get("/search?q=customers", headers={"HX-Request": "true"}).text
    assert "<html" not in hits
    for text in (page.text, hits):
        assert f'href="/inbox/{ask.id}"' in text
        assert f'href="/sessions/{session_id}"' in text
        assert "<mark>Customers</mark>" in text


def test_the_search_finds_files_of_the_session_in_view(browser: Browser, alice: Actor, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "till.py").write_text("")
    project = projects.add(alice, str(tmp_path / "shop"))
    session = sessions.create(alice, projects.resolve(alice, project.root), title="Look")
    assert "Files in sample" in browser.get("/search?q=proration.py").text
    assert "till.py" not in browser.get("/search?q=till").text.split("hits")[1]
    assert 'data-path="till.py"' in browser.get(f"/search?q=till&at={session.id}").text


def test_the_search_shows_nobody_what_they_may_not_read(app: Cabin, alice: Actor, bob: Actor) -> None:
    place = projects.resolve(alice, None)
    sessions.create(alice, place, title="secret plan", visibility="private")
    sessions.create(alice, place, title="open plan")
    page = Browser(app, bob).get("/search?q=plan").text
    assert "open" in page
    assert "secret" not in page


@pytest.mark.parametrize("words", ["<script>alert(1)</script>", "100%", "(", "\\"])
def test_words_to_search_for_stay_words(browser: Browser, words: str) -> None:
    page = browser.get("/search", query_string={"q": words})
    assert page.status_code == 200
    assert "<script>alert" not in page.text


def test_a_session_out_of_reach_is_searched_around(browser: Browser) -> None:
    page = browser.get("/search?q=home&at=ses_unknown")
    assert page.status_code == 200
    assert "G</kbd><kbd>H" in page.text


def test_the_keys_are_a_page_and_a_fragment(browser: Browser) -> None:
    assert is_whole(browser.get("/keys"))
    listed = browser.get("/keys", headers={"HX-Request": "true"}).text
    assert "<html" not in listed
    assert listed.count("<dd>") == sum(len(keys) for _heading, keys in KEYS)


def test_the_search_leads_to_the_place_in_a_long_transcript(browser: Browser, alice: Actor) -> None:
    session = sessions.create(alice, projects.resolve(alice, None), title="Long")
    said = [{"type": "text", "text": "the wombat"}]
    sent, _ = sessions.send(alice, session.id, said, no_reply=True)
    for number in range(120):
        sessions.send(alice, session.id, [{"type": "text", "text": f"word {number}"}], no_reply=True)
    page = browser.get("/search?q=wombat").text
    part_id = sent.parts[0].id
    assert f'href="/sessions/{session.id}?at={sent.id}#part-{part_id}"' in page
    assert "the <mark>wombat</mark>" in page
    assert f'id="part-{part_id}"' not in browser.get(f"/sessions/{session.id}").text
    assert f'id="part-{part_id}"' in browser.get(f"/sessions/{session.id}?at={sent.id}").text


def test_who_has_no_role_yet_is_told_whom_to_ask(app: Cabin, alice: Actor) -> None:
    page = Browser(app, member(alice, "Nora", "base")).get("/")
    assert page.status_code == 200
    assert "You are signed in, Nora" in page.text
    assert "Whoever runs this cabin can give you one" in page.text
