"""The settings of what runs without asking: ticked, foreseen on what asked lately, saved, and who may."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app import config
from app.actor import Actor
from app.agent import auto_approve
from app.agent.auto_approve import Switches
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.projects.service import Place
from tests.agent.talk import Talk
from tests.conftest import member
from tests.model_server import ModelServer
from tests.visitor import Browser, is_whole

PAGE, PREVIEW = "/settings/auto-approve", "/settings/auto-approve/preview"
WRITE = {"auto_approval_enabled": "on", "always_allow_write": "on"}
COMMANDS = {"allowed_commands": "pytest\r\n git  log \r\n\r\npytest\r\n", "denied_commands": "git push"}


@pytest.fixture
def place(app: Cabin, alice: Actor) -> Place:
    return projects.resolve(alice, None)


@pytest.fixture
def past(app: Cabin, alice: Actor, scripted: ModelServer) -> dict[str, str]:
    """Calls of Alice's that asked: what was said to each, by its command or path."""
    said = {"a.txt": "once", "b.txt": "reject", ".roorules": "once", "pytest -q": "once", "pytest; git push": "reject"}
    for what, reply in said.items():
        talk = Talk(alice)
        talk.say(f"[[bash {what}]]" if " " in what else f"[[write {what} x]]")
        talk.answer(reply, "" if reply == "once" else "not like this")
        talk.until_idle()
    return said


@pytest.fixture
def low_ceiling(app: Cabin) -> Iterator[None]:
    """The server allows no more than asking."""
    before = config.current()
    config.use(replace(before, preset_ceiling="ask"))
    yield
    config.use(before)


def figures(text: str) -> tuple[int, int]:
    """How many of the calls that were looked at would have run."""
    found = re.search(r"<b>(\d+)</b> <span>of (\d+) would have run", text)
    assert found, text
    return int(found[1]), int(found[2])


def test_the_page_shows_every_switch_as_it_is(browser: Browser, alice: Actor, place: Place) -> None:
    auto_approve.change(alice, place, {"auto_approval_enabled": True, "allowed_max_requests": 7})
    page = browser.get(PAGE)
    assert is_whole(page)
    assert re.search(r'name="auto_approval_enabled" checked', page.text)
    assert not re.search(r'name="always_allow_write" checked', page.text)
    assert "git log\ngit diff\ngit show</textarea>" in page.text
    assert re.search(r'name="allowed_max_requests"[^>]* value="7"', page.text)
    assert "No call of your sessions has asked" in page.text


def test_saving_sets_what_is_ticked_and_nothing_else(browser: Browser, alice: Actor, place: Place) -> None:
    auto_approve.change(alice, place, {"always_allow_browser": True, "always_approve_resubmit": True})
    numbers = {"followup_auto_approve_timeout_ms": "2.5", "allowed_max_requests": "3", "allowed_max_cost": "0.25"}
    answer = browser.post(PAGE, {**WRITE, **COMMANDS, **numbers})
    assert answer.status_code == 303
    assert "Saved. It is in force" in browser.get(answer.headers["Location"]).text
    assert auto_approve.get(alice, place) == Switches(
        auto_approval_enabled=True,
        always_allow_write=True,
        always_approve_resubmit=True,
        allowed_commands=("pytest", "git  log"),
        denied_commands=("git push",),
        followup_auto_approve_timeout_ms=2500,
        allowed_max_requests=3,
        allowed_max_cost=0.25,
    )
    browser.post(PAGE, {})
    left = Switches(always_approve_resubmit=True, allowed_commands=(), followup_auto_approve_timeout_ms=2500)
    assert auto_approve.get(alice, place) == left


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("allowed_max_requests", "many", "&#39;many&#39; is no number."),
        ("allowed_max_requests", "1.5", "Requests are counted in whole ones."),
        ("allowed_max_cost", "-1", "A limit is a positive number, or left empty."),
        ("allowed_max_cost", "nan", "A limit is a positive number, or left empty."),
        ("followup_auto_approve_timeout_ms", "1e8", "a day at most"),
        ("denied_commands", "x" * 401, "at most 400 characters"),
    ],
)
@pytest.mark.parametrize("path", [PAGE, PREVIEW])
def test_what_cannot_be_saved_is_told_and_kept_in_the_form(
    browser: Browser, alice: Actor, place: Place, path: str, name: str, value: str, words: str
) -> None:
    answer = browser.post(path, {**WRITE, name: value})
    assert (answer.status_code, is_whole(answer)) == (400, True)
    assert words in answer.text
    assert 'name="always_allow_write" checked' in answer.text
    assert value in answer.text
    assert auto_approve.get(alice, place) == Switches()


