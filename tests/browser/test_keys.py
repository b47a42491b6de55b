"""The command bar and the keys: every key that the list names does what it says."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from app.system.pages.search import KEYS
from tests.browser.conftest import Open, Shop

pytestmark = pytest.mark.browser

WAITS = "[[bash make paint]]"
FAILS = "[[error 400]]"
STALLS = "[[say Once upon a time]]&[[stall]]"
QUESTION = '[[call question {"questions": [{"question": "Which one?", "options": [{"label": "This"}]}]}]]'


@pytest.fixture
def page(shop: Shop, open_page: Open) -> Page:
    """The owner's page, on Home."""
    opened = open_page(shop.running, storage_state=shop.state)
    opened.goto("/")
    return opened


def begin(page: Page, words: str, until: str = ".said") -> str:
    """Start a session from Home and wait for a sign of it; its path."""
    page.goto("/")
    page.get_by_label("What should be done?").fill(words)
    page.get_by_role("button", name="Start session").click()
    page.wait_for_url(re.compile(r"/sessions/ses_"))
    page.locator(until).first.wait_for()
    if until == "[data-ask]":  # a key answers nothing that is out of sight: the log may still be on its way down
        expect(page.locator("[data-ask] .btn:visible").last).to_be_in_viewport(ratio=1)
    page.locator(".log").focus()
    return page.url


def test_the_bar_finds_what_waits_sessions_files_and_acts(page: Page) -> None:
    session = begin(page, f"Paint the basket {WAITS}", "[data-ask]")
    page.goto("/projects")
    page.keyboard.press("Control+k")
    bar = page.get_by_role("dialog", name="Search or jump")
    expect(bar.get_by_role("heading")).to_contain_text(["Waiting for you", "Sessions", "Actions"])
    page.keyboard.type("basket")
    # Sessions of other tests may have spoken of baskets: their group stands between.
    expect(bar.get_by_role("heading")).to_contain_text(["Waiting for you", "Sessions", "Files in shop", "Actions"])
    expect(bar.locator("a.hit mark").first).to_have_text(re.compile("basket", re.IGNORECASE))
    expect(bar.locator("a.hit.at")).to_contain_text("make paint")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(bar.locator("a.hit.at")).to_have_attribute("href", re.compile(r"/sessions/ses_"))
    page.keyboard.press("Enter")
    page.wait_for_url(session)


def test_the_bar_gives_the_focus_back(page: Page) -> None:
    link = page.get_by_role("link", name="Projects").first
    link.focus()
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Search or jump")
    expect(field).to_be_focused()
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    expect(link).to_be_focused()


def test_a_file_comes_into_the_message_under_way(page: Page) -> None:
    begin(page, STALLS, ".prose")
    composer = page.get_by_label("Message to the agent")
    composer.fill("Look at ")
    page.keyboard.press("Control+k")
    page.keyboard.type("basket.py")
    page.locator("a.hit[data-path='shop/basket.py']").click()
    expect(composer).to_be_focused()
    expect(composer).to_have_value("Look at shop/basket.py ")


def test_without_a_script_the_bar_is_a_page(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, java_script_enabled=False)
    page.goto("/")
    page.get_by_role("link", name="Search or jump").click()
    page.get_by_role("combobox", name="Search or jump").fill("basket")
    page.get_by_role("combobox", name="Search or jump").press("Enter")
    page.locator("a.hit[data-path='shop/basket.py']").click()
    expect(page.locator("#code")).to_contain_text("Adding up.")
    page.goto("/keys")
    expect(page.get_by_text("Go to the inbox")).to_be_visible()


