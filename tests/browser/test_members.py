"""Members and roles in Chromium: giving, asking why, the matrix, and what the other person then sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open, printed_link
from tests.running import Running

pytestmark = pytest.mark.browser

PASSWORD = "tractor-lamp-9"
SIZES = [
    pytest.param({"width": 1440, "height": 900}, id="1440"),
    pytest.param({"width": 390, "height": 844}, id="390"),
]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Ines owns the server; Tomasz has an account and may do nothing yet."""
    with Running(tmp_path.resolve() / "data", REGISTRATION="open") as started:
        register(started, "Ines", printed_link(started).partition("#")[2])
        register(started, "Tomasz", "")
        yield started


def register(running: Running, name: str, code: str) -> None:
    body = {"email": f"{name.lower()}@example.com", "password": PASSWORD, "displayName": name, "code": code}
    assert running.call("POST", "/api/v1/auth/register", body, Authorization="")[0] == 201


def sign_in(page: Page, name: str) -> None:
    page.goto("/signin")
    page.get_by_label("Email").fill(f"{name}@example.com")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password", exact=True).press("Enter")
    page.wait_for_url(lambda url: "/signin" not in url)


def fits(page: Page) -> None:
    """Nothing scrolls the page sideways."""
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("size", SIZES)
def test_a_role_is_made_given_explained_and_changed_after_a_look(
    running: Running, open_page: Open, size: Any, scripts: bool
) -> None:
    page = open_page(running, viewport=size, java_script_enabled=scripts)
    sign_in(page, "ines")
    page.goto("/members/roles?new=1")
    page.get_by_label("Name", exact=True).fill("Release")
    page.get_by_role("checkbox", name="viewer", exact=True).check()
    page.get_by_label("Grants").fill("audit:read\ntool:deploy")
    page.get_by_role("button", name="Make role").click()
    expect(page.get_by_role("heading", name="Release")).to_be_visible()

    page.goto("/members")
    if scripts:
        fits(page)
    page.get_by_role("link", name="Tomasz").click()
    page.get_by_role("checkbox", name="Release").check()
    page.get_by_role("button", name="Save roles").click()
    expect(page.get_by_text("It holds from Tomasz's next request on.")).to_be_visible()
    page.get_by_label("Key", exact=True).fill("sessions:read")
    page.get_by_label("Key", exact=True).press("Enter")
    expect(page.get_by_text("Yes", exact=True)).to_be_visible()
    expect(page.locator("#reason li")).to_have_text(
        ["has the role Release", "which inherits viewer", "which holds sessions:read"]
    )

    page.goto("/members/roles")
    page.get_by_role("checkbox", name="Release: audit:read").uncheck()
    page.get_by_role("checkbox", name="Release: mcp:write").check()
    page.get_by_role("button", name="Review changes").first.click()
    expect(page.locator("#review .key-diff code")).to_have_text(["mcp:write", "audit:read"])
    if scripts:
        fits(page)
    page.get_by_role("button", name="Save 1 role").click()
    expect(page.get_by_role("checkbox", name="Release: mcp:write")).to_be_checked()
    expect(page.get_by_role("checkbox", name="Release: audit:read")).not_to_be_checked()


def test_whoever_is_given_a_role_and_taken_off_notices_at_once(running: Running, open_page: Open) -> None:
    ines = open_page(running)
    theirs = open_page(running, allowed=("status of 403", "status of 401"))
    sign_in(ines, "ines")
    sign_in(theirs, "tomasz")
    theirs.goto("/members")
    expect(theirs.get_by_role("heading", name="Members")).to_have_count(0)

    ines.goto("/members")
    ines.get_by_role("link", name="Tomasz").click()
    ines.get_by_role("checkbox", name="viewer").check()
    ines.get_by_role("button", name="Save roles").click()
    expect(ines.get_by_text("It holds from Tomasz's next request on.")).to_be_visible()
    theirs.goto("/members")
    theirs.get_by_role("link", name="Ines").click()
    expect(theirs.get_by_role("heading", name="Ines", exact=True)).to_be_visible()
    expect(theirs.get_by_role("button", name="Save roles")).to_have_count(0)

    ines.get_by_text("Take Tomasz off…").click()
    ines.get_by_label("Type Tomasz to take them off").fill("Tomasz")
    ines.get_by_role("button", name="Take Tomasz off").click()
    expect(ines.get_by_text("Only you.")).to_be_visible()
    theirs.goto("/members")
    expect(theirs.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_page_of_somebody_keeps_its_keys_and_its_words_on_a_phone(running: Running, open_page: Open) -> None:
    long = {"email": "long@example.com", "displayName": "Tomasz Brandt-Wawrzyniak von der Leyen zu Hohenlohe"}
    assert running.call("POST", "/api/v1/auth/register", {**long, "password": PASSWORD})[0] == 201
    page = open_page(running, viewport={"width": 390, "height": 844}, allowed=("status of 400",))
    sign_in(page, "ines")
    page.goto("/members")
    name = page.get_by_role("link", name="Tomasz Brandt-Wawrzyniak")
    seen = page.locator("tr", has=name).locator(".fig-main")
    assert overlap(page, name, seen) == 0
    name.click()
    expect(page.get_by_role("heading", name="Roles")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_text("off…").click()
    page.get_by_label("to take them off").fill("Tomasz")
    page.get_by_role("button", name="off", exact=False).last.click()
    expect(page.get_by_label("to take them off")).to_have_value("Tomasz")
    expect(page.get_by_label("to take them off")).to_be_focused()
    inside = page.evaluate(
        """[...document.querySelectorAll(".decision :is(button, input, label, p)")]
            .filter((one) => one.offsetParent && one.getBoundingClientRect().right > innerWidth).length"""
    )
    assert inside == 0


def overlap(page: Page, one: Locator, other: Locator) -> float:
    """How many pixels the text of one lies over the other, sideways."""
    found: float = page.evaluate(
        """([one, other]) => {
            const text = one.getBoundingClientRect();
            const end = text.right - parseFloat(getComputedStyle(one).paddingRight);
            return Math.max(0, end - other.getBoundingClientRect().left);
        }""",
        [one.element_handle(), other.element_handle()],
    )
    return found


def test_the_names_of_grants_stay_in_sight_beside_the_roles_far_to_the_right(running: Running, open_page: Open) -> None:
    for number in range(4):
        given = {"name": f"release-managers-{number}", "permissions": ["audit:read"]}
        assert running.call("POST", "/api/v1/roles", given)[0] == 200
    page = open_page(running, viewport={"width": 390, "height": 844})
    sign_in(page, "ines")
    page.goto("/members/roles")
    box = page.get_by_role("checkbox", name="release-managers-3: audit:read")
    box.scroll_into_view_if_needed()
    heading = page.get_by_role("rowheader", name="audit:read")
    at = heading.bounding_box()
    assert at is not None
    assert at["x"] >= 0
    target = box.locator("..").bounding_box()
    assert target is not None
    assert min(target["width"], target["height"]) >= 24
    assert target["height"] >= 44


def test_the_tab_that_one_is_at_is_in_sight(running: Running, open_page: Open) -> None:
    page = open_page(running, viewport={"width": 390, "height": 844})
    sign_in(page, "ines")
    page.goto("/settings/sign-in")
    expect(page.locator(".page-head .tabs [aria-current]")).to_be_in_viewport(ratio=1)
