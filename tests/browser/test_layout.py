"""The pages on a phone and on a desk, light and dark; and words that look like markup stay words."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Open, Shop
from tests.running import Running

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)>"
SCRIPT = "<script>alert(2)</script>"
FILE = "<svg onload=alert(3)>.txt"
EDIT = {"filePath": FILE, "oldString": "old", "newString": f"new {SCRIPT}"}
TASK = (
    f"{EVIL}{SCRIPT} [[say {EVIL} **{SCRIPT}** [a](javascript:alert(4))]]&[[list .]] "
    f"[[read {FILE}]] [[call edit {json.dumps(EDIT)}]]"
)
COMMAND = f"echo '{EVIL}'; " + "# " + "long " * 60
SIZES = {"wide": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}


@dataclass
class Scene:
    """A server whose pages are full: an edit waits in one session, a command in another."""

    running: Running
    state: Any
    session: str
    ask: str
    terminal: str


@pytest.fixture(scope="session")
def scene(browser: Browser, standing_shop: Shop) -> Scene:
    (standing_shop.root / FILE).write_text("old\n")
    context = browser.new_context(base_url=standing_shop.running.url, storage_state=standing_shop.state)
    page = context.new_page()
    session = waiting(page, TASK)
    waiting(page, f"[[bash {COMMAND}]]")
    page.goto("/inbox")
    ask = page.locator(".ask-row .title").first.get_attribute("href") or ""
    page.goto("/terminals")
    page.get_by_role("button", name="New terminal").click()
    page.wait_for_url(re.compile(r"/terminals/pty_"))
    terminal = page.url
    context.close()
    return Scene(standing_shop.running, standing_shop.state, session, ask, terminal)


def waiting(page: Page, words: str) -> str:
    """Start a session that comes to wait for its owner; its path."""
    page.goto("/")
    page.get_by_label("What should be done?").fill(words)
    page.get_by_role("button", name="Start session").click()
    page.wait_for_url(re.compile(r"/sessions/ses_"))
    page.locator("[data-ask]").wait_for()
    return page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_pages_fit_and_stay_text(scene: Scene, open_page: Open, size: str, scheme: str) -> None:
    page = open_page(
        scene.running,
        storage_state=scene.state,
        viewport=SIZES[size],
        color_scheme=scheme,
        has_touch=size == "phone",
        is_mobile=size == "phone",
    )
    for path in (
        "/",
        "/sessions",
        scene.session,
        f"{scene.session}/changes",
        "/inbox",
        scene.ask,
        "/projects",
        *files_of(page),
        "/terminals",
        scene.terminal,
        "/mcp-servers",
        "/mcp-servers?add=local",
        "/mcp-servers?add=remote",
        "/settings/providers",
        "/settings/providers?provider=openai",
        "/settings/providers?add=1",
        "/settings/models",
        "/settings/profiles",
        "/settings/import",
        "/account",
        "/account/notifications",
        "/members",
        "/secrets",
        "/audit",
        "/settings/modes",
        "/settings/modes?mode=architect&new=1",
        "/settings/modes?mode=architect",
        "/settings/auto-approve",
        "/settings/instructions?mode=code",
        "/settings/languages",
        "/search?q=img",
        "/keys",
    ):
        page.goto(path)
        fits(page, SIZES[size]["width"])
        skips(page)
        assert page.locator("body *[onerror], body *[onload], #main script, a[href^=javascript]").count() == 0
        assert dark(page) == (scheme == "dark")


def files_of(page: Page) -> list[str]:
    """The pages of files: a folder, and a file with an odd name in each of its views, and finding."""
    page.goto("/browse")
    name = f"{page.url}/{quote(FILE)}"
    views = [f"{name}?view={view}" for view in ("changes", "edit", "move", "remove")]
    found = [page.url.replace("/browse/", "/browse/find/") + f"?q={words}" for words in ("svg", "old&in=text")]
    return [
        page.url,
        f"{page.url}?view=changes",
        f"{page.url}/shop/basket.py",
        f"{page.url}/README.md",
        name,
        *views,
        *found,
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_the_sign_in_fits(scene: Scene, open_page: Open, size: str, scheme: str) -> None:
    page = open_page(scene.running, viewport=SIZES[size], color_scheme=scheme, is_mobile=size == "phone")
    page.goto("/signin")
    fits(page, SIZES[size]["width"])
    expect(page.get_by_label("Email")).to_be_focused()
    assert dark(page) == (scheme == "dark")


def test_words_that_look_like_markup_are_shown_as_words(scene: Scene, open_page: Open) -> None:
    page = open_page(scene.running, storage_state=scene.state)
    page.goto(scene.session)
    expect(page.locator(".said")).to_contain_text(EVIL)
    expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x")
    expect(page.locator(".prose").first).to_contain_text(SCRIPT)
    expect(page.locator(".ev.line", has_text="Read")).to_contain_text(FILE)
    expect(page.locator("[data-ask] .call")).to_have_text(FILE)
    expect(page.locator("[data-ask] .diff .plus")).to_contain_text(SCRIPT)
    page.goto("/inbox")
    expect(page.locator(".ask-group", has_text="<img src=x").first).to_be_visible()
    page.goto("/sessions")
    expect(page.locator("#rows")).to_contain_text("<img src=x")


def test_a_long_call_is_never_cut_where_it_is_decided(scene: Scene, open_page: Open) -> None:
    page = open_page(scene.running, storage_state=scene.state, viewport=SIZES["phone"])
    page.goto("/inbox")
    page.locator(".ask-row", has_text=COMMAND[:20]).get_by_role("link", name="Review…").click()
    call = page.locator(".decision .call")
    expect(call).to_contain_text(EVIL)
    assert call.evaluate("(el) => el.scrollWidth <= el.clientWidth + 1")


def fits(page: Page, width: int) -> None:
    """The page does not scroll sideways, has one main heading, and no control leaves the screen."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
    assert page.evaluate("innerWidth") == width, page.url
    expect(page.locator("h1")).to_have_count(1)
    assert page.evaluate(LEAVING, width) == [], page.url


# Controls outside of the screen that nothing lets one scroll to.
LEAVING = """(width) => [...document.querySelectorAll("button, a, input, select, textarea, summary")]
    .filter((el) => el.checkVisibility() && !el.closest(".sr, .skip, .scroll-x, .tabs"))
    .filter((el) => {
        const box = el.getBoundingClientRect();
        return box.width > 1 && (box.right > width + 1 || box.left < -1);
    })
    .map((el) => el.outerHTML.slice(0, 120))"""

# Some pages begin in what is to be done. To blur it is not enough: the browser goes on from where the focus was.
TO_THE_BEGINNING = "document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')"


def skips(page: Page) -> None:
    """The first Tab from the page's beginning shows the skip link; it moves the focus to the page."""
    page.evaluate(TO_THE_BEGINNING)
    page.keyboard.press("Tab")
    link = page.get_by_role("link", name="Skip to the page")
    expect(link).to_be_focused()
    expect(link).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def dark(page: Page) -> bool:
    """Whether the page's ground is dark."""
    channels = page.evaluate("getComputedStyle(document.body).backgroundColor").strip("rgb()").split(",")
    return int(channels[0]) < 128
