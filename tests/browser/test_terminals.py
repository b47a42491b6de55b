"""Terminals in a browser: type and see, come back and have it all, one writes and others watch, keys on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open, Shop

pytestmark = pytest.mark.browser
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
COLOURS = r"printf '\033[31mred\033[0m \033[38;2;255;120;0mtrue\033[0m https://example.com/here\n'"


@pytest.fixture(autouse=True)
def none_left(shop: Shop) -> Iterator[None]:
    """End what a test has opened."""
    yield
    for one in shop.running.call("GET", "/api/v1/pty")[1]["data"]["sessions"]:
        shop.running.call("DELETE", f"/api/v1/pty/{one['id']}")


def rows(page: Page) -> Locator:
    return page.locator(".xterm-rows").first


def entry(page: Page, url: str) -> Locator:
    """A terminal's row in the list."""
    return page.locator(f"#terminal-{url.rsplit('/', 1)[1]}")


def open_one(page: Page) -> str:
    """Open a terminal by the button; its address."""
    page.goto("/terminals")
    page.get_by_role("button", name="New terminal").click()
    page.wait_for_url(re.compile(r"/terminals/pty_"))
    expect(rows(page)).to_contain_text("$")
    expect(page.locator("[data-attached]")).to_contain_text("Attached")
    return page.url


