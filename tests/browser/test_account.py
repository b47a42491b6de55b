"""Getting in by password, the first run, and one's own account, in Chromium."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, printed_link
from tests.running import Running

pytestmark = pytest.mark.browser

EMAIL, PASSWORD = "ines@example.com", "tractor-lamp-9"
PHONE = {"width": 390, "height": 844}
SIZES = [pytest.param({"width": 1440, "height": 900}, id="1440"), pytest.param(PHONE, id="390")]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of one person, who has a password."""
    with Running(tmp_path_factory.mktemp("account").resolve() / "data") as started:
        code = printed_link(started).partition("#")[2]
        body = {"email": EMAIL, "password": PASSWORD, "displayName": "Ines Calder", "code": code}
        assert started.call("POST", "/api/v1/auth/register", body, Authorization="")[0] == 201
        yield started


def sign_in(page: Page, password: str = PASSWORD) -> None:
    page.goto("/signin")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(password)
    page.keyboard.press("Enter")


def at_home(page: Page) -> None:
    expect(page.get_by_role("heading", name="Home")).to_be_visible()


def fits(page: Page) -> None:
    """Nothing scrolls the page sideways."""
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_first_person_makes_the_server_theirs(open_page: Open, tmp_path: Any) -> None:
    with Running(tmp_path.resolve() / "data") as running:
        page = open_page(running, allowed=("status of 400",))
        page.goto(printed_link(running))
        expect(page.get_by_role("heading", name="Set up the owner")).to_be_visible()
        expect(page.get_by_label("One-time code")).to_be_hidden()
        assert "#" not in page.url
        page.get_by_label("Your name").fill("Ines Calder")
        page.get_by_label("Email").fill(EMAIL)
        page.get_by_label("Password", exact=True).fill("password")
        page.get_by_role("button", name="Create owner and open Home").click()
        expect(page.get_by_role("alert")).to_have_text("This password is among the first that are tried. Take another.")
        expect(page.get_by_label("Your name")).to_have_value("Ines Calder")
        expect(page.get_by_label("Password", exact=True)).to_be_focused()
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Show the password").click()
        expect(page.get_by_label("Password", exact=True)).to_have_attribute("type", "text")
        page.keyboard.press("Enter")  # on the eye: it hides again
        expect(page.get_by_label("Password", exact=True)).to_have_attribute("type", "password")
        page.get_by_role("button", name="Create owner and open Home").click()
        at_home(page)
        page.get_by_title("Ines Calder").first.click()
        page.get_by_role("link", name="Account").click()
        page.get_by_role("main").get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        sign_in(page)
        at_home(page)


def test_the_link_alone_is_enough_for_now(open_page: Open, tmp_path: Any) -> None:
    with Running(tmp_path.resolve() / "data") as running:
        page = open_page(running)
        page.goto(printed_link(running))
        page.get_by_role("button", name="Sign in without a password for now").click()
        at_home(page)
        page.goto("/account")
        expect(page.get_by_text("none yet: you came by a link")).to_be_visible()
        page.get_by_label("New password").fill(PASSWORD)
        page.get_by_role("button", name="Set password").click()
        expect(page.get_by_role("button", name="Change password")).to_be_visible()


def test_a_wrong_password_keeps_the_email_and_says_so(open_page: Open, running: Running) -> None:
    page = open_page(running, allowed=("status of 401",))
    sign_in(page, "not-this-one")
    expect(page.get_by_role("alert")).to_have_text("Nobody has this email with this password.")
    expect(page.get_by_label("Email")).to_have_value(EMAIL)
    expect(page.get_by_label("Password", exact=True)).to_be_focused()


def test_a_code_is_another_way_in(open_page: Open, running: Running) -> None:
    page = open_page(running)
    page.goto(f"/signin#{running.sign_in_code()}")
    expect(page.get_by_label("Email")).to_be_hidden()
    page.get_by_role("button", name="Sign in").click()
    at_home(page)


