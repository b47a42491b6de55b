"""What runs without asking, ticked with the mouse and the keyboard: foreseen as one ticks, saved, and without script."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from app import ids
from tests.browser.conftest import Open, Shop, stayed, stays

pytestmark = pytest.mark.browser

OFF = {"autoApprovalEnabled": False, "alwaysAllowExecute": False, "allowedCommands": ["git log"], "deniedCommands": []}


@pytest.fixture
def rejected(shop: Shop) -> Iterator[str]:
    """A command that asked and was rejected just now; the switches are as before when the test is over."""
    command, wait = f"make {ids.random('target')}", {"wait_for_response": True}
    status, task = shop.running.call("POST", "/api/tasks", {"message": f"[[bash {command}]] [[say Done]]", **wait})
    assert (status, task["status"]) == (200, "needs_approval")
    shop.running.call("POST", f"/api/tasks/{task['id']}/respond", {"response": "reject", **wait})
    yield command
    assert shop.running.call("POST", "/api/auto-approve", OFF)[0] == 200


def tick(page: Page) -> None:
    page.get_by_label("Auto-approve", exact=True).check()
    page.get_by_label("Execute", exact=True).check()
    page.get_by_label("Allowed commands").fill("make")


def test_what_is_ticked_is_foreseen_at_once_and_saved_on_demand(shop: Shop, open_page: Open, rejected: str) -> None:
    page = open_page(shop.running, storage_state=shop.state, allowed=("status of 400",))
    page.goto("/settings/auto-approve")
    stays(page)
    panel = page.get_by_role("complementary", name="What would this allow?")
    expect(panel.get_by_text(rejected)).to_have_count(0)
    expect(page.get_by_role("button", name="Preview")).to_be_hidden()
    tick(page)
    expect(panel.get_by_role("heading", name="Rejected, yet it would run")).to_be_visible()
    expect(panel.get_by_text(rejected)).to_be_visible()
    page.get_by_label("Denied commands").fill(rejected)
    expect(panel.get_by_role("heading", name="Would be denied")).to_be_visible()
    page.get_by_label("Denied commands").fill("")
    expect(panel.get_by_role("heading", name="Would be denied")).to_have_count(0)
    page.locator("#allowed_max_requests").fill("many")
    expect(panel.or_(page.locator(".notice")).get_by_text("is no number").first).to_be_visible()
    page.locator("#allowed_max_requests").fill("")
    expect(page.get_by_text("is no number")).to_have_count(0)
    expect(page.get_by_text(rejected)).to_be_visible()
    assert stayed(page)
    page.reload()
    expect(page.get_by_label("Execute", exact=True)).not_to_be_checked()
    tick(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_label("Execute", exact=True)).to_be_checked()


def test_the_same_without_javascript_and_on_a_phone(shop: Shop, open_page: Open, rejected: str) -> None:
    page = open_page(
        shop.running, storage_state=shop.state, java_script_enabled=False, viewport={"width": 390, "height": 844}
    )
    page.goto("/settings/auto-approve")
    tick(page)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="Rejected, yet it would run")).to_be_visible()
    expect(page.get_by_text(rejected)).to_be_visible()
    expect(page.get_by_label("Execute", exact=True)).to_be_checked()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved.")).to_be_visible()


def test_a_switch_is_reached_and_ticked_by_keyboard(shop: Shop, open_page: Open, rejected: str) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    page.goto("/settings/auto-approve")
    page.get_by_label("Auto-approve", exact=True).focus()
    page.keyboard.press("Space")
    for _ in range(5):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_label("Execute", exact=True)).to_be_focused()
    expect(page.get_by_label("Execute", exact=True)).to_be_checked()
    page.get_by_label("Allowed commands").fill("make")
    expect(page.get_by_text(rejected)).to_be_visible()


def test_instructions_are_written_cleared_and_told_by_mode(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    page.goto("/settings/instructions")
    page.get_by_label("Your instructions").fill("Say it in verse.")
    page.get_by_role("button", name="Save instructions").click()
    expect(page.get_by_role("status").get_by_text("Saved.")).to_be_visible()
    first = page.get_by_role("complementary", name="In force").get_by_role("listitem").first
    expect(first).to_contain_text("Your instructions")
    first.get_by_text("Its text").click()
    expect(first.get_by_text("Say it in verse.")).to_be_visible()
    page.get_by_label("Mode", exact=True).select_option("ask")
    expect(page).to_have_url(re.compile("mode=ask"))
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("status").get_by_text("Cleared.")).to_be_visible()
    expect(page.get_by_label("Your instructions")).to_have_value("")