def test_a_single_key_in_a_field_is_a_letter(page: Page) -> None:
    field = page.get_by_label("What should be done?")
    field.press("g")
    field.press("i")
    field.press("?")
    expect(field).to_have_value("gi?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()


def opens_bar(page: Page) -> None:
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog", name="Search or jump")).to_be_visible()


def searches(page: Page) -> None:
    page.keyboard.press("/")
    expect(page.get_by_role("combobox", name="Search or jump")).to_be_focused()
    page.goto("/sessions")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search sessions")).to_be_focused()


def begins(page: Page) -> None:
    page.goto("/sessions")
    page.keyboard.press("c")
    expect(page.get_by_label("What should be done?")).to_be_focused()
    assert page.url.endswith("/#words")


def moves(page: Page) -> None:
    begin(page, FAILS)
    begin(page, FAILS)
    page.goto("/sessions")
    titles = page.locator("#rows a.title")
    page.keyboard.press("j")
    expect(titles.first).to_be_focused()
    page.keyboard.press("j")
    expect(titles.nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(titles.first).to_be_focused()


def opens_row(page: Page) -> None:
    begin(page, FAILS)
    page.goto("/sessions")
    page.keyboard.press("j")
    page.keyboard.press("o")
    page.wait_for_url(re.compile(r"/sessions/ses_"))


def goes(letter: str, path: str) -> Callable[[Page], None]:
    def go(page: Page) -> None:
        page.goto("/keys")
        page.keyboard.press("g")
        page.keyboard.press(letter)
        page.wait_for_url(re.compile(f"{path}$"))

    return go


def shows_keys(page: Page) -> None:
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog.locator("dd")).to_have_count(sum(len(listed) for _heading, listed in KEYS))
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def leaves(page: Page) -> None:
    field = page.get_by_label("What should be done?")
    field.focus()
    page.keyboard.press("Escape")
    expect(field).not_to_be_focused()


def acts(page: Page) -> None:
    begin(page, WAITS, "[data-ask]")
    page.keyboard.press("a")
    expect(page.locator(".answered")).to_contain_text("You ran")


def rejects(page: Page) -> None:
    begin(page, WAITS, "[data-ask]")
    page.keyboard.press("r")
    word = page.get_by_label("A word to the agent")
    expect(word).to_be_focused()
    word.fill("not on a Friday")
    word.press("Enter")
    expect(page.locator(".answered")).to_contain_text("You rejected make paint")
    expect(page.locator(".answered")).to_contain_text("not on a Friday")


def shows_the_rule_first(page: Page) -> None:
    begin(page, WAITS, "[data-ask]")
    page.set_viewport_size({"width": 1440, "height": 320})
    page.locator(".log").evaluate("(el) => { el.scrollTop = 0; }")
    expect(page.locator("[data-key='shift+A']")).not_to_be_in_viewport()
    page.keyboard.press("Shift+A")
    expect(page.locator(".more-answer.always[open]")).to_contain_text("allow bash make paint")
    expect(page.locator(".more-answer.always[open] p")).to_be_in_viewport()
    expect(page.locator(".answered")).to_have_count(0)


def chooses(page: Page) -> None:
    begin(page, QUESTION, "[data-ask]")
    page.keyboard.press("1")
    expect(page.get_by_role("radio", name="This")).to_be_checked()
    page.keyboard.press("0")
    expect(page.get_by_label("Your own answer")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.locator(".answered")).to_contain_text("“This”")


def turns(page: Page) -> None:
    page.set_viewport_size({"width": 1440, "height": 400})
    begin(page, f"[[say {'Long. ' * 900}]]", ".prose")
    expect(page.locator("#session-panel .badge")).to_have_text("Done")
    page.get_by_label("Message to the agent").fill("[[say Again.]]")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".prose")).to_have_count(2)
    page.locator(".log").focus()
    page.keyboard.press("[")
    expect(page.locator(".said").first).to_be_in_viewport()
    page.keyboard.press("]")
    expect(page.locator(".said").last).to_be_in_viewport()
    expect(page.locator(".said").first).not_to_be_in_viewport()


def finds_errors(page: Page) -> None:
    page.set_viewport_size({"width": 1440, "height": 400})
    begin(page, f"{'Long words. ' * 900} {FAILS}", ".ev.failed")
    page.locator(".said").evaluate("(el) => el.scrollIntoView()")
    expect(page.locator(".ev.failed")).not_to_be_in_viewport()
    page.keyboard.press("e")
    expect(page.locator(".ev.failed")).to_be_in_viewport()


def shows_changes(page: Page) -> None:
    begin(page, FAILS)
    page.keyboard.press("d")
    page.wait_for_url(re.compile(r"/changes$"))


