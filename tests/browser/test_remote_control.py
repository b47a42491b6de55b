"""Pages as the interface that a client steers: its words come into the composer, its toasts show, its dialogs open."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Shop

pytestmark = pytest.mark.browser


def steer(shop: Shop, name: str, body: Any = None, query: str = "") -> None:
    status, said = shop.running.call("POST", f"/opencode/tui/{name}{query}", body)
    assert (status, said) == (200, True)


@pytest.fixture
def page(shop: Shop, open_page: Open) -> Page:
    """The owner's page, on Home."""
    opened = open_page(shop.running, storage_state=shop.state)
    opened.goto("/")
    return opened


def begin(page: Page, words: str) -> str:
    """Start a session from Home; its id."""
    page.get_by_label("What should be done?").fill(words)
    page.get_by_role("button", name="Start session").click()
    page.wait_for_url(re.compile(r"/sessions/ses_"))
    page.locator(".said").first.wait_for()
    return page.url.rpartition("/")[2]


def test_words_are_added_cleared_and_sent_from_home(shop: Shop, page: Page) -> None:
    words = page.get_by_label("What should be done?")
    steer(shop, "append-prompt", {"text": "Paint the "})
    expect(words).to_have_value("Paint the ")
    steer(shop, "append-prompt", {"text": '<b>"basket"</b>'})
    expect(words).to_have_value('Paint the <b>"basket"</b>')
    steer(shop, "clear-prompt")
    expect(words).to_have_value("")
    steer(shop, "append-prompt", {"text": "[[say Painted.]]"})
    expect(words).to_have_value("[[say Painted.]]")
    steer(shop, "submit-prompt")
    page.wait_for_url(re.compile(r"/sessions/ses_"))
    expect(page.locator(".said").first).to_contain_text("[[say Painted.]]")


def test_a_session_page_takes_words_for_its_directory_alone(shop: Shop, page: Page) -> None:
    begin(page, "[[say Here.]]")
    words = page.locator(".dock textarea")
    steer(shop, "append-prompt", {"text": "elsewhere"}, f"?directory={shop.running.data_dir / 'sample'}")
    steer(shop, "append-prompt", {"text": "[[say Again.]]"}, f"?directory={shop.root}")
    expect(words).to_have_value("[[say Again.]]")
    steer(shop, "submit-prompt")
    expect(page.locator(".said")).to_have_count(2)
    expect(words).to_have_value("")


def test_home_takes_no_words_for_a_project_that_is_not_picked(shop: Shop, page: Page) -> None:
    sample = shop.running.data_dir / "sample"
    page.get_by_label("Project", exact=True).select_option(label="shop")
    steer(shop, "append-prompt", {"text": "for the sample"}, f"?directory={sample}")
    expect(page.locator(".toast")).to_contain_text("none for its project")
    steer(shop, "append-prompt", {"text": "for the shop"}, f"?directory={shop.root}")
    expect(page.get_by_label("What should be done?")).to_have_value("for the shop")


def test_toasts_show_and_dialogs_open(shop: Shop, page: Page) -> None:
    steer(shop, "show-toast", {"title": "Build", "message": "<i>green</i>", "variant": "success", "duration": 60_000})
    expect(page.locator(".toast")).to_have_text("Build: <i>green</i>")
    steer(shop, "open-help")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    steer(shop, "open-sessions")
    expect(page.get_by_role("dialog", name="Search or jump")).to_be_visible()
    page.keyboard.press("Escape")
    steer(shop, "open-models")
    expect(page.get_by_label("Model", exact=True)).to_be_focused()
    steer(shop, "open-themes")
    page.wait_for_url(re.compile(r"/account#look$"))
    expect(page.get_by_role("heading", name="Look")).to_be_visible()


def test_a_session_is_shown(shop: Shop, page: Page) -> None:
    session_id = begin(page, "[[say Shown.]]")
    page.goto("/")
    steer(shop, "select-session", {"sessionID": session_id})
    page.wait_for_url(re.compile(session_id))


def test_of_two_pages_only_the_one_used_last_obeys(shop: Shop, page: Page) -> None:
    other = page.context.new_page()
    other.goto("/")
    other.get_by_label("What should be done?").click()
    steer(shop, "append-prompt", {"text": "once"})
    expect(other.get_by_label("What should be done?")).to_have_value("once")
    page.locator("#relay [data-told]").wait_for(state="attached")
    expect(page.get_by_label("What should be done?")).to_have_value("")
