"""The story of a custom mode: written with its pattern tried on the files, refused and made, kept to, and deleted."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Shop, stayed, stays

pytestmark = pytest.mark.browser


def test_a_mode_is_written_tried_on_the_files_and_deleted(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, allowed=("400",))
    page.goto("/settings/modes")
    page.get_by_role("link", name="New mode…").click()
    fill(page, "keepers")
    page.get_by_role("checkbox", name="edit").check()
    stays(page)
    page.get_by_label("Edits only").fill(r"\.mdx?$")
    expect(page.locator("#matches")).to_contain_text(re.compile(r"Matches \d+ of \d+ files"))
    page.get_by_label("Edits only").fill("(")
    expect(page.locator("#matches")).to_contain_text("a ( is not closed")
    assert stayed(page)
    page.get_by_role("button", name="Make mode").click()
    expect(page.get_by_role("alert")).to_contain_text("groups.2.fileRegex: is no pattern that can be used")
    expect(page.get_by_label("Role")).to_have_value("You keep documents.")
    page.get_by_label("Edits only").fill(r"^docs/")
    page.get_by_role("button", name="Make mode").click()
    expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="keepers", exact=True))
    expect(row).to_contain_text("^docs/")
    expect(row).to_contain_text("this server")
    remove(page, "keepers")


def test_the_same_without_javascript_and_on_a_phone(shop: Shop, open_page: Open) -> None:
    page = open_page(
        shop.running, storage_state=shop.state, java_script_enabled=False, viewport={"width": 390, "height": 844}
    )
    page.goto("/settings/modes?mode=architect")
    page.get_by_role("link", name="New mode like this…").click()
    expect(page.get_by_label("Edits only")).to_have_value(r"\.md$")
    expect(page.locator("#matches")).to_contain_text(re.compile(r"Matches \d+ of \d+ files"))
    fill(page, "keepers-two")
    page.get_by_role("button", name="Make mode").click()
    expect(page.get_by_role("heading", name="Keepers")).to_be_visible()
    remove(page, "keepers-two")


def test_an_agent_asks_before_it_goes_on_in_a_mode_that_may_do_more(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    page.goto("/")
    page.locator("select[name=mode]").select_option("ask")
    page.locator("textarea").first.fill(
        '[[call switch_mode {"mode_slug": "code", "reason": "To write"}]] [[say Here.]]'
    )
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Go on in the mode code?")).to_be_visible()
    expect(page.locator(".ask")).to_contain_text("the mode code may do more: edit files, run commands")
    page.get_by_role("button", name="Switch mode").click()
    expect(page.locator(".answered")).to_contain_text("You agreed to")
    expect(page.get_by_text("Here.", exact=True)).to_be_visible()


def fill(page: Page, slug: str) -> None:
    page.get_by_label("Slug").fill(slug)
    page.get_by_label("Name", exact=True).fill("Keepers")
    page.get_by_label("Role").fill("You keep documents.")


def remove(page: Page, slug: str) -> None:
    page.locator("summary", has_text="Delete…").click()
    page.get_by_role("button", name=f"Delete {slug}").click()
    expect(page.get_by_role("link", name=slug, exact=True)).to_have_count(0)