def stops(page: Page) -> None:
    begin(page, STALLS, ".prose")
    page.keyboard.press(".")
    expect(page.locator("#session-stop button")).to_have_count(0)


def sends(page: Page) -> None:
    field = page.get_by_label("What should be done?")
    field.fill(FAILS)
    field.press("Control+Enter")
    page.wait_for_url(re.compile(r"/sessions/ses_"))


def runs(page: Page) -> None:
    begin(page, "[[say Here.]]")
    expect(page.locator("#session-panel .badge")).to_have_text("Done")
    page.get_by_label("Message to the agent").fill("!echo mine")
    page.keyboard.press("Control+Enter")
    expect(page.locator("details.card", has_text="echo mine").locator(".out")).to_have_text("mine")


def finds_a_file(page: Page) -> None:
    page.goto("/browse")
    page.keyboard.press("t")
    expect(page.get_by_label("Find a file")).to_be_focused()


def saves(page: Page) -> None:
    finds_a_file(page)  # T there is what it is on no other page
    page.goto(f"{page.url}/README.md?view=edit")
    page.keyboard.press("Control+s")
    expect(page.locator("#save-state")).to_contain_text("Saved")


def selects(page: Page) -> None:
    asks = []
    for command in ("cat /etc/hostname", "cat /etc/hosts"):
        begin(page, f"[[bash {command}]]", "[data-ask]")
        asks.append(page.locator("[data-ask]").get_attribute("data-ask"))
    page.goto("/inbox")
    bar = page.locator("#bulk")
    expect(bar).to_be_hidden()
    for ask in asks:
        page.locator(f"#ask-row-{ask} a.title").focus()
        page.keyboard.press("x")
    expect(bar.locator("code")).to_have_text(["cat /etc/hostname", "cat /etc/hosts"])
    page.keyboard.press("x")
    expect(bar.locator("code")).to_have_text(["cat /etc/hostname"])
    page.keyboard.press("x")
    bar.get_by_role("button", name="Allow these reads").click()
    expect(page.get_by_text("2 allowed.")).to_be_visible()


def opens_terminals(page: Page) -> None:
    """Also by T, which on a page with a search for files looks for one."""
    begin(page, "Look around.", ".transcript")
    page.locator("#session-panel").wait_for()
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("t")
    page.wait_for_url(re.compile(r"/terminals/pty_"))
    expect(page.locator(".xterm-rows")).to_contain_text("$")
    page.keyboard.press("Control+Shift+F")
    expect(page.get_by_role("searchbox", name="Search in this terminal")).to_be_focused()
    page.get_by_role("button", name="End process").click()
    page.wait_for_url(re.compile(r"/terminals$"))
    page.keyboard.press("t")
    page.wait_for_url(re.compile(r"/terminals/pty_"))
    page.get_by_role("button", name="End process").click()
    page.wait_for_url(re.compile(r"/terminals$"))


DOES: dict[str, Callable[[Page], None]] = {
    "Ctrl K": opens_bar,
    "/": searches,
    "C": begins,
    "J": moves,
    "K": moves,
    "O": opens_row,
    "G H": goes("h", "/"),
    "G I": goes("i", "/inbox"),
    "G S": goes("s", "/sessions"),
    "G P": goes("p", "/projects"),
    "G C": goes("c", "/checkpoints"),
    "G F": goes("f", r"/browse/prj_\w+"),
    "G T": goes("t", "/terminals"),
    "?": shows_keys,
    "Esc": leaves,
    "A": acts,
    "R": rejects,
    "⇧ A": shows_the_rule_first,
    "X": selects,
    "1": chooses,
    "]": turns,
    "[": turns,
    "E": finds_errors,
    "D": shows_changes,
    ".": stops,
    "T": finds_a_file,
    "Ctrl ⇧ F": opens_terminals,
    "Ctrl ⏎": sends,
    "!": runs,
    "Ctrl S": saves,
}


def test_every_key_of_the_list_is_tried_here() -> None:
    assert {key for _heading, listed in KEYS for key, _words in listed} == set(DOES)