def test_a_token_is_made_shown_once_and_revoked(open_page: Open, running: Running) -> None:
    page = open_page(running)
    sign_in(page)
    at_home(page)
    page.goto("/account")
    page.get_by_label("Name of the new token").fill("shown once")
    page.get_by_label("What it may do").select_option(label="only read")
    page.get_by_role("button", name="Make token").click()
    expect(page.get_by_role("status").filter(has_text="shown once is made")).to_be_visible()
    secret = page.locator("#secret").inner_text()
    status, me = running.call("GET", "/api/v1/auth/me", Authorization=f"Bearer {secret}")
    assert (status, me["email"]) == (200, EMAIL)
    page.goto("/account")
    expect(page.get_by_text(secret)).to_have_count(0)
    page.get_by_title("Revoke shown once").click()
    expect(page.get_by_text("shown once")).to_have_count(0)
    assert running.call("GET", "/api/v1/auth/me", Authorization=f"Bearer {secret}")[0] == 401


def test_another_device_is_signed_out(open_page: Open, running: Running) -> None:
    there = open_page(running, allowed=("401",), user_agent="Mozilla/5.0 (iPhone) AppleWebKit/605 Safari/604")
    sign_in(there)
    at_home(there)
    here = open_page(running)
    sign_in(here)
    at_home(here)
    here.goto("/account")
    row = here.locator("#devices li").filter(has_text="Safari on iPhone")
    row.get_by_role("button", name="Sign out").click()
    expect(row).to_have_count(0)
    there.goto("/account")
    expect(there.get_by_role("heading", name="Sign in")).to_be_visible()
    here.reload()
    expect(here.get_by_text("this one")).to_be_visible()


def test_a_changed_password_signs_all_others_out(open_page: Open, tmp_path: Any) -> None:
    with Running(tmp_path.resolve() / "data") as running:
        code = printed_link(running).partition("#")[2]
        body = {"email": EMAIL, "password": PASSWORD, "displayName": "Ines Calder", "code": code}
        assert running.call("POST", "/api/v1/auth/register", body, Authorization="")[0] == 201
        there, here = open_page(running, allowed=("401",)), open_page(running, allowed=("status of 400",))
        for page in (there, here):
            sign_in(page)
            at_home(page)
        here.goto("/account")
        here.get_by_label("Current password").fill("not-this-one")
        here.get_by_label("New password").fill("seventeen small boats")
        here.get_by_role("button", name="Change password").click()
        expect(here.get_by_role("alert")).to_have_text("This is not your present password.")
        here.get_by_label("Current password").fill(PASSWORD)
        here.get_by_label("New password").fill("seventeen small boats")
        here.get_by_role("button", name="Change password").click()
        expect(here.get_by_text("all other devices are signed out")).to_be_visible()
        there.goto("/account")
        expect(there.get_by_role("heading", name="Sign in")).to_be_visible()


def test_what_wants_a_fresh_sign_in_leads_there_and_back(open_page: Open, running: Running) -> None:
    page = open_page(running)
    sign_in(page)
    at_home(page)
    page.goto("/account")
    with closing(sqlite3.connect(running.data_dir / "signalcabin.db", timeout=30)) as database, database:
        database.execute("UPDATE browser_session SET proved = 0")
    page.get_by_label("Name of the new token").fill("after a while")
    page.get_by_role("button", name="Make token").click()
    expect(page.get_by_role("heading", name="Is it you?")).to_be_visible()
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Go on", exact=True).click()
    expect(page).to_have_url(re.compile(r"/account$"))
    page.get_by_label("Name of the new token").fill("after a while")
    page.get_by_role("button", name="Make token").click()
    expect(page.get_by_text("after a while is made")).to_be_visible()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_every_window(open_page: Open, running: Running, size: dict[str, int], scheme: str) -> None:
    page = open_page(running, viewport=size, color_scheme=scheme)
    page.goto("/signin")
    fits(page)
    sign_in(page)
    expect(page).to_have_url(running.url + "/")
    for path in ("/account", "/account/confirm"):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        fits(page)
        inside = page.evaluate(
            """[...document.querySelectorAll("main button, main input:not(.sr), main select")]
                .filter((one) => one.offsetParent && (one.getBoundingClientRect().right > innerWidth
                    || one.getBoundingClientRect().left < 0)).length"""
        )
        assert inside == 0


def test_without_script_all_of_it_works(open_page: Open, running: Running) -> None:
    page = open_page(running, java_script_enabled=False)
    page.goto("/signin")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    at_home(page)
    page.goto("/account")
    page.get_by_label("Name of the new token").fill("no script")
    page.get_by_role("button", name="Make token").click()
    expect(page.get_by_text("no script is made")).to_be_visible()
    page.get_by_title("Revoke no script").click()
    expect(page.get_by_text("no script")).to_have_count(0)
