"""Commands in the composer: `!` says that it runs, `/` offers the commands there are, by keys alone."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests import repository
from tests.browser.conftest import Open, Shop, signed_in
from tests.model_server import ModelServer
from tests.running import ROOT, Running

pytestmark = pytest.mark.browser

SEEN = "#slash .hit:visible"


@pytest.fixture(scope="module")
def desk(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A server on a repository with two commands of its own."""
    base = tmp_path_factory.mktemp("composer").resolve()
    root = repository.make(base / "shop", 3)
    for name, text in {
        "greet.md": "---\ndescription: Greets\n---\n[[say Hello $ARGUMENTS]]\n",
        "greet/all.md": "---\ndescription: Greets everybody\n---\n[[say Hello all]]\n",
    }.items():
        file = root / ".opencode/command" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(base / "data", root, **settings) as running:
            yield Shop(running, root, model, signed_in(browser, running))


@pytest.fixture
def page(desk: Shop, open_page: Open) -> Page:
    """The owner's page of a new session."""
    opened = open_page(desk.running, storage_state=desk.state)
    opened.goto(f"/sessions/{new_session(desk)}")
    return opened


def new_session(desk: Shop) -> str:
    session_id: str = desk.running.call("POST", "/session", {})[1]["id"]
    return session_id


def test_a_line_after_a_bang_says_that_it_runs_and_does(page: Page) -> None:
    field = page.get_by_label("Message to the agent")
    expect(page.locator("#as-shell")).to_be_hidden()
    field.press_sequentially("!")
    expect(page.locator("#as-shell")).to_be_visible()
    field.press_sequentially("printf '\\033[31mred\\033[0m '; sleep 0.1; ")
    field.press("Shift+Enter")
    field.press_sequentially("echo second line")
    field.press("Control+Enter")
    expect(page.locator("details.card .out")).to_have_text("red second line")
    expect(page.locator("details.card .sgr-red")).to_have_text("red")
    expect(page.locator("details.card .right")).to_contain_text("exit 0")
    expect(field).to_have_value("")
    expect(page.locator("#as-shell")).to_be_hidden()


def test_a_command_that_runs_is_seen_as_it_runs_and_is_stopped_by_a_key(desk: Shop, open_page: Open) -> None:
    page = open_page(desk.running, allowed=("409",), storage_state=desk.state)
    page.goto(f"/sessions/{new_session(desk)}")
    field = page.get_by_label("Message to the agent")
    field.fill("!echo begun; sleep 62")
    field.press("Control+Enter")
    expect(page.locator("details.card .out")).to_have_text("begun")
    field.fill("!echo second")
    field.press("Control+Enter")
    expect(page.locator("#dock-note")).to_contain_text("The session is busy")
    expect(field).to_have_value("!echo second")
    page.locator(".log").focus()
    page.keyboard.press(".")
    expect(page.get_by_text("The command was stopped.")).to_be_visible()
    expect(page.locator("details.card")).to_have_count(1)


def test_a_slash_offers_commands_by_keys(page: Page) -> None:
    field = page.get_by_label("Message to the agent")
    field.press_sequentially("/")
    expect(page.locator(f"{SEEN} code")).to_have_text(["/greet", "/greet/all", "/init", "/review"])
    expect(page.locator("#slash .hit.at")).to_contain_text("/greet")
    field.press("ArrowUp")
    expect(page.locator("#slash .hit.at")).to_contain_text("/review")
    field.press("ArrowDown")
    field.press_sequentially("all")
    expect(page.locator(f"{SEEN} code")).to_have_text(["/greet/all"])
    for _letter in "all":
        field.press("Backspace")
    field.press_sequentially("re")
    expect(page.locator(f"{SEEN} code")).to_have_text(["/review", "/greet", "/greet/all"])
    field.press("Escape")
    expect(page.locator("#slash")).to_be_hidden()
    expect(field).to_be_focused()
    field.press("Backspace")
    expect(page.locator("#slash")).to_be_hidden()
    field.fill("")
    field.press_sequentially("/gr")
    field.press("ArrowDown")
    field.press("Tab")
    expect(field).to_have_value("/greet/all ")
    expect(field).to_be_focused()
    expect(page.locator("#slash")).to_be_hidden()
    field.fill("")
    field.press_sequentially("/gr")
    expect(page.locator("#slash .hit.at")).to_contain_text("/greet")
    field.press("Enter")
    field.press_sequentially("Bob")
    field.press("Control+Enter")
    expect(page.locator(".said")).to_contain_text("/greet Bob")
    expect(page.locator(".prose")).to_have_text("Hello Bob")
    expect(page.get_by_role("heading", level=1)).to_have_text("/greet Bob")
    expect(page.get_by_text("Nothing was said yet")).to_be_hidden()


def test_a_click_takes_one_and_words_of_no_command_close_the_list(page: Page) -> None:
    field = page.get_by_label("Message to the agent")
    field.press_sequentially("/in")
    page.locator(SEEN, has_text="/init").click()
    expect(field).to_have_value("/init ")
    field.fill("")
    field.press_sequentially("/etc/hosts")
    expect(page.locator("#slash")).to_be_hidden()


def test_the_command_bar_puts_one_into_the_message(page: Page) -> None:
    field = page.get_by_label("Message to the agent")
    field.fill("Bob and Alice")
    page.keyboard.press("Control+k")
    bar = page.get_by_role("dialog", name="Search or jump")
    page.keyboard.type("/gre")
    expect(bar.locator("a.hit.at")).to_contain_text("/greet")
    page.keyboard.press("Enter")
    expect(bar).to_be_hidden()
    expect(field).to_have_value("/greet Bob and Alice")
    expect(field).to_be_focused()


