"""Notifications in a browser: what a page in sight means, this browser's own subscription, and what it shows."""

from __future__ import annotations

import json
import secrets

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.browser.conftest import Open, Shop
from tests.notifications.listener import Device

pytestmark = pytest.mark.browser

# Headless browsers have no push service: the subscription is one that a test made, the rest is the browser's own.
SUBSCRIBES = """(keys) => {
  Notification.requestPermission = async () => "granted";
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0)).buffer;
  PushManager.prototype.subscribe = async (asked) => {
    window.name = String(asked.applicationServerKey.length);
    return { endpoint: keys.endpoint, getKey: (name) => bytes(keys[name]) };
  };
}"""


@pytest.fixture
def page(shop: Shop, open_page: Open) -> Page:
    opened = open_page(shop.running, storage_state=shop.state)
    opened.goto("/account/notifications")
    return opened


def test_this_browser_can_be_told(page: Page) -> None:
    page.evaluate(SUBSCRIBES, Device().form("https://push.example.com/of-this-test"))
    with page.expect_navigation():
        page.get_by_role("button", name="Tell this browser").click()
    row = page.locator("[data-channel]", has_text="push.example.com").first
    expect(row).to_contain_text("Chrome on Linux")
    assert page.evaluate("window.name") == "65"
    row.get_by_role("checkbox", name="Done").uncheck()
    page.get_by_role("button", name="Save notifications").click()
    expect(row.get_by_role("checkbox", name="Done")).not_to_be_checked()
    row.get_by_role("button", name="Remove").click()
    expect(page.locator("[data-channel]", has_text="push.example.com")).to_have_count(0)


def test_what_is_pushed_is_shown_and_opens_what_it_is_about(page: Page) -> None:
    host = f"push-{secrets.token_hex(4)}.example.com"
    page.context.grant_permissions(["notifications"])
    page.evaluate(SUBSCRIBES, Device().form(f"https://{host}/of-this-test"))
    with page.expect_navigation():
        page.get_by_role("button", name="Tell this browser").click()
    row = page.locator("[data-channel]", has_text=host)
    expect(row).to_have_count(1)
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    origin = page.evaluate("location.origin")
    devtools = page.context.new_cdp_session(page)
    registration = registered(page, devtools, origin)
    told = {"title": "Needs you: make paint", "url": f"{origin}/inbox", "tag": "ask_1", "event": "approval"}
    devtools.send(
        "ServiceWorker.deliverPushMessage",
        {"origin": origin, "registrationId": registration, "data": json.dumps(told)},
    )
    shown = page.wait_for_function(
        "async () => { const [one] = await (await navigator.serviceWorker.ready).getNotifications();"
        " return one && [one.title, one.tag, one.data.url]; }"
    )
    assert shown.json_value() == ["Needs you: make paint", "ask_1", f"{origin}/inbox"]
    row.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)


def registered(page: Page, devtools: CDPSession, origin: str) -> str:
    """The id of the origin's service worker, which the browser tells some time after it is asked."""
    known: list[str] = []
    devtools.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda told: known.extend(
            one["registrationId"]
            for one in told["registrations"]
            if one["scopeURL"] == f"{origin}/" and not one["isDeleted"]
        ),
    )
    devtools.send("ServiceWorker.enable")
    for _ in range(1000):
        if known:
            return known[0]
        page.evaluate("() => new Promise((done) => setTimeout(done, 10))")
    raise AssertionError("the browser told of no service worker")


def test_enter_in_a_field_saves_and_tests_nothing(page: Page) -> None:
    page.get_by_label("Name", exact=True).fill("Lamp")
    page.get_by_label("Address").fill("https://example.com/of-this-other-test")
    page.get_by_role("button", name="Add webhook").click()
    row = page.locator("[data-channel]", has_text="Lamp")
    expect(row).to_have_count(1)
    page.get_by_role("checkbox", name="Quiet from").check()
    page.get_by_label("Time zone").fill("Europe/Berlin")
    with page.expect_response(lambda answer: answer.request.method == "POST") as posted:
        page.get_by_label("Time zone").press("Enter")
    assert posted.value.url.endswith("/account/notifications")
    expect(page.get_by_label("Time zone")).to_have_value("Europe/Berlin")
    page.get_by_role("checkbox", name="Quiet from").uncheck()
    page.get_by_label("Time zone").fill("UTC")
    page.get_by_role("button", name="Save notifications").click()
    row.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
