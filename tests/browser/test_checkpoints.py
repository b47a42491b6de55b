"""Going back without fear, by keys and mouse, and as plain links and forms; worktrees from Home to their removal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app import git
from tests.browser.conftest import Open, Shop, stayed, stays
from tests.browser.test_without_javascript import reload_until
from tests.model_server import Gate, Say

pytestmark = pytest.mark.browser


def task(*files: str) -> str:
    """Words that have the model write each of these files in a step of its own."""
    calls = [f"[[call write {json.dumps({'filePath': name, 'content': f'{name} is new'})}]]" for name in files]
    return f"Write {len(files)} files: {' '.join(calls)} [[say All written.]]"


def begin(page: Page, words: str, where: str = "") -> None:
    """Start a session that runs without asking, and wait for its end; works without scripts too."""
    page.goto("/")
    page.get_by_label("What should be done?").fill(words)
    page.get_by_label("asks", exact=True).select_option("auto")
    page.get_by_label("Where it works").select_option(where)
    page.get_by_role("button", name="Start session").click()
    page.wait_for_url(re.compile(r"/sessions/ses_"))


def test_files_are_looked_at_put_back_and_undone_by_keys(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    begin(page, task("keys-a.txt", "keys-b.txt"))
    expect(page.locator(".prose").last).to_have_text("All written.")
    page.get_by_role("link", name="3 checkpoints").click()
    expect(page.get_by_role("heading", name="Restore to #2")).to_be_visible()
    page.wait_for_load_state()  # a key that is pressed before the page's scripts are there is nobody's
    for _ in range(3):
        page.keyboard.press("j")
    expect(page.locator("#checkpoint-0 a.title")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Restore to #0")).to_be_visible()

    stays(page)
    page.get_by_role("link", name="View keys-b.txt").click()
    expect(page.locator("#difference code.cut")).to_have_text("keys-b.txt")
    expect(page.locator("#difference .minus")).to_contain_text("keys-b.txt is new")
    page.get_by_label("keys-a.txt", exact=True).uncheck()
    assert stayed(page)
    page.get_by_role("button", name="Restore 1 file to #0").click()
    expect(page.get_by_text("1 file is set back.")).to_be_visible()
    assert [(shop.root / name).exists() for name in ("keys-a.txt", "keys-b.txt")] == [True, False]
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("The restore is undone.")).to_be_visible()
    assert (shop.root / "keys-b.txt").read_text() == "keys-b.txt is new"


def test_the_button_says_what_the_chosen_scope_does(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    begin(page, task("scope-a.txt", "scope-b.txt"))
    expect(page.locator(".prose").last).to_have_text("All written.")
    session = page.url
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Checkpoints")).to_be_visible()
    page.locator("#checkpoint-1 a.title").click()
    page.get_by_label("Conversation").check()
    expect(page.get_by_role("button", name="Restore conversation to #1")).to_be_visible()
    expect(page.get_by_text("What changes on disk")).to_be_hidden()
    page.get_by_label("Both").check()
    page.get_by_role("button", name="Restore 1 file and conversation to #1").click()
    expect(page.get_by_text("1 file and the conversation are set back.")).to_be_visible()
    assert not (shop.root / "scope-b.txt").exists()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("The restore is undone.")).to_be_visible()
    page.goto(session)
    expect(page.get_by_text("set back to an earlier point")).to_have_count(0)
    assert (shop.root / "scope-b.txt").exists()


@pytest.mark.parametrize("width", [390, 900])
def test_on_a_narrow_page_timeline_and_preview_are_two_pages(shop: Shop, open_page: Open, width: int) -> None:
    page = open_page(shop.running, storage_state=shop.state, viewport={"width": width, "height": 844})
    begin_wide = open_page(shop.running, storage_state=shop.state)
    name = f"narrow-{width}.txt"
    begin(begin_wide, task(name))
    expect(begin_wide.locator(".prose").last).to_have_text("All written.")
    page.goto(f"/checkpoints?session={begin_wide.url.rpartition('/')[2]}")
    expect(page.locator("#restore")).to_be_hidden()
    page.locator("#checkpoint-0 a.title").click()
    expect(page.locator(".timeline")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Restore 1 file to #0").click()
    expect(page.get_by_text("1 file is set back.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("The restore is undone.")).to_be_visible()
    assert (shop.root / name).exists()


def test_it_all_works_without_a_script(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, java_script_enabled=False)
    begin(page, task("plain-a.txt", "plain-b.txt"))
    reload_until(page, "3 checkpoints")
    page.get_by_role("link", name="3 checkpoints").click()
    page.get_by_role("link", name="#0 Before the first change").click()
    page.get_by_role("link", name="View plain-b.txt").click()
    expect(page.locator("#difference .minus")).to_contain_text("plain-b.txt is new")
    page.get_by_role("button", name="Restore 2 files to #0").click()
    expect(page.get_by_text("2 files are set back.")).to_be_visible()
    assert not (shop.root / "plain-a.txt").exists()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("The restore is undone.")).to_be_visible()
    assert (shop.root / "plain-a.txt").exists()
    page.get_by_role("link", name="Compare two").click()
    page.get_by_label("From").select_option("0")
    page.get_by_label("To", exact=True).select_option("1")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("1 file from #0 to #1")).to_be_visible()
    expect(page.locator("details.file .plus")).to_contain_text("plain-a.txt is new")


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_a_worktree_is_begun_at_home_and_removed_by_its_name(shop: Shop, open_page: Open, script: bool) -> None:
    page = open_page(shop.running, storage_state=shop.state, java_script_enabled=script)
    name = f"tree-{'script' if script else 'plain'}"
    begin(page, f"{name}\n{task('tree.txt')}", "worktree")
    if script:
        expect(page.locator(".prose").last).to_have_text("All written.")
    else:
        reload_until(page, "2 checkpoints")
    expect(page.locator("#session-panel")).to_contain_text(f"signalcabin/{name}")
    assert not (shop.root / "tree.txt").exists()
    (place,) = [path for path in git.list_worktrees(shop.root) if path.name == name]
    assert (Path(place) / "tree.txt").read_text() == "tree.txt is new"

    page.goto("/projects")
    page.get_by_role("link", name="shop", exact=True).click()
    row = page.locator(".trees > li", has_text=f"signalcabin/{name}")
    expect(row).to_contain_text("1 file not committed")
    row.locator("summary").click()
    row.get_by_label(f"Type {name} to remove it").fill(name)
    row.get_by_role("button", name="Remove worktree").click()
    expect(page.locator(".trees > li", has_text=f"signalcabin/{name}")).to_have_count(0)
    assert not place.exists()


def test_a_step_back_while_the_agent_works_is_refused_in_place(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, allowed=("409",))
    begin(page, task("steps-a.txt"))
    expect(page.locator(".prose").last).to_have_text("All written.")
    gate = Gate()
    shop.model.script = [[Say("One moment. "), gate, Say("Here I am.")]]
    page.locator("#words").fill("And now?")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".prose").last).to_contain_text("One moment.")
    stays(page)
    page.get_by_role("button", name="Go back to before this").click()
    expect(page.locator("#dock-note")).to_contain_text("stop it first")
    assert stayed(page)
    gate.opened.set()
    expect(page.locator(".prose").last).to_have_text("One moment. Here I am.")
    page.get_by_role("button", name="Go back to before this").click()
    expect(page.get_by_text("set back to an earlier point")).to_be_visible()
    assert not (shop.root / "steps-a.txt").exists()
