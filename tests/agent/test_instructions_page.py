"""The settings of instructions: one's own, set and cleared, and all that is in force for a mode in its order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.actor import Actor
from app.agent import chosen
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.projects.service import Place
from tests.conftest import Caller, member
from tests.visitor import Browser, is_whole

PAGE = "/settings/instructions"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of who runs the server."""
    found = tmp_path / "home"
    (found / ".roo/rules").mkdir(parents=True)
    (found / ".roo/rules/mine.md").write_text("Mine.")
    monkeypatch.setenv("HOME", str(found))
    return found


@pytest.fixture
def place(app: Cabin, alice: Actor, home: Path) -> Place:
    found = projects.resolve(alice, None)
    for name, text in {
        "AGENTS.md": "For all <b>agents</b>.",
        ".roo/rules-code/c.md": "Of code.",
        ".roo/rules-ask/a.md": "Of ask.",
        ".clinerules": "Old.",
        "opencode.json": '{"instructions": ["https://example.com/x.md"]}',
    }.items():
        (found.directory / name).parent.mkdir(parents=True, exist_ok=True)
        (found.directory / name).write_text(text)
    return found


def listed(page: str) -> list[tuple[str, str]]:
    """What is in force: path and whose."""
    rows = re.findall(r'<p class="name">(?:<code>)?([^<]*)<.*?<span class="tag">([^<]*)</span>', page, re.DOTALL)
    return [(path, whose) for path, whose in rows]


def test_all_that_is_in_force_is_listed_in_its_order(browser: Browser, alice: Actor, place: Place, home: Path) -> None:
    chosen.choose(alice, place, instructions="Be brief.")
    page = browser.get(f"{PAGE}?mode=code")
    assert is_whole(page)
    assert listed(page.text) == [
        ("Your instructions", "You"),
        (".roo/rules-code/c.md", "Repository"),
        ("AGENTS.md", "Repository"),
        (f"{home}/.roo/rules/mine.md", "Server"),
        ("https://example.com/x.md", "Repository"),
    ]
    assert "For all &lt;b&gt;agents&lt;/b&gt;." in page.text
    assert "not read: addresses are not fetched" in page.text
    assert ".roo/rules-ask/a.md" not in page.text
    assert (".roo/rules-ask/a.md", "Repository") in listed(browser.get(f"{PAGE}?mode=ask").text)


def test_ones_own_are_set_cleared_and_the_ones_of_the_api(browser: Browser, call: Caller, place: Place) -> None:
    answer = browser.post(PAGE, {"text": "Be brief.\r\nBe kind.", "mode": "ask"})
    assert answer.status_code == 303
    page = browser.get(answer.headers["Location"]).text
    assert "Saved. It is in force" in page
    assert "Be brief.\nBe kind.</textarea>" in page
    assert 'value="ask" selected' in page
    assert call.get("/api/instructions").json == {"instructions": "Be brief.\nBe kind."}
    assert browser.post(PAGE, {"text": "ignored", "act": "clear"}).status_code == 303
    assert call.get("/api/instructions").json == {"instructions": ""}
    call.post("/api/instructions", {"instructions": "From a client."})
    assert "From a client.</textarea>" in browser.get(PAGE).text


def test_too_many_words_are_told_and_kept_in_the_form(browser: Browser, alice: Actor, place: Place) -> None:
    answer = browser.post(PAGE, {"text": "x" * (chosen.LONGEST + 1)})
    assert (answer.status_code, is_whole(answer)) == (400, True)
    assert "Instructions have at most 100000 characters." in answer.text
    assert "x" * (chosen.LONGEST + 1) in answer.text
    assert chosen.get(alice, place).instructions == ""


def test_they_are_ones_own_and_need_the_page_s_token(app: Cabin, alice: Actor, browser: Browser, place: Place) -> None:
    bob = Browser(app, member(alice, "Bob"))
    bob.post(PAGE, {"text": "Bob's."})
    assert "Bob&#39;s." in bob.get(PAGE).text
    assert "Bob&#39;s." not in browser.get(PAGE).text
    assert browser.post(PAGE, {"text": "x"}, token="wrong").status_code == 403
    assert app.test_client().get(PAGE, headers={"Accept": "text/html"}).status_code in (302, 303, 401)
    assert browser.get(f"{PAGE}?project=prj_unknown").status_code == 404


def test_a_mode_that_is_not_there_is_the_current_one(browser: Browser, place: Place) -> None:
    assert 'value="code" selected' in browser.get(f"{PAGE}?mode=../../x").text


def test_a_viewer_reads_what_is_in_force_and_sets_nothing(app: Cabin, alice: Actor, place: Place) -> None:
    vera = member(alice, "Vera", "viewer")
    viewer = Browser(app, vera)
    page = viewer.get(PAGE).text
    assert "Setting them needs the grant sessions:write." in page
    assert ("AGENTS.md", "Repository") in listed(page)
    assert viewer.post(PAGE, {"text": "x"}).status_code == 403
    assert chosen.get(vera, place).instructions == ""
