"""Secrets and the record in a browser: set, granted and taken away by hand, drawn as they change, verified by a press."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests import repository
from tests.browser.conftest import Open, Shop, signed_in, stayed, stays
from tests.model_server import ModelServer
from tests.running import Running

pytestmark = pytest.mark.browser
VALUE = "sk-live-51H8x-the-value"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture
def own(browser: Browser, tmp_path: Path) -> Iterator[Shop]:
    """A server of its own, with a project and an empty vault."""
    root = repository.make(tmp_path / "billing")
    with ModelServer() as model, Running(tmp_path / "data", root) as running:
        yield Shop(running, root, model, signed_in(browser, running))


def test_a_secret_is_set_granted_taken_away_and_deleted(own: Shop, open_page: Open) -> None:
    page = open_page(own.running, storage_state=own.state)
    page.goto("/secrets")
    page.get_by_role("link", name="Add secret…").click()
    expect(page.locator("#app")).to_be_hidden()
    page.get_by_text("App", exact=True).click()
    expect(page.locator("#app")).to_be_visible()
    page.get_by_text("Server", exact=True).first.click()
    page.locator("#name").fill("STRIPE_KEY")
    page.locator("#value").fill(VALUE)
    page.get_by_role("button", name="Add secret").click()
    page.wait_for_url(re.compile(r"name=STRIPE_KEY"))
    expect(page.locator("#secret-rows")).to_contain_text("nobody yet")
    page.get_by_label("Project", exact=True).select_option("billing")
    page.get_by_role("button", name="Grant to its commands").click()
    expect(page.locator("#secret-rows")).to_contain_text("commands in billing")
    assert VALUE not in page.content()
    expect(page.locator("[data-live]")).to_have_text("Live")
    stays(page)
    given = {"key": "SECOND", "value": VALUE + "-second"}
    assert own.running.call("POST", "/api/v1/platform/secrets", given)[0] == 200
    expect(page.locator("#secret-rows")).to_contain_text("SECOND")
    assert stayed(page)
    page.get_by_role("button", name="Take away from billing").click()
    expect(page.locator("#secret-grants")).to_contain_text("no")
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete STRIPE_KEY").click()
    expect(page.locator("#secret-rows")).not_to_contain_text("STRIPE_KEY")


def test_the_record_grows_on_the_page_and_is_verified_by_a_press(own: Shop, open_page: Open) -> None:
    page = open_page(own.running, storage_state=own.state)
    page.goto("/audit")
    expect(page.locator("[data-live]")).to_have_text("Live")
    stays(page)
    assert own.running.call("POST", "/api/v1/platform/secrets", {"key": "FRESH", "value": VALUE})[0] == 200
    expect(page.locator("#audit-rows tr").first).to_contain_text("platform/FRESH")
    assert stayed(page)
    page.get_by_role("button", name="Verify now").click()
    expect(page.locator("#audit-chain")).to_contain_text("Chain whole")
    expect(page.locator("#audit-rows tr").first).to_contain_text("record verified")
    with page.expect_download() as got:
        page.get_by_text("Export", exact=True).click()
        page.get_by_role("link", name="CSV, for a spreadsheet").click()
    assert "platform/FRESH" in Path(got.value.path()).read_text()


def test_rows_are_walked_and_opened_by_keys(own: Shop, open_page: Open) -> None:
    page = open_page(own.running, storage_state=own.state)
    assert own.running.call("POST", "/api/v1/platform/secrets", {"key": "KEYED", "value": VALUE})[0] == 200
    page.goto("/audit?act=secrets.put")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".entry")).to_contain_text("Place in the chain")
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("result").select_option("denied")
    page.get_by_role("button", name="Filter entries").click()
    expect(page.locator("#audit-none")).to_contain_text("No entry matches")
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator("#audit-rows")).to_contain_text("platform/KEYED")


@pytest.mark.parametrize("path", ["/secrets", "/secrets?scope=platform&name=TOKEN", "/secrets?add=1", "/audit"])
def test_on_a_phone_nothing_is_wider_than_it(own: Shop, open_page: Open, path: str) -> None:
    given = {"key": "TOKEN", "value": VALUE}
    assert own.running.call("POST", "/api/v1/platform/secrets", given)[0] == 200
    page = open_page(own.running, storage_state=own.state, **PHONE)
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    if path == "/audit":
        row = page.locator("#audit-rows tr").first
        expect(row).to_contain_text("platform/TOKEN")
        box = row.bounding_box()
        assert box is not None
        assert box["height"] < 90, "two lines"
