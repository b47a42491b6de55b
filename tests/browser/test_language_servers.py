"""The page of language servers in a browser: a test starts one, and the page shows live how it stands."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open, Shop, stayed, stays
from tests.patience import PATIENCE

pytestmark = pytest.mark.browser
# A session of another test may have had it open a file of its own.
OPEN = re.compile(r"in \d+ open files?")


def test_a_server_is_tested_stopped_and_started_while_the_page_stays(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    page.goto("/settings/languages")
    stays(page)
    page.get_by_role("button", name="Test basedpyright").click()
    expect(page.locator(".trial .result.ok")).to_contain_text("symbols in", timeout=PATIENCE * 1000)
    expect(page.locator('.server[data-state="running"]')).to_contain_text(OPEN)
    page.get_by_role("button", name="Stop basedpyright").click()
    expect(page.locator('.server[data-state="idle"]')).to_be_visible()
    page.get_by_role("button", name="Start basedpyright").click()
    expect(page.locator('.server[data-state="running"]')).to_be_visible(timeout=PATIENCE * 1000)
    assert stayed(page)
    page.get_by_role("button", name="Stop basedpyright").click()
    expect(page.locator('.server[data-state="idle"]')).to_be_visible()
