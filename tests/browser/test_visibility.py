"""Who sees a session is changed from a phone, at once for whoever looks at it elsewhere; and without a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import repository
from tests.browser.conftest import Open, Shop, signed_in, stayed, stays
from tests.browser.test_two_people import PHONE, joined
from tests.browser.test_without_javascript import sign_in_by_code
from tests.model_server import ModelServer
from tests.running import Running

pytestmark = pytest.mark.browser


@pytest.fixture
def team(browser: Browser, tmp_path: Path) -> Iterator[Shop]:
    """A server of its own, on which people work together."""
    root = repository.make(tmp_path / "shop", files=5)
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(tmp_path / "data", root, **settings) as running:
            yield Shop(running, root, model, signed_in(browser, running))


def live(page: Page) -> None:
    expect(page.locator("[data-live]").first).to_have_attribute("data-state", "live")


def test_from_a_phone_it_goes_out_of_sight_of_others_and_comes_back(team: Shop, open_page: Open) -> None:
    release = {"name": "release", "inherits": ["member"], "permissions": ["others:approvals:answer"]}
    assert team.running.call("POST", "/api/v1/roles", release)[0] == 200
    ines = joined(team, open_page(team.running, allowed=("404",)), "Ines", "release")
    owner = open_page(team.running, storage_state=team.state, **PHONE)
    owner.goto("/")
    owner.get_by_label("What should be done?").fill("[[bash make paint]] [[say Painted.]]")
    owner.get_by_role("button", name="Start session").click()
    owner.wait_for_url(re.compile(r"/sessions/ses_"))
    ask = owner.locator("[data-ask]").get_attribute("data-ask")
    session = owner.url.rsplit("/", 1)[1]

    ines.goto("/inbox")
    inbox = ines
    expect(inbox.locator(f"#ask-row-{ask}")).to_be_visible()
    live(inbox)
    watching = ines.context.new_page()
    watching.goto(owner.url)
    expect(watching.locator(f"#ask-{ask}")).to_be_visible()

    menu = owner.locator(".who-sees > summary")
    expect(menu).to_have_attribute("aria-label", "Who sees it: the team")
    live(owner)
    stays(owner)
    menu.focus()
    owner.keyboard.press("Enter")
    assert owner.evaluate("document.documentElement.scrollWidth") == 390
    box = owner.locator(".who-sees .menu").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    owner.get_by_role("button", name="Only me").click()
    expect(owner.locator(".who-sees > summary")).to_have_attribute("aria-label", "Who sees it: its owner alone")
    assert stayed(owner)

    expect(inbox.locator(f"#ask-row-{ask}")).to_have_count(0)
    expect(inbox.locator(".rail .inbox-count")).to_have_text("")
    expect(watching.get_by_role("heading", name="Not found")).to_be_visible()
    ines.goto("/sessions")
    expect(ines.locator(f"#row-{session}")).to_have_count(0)
    ines.goto("/")
    live(ines)

    owner.locator(".who-sees > summary").click()
    owner.get_by_role("button", name="The team").click()
    expect(owner.locator(".who-sees > summary")).to_have_attribute("aria-label", "Who sees it: the team")
    expect(ines.locator(f"#ask-row-{ask}")).to_be_visible()
    expect(ines.locator(".rail .inbox-count")).to_have_text("1")


def test_a_link_with_an_end_is_given_copied_and_ended_from_the_menu(team: Shop, open_page: Open) -> None:
    _status, made = team.running.call("POST", "/session", {"title": "Paint"})
    page = open_page(team.running, storage_state=team.state, permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"/sessions/{made['id']}")
    page.locator(".who-sees > summary").click()
    page.get_by_role("link", name="Anyone with the link…").click()
    page.get_by_label("When the link ends").select_option(label="in 7 days")
    page.get_by_role("button", name="Share this session").click()
    expect(page.get_by_text("it ends 20")).to_be_visible()
    page.goto(f"/sessions/{made['id']}")
    page.locator(".who-sees > summary").click()
    expect(page.locator(".linked")).to_contain_text("until 20")
    page.locator(".linked").get_by_role("button", name="Copy").click()
    address = page.evaluate("navigator.clipboard.readText()")
    assert "/s/" in address
    visit = open_page(team.running, allowed=("404",))
    visit.goto(address)
    expect(visit.get_by_role("heading", name="Paint")).to_be_visible()
    live(visit)
    live(page)
    page.get_by_role("button", name="End the link").click()
    expect(page.locator(".who-sees > summary")).to_have_attribute("aria-label", "Who sees it: the team")
    expect(visit.get_by_text("This link has ended or never was.")).to_be_visible()


def test_a_menu_that_is_open_stays_open_while_the_agent_works(team: Shop, open_page: Open) -> None:
    _status, made = team.running.call("POST", "/session", {"title": "Paint"})
    page = open_page(team.running, storage_state=team.state)
    page.goto(f"/sessions/{made['id']}")
    live(page)
    page.locator(".who-sees > summary").click()
    team.running.call("PATCH", f"/session/{made['id']}", {"title": "Paint it blue"})
    expect(page.get_by_role("heading", name="Paint it blue")).to_be_visible()
    expect(page.get_by_role("button", name="Only me")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Only me")).to_be_hidden()


def test_without_a_script(team: Shop, open_page: Open) -> None:
    page = open_page(team.running, java_script_enabled=False, storage_state=team.state)
    page.goto("/")
    page.get_by_label("What should be done?").fill("[[say Done.]]")
    page.get_by_label("Who sees it").select_option(label="only me")
    page.get_by_role("button", name="Start session").click()
    page.wait_for_url(re.compile(r"/sessions/ses_"))
    expect(page.locator(".who-sees > summary")).to_have_attribute("aria-label", "Who sees it: its owner alone")
    page.locator(".who-sees > summary").click()
    page.get_by_role("button", name="The team").click()
    expect(page.locator(".who-sees > summary")).to_have_attribute("aria-label", "Who sees it: the team")


def test_the_theme_is_chosen_without_a_script_and_before_anybody_signs_in(tmp_path: Path, open_page: Open) -> None:
    with Running(tmp_path.resolve() / "data") as running:
        page = open_page(running, java_script_enabled=False, color_scheme="light")
        page.goto("/signin")
        page.get_by_role("button", name="Dark").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        expect(page.locator("body")).to_have_css("background-color", "rgb(17, 20, 23)")
        sign_in_by_code(page, running)
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.goto("/account")
        page.locator("#look").get_by_text("Light", exact=True).click()
        page.locator("#look").get_by_text("Compact", exact=True).click()
        page.get_by_role("button", name="Save look").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "light")
        expect(page.locator("html")).to_have_attribute("data-density", "compact")
