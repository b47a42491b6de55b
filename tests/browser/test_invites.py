"""Inviting and joining in Chromium: the link is made and copied, opened on a phone, and used up by its button."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Open, Shop

NARROW = {"width": 390, "height": 844}


def test_somebody_is_invited_and_joins_on_their_phone(shop: Shop, open_page: Open) -> None:
    owner = open_page(shop.running, storage_state=shop.state)
    owner.goto("/invites")
    owner.get_by_label("Email").fill("lena@example.com")
    owner.get_by_label("Role").select_option("viewer")
    owner.get_by_role("button", name="Invite").click()
    expect(owner.get_by_role("status").filter(has_text="lena@example.com")).to_be_visible()
    link = owner.locator("#invite-url").inner_text()
    assert link.startswith(f"{shop.running.url}/join?token=")
    owner.goto("/invites")
    expect(owner.get_by_text("lena@example.com")).to_be_visible()
    expect(owner.locator("#invite-url")).to_have_count(0)

    lena = open_page(shop.running, viewport=NARROW)
    lena.goto(link)
    expect(lena).to_have_url(f"{shop.running.url}/join")
    expect(lena.get_by_role("heading", name="Join")).to_be_visible()
    assert lena.evaluate("document.documentElement.scrollWidth <= innerWidth")
    lena.get_by_label("Name").fill("Lena Ochs")
    lena.get_by_role("button", name="Join as lena@example.com").click()
    expect(lena.get_by_role("heading", name="Home")).to_be_visible()

    late = open_page(shop.running, viewport=NARROW, allowed=("401",))
    late.goto(link)
    expect(late.get_by_role("heading", name="This link is over")).to_be_visible()
    expect(late.get_by_text("lena")).to_have_count(0)


def test_an_invite_is_revoked_and_its_link_is_over(shop: Shop, open_page: Open) -> None:
    owner = open_page(shop.running, storage_state=shop.state)
    owner.goto("/invites")
    owner.get_by_label("Email").fill("nora@example.com")
    owner.get_by_role("button", name="Invite").click()
    link = owner.locator("#invite-url").inner_text()
    row = owner.get_by_role("listitem").filter(has_text="nora@example.com")
    row.get_by_role("button", name="Resend").click()
    expect(owner.locator("#invite-url")).not_to_have_text(link)
    newer = owner.locator("#invite-url").inner_text()
    guest = open_page(shop.running, allowed=("401",))
    guest.goto(link)
    expect(guest.get_by_role("heading", name="This link is over")).to_be_visible()
    guest.goto(newer)
    guest.get_by_role("button", name="Decline the invite").click()
    expect(guest.get_by_role("heading", name="The invite is declined")).to_be_visible()
    owner.goto("/invites")
    expect(owner.get_by_role("listitem").filter(has_text="nora@example.com")).to_have_count(0)


def test_joining_works_without_script(shop: Shop, open_page: Open) -> None:
    owner = open_page(shop.running, storage_state=shop.state, java_script_enabled=False)
    owner.goto("/invites")
    owner.get_by_label("Email").fill("olga@example.com")
    owner.get_by_role("button", name="Invite").click()
    link = owner.locator("#invite-url").inner_text()
    olga = open_page(shop.running, java_script_enabled=False)
    olga.goto(link)
    olga.get_by_role("button", name="Join as olga@example.com").click()
    expect(olga.get_by_role("heading", name="Home")).to_be_visible()
