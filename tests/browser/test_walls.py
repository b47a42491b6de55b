"""What people, models, tools and repositories write stays text in a browser, on every page (THREATS 2.5, 2.6, 2.7)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import WSGIRequestHandler, make_server

from app import dispatch
from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from app.projects import service as projects
from tests import visitor
from tests.browser import planted
from tests.browser.conftest import PATIENCE, TELL, WIDE, Watch, close
from tests.browser.planted import Planted

pytestmark = pytest.mark.browser

# What only markup of ours may be, looked for after everything that opens has been opened.
LOOK = """() => {
    const found = [];
    for (const one of document.querySelectorAll("*")) {
        const name = one.localName;
        if (["iframe", "object", "embed", "base", "frame", "applet", "math", "audio", "video"].includes(name)) found.push(name);
        if (name === "script" && !(one.src || "").startsWith(`${location.origin}/static/`)) found.push(one.outerHTML);
        if ((name === "style" && !one.outerHTML.endsWith("></style>")) || (name === "link" && !one.href.startsWith(`${location.origin}/static/`)))
            found.push(one.outerHTML);
        if (name === "meta" && one.httpEquiv) found.push(one.outerHTML);
        if (name === "img" && !one.src.startsWith(`${location.origin}/`) && !one.src.startsWith("data:image/")) found.push(one.outerHTML);
        for (const { name: key, value } of one.attributes) {
            if (/^(on|hx-on|data-hx-)/.test(key) || /^\\s*(javascript|vbscript|data:text)/i.test(value))
                found.push(`${name} ${key}=${value}`);
            if (["action", "formaction"].includes(key) && !new URL(value, location).href.startsWith(location.origin + "/"))
                found.push(`${name} ${key}=${value}`);
        }
    }
    return found;
}"""
RAW = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u001b\u009b"
SHOWN = """() => {
    const copy = document.documentElement.cloneNode(true);
    copy.querySelector(".xterm")?.remove();
    for (const one of copy.querySelectorAll("textarea")) one.textContent = "";
    for (const one of copy.querySelectorAll("[value]")) one.removeAttribute("value");
    return copy.outerHTML;
}"""
OPEN = """async () => {
    for (const one of document.querySelectorAll("details")) one.open = true;
    for (let i = 0; i < 3; i += 1) await new Promise(requestAnimationFrame);
}"""


class Canary(BaseHTTPRequestHandler):
    """Counts who comes."""

    hits: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Note it."""
        self.hits.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Quiet(WSGIRequestHandler):
    """Says nothing either."""

    def log(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def settings(settings: Config, tmp_path: Path) -> Config:
    """A server on a repository of payloads."""
    return replace(settings, project=planted.files(tmp_path / "project"), streams_per_user=1000)


@pytest.fixture
def canary() -> Iterator[str]:
    """The address of a server that nobody should ask."""
    Canary.hits = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Canary) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/canary"
        server.shutdown()
        thread.join()


@pytest.fixture
def served(app: Cabin) -> Iterator[str]:
    """The application on a socket."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def world(app: Cabin, alice: Actor, canary: str, monkeypatch: pytest.MonkeyPatch) -> Planted:
    """Payloads everywhere; no engine."""
    real = dispatch.wake
    monkeypatch.setattr(dispatch, "wake", lambda name, *given: None if name == "agent.advance" else real(name, *given))
    made = Planted(alice, canary)
    planted.branches(Path(made.place.directory))
    return made


def look(page: Page, path: str, words: str) -> list[str]:
    """Open a page and everything on it that opens; what is wrong with it."""
    answer = page.goto(quote(path, safe="/?=&%:"))
    assert answer is not None
    page.evaluate(OPEN)
    found = [f"{path}: answers {answer.status}"] if answer.status >= 500 else []
    found += [f"{path}: {one}" for one in page.evaluate(LOOK)]
    # What a form holds must be saved as it was, and a terminal draws what it is told.
    content = page.evaluate(SHOWN)
    found += [f"{path}: U+{ord(one):04X} is raw" for one in RAW if one in content]
    if words not in (page.text_content("body") or "") or (words and answer.status != 200):
        found.append(f"{path}: answers {answer.status} without {words}")
    return found


def test_no_text_becomes_markup_script_or_a_request_on_any_page(
    browser: Browser, app: Cabin, alice: Actor, served: str, world: Planted
) -> None:
    cookie = visitor.Browser(app, alice).client.get_cookie("sid")
    assert cookie is not None
    context = browser.new_context(viewport=WIDE, base_url=served)
    context.set_default_timeout(PATIENCE)
    context.add_cookies([{"name": "sid", "value": cookie.value, "url": served}])
    watch = Watch(urlsplit(served).netloc, allowed=("status of 4",))
    context.add_init_script(TELL)
    context.on("request", watch.request)
    context.on("page", watch.over)
    page = context.new_page()
    found = [wrong for path, words in world.pages().items() for wrong in look(page, path, words)]
    page.goto(f"/sessions/{world.session}")
    expect(page.locator("[data-live]")).to_have_text("Live")
    world.say()
    expect(page.get_by_text("said live")).to_be_visible()
    found += page.evaluate(LOOK)
    stranger = browser.new_context(base_url=served)
    stranger.on("request", watch.request)
    stranger.add_init_script(TELL)
    stranger.on("page", watch.over)
    outside = stranger.new_page()
    for path in (
        f"/s/{world.slug}",
        "/signin",
        f"/signin?next=/{planted.EVIL}",
        f"/signin/{planted.EVIL}",
        f"/join?t={planted.EVIL}",
    ):
        found += look(outside, path, "")
    close(context)
    close(stranger)
    wrong = [*found, *watch.complaints, *Canary.hits]
    assert not wrong, "\n".join(wrong[:40])


def test_a_file_that_is_looked_at_by_itself_runs_and_fetches_nothing(
    browser: Browser, app: Cabin, alice: Actor, served: str, canary: str
) -> None:
    place = projects.resolve(alice, None)
    root = Path(place.directory)
    act = f"<script>alert(1); fetch('{canary}')</script><image href='{canary}'/><style>@import '{canary}';</style>"
    (root / "own.svg").write_text(
        f"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'>{act}<text>read me</text></svg>"
    )
    (root / "own.txt").write_text(f"<html>{act}<img src='{canary}'>read me</html>")
    cookie = visitor.Browser(app, alice).client.get_cookie("sid")
    assert cookie is not None
    context = browser.new_context(base_url=served)
    context.add_cookies([{"name": "sid", "value": cookie.value, "url": served}])
    page = context.new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for name in ("own.svg", "own.txt", "all.html", "all.json"):
        page.goto(f"/browse/raw/{place.project.id}/{name}")
        assert "read me" in (page.locator(":root").text_content() or "") or name.startswith("all")
        assert page.evaluate("origin") == "null"
    close(context)
    assert dialogs + Canary.hits == []
