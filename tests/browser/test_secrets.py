"""The vault in Chromium: what cannot be undone is confirmed where one sees it, also on a phone."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open, Shop

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
SIZES = [pytest.param({"width": 1440, "height": 900}, id="1440"), pytest.param(PHONE, id="390")]


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("size", SIZES)
def test_a_secret_is_deleted_after_a_word_in_sight(shop: Shop, open_page: Open, size: Any, scripts: bool) -> None:
    page = open_page(shop.running, storage_state=shop.state, viewport=size, java_script_enabled=scripts)
    page.goto("/secrets?add=1")
    page.get_by_label("Name", exact=True).fill("PAINT_SHOP_KEY")
    page.get_by_label("Value").fill("a value of this test")
    page.get_by_role("button", name="Add secret").click()
    expect(page.get_by_role("heading", name="PAINT_SHOP_KEY")).to_be_visible()
    page.get_by_text("Delete…").click()
    button = page.get_by_role("button", name="Delete PAINT_SHOP_KEY")
    for part in (button, page.get_by_text("It cannot be brought back.")):
        box = part.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size["width"]
    button.click()
    expect(page.get_by_role("link", name="PAINT_SHOP_KEY")).to_have_count(0)


def test_a_quiet_button_takes_no_more_room_than_another(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, viewport=PHONE)
    page.goto("/invites")
    link = page.get_by_role("main").get_by_role("link", name="Members")
    expect(link).to_have_css("margin-top", "0px")
    box = link.bounding_box()
    assert box is not None
    assert box["height"] == 44
