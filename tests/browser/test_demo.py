"""From the printed link to a reverted edit: the demo as somebody new goes through it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, grows, printed_link, stayed, stays
from tests.running import Running
from tests.visitor import until

pytestmark = pytest.mark.browser

CODE = "billing/proration.py"
OLD = "unused = (old.price * ratio).quantize(CENT)"
NEW = "due = delta.quantize(CENT)"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path.resolve() / "data") as started:
        yield started


def test_the_demo_goes_from_the_printed_link_to_an_edit_taken_back(running: Running, open_page: Open) -> None:
    page = open_page(running)
    sign_in_by_printed_link(page, running)
    file = running.data_dir / "sample" / CODE
    session_url = run_demo(page)

    card = page.locator("[data-ask]")
    expect(card.get_by_role("heading", name="Save this edit?")).to_be_visible()
    expect(card.locator(".diff .plus").first).to_contain_text("Round once")
    assert OLD in file.read_text()

    approve_in_inbox(page)
    page.goto(session_url)
    expect(page.locator("details.card .diff .minus").first).to_contain_text("unused")
    until(lambda: NEW in file.read_text())

    stays(page)
    expect(page.locator("[data-ask] .call")).to_have_text("python3 -m unittest -q")
    page.locator("[data-ask]").get_by_role("button", name="Run command").click()
    expect(page.locator(".prose").last).to_contain_text("You can see the diff under Changes")
    expect(page.locator("#session-panel .badge")).to_have_text("Done")
    expect(page.locator("#session-stop button")).to_have_count(0)
    expect(page.locator("#session-send")).to_contain_text("Send")
    expect(page.locator("details.card", has_text="python3 -m unittest -q")).to_contain_text("exit 0")
    assert stayed(page)

    see_changes(page)
    take_back_and_forth(page, session_url, file)
    the_link_is_spent(open_page(running, allowed=("401",)), running)


def sign_in_by_printed_link(page: Page, running: Running) -> None:
    page.goto(printed_link(running))
    expect(page.get_by_label("One-time code")).not_to_have_value("")
    assert "#" not in page.url
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    expect(page.get_by_role("heading", name="Connect a model")).to_be_visible()
    assert page.context.cookies()[0]["httpOnly"]


def run_demo(page: Page) -> str:
    """Start it, see its text grow without a reload, and give the session's URL."""
    page.get_by_role("button", name="Run the demo").click()
    page.wait_for_url(re.compile(r"/sessions/ses_"))
    stays(page)
    grows(page, "#transcript")
    expect(page.locator(".said")).to_contain_text("billed a cent too much")
    expect(page.locator("[data-ask]")).to_be_visible()
    expect(page.locator("#session-panel .badge")).to_have_text("Needs you")
    expect(page).to_have_title(re.compile(r"^\(1\) "))
    assert stayed(page)
    return page.url


def approve_in_inbox(page: Page) -> None:
    page.get_by_role("link", name="Inbox").first.click()
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    decision = page.locator("form.decision")
    added = decision.locator(".diff .plus").first
    expect(added).to_contain_text("Round once")
    expect(added).to_be_visible()
    decision.get_by_role("button", name="Save edit").click()
    expect(page.locator(".ask-row.past")).to_contain_text(CODE)


def see_changes(page: Page) -> None:
    page.get_by_role("link", name="Changes").click()
    expect(page.locator("details.file")).to_have_count(1)
    expect(page.locator("details.file summary")).to_contain_text(CODE)
    expect(page.locator("details.file .plus").first).to_contain_text("Round once")


def take_back_and_forth(page: Page, session_url: str, file: Path) -> None:
    page.goto(session_url)
    page.locator("details.card").get_by_role("button", name="Undo").first.click()
    expect(page.get_by_text("set back to an earlier point")).to_be_visible()
    assert OLD in file.read_text()
    page.get_by_role("button", name="Undo the step back").click()
    expect(page.get_by_text("set back to an earlier point")).to_have_count(0)
    assert NEW in file.read_text()


def the_link_is_spent(page: Page, running: Running) -> None:
    page.goto(printed_link(running))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_home_says_when_nothing_needs_anybody_any_more(running: Running, open_page: Open) -> None:
    page = open_page(running)
    sign_in_by_printed_link(page, running)
    run_demo(page)
    page.goto("/")
    stays(page)
    nothing = page.get_by_text("Nothing needs you.")
    row = page.locator("#needs-you > [data-ask]")
    expect(row).to_contain_text(CODE)
    expect(nothing).to_be_hidden()
    other = page.context.new_page()
    other.goto(row.locator("a.title").get_attribute("href") or "")
    other.get_by_role("button", name="Reject", exact=True).click()
    expect(nothing).to_be_visible()
    assert stayed(page)
    other.set_viewport_size({"width": 390, "height": 844})
    other.goto("/inbox")
    expect(other.locator(".ask-row.past")).to_be_visible()
    assert other.locator(".ask-row.past .cut").evaluate("el => el.offsetWidth") > 200
