"""Signing in with a real provider in Chromium: set up on the page, tested, a role by its claim, a second provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import provider
from tests.browser.conftest import Open, signed_in
from tests.browser.provider import CLIENT, SECRET, Listening
from tests.running import Running

PEOPLE = {
    "mei": {"email": "mei@example.com", "email_verified": True, "name": "Mei Okafor", "groups": ["eng", "platform"]},
    "rui": {"email": "rui@example.com", "email_verified": True, "name": "Rui Nakamura", "groups": ["guests"]},
}
SECOND = {"mei": {"email": "mei@example.com", "email_verified": True, "name": "Mei O.", "groups": ["eng"]}}
NARROW = {"width": 390, "height": 844}


class House:
    """A server, two providers that it may call, and the owner's cookies."""

    def __init__(self, running: Running, first: Listening, second: Listening, state: Any) -> None:
        self.running, self.first, self.second, self.state = running, first, second, state

    @property
    def elsewhere(self) -> tuple[str, str]:
        """Where its pages lead to."""
        return self.first.place, self.second.place


@pytest.fixture(scope="module")
def house(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all tests of this module; each has people or providers of its own."""
    data = tmp_path_factory.mktemp("house").resolve() / "data"
    one, other = provider.ports()
    with Running(data, OUTBOUND_ALLOW=f"127.0.0.1:{one},127.0.0.1:{other}") as running:
        callback = f"{running.url}/api/v1/auth/oidc/callback"
        with (
            provider.listening(one, callback, PEOPLE, in_token=False) as first,
            provider.listening(other, callback, SECOND, in_token=True) as second,
        ):
            yield House(running, first, second, signed_in(browser, running))


def add(page: Page, where: Listening, name: str, id: str) -> None:
    """Fill in the form for a new provider and save it."""
    page.goto("/settings/sign-in?add=1")
    page.get_by_label("Id", exact=True).fill(id)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Issuer").fill(where.issuer)
    page.get_by_label("Client id").fill(CLIENT)
    page.get_by_label("Client secret").fill(SECRET)
    page.get_by_label("Scopes").fill("openid email profile groups")
    page.get_by_label("Role of who is new").select_option("base")
    page.get_by_label("Claim with roles").fill("groups")
    page.get_by_label("Roles by its values").fill("platform = admin\neng = member\nguests = viewer")
    page.get_by_role("button", name="Save provider").click()
    expect(page.get_by_text("Saved.")).to_be_visible()


def log_in(page: Page, login: str) -> None:
    """What somebody does at the provider."""
    page.get_by_label("Login").fill(login)
    page.get_by_role("button", name="Continue").click()


def test_people_sign_in_with_two_providers_in_the_roles_of_their_claims(house: House, open_page: Open) -> None:
    owner = open_page(house.running, elsewhere=house.elsewhere, storage_state=house.state)
    add(owner, house.first, "Harbour", "harbour")
    # What it says of somebody can be seen before anybody comes in by it.
    owner.get_by_role("link", name="Test sign-in").first.click()
    log_in(owner, "mei")
    expect(owner.get_by_role("heading", name="Harbour answers")).to_be_visible()
    expect(owner.get_by_text("mei@example.com")).to_be_visible()
    expect(owner.get_by_text("member, admin")).to_be_visible()
    owner.goto("/members")
    expect(owner.get_by_text("Mei Okafor")).to_have_count(0)
    add(owner, house.second, "Lighthouse", "lighthouse")

    mei = open_page(house.running, elsewhere=house.elsewhere)
    mei.goto("/inbox")
    expect(mei.get_by_role("link", name="Continue with Lighthouse")).to_be_visible()
    mei.get_by_role("link", name="Continue with Harbour").click()
    log_in(mei, "mei")
    expect(mei).to_have_url(f"{house.running.url}/inbox")
    expect(mei.get_by_text("Mei Okafor").first).to_be_visible()
    mei.goto("/settings/sign-in")
    expect(mei.get_by_role("heading", name="Settings")).to_be_visible()

    rui = open_page(house.running, elsewhere=house.elsewhere, viewport=NARROW, allowed=("403", "404"))
    rui.goto("/signin")
    rui.get_by_role("link", name="Continue with Harbour").click()
    log_in(rui, "rui")
    expect(rui.get_by_role("heading", name="Home")).to_be_visible()
    rui.goto("/settings/sign-in")
    expect(rui.get_by_role("heading", name="Not found")).to_be_visible()

    # The same address at the other provider is nobody here, until who is here connects it.
    again = open_page(house.running, elsewhere=house.elsewhere, allowed=("401",))
    again.goto("/signin")
    again.get_by_role("link", name="Continue with Lighthouse").click()
    log_in(again, "mei")
    expect(again.get_by_role("alert")).to_contain_text("Somebody with this email address is here already")
    again.get_by_role("link", name="Sign in as before, then connect").click()
    again.get_by_role("link", name="Continue with Harbour").click()
    log_in(again, "mei")
    again.get_by_role("link", name="Go to Lighthouse").click()
    log_in(again, "mei")  # the two share the cookies of their host, so neither remembers
    expect(again.get_by_role("heading", name="Lighthouse is connected")).to_be_visible()

    last = open_page(house.running, elsewhere=house.elsewhere)
    last.goto("/signin")
    last.get_by_role("link", name="Continue with Lighthouse").click()
    log_in(last, "mei")
    expect(last.get_by_role("heading", name="Home")).to_be_visible()
    expect(last.get_by_text("Mei Okafor").first).to_be_visible()


def test_who_goes_back_is_told_so_and_can_begin_anew(house: House, open_page: Open) -> None:
    owner = open_page(house.running, elsewhere=house.elsewhere, storage_state=house.state)
    add(owner, house.first, "Quay", "quay")
    page = open_page(house.running, elsewhere=house.elsewhere, viewport=NARROW, allowed=("401",))
    page.goto("/signin")
    page.get_by_role("link", name="Continue with Quay").click()
    page.get_by_role("button", name="Go back").click()
    expect(page.get_by_role("alert")).to_contain_text("Quay did not let you in: You went back")
    expect(page.get_by_text("inc_")).to_be_visible()
    page.get_by_role("link", name="Back to sign-in").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_provider_that_is_not_as_it_should_be_is_not_saved(house: House, open_page: Open) -> None:
    owner = open_page(house.running, storage_state=house.state, allowed=("400",))
    owner.goto("/settings/sign-in?add=1")
    owner.get_by_label("Id", exact=True).fill("wrong")
    owner.get_by_label("Name").fill("Wrong")
    owner.get_by_label("Issuer").fill(f"{house.first.issuer}/")
    owner.get_by_label("Client id").fill(CLIENT)
    owner.get_by_role("button", name="Check").click()
    expect(owner.get_by_role("alert")).to_contain_text("It calls itself")
    expect(owner.get_by_label("Client id")).to_have_value(CLIENT)
