"""Chromium in front of a running server: every page is watched, and a page that complains fails its test."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect

from tests import repository
from tests.model_server import ModelServer
from tests.running import Running

WIDE = {"width": 1440, "height": 900}
PATIENCE = 15_000
# A violation is reported even where nothing else would say a word.
TELL = """document.addEventListener("securitypolicyviolation",
    (event) => console.error(`CSP: ${event.violatedDirective} refused ${event.blockedURI}`));"""

Open = Callable[..., Page]


@dataclass
class Watch:
    """What the pages of a context complained of; `allowed` are pieces of complaints that a test provokes."""

    host: str
    allowed: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()  # hosts that its pages lead to on purpose
    complaints: list[str] = field(default_factory=list)
    is_over: bool = False

    def over(self, page: Page) -> None:
        """Watch a page from now on."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        page.on("dialog", self._dialog)

    def request(self, request: Any) -> None:
        """A page asks nobody but its own server."""
        if request.url.startswith("data:"):
            return
        if urlsplit(request.url).netloc not in (self.host, *self.elsewhere):
            self.complaints.append(f"request to another host: {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(piece in message.text for piece in self.allowed):
            self.complaints.append(f"console: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        if self.is_over:
            dialog.accept()
            return
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@pytest.fixture(scope="session")
def browser(launched_chromium: Browser) -> Browser:
    """One Chromium for all tests of this process."""
    return launched_chromium


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open a page on a server; `allowed` and all further words are the context's. No page may complain."""
    opened: list[tuple[BrowserContext, Watch]] = []

    def open_one(
        running: Running, *, allowed: tuple[str, ...] = (), elsewhere: tuple[str, ...] = (), **given: Any
    ) -> Page:
        context = browser.new_context(**{"viewport": WIDE, "base_url": running.url, **given})
        context.set_default_timeout(PATIENCE)
        watch = Watch(urlsplit(running.url).netloc, allowed, elsewhere)
        context.add_init_script(TELL)
        context.on("request", watch.request)
        context.on("page", watch.over)
        opened.append((context, watch))
        return context.new_page()

    expect.set_options(timeout=PATIENCE)
    yield open_one
    complaints = [complaint for _context, watch in opened for complaint in watch.complaints]
    for context, watch in opened:
        watch.is_over = True
        close(context)
    assert not complaints, "\n".join(complaints)


def close(context: BrowserContext) -> None:
    """Close a context, its pages at rest: Chromium may never close a page that is about to show another one."""
    for page in context.pages:
        with suppress(Error):  # the page it was about to show came in between: it is at rest as well
            page.goto("about:blank")
    context.close()


FRESH = 600.0  # seconds; some acts want a sign-in of the last fifteen minutes


@dataclass
class Shop:
    """A server on a repository of 600 files, the model behind it, and the owner's cookies, of a sign-in since then."""

    running: Running
    root: Path
    model: ModelServer
    state: Any
    since: float = field(default_factory=time.monotonic)


@pytest.fixture
def shop(browser: Browser, standing_shop: Shop) -> Shop:
    """The shop, with a sign-in that is fresh enough for whatever wants one."""
    if time.monotonic() - standing_shop.since > FRESH:
        running, standing_shop.since = standing_shop.running, time.monotonic()
        link = f"{running.url}/signin#{running.sign_in_code()}"
        standing_shop.state = signed_in(browser, running, link)
    return standing_shop


@pytest.fixture(scope="session")
def standing_shop(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One such server for all tests of this process that need no fresh one."""
    base = tmp_path_factory.mktemp("shop").resolve()
    root = repository.make(base / "shop")
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(base / "data", root, **settings) as running:
            yield Shop(running, root, model, signed_in(browser, running))


def printed_link(running: Running) -> str:
    """The one-time link that the server printed at its first start."""
    found = re.search(r"http://\S+/signin#\S+", running.log.read_text())
    assert found, running.log.read_text()
    return found.group(0)


def signed_in(browser: Browser, running: Running, link: str = "") -> Any:
    """Spend a one-time link, the printed one without; the cookies of that sign-in, for `storage_state`."""
    context = browser.new_context(base_url=running.url)
    page = context.new_page()
    page.goto(link or printed_link(running))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    state = context.storage_state()
    close(context)
    return state


def stays(page: Page) -> None:
    """Put a mark on the document that a reload would wipe off; `stayed` looks for it."""
    page.evaluate("document.documentElement.dataset.stays = '1'")


def stayed(page: Page) -> bool:
    """Whether the document is still the one that was marked."""
    return bool(page.evaluate("document.documentElement.dataset.stays === '1'"))


def grows(page: Page, selector: str) -> None:
    """Return once the text of an element has been seen to become longer twice; fail after the deadline."""
    page.wait_for_function(
        """(selector) => {
            const length = document.querySelector(selector)?.textContent.length || 0;
            const seen = (window.lengthsSeen ||= []);
            if (length && length > (seen.at(-1) || 0)) seen.push(length);
            return seen.length >= 3;
        }""",
        arg=selector,
    )