@pytest.mark.parametrize("does", list(dict.fromkeys(DOES.values())), ids=lambda does: does.__name__)
def test_a_key_does_what_the_list_says(page: Page, does: Callable[[Page], None]) -> None:
    does(page)


def test_always_in_the_inbox_shows_its_rule_before_it_adds_it(page: Page) -> None:
    begin(page, WAITS, "[data-ask]")
    ask = page.locator("[data-ask]").get_attribute("data-ask")
    page.set_viewport_size({"width": 1440, "height": 320})
    page.goto(f"/inbox/{ask}")
    rule = page.locator(f"#rule-{ask}")
    expect(rule).not_to_be_in_viewport()
    page.keyboard.press("Shift+A")
    expect(rule).to_be_in_viewport()
    expect(page.get_by_role("button", name="Run, always allow")).to_be_focused()
    page.keyboard.press("Shift+A")
    expect(page).not_to_have_url(re.compile(str(ask)))
    page.goto(f"/inbox/{ask}")
    expect(page.locator(".answered")).to_contain_text("allow bash make paint")


def test_a_key_in_the_inbox_answers_only_what_is_shown(page: Page) -> None:
    asks = []
    for _ in range(2):
        begin(page, WAITS, "[data-ask]")
        asks.append(str(page.locator("[data-ask]").get_attribute("data-ask")))
    page.goto(f"/inbox?ask={asks[0]}")
    expect(page.locator(f"#ask-row-{asks[0]} a.title")).to_be_focused()
    page.locator(f"#ask-row-{asks[1]} a.title").focus()
    page.keyboard.press("a")
    page.wait_for_url(re.compile(asks[1]))
    expect(page.locator(f"#ask-row-{asks[1]}.at a.title")).to_be_focused()
    page.keyboard.press("a")
    expect(page.locator(f"#ask-row-{asks[1]}")).to_have_count(0)
    expect(page.locator(".ask-row.at a.title")).to_be_focused()
    expect(page.locator(f"#ask-row-{asks[0]}")).to_have_count(1)


@pytest.mark.parametrize("key", ["a", "Enter"])
def test_a_key_that_is_held_does_not_answer_what_comes_next(page: Page, key: str) -> None:
    begin(page, "[[bash make one]] [[bash make two]]", "[data-ask]")
    if key == "Enter":
        page.get_by_role("button", name="Run command").focus()
    page.keyboard.down(key)
    expect(page.locator(".answered")).to_contain_text("You ran make one")
    second = page.locator("[data-ask]", has_text="make two")
    expect(second.locator(".btn:visible").last).to_be_in_viewport(ratio=1)
    if key == "Enter":
        second.get_by_role("button", name="Run command").focus()
    page.keyboard.down(key)  # as it repeats itself
    page.keyboard.up(key)
    page.locator(".log").focus()
    page.keyboard.press("r")
    page.keyboard.type("not this one")
    page.keyboard.press("Enter")
    expect(page.locator(".answered").last).to_contain_text("You rejected make two")


def test_enter_in_the_bar_opens_what_its_words_find_however_fast_they_are_typed(page: Page) -> None:
    zebra = begin(page, "Draw the zebra")
    begin(page, "Draw something else")
    page.goto("/projects")
    page.keyboard.press("Control+k")
    bar = page.get_by_role("dialog", name="Search or jump")
    expect(bar.locator("a.hit.at")).to_have_count(1)
    page.keyboard.type("the zebra")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/sessions/ses_"))
    assert page.url == zebra


def test_enter_that_takes_a_word_from_an_input_method_rejects_nothing(page: Page) -> None:
    begin(page, WAITS, "[data-ask]")
    page.keyboard.press("r")
    word = page.get_by_label("A word to the agent")
    word.fill("ちがう")
    word.evaluate("""(field) => field.dispatchEvent(new KeyboardEvent("keydown",
        { key: "Enter", isComposing: true, bubbles: true, cancelable: true }))""")
    word.press_sequentially("よ")
    word.press("Enter")
    expect(page.locator(".answered")).to_contain_text("“ちがうよ”")


def test_a_key_to_a_page_that_the_rail_has_not_does_nothing(page: Page) -> None:
    page.evaluate("document.querySelector('.rail a[title=Terminals]').remove()")
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
