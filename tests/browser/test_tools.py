"""The cards of calls that change several places or reach out: what is decided upon is all to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests import repository
from tests.browser.conftest import Open, signed_in
from tests.browser.test_task import begin
from tests.model_server import Call, ModelServer, Say
from tests.running import Running
from tests.test_outbound import Peer, reply

pytestmark = pytest.mark.browser

BASKET = {"filePath": "shop/basket.py"}
MULTIEDIT = {
    **BASKET,
    "edits": [
        {"oldString": '"""Adding up."""', "newString": '"""Adding up, in cents."""'},
        {"oldString": repository.BROKEN, "newString": repository.FIXED},
    ],
}
PATCH = f"""*** Begin Patch
*** Update File: shop/basket.py
*** Move to: shop/sums.py
@@ def total(prices):
-{repository.BROKEN}
+{repository.FIXED}
*** Add File: docs/rounding.md
+# Rounding
+
+Once, at the end.
*** Delete File: README.md
*** End Patch"""


@dataclass
class Desk:
    """A server on a fresh repository, its model, and a web server that its operator has opened."""

    running: Running
    model: ModelServer
    web: Peer
    state: Any


@pytest.fixture
def desk(browser: Browser, tmp_path: Any) -> Iterator[Desk]:
    root = repository.make(tmp_path.resolve() / "shop", 3)
    away = {"Location": "https://elsewhere.example/"}

    def answer(visit: Any) -> None:
        if visit.path == "/moved":
            reply(visit, 301, **away)
        else:
            reply(visit, 200, b"<h1>Rounding</h1><p>Half to even.", Content_Type="text/html")

    web = Peer(answer)
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(tmp_path / "data", root, OUTBOUND_ALLOW=web.place, **settings) as running:
            yield Desk(running, model, web, signed_in(browser, running))
    web.stop()


def test_a_multiedit_shows_one_diff_before_and_after_it_is_saved(desk: Desk, open_page: Open) -> None:
    desk.model.script = [[Call("read", BASKET)], [Call("multiedit", MULTIEDIT)], [Say("Done.")]]
    page = open_page(desk.running, storage_state=desk.state)
    begin(page, "Mend the basket.")
    card = page.locator("[data-ask]")
    expect(card.locator("h3")).to_contain_text("Save this edit?")
    expect(card.locator(".call")).to_have_text("shop/basket.py")
    expect(card.locator("tr.plus")).to_have_count(2)
    card.get_by_role("button", name="Save edit").click()
    expect(page.locator("details.card .diff tr.plus")).to_have_count(2)
    expect(page.locator("details.card summary")).to_contain_text("Edit")


def test_a_patch_shows_every_file_under_its_name(desk: Desk, open_page: Open) -> None:
    desk.model.script = [
        [Call("read", BASKET), Call("read", {"filePath": "README.md"})],
        [Call("patch", {"patchText": PATCH})],
        [Say("Done.")],
    ]
    page = open_page(desk.running, storage_state=desk.state)
    begin(page, "Move the sums.")
    names = ["shop/basket.py → shop/sums.py", "docs/rounding.md", "README.md"]
    card = page.locator("[data-ask]")
    expect(card.locator(".file-head code")).to_have_text(names)
    expect(card.locator(".file-head .push")).to_have_text(["moved", "new file", "deleted"])
    expect(card.locator("tr.plus")).to_have_count(4)
    expect(card.locator("tr.minus")).to_have_count(4)
    expect(card.locator(".call")).to_have_text("shop/basket.py, shop/sums.py, docs/rounding.md, README.md")
    inbox = open_page(desk.running, storage_state=desk.state)
    inbox.goto("/inbox")
    expect(inbox.locator(".decision .file-head code")).to_have_text(names)
    inbox.locator(".decision").get_by_role("button", name="Save edit", exact=False).first.click()
    expect(page.locator("details.card .file-head code")).to_have_text(names)
    expect(page.locator("details.card summary")).to_contain_text("Patch")


def test_a_fetch_is_one_line_with_host_and_status(desk: Desk, open_page: Open) -> None:
    url = desk.web.url
    desk.model.script = [
        [Call("webfetch", {"url": f"{url}/rounding?by=bank", "format": "markdown"})],
        [Call("webfetch", {"url": f"{url}/moved"})],
        [Say("Read.")],
    ]
    page = open_page(desk.running, storage_state=desk.state)
    begin(page, "Look up rounding.")
    card = page.locator("[data-ask]")
    expect(card.locator("h3")).to_contain_text("Fetch this page?")
    expect(card.locator(".call")).to_have_text(f"{url}/rounding?by=bank")
    card.get_by_text("Always…").click()
    card.get_by_role("button", name="Fetch, always allow").click()
    line = page.locator('[data-k="web"]')
    expect(line.nth(0)).to_contain_text("127.0.0.1")
    expect(line.nth(0)).to_contain_text("200, 33 B")
    expect(line.nth(1)).to_contain_text("301, leads to another host")
    expect(page.locator(".prose").last).to_have_text("Read.")


def test_a_tool_that_is_none_is_told_in_words(desk: Desk, open_page: Open) -> None:
    desk.model.script = [[Call("fly", {"to": "the moon"})], [Say("Sorry.")]]
    page = open_page(desk.running, storage_state=desk.state)
    begin(page, "Fly.")
    expect(page.locator("details.card summary")).to_contain_text("The model called fly, which is no tool here")
