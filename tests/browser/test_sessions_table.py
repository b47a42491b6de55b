"""The table of sessions in Chromium: it tells of further ones without moving a row, and shows them when asked to."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Shop, stayed, stays

pytestmark = pytest.mark.browser

SIZES = [
    pytest.param({"width": 1440, "height": 900}, id="1440"),
    pytest.param({"width": 390, "height": 844}, id="390"),
]


def make(shop: Shop, title: str) -> str:
    session: str = shop.running.call("POST", "/session", {"title": title})[1]["id"]
    return session


def live(page: Page) -> None:
    # On a phone the rail with its word is not shown.
    expect(page.locator("[data-live]").first).to_have_attribute("data-state", "live")


@pytest.mark.parametrize("size", SIZES)
def test_further_sessions_are_counted_and_shown_when_asked_for(shop: Shop, open_page: Open, size: Any) -> None:
    shown = make(shop, "Quarry one")
    page = open_page(shop.running, storage_state=shop.state, viewport=size)
    page.goto("/sessions?q=Quarry")
    live(page)
    stays(page)
    link = page.locator("#show-more")
    expect(link).to_be_hidden()
    row = page.locator(f"#row-{shown}")
    at = row.bounding_box()
    second = make(shop, "Quarry two")
    expect(link).to_have_text("Show 1 more session")
    make(shop, "Something else")
    third = make(shop, "Quarry three")
    expect(link).to_have_text("Show 2 more sessions")
    shop.running.call("PATCH", f"/session/{shown}", {"title": "Quarry one, deeper"})
    expect(row).to_contain_text("Quarry one, deeper")
    expect(link).to_have_text("Show 2 more sessions")
    assert row.bounding_box() == at, "nothing moved"
    box = link.bounding_box()
    assert box is not None
    assert box["height"] >= (44 if size["width"] == 390 else 24)
    shop.running.call("DELETE", f"/session/{third}")
    expect(link).to_have_text("Show 1 more session")
    assert stayed(page)
    link.click()
    expect(page.locator(f"#row-{second}")).to_be_visible()
    expect(link).to_be_hidden()
    assert page.url.endswith("/sessions?q=Quarry")


def test_the_mark_of_who_sees_it_lies_beside_the_cost_on_a_phone(shop: Shop, open_page: Open) -> None:
    made = shop.running.call("POST", "/session", {"title": "Quarry alone", "visibility": "private"})[1]
    page = open_page(shop.running, storage_state=shop.state, viewport={"width": 390, "height": 844})
    page.goto("/sessions?q=Quarry+alone")
    row = page.locator(f"#row-{made['id']}")
    seen, cost = row.locator(".seen").bounding_box(), row.locator(".fig-main").bounding_box()
    assert seen is not None
    assert cost is not None
    assert seen["x"] + seen["width"] <= cost["x"]