def test_what_is_typed_runs_and_is_there_again_after_a_reload(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    open_one(page)
    page.keyboard.type("cd shop; echo $((40+2)) answers; seq 1 200\n")
    expect(rows(page)).to_contain_text("200")
    expect(page.locator(".term-head [data-cwd]")).to_have_text("shop/shop")
    page.wait_for_function("() => Date.now() - document.querySelector('[data-term]').dataset.created > 5000")
    page.reload()
    expect(rows(page)).to_contain_text(re.compile(r"reconnected \d\d:\d\d:\d\d, \d+ lines replayed"))
    page.keyboard.type("echo st''ill here\n")
    expect(rows(page)).to_contain_text("still here")


def test_what_was_asked_of_the_terminal_is_not_answered_again_after_a_reload(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    open_one(page)
    page.keyboard.type("bash -c \"printf '\\033[6n'; read -s -d R place; echo answ''ered\"\n")
    expect(rows(page)).to_contain_text("answered")
    page.wait_for_function("() => Date.now() - document.querySelector('[data-term]').dataset.created > 5000")
    page.reload()
    expect(rows(page)).to_contain_text("reconnected")
    page.keyboard.type("echo st''ill here\n")
    expect(rows(page)).to_contain_text("still here")


def test_colours_and_links_are_there_under_the_strict_policy(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    open_one(page)
    page.keyboard.type(f"clear; {COLOURS}\n")
    red = rows(page).locator("span", has_text=re.compile("^red$"))
    expect(red).to_have_css("color", "rgb(255, 145, 136)")
    expect(rows(page).locator("span", has_text=re.compile("^true$"))).to_have_css("color", "rgb(255, 120, 0)")
    link = rows(page).get_by_text("https://example.com/here").last
    box = link.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 150, box["y"] + 6)
    expect(page.locator(".xterm-cursor-pointer")).to_have_count(1)
    page.mouse.click(box["x"] + 150, box["y"] + 6)
    dialog = page.get_by_role("dialog", name="Open a link")
    expect(dialog.locator("[data-href]")).to_have_text("https://example.com/here")
    dialog.get_by_role("button", name="Stay here").click()
    expect(dialog).to_be_hidden()


def test_what_runs_in_it_writes_no_clipboard_no_title_and_no_link_but_to_the_web(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_one(page)
    page.evaluate("navigator.clipboard.writeText('mine')")
    title = page.title()
    page.keyboard.type(
        r"printf '\033]52;c;ZXZpbA==\007\033]0;evil\007\033]8;;javascript:alert(1)\007press\033]8;;\007 do''ne\n'"
        "\n"
    )
    expect(rows(page)).to_contain_text("press done")
    box = rows(page).get_by_text("press").last.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 12, box["y"] + 6)
    page.mouse.click(box["x"] + 12, box["y"] + 6)
    expect(page.get_by_role("dialog", name="Open a link")).to_be_hidden()
    assert page.evaluate("navigator.clipboard.readText()") == "mine"
    assert page.title() == title


def test_one_browser_writes_while_the_other_watches_until_it_takes_over(shop: Shop, open_page: Open) -> None:
    one = open_page(shop.running, storage_state=shop.state)
    url = open_one(one)
    two = open_page(shop.running, storage_state=shop.state)
    two.goto(url)
    expect(two.locator("[data-people]")).to_have_text("You have the keyboard elsewhere")
    expect(one.locator("[data-seen]")).to_have_text("1")
    one.keyboard.type("echo fr''om one\n")
    expect(rows(two)).to_contain_text("from one")
    two.locator(".xterm").click()
    two.keyboard.type("echo fr''om two\n")
    two.get_by_role("button", name="Take the keyboard").click()
    expect(one.get_by_role("button", name="Take the keyboard")).to_be_visible()
    expect(two.get_by_role("button", name="Take the keyboard")).to_be_hidden()
    two.keyboard.type("echo th''en two\n")
    expect(rows(one)).to_contain_text("then two")
    expect(rows(one)).not_to_contain_text("from two")


def test_a_lost_connection_comes_back_by_itself(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    page.add_init_script("""const Plain = WebSocket; window.lines = [];
        window.WebSocket = class extends Plain { constructor(...given) { super(...given); window.lines.push(this); } };""")
    open_one(page)
    page.evaluate("window.lines.at(-1).close()")
    expect(page.locator("[data-attached]")).to_contain_text("Attached")
    page.wait_for_function("() => window.lines.length > 1 && window.lines.at(-1).readyState === 1")
    page.keyboard.type("echo ag''ain\n")
    expect(rows(page)).to_contain_text("again")


def test_one_that_the_server_knows_no_more_has_ended_with_it(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, allowed=("404",))
    page.add_init_script("""const Plain = WebSocket; window.lines = [];
        window.WebSocket = class extends Plain { constructor(...given) { super(...given); window.lines.push(this); } };""")
    open_one(page)
    page.evaluate("""() => {
        const { dataset } = document.querySelector("[data-term]");
        dataset.page = "/terminals/pty_gone";
        dataset.socket = "/terminals/pty_gone/socket";
        window.lines.at(-1).close();
    }""")
    expect(page.locator("[data-attached]")).to_have_text("Ended with the server")


def test_words_are_found_in_what_has_scrolled_away(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    open_one(page)
    page.keyboard.type("echo nee''dle; seq 1 500\n")
    expect(rows(page)).to_contain_text("500")
    expect(rows(page)).not_to_contain_text("needle")
    page.keyboard.press("Control+Shift+F")
    page.keyboard.type("needle")
    expect(page.locator("[data-hits]")).to_have_text("1 of 1")
    expect(rows(page)).to_contain_text("needle")
    page.get_by_role("searchbox", name="Search in this terminal").fill("nothing like it")
    expect(page.locator("[data-hits]")).to_have_text("No match")
    page.keyboard.press("Escape")
    expect(page.locator(".term-find")).to_be_hidden()


def test_keys_of_the_page_stay_out_of_the_terminal(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    url = open_one(page)
    page.keyboard.type("echo g''h?/t\n")
    expect(rows(page)).to_contain_text("gh?/t")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.matches('.xterm-helper-textarea')")
    assert page.url == url


def test_it_is_named_listed_and_ended(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, allowed=("409",))
    url = open_one(page)
    page.get_by_text("Rename…").click()
    page.get_by_label("Name").fill("the build")
    page.get_by_role("button", name="Rename terminal").click()
    expect(entry(page, url).locator(".title")).to_have_text("the build")
    expect(rows(page)).to_contain_text("$")
    page.locator(".xterm").click()
    page.keyboard.type("sleep 1000\n")
    expect(page.locator(".term-head .dot.on")).to_be_visible()
    page.get_by_role("button", name="End process").click()
    expect(page.get_by_role("alert")).to_contain_text("the build is running in it")
    page.get_by_role("button", name="End it anyway").click()
    page.wait_for_url(re.compile(r"/terminals$"))
    expect(entry(page, url)).to_have_count(0)


def test_its_end_is_shown_and_the_list_says_so(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    open_one(page)
    page.keyboard.type("exit 3\n")
    expect(rows(page)).to_contain_text("ended, exit 3")
    expect(page.locator("#terminal-list")).to_contain_text("exit 3 · kept until")
    expect(page.locator("[data-attached]")).to_have_text("Ended, exit 3")


def test_two_side_by_side_each_have_their_keys(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    first = open_one(page)
    second = open_one(page)
    page.goto(f"{first}?beside={second.rsplit('/', 1)[1]}")
    left, right = page.locator(".xterm-rows").nth(0), page.locator(".xterm-rows").nth(1)
    expect(right).to_contain_text("$")
    page.locator(".xterm").nth(1).click()
    page.keyboard.type("echo on the ri''ght\n")
    expect(right).to_contain_text("on the right")
    expect(left).not_to_contain_text("right")


def test_the_key_row_of_a_phone_sends_what_its_keyboard_cannot(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, **PHONE)
    page.goto("/terminals")
    page.get_by_role("button", name="New terminal").tap()
    page.wait_for_url(re.compile(r"/terminals/pty_"))
    expect(rows(page)).to_contain_text("$")
    page.locator(".xterm").tap()
    page.keyboard.type("echo ba''ck")
    keys = page.locator(".key-row")
    for name in ("~", "/", "|"):
        keys.get_by_role("button", name=name, exact=True).tap()
    expect(rows(page)).to_contain_text("ck~/|")
    keys.get_by_role("button", name="Ctrl", exact=True).tap()
    expect(keys.get_by_role("button", name="Ctrl", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.type("u")
    expect(keys.get_by_role("button", name="Ctrl", exact=True)).to_have_attribute("aria-pressed", "false")
    page.keyboard.type("echo hi''story\n")
    expect(rows(page)).to_contain_text("history")
    page.keyboard.type("clear\n")
    expect(rows(page)).not_to_contain_text("history")
    for _ in range(2):
        keys.get_by_role("button", name="↑").tap()
    page.keyboard.type("\n")
    expect(rows(page)).to_contain_text("history")
    page.keyboard.type("sleep 1000\n")
    keys.get_by_role("button", name="^C").tap()
    page.keyboard.type("echo go''es on\n")
    expect(rows(page)).to_contain_text("goes on")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390


def test_without_a_script_the_last_lines_and_a_form_are_there(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, java_script_enabled=False)
    page.goto("/terminals")
    page.get_by_role("button", name="New terminal").click()
    url = page.url
    page.get_by_label("Line to send").fill("echo pl''ain words")
    page.get_by_role("button", name="Send line").click()
    page.get_by_role("link", name="Look again").click()
    expect(page.locator(".term-text")).to_contain_text("plain words")
    page.get_by_role("button", name="End process").click()
    expect(entry(page, url)).to_have_count(0)


def test_a_project_leads_to_a_terminal_in_it(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    page.goto("/projects")
    page.get_by_role("button", name="Terminal here").click()
    page.wait_for_url(re.compile(r"/terminals/pty_"))
    expect(rows(page)).to_contain_text("$")
    url = page.url
    page.get_by_role("link", name="Terminals").first.click()
    expect(entry(page, url)).to_be_visible()
