"""Who sees a project, in Chromium: closed on a phone, somebody let in with a right of others, and what they then see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, printed_link
from tests.browser.test_members import SIZES, fits, register, sign_in
from tests.running import Running

pytestmark = pytest.mark.browser


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Ines owns the server and a project; Tomasz and Bea are members."""
    (tmp_path / "vault").mkdir()
    with Running(tmp_path.resolve() / "data", tmp_path.resolve() / "vault", REGISTRATION="open") as started:
        register(started, "Ines", printed_link(started).partition("#")[2])
        for name in ("Tomasz", "Bea"):
            register(started, name, "")
            person = next(one["id"] for one in started.call("GET", "/api/v1/users")[1] if one["displayName"] == name)
            started.call("POST", "/api/v1/roles/assign", {"userId": person, "role": "member"})
        yield started


def panel(page: Page) -> Any:
    page.goto("/projects")
    page.get_by_role("link", name="vault").first.click()
    return page.locator("#project-panel")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("size", SIZES)
def test_a_project_is_closed_and_opened_to_one_person(
    running: Running, open_page: Open, size: Any, scripts: bool
) -> None:
    page = open_page(running, viewport=size, java_script_enabled=scripts)
    sign_in(page, "ines")
    shown = panel(page)
    shown.get_by_role("radio", name="Only these people").check()
    shown.get_by_role("button", name="Save who sees it").click()
    expect(shown.get_by_role("radio", name="Only these people")).to_be_checked()
    shown.get_by_label("Who is let in").select_option(label="Tomasz")
    shown.get_by_role("button", name="Add").click()
    row = shown.locator("li[id^=member-]", has_text="Tomasz")
    expect(row).to_contain_text("nothing beyond their roles")
    row.get_by_text("Change…").click()
    row.get_by_role("checkbox", name="answer what agents ask").check()
    row.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("also may, of others: answer what agents ask")
    if scripts:
        fits(page)

    his, hers = (open_page(running, viewport=size, java_script_enabled=scripts) for _ in range(2))
    sign_in(his, "tomasz")
    his.goto("/projects")
    expect(his.get_by_role("link", name="vault").first).to_be_visible()
    his.goto("/account")
    expect(his.get_by_text("You may answer what agents ask of others in vault")).to_be_visible()
    if scripts:
        fits(his)
    sign_in(hers, "bea")
    hers.goto("/projects")
    expect(hers.get_by_role("link", name="vault")).to_have_count(0)

    shown = panel(page)
    row = shown.locator("li[id^=member-]", has_text="Tomasz")
    row.get_by_text("Change…").click()
    row.get_by_role("button", name="Take out").click()
    expect(row).to_have_count(0)
    his.goto("/projects")
    expect(his.get_by_role("link", name="vault")).to_have_count(0)


@pytest.mark.parametrize("size", SIZES)
def test_somebody_else_answers_for_one_until_that_is_taken_back(running: Running, open_page: Open, size: Any) -> None:
    page = open_page(running, viewport=size)
    sign_in(page, "tomasz")
    page.goto("/account")
    mine = page.locator("#approvers")
    mine.get_by_label("Who may answer for you").select_option(label="Bea")
    mine.get_by_role("button", name="Let them answer").click()
    expect(mine).to_contain_text("Bea")
    fits(page)
    hers = open_page(running, viewport=size)
    sign_in(hers, "bea")
    hers.goto("/account")
    expect(hers.get_by_text("You may answer what agents ask for Tomasz")).to_be_visible()
    mine.get_by_role("button", name="Take back").click()
    expect(mine).to_contain_text("Only you")
