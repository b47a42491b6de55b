"""Everything that matters works as plain links and forms, with scripts off."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.running import Running

pytestmark = pytest.mark.browser


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path.resolve() / "data") as started:
        yield started


def test_the_demo_works_without_a_script(running: Running, open_page: Open, tmp_path: Path) -> None:
    page = open_page(running, java_script_enabled=False)
    sign_in_by_code(page, running)
    page.get_by_role("button", name="Run the demo").click()
    session_url = page.url
    assert re.search(r"/sessions/ses_", session_url)

    reload_until(page, "Save this edit?")
    page.get_by_role("button", name="Save edit").click()
    assert page.url == session_url
    reload_until(page, "Run this command?")
    page.locator("summary", has_text="Reject…").click()
    page.get_by_label("A word to the agent").fill("not on a Friday")
    page.get_by_label("A word to the agent").press("Enter")
    expect(page.get_by_text("Run this command?")).to_be_visible()
    page.get_by_role("button", name="Reject", exact=True).click()
    reload_until(page, "I could not run the tests")
    expect(page.locator(".answered", has_text="not on a Friday")).to_contain_text("rejected")

    add_project(page, tmp_path)
    sign_out(page, session_url)


def sign_in_by_code(page: Page, running: Running) -> None:
    page.goto("/")
    assert page.url.split("?")[0].endswith("/signin")
    page.get_by_label("One-time code").fill(running.sign_in_code())
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()


def reload_until(page: Page, words: str) -> None:
    """Press reload as a person would, until the words are there or half a minute is over."""
    deadline = time.monotonic() + 30
    while not page.get_by_text(words).count() and time.monotonic() < deadline:
        page.reload()
    expect(page.get_by_text(words)).to_be_visible()


def add_project(page: Page, tmp_path: Path) -> None:
    shop = tmp_path.resolve() / "corner-shop"
    shop.mkdir()
    page.get_by_role("link", name="Projects").first.click()
    page.get_by_label("Add").fill(str(shop))
    page.get_by_role("button", name="Add project").click()
    expect(page.get_by_role("link", name="corner-shop")).to_be_visible()


def sign_out(page: Page, session_url: str) -> None:
    page.locator(".rail-foot summary").click()
    page.get_by_role("button", name="Sign out").first.click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(session_url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
