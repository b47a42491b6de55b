"""A subagent in its parent's page: its last words as they come, what it does, what it asks, how it stands."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open, Shop, stayed, stays
from tests.model_server import Call, Gate, Say

pytestmark = pytest.mark.browser


def task(prompt: str, name: str) -> Call:
    return Call("task", {"description": name, "prompt": prompt, "subagent_type": "general"})


def test_a_subagents_words_and_asks_show_in_its_parents_page(
    shop: Shop, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    answers: dict[str, list[list[Any]]] = {
        "Find": [[Say("I have it looked at."), task("child: look", "Find the rounding")], [Say("Found.")]],
        "child:": [[Say("It rounds **twice**."), gate, task("below: run", "Run the tests")], [Say("All told.")]],
        "below:": [[Call("bash", {"command": "echo deep"})], [Say("They ran.")]],
    }
    usual = shop.model.answer

    def answer(body: dict[str, Any], headers: dict[str, str], path: str) -> Any:
        last = max(number for number, message in enumerate(body["messages"]) if message["role"] == "user")
        word = str(body["messages"][last]["content"]).split()[0]
        step = sum(message["role"] == "assistant" for message in body["messages"][last:])
        return answers[word][step] if word in answers else usual(body, headers, path)

    monkeypatch.setattr(shop.model, "answer", answer)
    page = open_page(shop.running, storage_state=shop.state)
    page.goto("/")
    page.locator("#words").fill("Find the cent that is missing")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/sessions/ses_*")
    stays(page)
    expect(page.locator("[id^=sub-words-] strong")).to_have_text("twice")
    expect(page.locator("[id^=sub-state-]")).to_contain_text("Running")
    expect(page.locator("#session-panel .badge")).to_have_text("Running")
    gate.opened.set()
    expect(page.locator("#loose [data-ask] .call")).to_have_text("echo deep")
    page.locator("#loose").get_by_role("button", name="Run command").click()
    expect(page.locator("#loose .answered")).to_be_visible()
    expect(page.locator(".out.plain")).to_contain_text("All told.")
    expect(page.locator("#session-panel .badge")).to_have_text("Done")
    assert stayed(page)
    page.get_by_role("link", name="Open", exact=True).click()
    expect(page.locator(".prose").last).to_have_text("All told.")
    expect(page.locator("select[name=mode]")).to_have_value("general")
