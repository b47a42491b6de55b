"""A task on a repository of 600 files, driven from Home by mouse and keys; only the model is scripted."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests import repository
from tests.browser.conftest import Open, Shop, stayed, stays
from tests.model_server import Gate, Say

pytestmark = pytest.mark.browser

QUESTION = {
    "questions": [
        {
            "question": "How should cents be rounded?",
            "options": [
                {"label": "Half up", "description": "As on the invoice"},
                {"label": "To even", "description": "As the bank does"},
            ],
        }
    ]
}
EDIT = {"filePath": "shop/basket.py", "oldString": repository.BROKEN, "newString": repository.FIXED}
TASK = (
    "[[say I will look first.]]&[[read shop/basket.py]] "
    f"[[call question {json.dumps(QUESTION)}]] [[call edit {json.dumps(EDIT)}]] "
    "[[bash python3 -m unittest -q]] [[say The basket adds up again.]]"
)


def test_a_task_is_done_from_home_by_keyboard(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    begin(page, TASK)
    stays(page)
    answer_by_number(page)
    page.locator("[data-ask] .diff .plus").wait_for()
    page.locator(".log").focus()
    page.keyboard.press("a")
    expect(page.locator("[data-ask] .call")).to_have_text("python3 -m unittest -q")
    page.keyboard.press("a")
    expect(page.locator(".prose").last).to_have_text("The basket adds up again.")
    expect(page.locator("#session-panel .badge")).to_have_text("Done")
    expect(page.locator("details.card .diff")).to_be_visible()
    expect(page.locator(".answered")).to_have_count(3)
    assert stayed(page)
    assert repository.FIXED in (shop.root / "shop" / "basket.py").read_text()
    page.keyboard.press("d")
    expect(page.locator("details.file summary")).to_contain_text("shop/basket.py")


def test_stop_ends_a_turn_that_streams(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    begin(page, "[[say Once upon a time]]&[[stall]]")
    stays(page)
    expect(page.locator(".prose")).to_contain_text("Once upon a time")
    expect(page.locator("#session-panel .badge")).to_have_text("Running")
    page.get_by_role("button", name="Stop the run").click()
    expect(page.locator("#session-stop button")).to_have_count(0)
    expect(page.locator("#session-panel .badge")).not_to_have_text("Running")
    expect(page.locator("#session-send")).to_contain_text("Send")
    expect(page.locator(".prose")).to_contain_text("Once upon a time")
    assert stayed(page)


def test_a_prompt_waits_while_the_run_is_busy(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    gate = Gate()
    shop.model.script.append([Say("Working on it."), gate, Say(" Finished.")])
    begin(page, "Count the modules.")
    stays(page)
    expect(page.locator(".prose")).to_contain_text("Working on it.")
    composer = page.get_by_label("Message to the agent")
    composer.fill("[[say Then I count the tests.]]")
    expect(page.locator("#session-send")).to_contain_text("Queue")
    composer.press("Control+Enter")
    expect(composer).to_have_value("")
    expect(page.locator(".said")).to_have_count(2)
    expect(page.locator(".prose")).to_have_count(1)
    gate.opened.set()
    expect(page.locator(".prose")).to_have_text(["Working on it. Finished.", "Then I count the tests."])
    expect(page.locator("#session-panel .badge")).to_have_text("Done")
    assert stayed(page)


def begin(page: Page, words: str) -> None:
    """Start a session from Home's composer, by keyboard."""
    page.goto("/")
    page.keyboard.press("c")
    page.keyboard.insert_text(words)
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile(r"/sessions/ses_"))
    expect(page.locator(".said").first).to_have_text(words)


def answer_by_number(page: Page) -> None:
    """Pick the second choice by its number and send it."""
    card = page.locator("[data-ask]")
    expect(card.get_by_role("heading", name="How should cents be rounded?")).to_be_visible()
    page.locator(".log").focus()
    page.keyboard.press("2")
    expect(card.locator("[data-answer]")).to_contain_text("Answer 2")
    card.locator("[data-answer]").click()
    expect(page.locator(".answered")).to_contain_text("To even")
