"""A session is shared from its page; a browser that never signed in follows it until the sharing is stopped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Shop, stayed, stays
from tests.browser.test_live import HIDE, begin, streams
from tests.browser.test_without_javascript import sign_in_by_code
from tests.model_server import Call, Gate, Say
from tests.running import Running

pytestmark = pytest.mark.browser


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path.resolve() / "data") as started:
        yield started


def to_share(page: Page) -> None:
    """Go from a session to the page that shares it."""
    page.locator(".who-sees > summary").click()
    page.get_by_role("link", name="Anyone with the link…").click()


def test_a_stranger_follows_a_shared_session_until_it_is_stopped(shop: Shop, open_page: Open) -> None:
    gate, last = Gate(), Gate()
    shop.model.script.append([Say("First."), gate, Say("\n\nSecond."), Call("bash", {"command": "echo deep"})])
    shop.model.script.append([Say("Third."), last, Say(" Fourth.")])
    page = open_page(shop.running, storage_state=shop.state)
    url = begin(page, "Go on.")
    to_share(page)
    expect(page.get_by_role("heading", name="Share this session?")).to_be_visible()
    expect(page.get_by_text("commands as they were typed")).to_be_visible()
    page.get_by_role("button", name="Share this session").click()
    address = page.locator("#share-url").inner_text()

    visit = open_page(shop.running, allowed=("404",))
    asked = streams(visit)
    visit.goto(address)
    stays(visit)
    expect(visit.locator(".prose")).to_have_text("First.")
    expect(visit.locator(".public-side .badge")).to_have_text("Running")
    expect(visit.locator("[data-live]")).to_have_attribute("data-state", "live")
    gate.opened.set()
    expect(visit.locator(".prose").first).to_contain_text("Second.")
    expect(visit.locator(".public-side .badge")).to_have_text("Waits for an answer")
    expect(visit.locator("form, textarea, button:not(.pill-new)")).to_have_count(0)

    page.goto(url)
    page.locator("[data-ask]").get_by_role("button", name="Run command").click()
    expect(visit.locator(".card code")).to_have_text("echo deep")
    expect(visit.get_by_text("Output is not shared.")).to_be_visible()
    expect(visit.locator(".prose").last).to_have_text("Third.")
    assert [request.url.split("?")[0] for request in asked] == [f"{address}/live"]
    assert visit.context.cookies() == []
    assert stayed(visit)

    page.locator(".who-sees > summary").click()
    page.get_by_role("button", name="End the link").click()
    expect(page.locator(".who-sees > summary")).to_have_attribute("aria-label", "Who sees it: the team")
    expect(visit.get_by_text("This link has ended or never was.")).to_be_visible()
    last.opened.set()
    expect(page.locator(".prose").last).to_have_text("Third. Fourth.")
    expect(visit.get_by_text("Fourth.")).to_have_count(0)


def test_a_page_that_comes_back_to_an_ended_address_says_so(shop: Shop, open_page: Open) -> None:
    shop.model.script.append([Say("Ready.")])
    page = open_page(shop.running, storage_state=shop.state)
    url = begin(page, "Be ready.")
    session_id = url.rsplit("/", 1)[1]
    _, shared = shop.running.call("POST", f"/session/{session_id}/share")
    visit = open_page(shop.running, allowed=("404",))
    visit.goto(shared["share"]["url"])
    expect(visit.locator("[data-live]")).to_have_attribute("data-state", "live")
    # The word to load anew may be lost with the connection: what is left is the refusal to begin again.
    visit.evaluate("addEventListener('resync', (event) => event.stopImmediatePropagation(), true)")
    shop.running.call("DELETE", f"/session/{session_id}/share")
    expect(visit.get_by_text("This link has ended or never was.")).to_be_visible()


def test_the_public_page_leaves_the_count_of_other_tabs_alone(shop: Shop, open_page: Open) -> None:
    shop.model.script.append([Say("Ready."), Call("bash", {"command": "make tea"})])
    page = open_page(shop.running, storage_state=shop.state)
    url = begin(page, "Make tea.")
    page.locator("[data-ask]").wait_for()
    page.goto(f"{url}/share")
    page.get_by_role("button", name="Share this session").click()
    address = page.locator("#share-url").inner_text()
    page.goto("/")
    counted = page.locator(".inbox-count").first.inner_text()
    assert int(counted) >= 1
    visit = page.context.new_page()
    visit.goto(address)
    visit.evaluate(HIDE, True)
    expect(visit.locator("#page-stream")).to_have_count(0)
    page.evaluate(HIDE, True)
    expect(page.locator("#page-stream")).to_have_count(1)
    visit.evaluate(HIDE, False)
    expect(visit.locator("#page-stream")).to_have_count(1)
    shop.running.call("PATCH", f"/session/{url.rsplit('/', 1)[1]}", {"title": "Tea"})
    expect(visit.get_by_role("heading", name="Tea")).to_be_visible()
    expect(page.locator(".inbox-count").first).to_have_text(counted)


def test_sharing_works_without_a_script(running: Running, open_page: Open) -> None:
    page = open_page(running, java_script_enabled=False)
    sign_in_by_code(page, running)
    page.get_by_role("button", name="Run the demo").click()
    page.wait_for_url(re.compile(r"/sessions/ses_"))
    to_share(page)
    page.get_by_label("Also what tools gave back").check()
    page.get_by_role("button", name="Share this session").click()
    address = page.locator("#share-url").inner_text()
    visit = open_page(running, java_script_enabled=False, allowed=("404",))
    visit.goto(address)
    expect(visit.get_by_text("read only")).to_be_visible()
    expect(visit.get_by_text("what tools gave back")).to_be_visible()
    page.get_by_role("button", name="Stop sharing").click()
    visit.reload()
    expect(visit.get_by_text("This link has ended or never was.")).to_be_visible()
