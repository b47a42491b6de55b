"""The story of a provider: added by its address, tested over a real socket, used, and forgotten; no key on any page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Shop, stayed, stays
from tests.model_server import Fail, Gate, Say

pytestmark = pytest.mark.browser

KEY = "sk-rack-4kQA99887766"


def test_a_provider_is_connected_tested_and_removed(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    add(page, "Rack one", shop.model.url)
    gate = Gate()
    shop.model.script.append([gate, Say("ok")])
    stays(page)
    panel = page.locator("#provider-panel")
    panel.get_by_role("button", name="Test Rack one").click()
    expect(panel.get_by_text("Asking; it gives up after 20 s.")).to_be_visible()
    gate.opened.set()
    expect(panel.locator(".trial")).to_contain_text("scripted answered.")
    expect(panel.get_by_text("Asking; it gives up after 20 s.")).to_be_hidden()
    expect(page.locator("#last-rack-one .ok")).to_be_visible()
    shop.model.script.append([Fail(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})])
    page.get_by_role("button", name="Test Rack one", exact=True).first.click()
    expect(panel.locator(".trial")).to_contain_text("Rack one refused the key.")
    expect(page.locator("#last-rack-one .fail")).to_contain_text("the key was refused")
    expect(page.locator("#state-rack-one").get_by_role("img", name="Its last test failed")).to_be_visible()
    assert stayed(page)
    assert KEY not in page.content()
    panel.get_by_role("button", name="Remove key").click()
    expect(page.get_by_role("link", name="Rack one")).to_have_count(0)


def test_the_same_without_javascript_and_on_a_phone(shop: Shop, open_page: Open) -> None:
    page = open_page(
        shop.running, storage_state=shop.state, java_script_enabled=False, viewport={"width": 390, "height": 844}
    )
    add(page, "Rack two", shop.model.url)
    page.locator("#provider-panel").get_by_role("button", name="Test Rack two").click()
    expect(page.locator(".trial")).to_contain_text("scripted answered.")
    page.locator("#provider-panel").get_by_role("button", name="Remove key").click()
    page.goto("/settings/models?q=rack-two")
    expect(page.get_by_text("No model matches.")).to_be_visible()


def test_models_are_found_while_one_types(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    page.goto("/settings/models")
    stays(page)
    expect(page.locator("#found tbody tr")).not_to_have_count(1)
    page.get_by_label("Search models").fill("walkthrough")
    expect(page.locator("#found tbody tr")).to_have_count(1)
    expect(page.locator("#found")).to_contain_text("demo/walkthrough")
    page.get_by_label("Search models").fill("")
    page.get_by_label("provider").select_option("openai")
    expect(page.locator("#found")).to_contain_text("openai/scripted")
    assert stayed(page)


def add(page: Page, name: str, url: str) -> None:
    page.goto("/settings/providers")
    page.get_by_role("link", name="Add provider…").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Base URL").fill(url)
    page.get_by_label(re.compile(r"^Key( optional)?$")).fill(KEY)
    page.get_by_role("button", name="Add provider").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.locator("#provider-panel")).to_contain_text("1 model, windows and prices")
