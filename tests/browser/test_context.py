"""What goes with a prompt, and a conversation that is summed up, as people see both."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Shop, stayed, stays
from tests.model_server import Call, Gate, Say

pytestmark = pytest.mark.browser

# A picture of one pixel, as a browser can show it.
PIXEL = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
PASTE = """([field, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "shot.png", { type: "image/png" }));
    field.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
}"""


def begin(shop: Shop, page: Page, text: str) -> None:
    page.goto("/")
    page.locator("#words").fill(text)
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/sessions/*")


def say(page: Page, text: str) -> None:
    page.locator("#words").fill(text)
    page.keyboard.press("Control+Enter")


def test_a_conversation_is_summed_up_and_that_is_undone(shop: Shop, open_page: Open) -> None:
    (shop.root / "AGENTS.md").write_text("Answer briefly.\n")
    gate = Gate()
    shop.model.script = [[Say("It is noon.")], [Say("## Task: tell the time. "), gate, Say("Done.")]]
    page = open_page(shop.running, storage_state=shop.state)
    begin(shop, page, "What time is it?")
    expect(page.locator(".prose").last).to_have_text("It is noon.")
    expect(page.locator("#session-panel")).to_contain_text("AGENTS.md")
    stays(page)
    page.get_by_role("button", name="Sum up the conversation").click()
    expect(page.locator(".rule")).to_contain_text("Summing up what was said so far")
    gate.opened.set()
    expect(page.locator(".rule")).to_contain_text("the model goes on from the summary")
    page.get_by_role("button", name="Undo compaction").click()
    expect(page.locator(".rule")).to_contain_text("the model sees the whole conversation")
    page.get_by_role("button", name="Use the summary again").click()
    expect(page.get_by_role("button", name="Undo compaction")).to_be_visible()
    page.get_by_text("The summary", exact=True).click()
    expect(page.locator(".thinking .prose")).to_contain_text("Task: tell the time. Done.")
    assert stayed(page)


def test_files_are_named_chosen_and_pasted(shop: Shop, open_page: Open, tmp_path: Path) -> None:
    shop.model.script = [[Say("Hello.")], [Say("I see them.")]]
    page = open_page(shop.running, storage_state=shop.state)
    begin(shop, page, "Hi")
    expect(page.locator(".prose").last).to_have_text("Hello.")
    (tmp_path / "notes.txt").write_text("words\n")
    stays(page)
    page.locator(".dock input[type=file]").set_input_files(tmp_path / "notes.txt")
    field = page.locator("#words").element_handle()
    page.evaluate(PASTE, [field, list(PIXEL)])
    expect(page.locator(".dock .attached")).to_have_text("2 attached")
    before = len(shop.model.requests)
    say(page, "What is in @shop/basket.py and these?")
    expect(page.locator(".prose").last).to_have_text("I see them.")
    for name in ("shop/basket.py", "notes.txt", "shot.png"):
        expect(page.locator(".message.user").last).to_contain_text(name)
    assert page.locator("img.picture").evaluate("(img) => img.naturalWidth") == 1
    expect(page.locator(".dock .attached")).to_have_text("")
    told = str(shop.model.requests[before])
    assert "1| words" in told
    assert "Called the Read tool" in told
    assert stayed(page)


def test_a_loop_asks_and_goes_on_by_a_key(shop: Shop, open_page: Open) -> None:
    again = [Call("read", {"filePath": "README.md"})]
    shop.model.script = [again, again, again, [Say("Read it.")]]
    page = open_page(shop.running, storage_state=shop.state)
    begin(shop, page, "Read it.")
    expect(page.locator("[data-ask]")).to_contain_text("Make the same call once more?")
    page.locator(".log").focus()
    page.keyboard.press("a")
    expect(page.locator(".prose").last).to_have_text("Read it.")