def test_words_of_the_address_are_sent_once(desk: Shop, page: Page) -> None:
    page.goto(f"{page.url}?text=/greet+Bob")
    field = page.get_by_label("Message to the agent")
    expect(field).to_have_value("/greet Bob")
    field.press("Control+Enter")
    expect(page.locator(".prose")).to_have_text("Hello Bob")
    expect(field).to_have_value("")


def test_home_offers_those_of_the_project_that_is_chosen(desk: Shop, open_page: Open, tmp_path: Path) -> None:
    other = repository.make(tmp_path.resolve() / "other", 3)
    command = [sys.executable, "-m", "app", "project", "add", str(other)]
    subprocess.run(command, cwd=ROOT, env=desk.running.environ, check=True, capture_output=True)
    project = desk.running.call("GET", "/project/current")[1]
    page = open_page(desk.running, storage_state=desk.state)
    page.goto(f"/?project={project['id']}")
    field = page.get_by_label("What should be done?")
    field.press_sequentially("/")
    expect(page.locator(f"{SEEN} code")).to_have_text(["/greet", "/greet/all", "/init", "/review"])
    page.locator("#new select[name=project]").select_option(label="other")
    field.fill("")
    field.press_sequentially("/")
    expect(page.locator(f"{SEEN} code")).to_have_text(["/init", "/review"])
    page.locator("#new select[name=project]").select_option(label="shop")
    field.fill("!echo from home")
    field.press("Control+Enter")
    page.wait_for_url(re.compile(r"/sessions/ses_"))
    expect(page.locator("details.card .out")).to_have_text("from home")


def test_the_list_fits_a_phone(desk: Shop, open_page: Open) -> None:
    page = open_page(desk.running, storage_state=desk.state, viewport={"width": 390, "height": 844}, has_touch=True)
    page.goto(f"/sessions/{new_session(desk)}")
    page.get_by_label("Message to the agent").press_sequentially("/")
    expect(page.locator(SEEN)).to_have_count(4)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    box = page.locator("#slash").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 390
    page.locator(SEEN, has_text="/review").tap()
    expect(page.get_by_label("Message to the agent")).to_have_value("/review ")


def test_a_mode_that_is_chosen_holds_for_the_messages_after_it(page: Page) -> None:
    mode = page.locator(".dock select[name=mode]")
    mode.select_option("ask")
    field = page.get_by_label("Message to the agent")
    for number, words in enumerate(("One.", "Two."), start=1):
        field.fill(f"[[say {words}]]")
        field.press("Control+Enter")
        expect(page.locator(".prose")).to_have_count(number)
        expect(field).to_have_value("")
        expect(mode).to_have_value("ask")
    page.reload()
    expect(mode).to_have_value("ask")


def test_what_is_written_while_a_message_is_sent_stays(page: Page) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/send", hold)
    field = page.get_by_label("Message to the agent")
    field.fill("[[say First.]]")
    with page.expect_request("**/send"):
        field.press("Control+Enter")
    field.press("End")
    field.press_sequentially(" And the second thought.")
    field.press("Control+Enter")  # one goes after the other
    page.locator(".log").focus()
    held[0].continue_()
    expect(page.locator(".prose")).to_have_text("First.")
    expect(field).to_have_value("And the second thought.")
    expect(page.locator(".log")).to_be_focused()
    assert len(held) == 1


@pytest.mark.parametrize("refusal", [503, None])
def test_commands_that_could_not_be_loaded_are_asked_for_again(
    desk: Shop, open_page: Open, refusal: int | None
) -> None:
    page = open_page(desk.running, allowed=("503", "ERR_FAILED", "Failed to fetch"), storage_state=desk.state)
    page.goto(f"/sessions/{new_session(desk)}")
    field = page.get_by_label("Message to the agent")

    def refuse(route: Route) -> None:
        if refusal is None:
            route.abort()
        else:
            route.fulfill(status=refusal, body='<div class="notice">Not now.</div>', content_type="text/html")

    page.route("**/commands?*", refuse, times=1)
    with page.expect_event("requestfailed" if refusal is None else "requestfinished"):
        field.press_sequentially("/")
    expect(page.locator("#slash")).to_be_hidden()
    field.press_sequentially("gre")
    expect(page.locator(SEEN)).to_have_count(2)


def test_the_picks_follow_what_somebody_elsewhere_switches(desk: Shop, open_page: Open) -> None:
    page = open_page(desk.running, storage_state=desk.state)
    session_id = new_session(desk)
    page.goto(f"/sessions/{session_id}")
    mode, rules = page.get_by_label("Mode", exact=True), page.get_by_label("asks", exact=True)
    expect(mode).to_have_value("build")
    rules.select_option("read-only")
    prompt = {"agent": "plan", "parts": [{"type": "text", "text": "[[say A plan.]]"}]}
    assert desk.running.call("POST", f"/session/{session_id}/message", prompt)[0] == 200
    expect(page.locator(".prose")).to_have_text("A plan.")
    expect(mode).to_have_value("plan")
    expect(rules).to_have_value("read-only")
    mode.select_option("build")
    assert desk.running.call("POST", f"/session/{session_id}/message", {**prompt, "agent": "general"})[0] == 200
    expect(page.locator(".prose")).to_have_count(2)
    expect(mode).to_have_value("build")
