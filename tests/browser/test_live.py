"""Open pages live on one stream each: what changes shows without a reload, and a hidden tab holds no connection."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.browser.conftest import Open, Shop, stayed, stays
from tests.model_server import Call, Gate, Say

pytestmark = pytest.mark.browser

NEW = json.dumps({"filePath": "shop/fresh.py", "content": "one = 1\ntwo = 2\n"})
ONE = json.dumps({"questions": [{"question": "Which one?", "options": [{"label": "This"}, {"label": "That"}]}]})
HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def begin(page: Page, words: str) -> str:
    """Start a session from Home; its URL."""
    page.goto("/")
    page.get_by_label("What should be done?").fill(words)
    page.get_by_role("button", name="Start session").click()
    page.wait_for_url(re.compile(r"/sessions/ses_"))
    return page.url


def streams(page: Page) -> list[Request]:
    """The streams that a page asks for from now on."""
    asked: list[Request] = []
    page.on(
        "request",
        lambda request: asked.append(request) if "event-stream" in request.headers.get("accept", "") else None,
    )
    return asked


def is_streaming(page: Page) -> bool:
    return page.locator("#page-stream").count() == 1


def test_a_session_page_holds_one_stream_for_all_that_changes(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    gate = Gate()
    shop.model.script.append([Say("First."), gate, Say(" Second.")])
    url = begin(page, "Go on.")
    asked = streams(page)
    page.goto(url)
    stays(page)
    expect(page.locator("#rail-running")).to_contain_text("running")
    gate.opened.set()
    expect(page.locator(".prose")).to_have_text("First. Second.")
    expect(page.locator("#session-panel .badge")).to_have_text("Done")
    assert [request.url.split("?")[0] for request in asked] == [f"{shop.running.url}/live"]
    assert stayed(page)


def test_a_hidden_tab_lets_its_stream_go_and_catches_up(shop: Shop, open_page: Open) -> None:
    keeper = open_page(shop.running, storage_state=shop.state)
    url = begin(keeper, "[[say Ready.]]")
    expect(keeper.locator("#session-panel .badge")).to_have_text("Done")
    hidden = keeper.context.new_page()
    hidden.goto(url)
    stays(hidden)
    keeper.evaluate(HIDE, True)
    expect(keeper.locator("#page-stream")).to_have_count(1)  # one of the hidden keeps the count for all
    hidden.evaluate(HIDE, True)
    expect(hidden.locator("#page-stream")).to_have_count(0)

    other = keeper.context.new_page()
    other.goto(url)
    other.get_by_label("Message to the agent").fill("[[bash make tea]]")
    other.keyboard.press("Control+Enter")
    other.locator("[data-ask]").wait_for()
    counted = re.compile(rf"^{re.escape(other.title().split(' ')[0])} ")
    expect(hidden).to_have_title(counted)  # told by the tabs that stream
    expect(hidden.locator("[data-ask]")).to_have_count(0)

    hidden.evaluate(HIDE, False)
    expect(hidden.locator("[data-ask] .call")).to_have_text("make tea")
    assert is_streaming(hidden)
    assert stayed(hidden)


def test_the_next_hidden_tab_takes_over_when_the_one_that_streams_is_closed(shop: Shop, open_page: Open) -> None:
    first = open_page(shop.running, storage_state=shop.state)
    first.goto("/projects")
    second = first.context.new_page()
    second.goto("/projects")
    first.evaluate(HIDE, True)
    expect(first.locator("#page-stream")).to_have_count(1)  # it has let go, and is the first in the queue
    second.evaluate(HIDE, True)
    expect(second.locator("#page-stream")).to_have_count(0)
    first.close()
    expect(second.locator("#page-stream")).to_have_count(1)


def test_a_stream_that_the_server_refuses_is_asked_for_again(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, allowed=("503",))
    page.route("**/live?*", lambda route: route.fulfill(status=503, body="full"), times=1)
    page.goto("/projects")
    stays(page)
    expect(page.locator("[data-live]").first).to_have_attribute("data-state", "live")
    expect(page.locator("h1")).to_have_count(1)
    assert stayed(page)


def test_a_queued_prompt_leaves_the_composer_when_its_turn_comes(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    gate = Gate()
    shop.model.script.append([Say("Working."), gate, Say(" Finished.")])
    begin(page, "Count the modules.")
    expect(page.locator(".prose")).to_contain_text("Working.")
    stays(page)
    page.get_by_label("Message to the agent").fill("[[say And the tests.]]")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#session-queue li")).to_have_text([re.compile("And the tests.")])
    gate.opened.set()
    expect(page.locator(".prose").last).to_have_text("And the tests.")
    expect(page.locator("#session-queue li")).to_have_count(0)
    assert stayed(page)


def test_a_row_at_the_left_moves_under_the_heading_that_fits(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    gate = Gate()
    shop.model.script.append([Say("Working."), gate, Say(" Finished.")])
    begin(page, "Count the modules again.")
    stays(page)
    expect(page.locator("#side-running > .at")).to_have_count(1)
    page.locator("#side-running > .at a.title").focus()
    gate.opened.set()
    expect(page.locator("#side-today > .at")).to_have_count(1)
    expect(page.locator("#side-today > .at a.title")).to_be_focused()
    expect(page.locator("#side-running > .at")).to_have_count(0)
    expect(page.locator(".side-row.at")).to_have_count(1)
    page.get_by_label("Message to the agent").fill("[[bash make soup]]")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#side-needs > .at")).to_contain_text("make soup")
    expect(page.get_by_role("heading", name="Needs you", exact=True)).to_be_visible()
    assert stayed(page)


def test_the_changes_tab_hears_of_further_changes(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    url = begin(page, f"[[call write {NEW}]]")
    page.locator("[data-ask]").wait_for()
    reader = page.context.new_page()
    reader.goto(f"{url}/changes")
    stays(reader)
    expect(reader.get_by_text("No file differs")).to_be_visible()
    page.get_by_role("button", name="Save edit").click()
    expect(reader.locator("#session-lines")).to_contain_text("+2")
    expect(reader.locator("#session-strip")).to_contain_text("Done")
    expect(reader.locator("#session-stop button")).to_have_count(0)
    assert stayed(reader)
    reader.get_by_role("link", name="Show them").click()
    expect(reader.locator("details.file summary")).to_contain_text("shop/fresh.py")
    expect(reader.get_by_role("link", name="Show them")).to_have_count(0)


def test_home_moves_a_session_from_running_to_recent(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    home = page.context.new_page()
    home.goto("/")
    stays(home)
    gate = Gate()
    shop.model.script.append([Say("Working."), gate, Say(" Finished.")])
    url = begin(page, "Count the doors.")
    row = home.get_by_role("listitem").filter(has=home.locator(f'a[href="{url.removeprefix(shop.running.url)}"]'))
    expect(home.locator("#running").filter(has=row)).to_contain_text("Count the doors.")
    gate.opened.set()
    expect(home.locator("#recent > li").first).to_contain_text("Count the doors.")
    expect(row).to_have_count(1)
    assert stayed(home)


def test_the_inbox_says_that_something_else_waits(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    inbox = page.context.new_page()
    inbox.goto("/inbox")
    expect(inbox.get_by_text("Something else waits.")).to_be_hidden()
    begin(page, "[[bash make bread]]")
    expect(inbox.get_by_text("Something else waits.")).to_be_visible()
    inbox.get_by_role("link", name="Show it").click()
    expect(inbox.locator(".ask-row", has_text="make bread").first).to_be_visible()


def test_an_answer_half_written_survives_that_its_card_is_drawn_again(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    url = begin(page, f"[[call question {ONE}]]")
    page.locator("[data-ask]").wait_for()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/live?*", hold)
    with page.expect_request("**/live?*"):
        page.goto(url)
    page.get_by_text("Something else…").click()
    own = page.get_by_label("Your own answer")
    own.fill("Neither of th")
    card = page.locator("[data-ask]").element_handle()
    held[0].continue_(url=re.sub(r"lastEventId=\d+", "lastEventId=0", held[0].request.url))
    page.wait_for_function("(card) => !card.isConnected", arg=card)
    expect(own).to_be_focused()
    page.keyboard.type("em")
    expect(own).to_have_value("Neither of them")


def test_the_list_opens_over_a_narrow_page(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, viewport={"width": 768, "height": 1024})
    url = begin(page, "[[error 400]]")
    listed = page.get_by_role("region", name="Sessions")
    expect(listed).to_be_hidden()
    back = page.get_by_role("link", name="Sessions", exact=True).last
    back.click()
    expect(listed).to_be_visible()
    expect(page.locator(".side-row.at a.title")).to_be_focused()
    assert page.url == url
    page.keyboard.press("Escape")
    expect(listed).to_be_hidden()
    expect(back).to_be_focused()


def test_the_panel_is_drawn_again_under_its_reader(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, viewport={"width": 1440, "height": 500})
    gate = Gate()
    todos = [{"content": "Count the doors", "status": "pending", "priority": "high", "id": "1"}]
    shop.model.script.append([Say("Working."), gate, Call("todowrite", {"todos": todos})])
    begin(page, "Count the doors of the panel.")
    expect(page.locator(".prose")).to_contain_text("Working.")
    panel = page.locator("#session-panel")
    link = panel.get_by_role("link", name="Markdown")
    link.focus()
    link.scroll_into_view_if_needed()
    assert panel.evaluate("(panel) => panel.scrollTop") > 100
    gate.opened.set()
    expect(panel.get_by_role("listitem").filter(has_text="Count the doors")).to_have_count(1)
    expect(panel.locator(".badge")).to_have_text("Done")
    expect(link).to_be_focused()
    assert panel.evaluate("(panel) => panel.scrollTop") > 100


def test_what_is_being_written_survives_that_the_page_loads_itself_anew(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    url = begin(page, "[[say Here.]]")
    expect(page.locator("#session-panel .badge")).to_have_text("Done")
    message = page.locator(".message.user").get_attribute("id")
    field = page.get_by_label("Message to the agent")
    field.press_sequentially("And now")
    step = {"messageID": str(message).removeprefix("message-")}
    shop.running.call("POST", f"/session/{url.rpartition('/')[2]}/revert", step)
    expect(page.get_by_text("The session is set back to an earlier point.")).to_be_visible()
    expect(field).to_be_focused()
    page.keyboard.type(" go on")
    expect(field).to_have_value("And now go on")
    page.reload()
    expect(field).to_have_value("")


def test_a_session_is_started_once_however_often_the_button_is_pressed(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    page.goto("/")
    page.get_by_label("What should be done?").fill("[[say Only once.]]")
    again = "new Event('submit', { bubbles: true, cancelable: true })"
    press = f"(button) => {{ button.click(); return button.form.dispatchEvent({again}); }}"
    assert page.get_by_role("button", name="Start session").evaluate(press) is False  # the second goes nowhere
    page.wait_for_url(re.compile(r"/sessions/ses_"))
    expect(page.locator(".prose")).to_have_text("Only once.")


def test_a_part_that_is_drawn_again_is_counted_as_new_once(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, viewport={"width": 1440, "height": 400})
    gate = Gate()
    shop.model.script.append([Say("word " * 900), gate, Call("bash", {"command": "make jam"})])
    begin(page, "Go through them.")
    expect(page.locator(".prose")).to_contain_text("word")
    page.locator(".log").evaluate("(log) => { log.scrollTop = 0; }")
    page.wait_for_function("() => document.querySelector('.log').scrollTop === 0")
    gate.opened.set()
    expect(page.locator("[data-ask] .call")).to_have_text("make jam")
    expect(page.locator(".pill-new")).to_have_text("↓ 1 new")