def test_a_preview_says_what_would_have_run_and_keeps_nothing(
    browser: Browser, alice: Actor, place: Place, past: dict[str, str]
) -> None:
    answer = browser.post(PREVIEW, {**WRITE, "always_allow_execute": "on", **COMMANDS})
    assert (answer.status_code, is_whole(answer)) == (200, True)
    assert figures(answer.text) == (3, 5)
    text = answer.text
    order = [text.index(mark) for mark in ("Rejected, yet it would run", "Write b.txt", "Would no longer ask")]
    assert order == sorted(order)
    assert "not like this" in text
    assert text.index("Would no longer ask") < text.index("<code>pytest -q</code>") < text.index("Would be denied")
    assert text.index("Would be denied") < text.index("<code>pytest; git push</code>")
    assert "<dt>Still ask</dt><dd>1</dd>" in text
    assert "Write .roorules" not in text
    assert 'name="always_allow_write" checked' in text
    assert auto_approve.get(alice, place) == Switches()


def test_a_preview_for_htmx_is_the_panel_alone(browser: Browser, past: dict[str, str]) -> None:
    panel = browser.htmx(PREVIEW, {"auto_approval_enabled": "on", "always_allow_execute": "on", **COMMANDS})
    assert panel.status_code == 200
    assert panel.text.lstrip().startswith("<aside")
    assert figures(panel.text) == (1, 5)
    off = browser.htmx(PREVIEW, {"always_allow_write": "on", "denied_commands": ""})
    assert figures(off.text) == (0, 5)
    assert "Auto-approve is off, so all of them ask." in off.text


def test_what_the_ceiling_locks_is_said(browser: Browser, low_ceiling: None, past: dict[str, str]) -> None:
    page = browser.get(PAGE)
    assert "limit is <code>ask</code>" in page.text
    assert "needs accept-edits" in page.text
    assert figures(browser.htmx(PREVIEW, WRITE).text) == (0, 5)


def test_nobody_sets_it_without_the_page_s_token_or_the_grant(
    app: Cabin, alice: Actor, browser: Browser, place: Place
) -> None:
    assert browser.post(PAGE, WRITE, token="wrong").status_code == 403
    assert browser.client.post(PAGE, data=WRITE).status_code == 403
    assert app.test_client().get(PAGE, headers={"Accept": "text/html"}).status_code in (302, 303, 401)
    assert auto_approve.get(alice, place) == Switches()


def test_everybody_has_switches_of_their_own(app: Cabin, alice: Actor, browser: Browser, place: Place) -> None:
    bob = Browser(app, member(alice, "Bob"))
    bob.post(PAGE, WRITE)
    assert 'name="always_allow_write" checked' in bob.get(PAGE).text
    assert 'name="always_allow_write" checked' not in browser.get(PAGE).text


def test_a_project_that_is_not_there_is_told(browser: Browser) -> None:
    assert browser.get(f"{PAGE}?project=prj_unknown").status_code == 404
    assert browser.post(PAGE, {"project": "prj_unknown"}).status_code == 404


def test_a_viewer_sees_the_switches_and_sets_none(app: Cabin, alice: Actor, place: Place) -> None:
    vera = member(alice, "Vera", "viewer")
    viewer = Browser(app, vera)
    page = viewer.get(PAGE).text
    assert "Setting it needs the grant approvals:answer." in page
    assert re.search(r'name="always_allow_write" disabled', page)
    assert ">Save<" not in page
    assert viewer.post(PAGE, WRITE).status_code == 403
    assert auto_approve.get(vera, place) == Switches()
