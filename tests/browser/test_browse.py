"""Files in the browser: an edit that meets another's, a drop with progress, finding by keys, and a phone."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Open, Shop, stayed, stays
from tests.visitor import until

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
ASKS = "() => { const event = new Event('beforeunload', { cancelable: true }); return !dispatchEvent(event); }"
# Drops files onto the page as a browser does: a data transfer that scripts may fill.
DROP = """(files) => {
    const page = document.querySelector(".page");
    const kept = new DataTransfer();
    for (const [name, size, letter] of files) kept.items.add(new File([letter.repeat(size)], name));
    for (const kind of ["dragover", "drop"]) {
        page.dispatchEvent(new DragEvent(kind, { dataTransfer: kept, bubbles: true, cancelable: true }));
    }
}"""


@pytest.fixture
def folder(shop: Shop, request: pytest.FixtureRequest) -> Path:
    """A folder of this test's own in the shop."""
    made = shop.root / re.sub(r"\W+", "-", request.node.name).strip("-")
    made.mkdir()
    return made


def base(page: Page) -> str:
    """The address of the shop's files."""
    page.goto("/browse")
    return page.url


def drop(page: Page, *files: tuple[str, int, str]) -> None:
    """Drop files, each told by its name, its size and the letter that fills it."""
    page.evaluate(DROP, [list(file) for file in files])


def test_an_edit_meets_anothers_in_a_second_browser(shop: Shop, folder: Path, open_page: Open) -> None:
    (folder / "code.py").write_text("def a():\n    return 1\n")
    refusal = "status of 409"
    mine, theirs = (open_page(shop.running, storage_state=shop.state, allowed=(refusal,)) for _ in range(2))
    where = f"{base(mine)}/{folder.name}/code.py?view=edit"
    for page in (mine, theirs):
        page.goto(where)
    field = mine.locator("[data-editor] textarea")
    expect(field).to_be_focused()
    stays(mine)

    theirs.locator("[data-editor] textarea").fill("def a():\n    return 'theirs'\n")
    theirs.keyboard.press("Control+s")
    expect(theirs.locator("#save-state")).to_contain_text("Saved")
    assert (folder / "code.py").read_text() == "def a():\n    return 'theirs'\n"

    field.press("Control+End")
    mine.keyboard.type("\ndef b():")
    mine.keyboard.press("Enter")
    mine.keyboard.press("Tab")
    mine.keyboard.type("return 2")
    expect(mine.locator("[data-changed]")).to_have_text("2 lines changed")
    mine.keyboard.press("Control+s")
    expect(mine.get_by_text("code.py was changed on disk while you edited it.")).to_be_visible()
    expect(mine.locator(".clash .minus")).to_contain_text(["theirs"])
    expect(mine.locator(".clash .plus").last).to_contain_text("return 2")
    assert "theirs" in (folder / "code.py").read_text()
    typed = "def a():\n    return 1\n\ndef b():\n    return 2"
    expect(mine.locator("[data-editor] textarea")).to_have_value(typed)
    assert stayed(mine)

    mine.get_by_role("button", name="Save mine over it").click()
    expect(mine.locator("#save-state")).to_contain_text("Saved")
    assert (folder / "code.py").read_text() == typed
    expect(mine.locator("[data-changed]")).to_be_hidden()

    theirs.locator("[data-editor] textarea").fill("def a():\n    return 3\n")
    theirs.keyboard.press("Control+s")
    theirs.get_by_role("link", name="Take theirs").click()
    expect(theirs.locator("[data-editor] textarea")).to_have_value(typed)
    assert (folder / "code.py").read_text() == typed


def test_saving_keeps_the_field_and_what_can_be_taken_back(shop: Shop, folder: Path, open_page: Open) -> None:
    (folder / "a.txt").write_text("one\n")
    page = open_page(shop.running, storage_state=shop.state)
    page.goto(f"{base(page)}/{folder.name}/a.txt?view=edit")
    field = page.locator("[data-editor] textarea")
    field.press("Control+End")
    page.keyboard.type("two")
    page.keyboard.press("Control+s")
    expect(page.locator("#save-state")).to_contain_text("Saved")
    expect(field).to_be_focused()
    page.keyboard.type("\n")
    expect(page.locator("[data-changed]")).to_have_text("1 line changed")
    page.keyboard.press("Control+s")
    expect(page.locator("[data-changed]")).to_be_hidden()
    assert (folder / "a.txt").read_text() == "one\ntwo\n"
    page.keyboard.press("Tab")
    expect(field).to_have_value("one\ntwo\n    ")
    page.keyboard.press("Control+z")
    expect(field).to_have_value("one\ntwo\n")
    page.keyboard.press("Escape")
    expect(field).not_to_be_focused()
    page.get_by_role("link", name="View", exact=True).click()
    expect(page.locator("#L2")).to_contain_text("two")


def test_what_is_not_saved_is_not_left_without_a_question(shop: Shop, folder: Path, open_page: Open) -> None:
    (folder / "a.txt").write_text("one\n")
    page = open_page(shop.running, storage_state=shop.state, allowed=("beforeunload",))
    where = f"{base(page)}/{folder.name}/a.txt"
    page.goto(f"{where}?view=edit")
    assert page.evaluate(ASKS) is False
    page.locator("[data-editor] textarea").press_sequentially("x")
    assert page.evaluate(ASKS) is True
    page.get_by_role("link", name="Discard").click()
    page.wait_for_url(where)
    assert (folder / "a.txt").read_text() == "one\n"


def test_files_are_dropped_with_progress_and_a_clash_asks(shop: Shop, folder: Path, open_page: Open) -> None:
    (folder / "old.txt").write_text("old\n")
    page = open_page(shop.running, storage_state=shop.state, allowed=("status of 409",))
    page.goto(f"{base(page)}/{folder.name}")
    stays(page)
    page.evaluate(
        """() => {
            window.shares = [];
            new MutationObserver(() => {
                const bar = document.querySelector("#uploads progress");
                if (bar) bar.dataset.seen = "1", window.shares.push(bar.max);
            }).observe(document.querySelector("#uploads"), { childList: true, subtree: true });
        }"""
    )
    drop(page, ("new.txt", 5, "n"), ("old.txt", 3, "m"), ("large.bin", 4_000_000, "l"))
    box = page.locator("#uploads")
    expect(box).to_contain_text(f"3 files to {folder.name}")
    expect(box.locator("li", has_text="new.txt")).to_have_attribute("data-state", "done")
    expect(box.locator("li", has_text="large.bin")).to_have_attribute("data-state", "done")
    expect(box.locator("li", has_text="large.bin")).to_contain_text("4.0 MB")
    assert 4_000_000 in page.evaluate("window.shares")
    assert (folder / "large.bin").stat().st_size == 4_000_000
    clash = box.locator("li", has_text="old.txt")
    expect(clash).to_contain_text("exists.")
    assert (folder / "old.txt").read_text() == "old\n"
    clash.get_by_role("button", name="Replace…").click()
    expect(box.locator("li", has_text="old.txt")).to_have_attribute("data-state", "done")
    assert (folder / "old.txt").read_text() == "mmm"
    expect(page.locator("#listing")).to_contain_text("new.txt")
    assert stayed(page)


def test_what_is_on_its_way_is_not_left_without_a_question(shop: Shop, folder: Path, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state, allowed=("beforeunload",))
    page.goto(f"{base(page)}/{folder.name}")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/slow.bin", hold)
    with page.expect_request("**/slow.bin"):
        drop(page, ("slow.bin", 5, "s"))
    assert page.evaluate(ASKS) is True
    held[0].continue_()
    expect(page.locator("#uploads li")).to_have_attribute("data-state", "done")
    assert page.evaluate(ASKS) is False


def test_a_file_that_cannot_be_read_is_told_and_the_rest_of_its_folder_comes(
    shop: Shop, folder: Path, open_page: Open
) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    page.goto(f"{base(page)}/{folder.name}")
    page.evaluate(
        """() => {
            const file = (name, give) => ({ isFile: true, name, file: give });
            const entries = [file("locked.txt", (_done, fail) => fail(new DOMException("NotReadableError"))),
                             file("good.txt", (done) => done(new File(["good"], "good.txt")))];
            const readEntries = (done) => done(entries.splice(0));
            const box = { isFile: false, name: "box", createReader: () => ({ readEntries }) };
            const event = new Event("drop", { bubbles: true, cancelable: true });
            event.dataTransfer = { types: ["Files"], items: [{ webkitGetAsEntry: () => box }] };
            document.querySelector(".page").dispatchEvent(event);
        }"""
    )
    box = page.locator("#uploads")
    expect(box.locator("li", has_text="box/locked.txt")).to_contain_text("could not be read")
    expect(box.locator("li", has_text="box/good.txt")).to_have_attribute("data-state", "done")
    assert (folder / "box/good.txt").read_text() == "good"


def test_a_list_that_changes_keeps_its_readers_place(shop: Shop, folder: Path, open_page: Open) -> None:
    for number in range(60):
        (folder / f"file-{number:02}.txt").touch()
    page = open_page(shop.running, storage_state=shop.state, viewport={"width": 1440, "height": 500})
    page.goto(f"{base(page)}/{folder.name}")
    link = page.locator("#listing").get_by_role("link", name="file-50.txt", exact=True)
    link.focus()
    drop(page, ("a-new-one.txt", 5, "n"))
    expect(page.locator("#listing")).to_contain_text("a-new-one.txt")
    expect(link).to_be_focused()
    expect(link).to_be_in_viewport()


def test_a_path_is_copied_where_scripts_have_no_clipboard(shop: Shop, folder: Path, open_page: Open) -> None:
    (folder / "a.txt").write_text("one\n")
    page = open_page(shop.running, storage_state=shop.state)
    page.add_init_script("Object.defineProperty(Navigator.prototype, 'clipboard', { get: () => undefined })")
    page.goto(f"{base(page)}/{folder.name}/a.txt")
    page.locator(".file-menu summary").click()
    page.get_by_role("button", name="Copy path").click()
    expect(page.locator(".toast")).to_have_text("Copied.")
    page.locator("[data-find] input[type=search]").focus()
    page.keyboard.press("Control+v")
    expect(page.locator("[data-find] input[type=search]")).to_have_value(f"{folder.name}/a.txt")


def test_files_are_picked_from_the_menu(shop: Shop, folder: Path, tmp_path: Path, open_page: Open) -> None:
    (tmp_path / "picked.txt").write_text("picked")
    page = open_page(shop.running, storage_state=shop.state)
    page.goto(f"{base(page)}/{folder.name}")
    page.get_by_text("Upload…").click()
    page.get_by_label(f"Files to {folder.name}").set_input_files(tmp_path / "picked.txt")
    page.get_by_role("button", name="Upload files").click()
    expect(page.locator("#listing")).to_contain_text("picked.txt")
    assert (folder / "picked.txt").read_text() == "picked"


def test_a_file_is_found_by_keys_alone(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    base(page)
    page.keyboard.press("t")
    field = page.locator("[data-find] input[type=search]")
    expect(field).to_be_focused()
    page.keyboard.type("basket")
    hits = page.locator(".found a.hit")
    expect(hits.first).to_have_class(re.compile(r"\bat\b"))
    expect(hits.locator("mark").first).to_have_text("basket")
    names = hits.evaluate_all("(all) => all.map((one) => one.textContent.trim())")
    assert {"shop/basket.py", "test_basket.py"} <= {re.sub(r"[M?A]$", "", name) for name in names}
    page.keyboard.press("ArrowDown")
    expect(hits.nth(1)).to_have_class(re.compile(r"\bat\b"))
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    expect(page.locator(".found .file-name").first).to_be_visible()
    expect(page.locator("[data-where-word]")).to_have_text("contents")
    page.keyboard.press("Escape")
    expect(page.locator(".found")).to_be_hidden()

    field.fill("return round")
    hit = page.locator(".found a.hit", has_text="return round").first
    expect(hit).to_have_class(re.compile(r"\bat\b"))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"basket\.py\?at=6#L6$"))
    expect(page.locator("#L6")).to_have_class("picked")
    expect(page.locator("#L6")).to_be_in_viewport()


def test_enter_opens_no_file_that_other_words_found(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    base(page)
    page.keyboard.press("t")
    page.keyboard.type("test")
    expect(page.locator(".found a.hit.at")).to_contain_text("test")
    page.keyboard.press("Control+a")
    page.keyboard.type("shop/basket")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/find/.*q=shop|/shop/basket\.py$"))


def test_lists_are_walked_by_keys_and_a_file_is_edited_by_one(shop: Shop, folder: Path, open_page: Open) -> None:
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(name)
    page = open_page(shop.running, storage_state=shop.state)
    page.goto(f"{base(page)}/{folder.name}")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#listing a.title", has_text="b.txt")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/b\.txt$"))
    page.keyboard.press("e")
    expect(page.locator("[data-editor] textarea")).to_be_focused()
    page.goto(page.url.split("?")[0])
    page.keyboard.press("d")
    page.wait_for_url(re.compile(r"view=changes"))
    expect(page.locator(".plus")).to_contain_text("b.txt")


def test_lines_are_picked_and_named_by_the_address(shop: Shop, folder: Path, open_page: Open) -> None:
    (folder / "long.py").write_text("".join(f"value_{n} = {n}\n" for n in range(1, 2501)))
    page = open_page(shop.running, storage_state=shop.state)
    where = f"{base(page)}/{folder.name}/long.py"
    page.goto(where)
    page.locator("#L4 .no a").click()
    page.locator("#L7 .no a").click(modifiers=["Shift"])
    assert page.url == f"{where}#L4-L7"
    expect(page.locator("tr.picked")).to_have_count(4)
    expect(page.locator("#L2000")).to_have_count(1)  # the rest comes by itself

    page.goto("about:blank")
    page.goto(f"{where}#L2345")
    page.wait_for_url(re.compile(r"at=2345#L2345$"))
    expect(page.locator("#L2345")).to_be_in_viewport()
    expect(page.locator("tr.picked")).to_have_count(1)
    page.get_by_text(re.compile("^Lines up to ")).click()
    expect(page.locator("#L1900")).to_have_count(1)


def test_long_lines_wrap_and_stay_so(shop: Shop, folder: Path, open_page: Open) -> None:
    (folder / "wide.txt").write_text("word " * 400 + "\n")
    page = open_page(shop.running, storage_state=shop.state)
    page.goto(f"{base(page)}/{folder.name}/wide.txt")
    fits = "document.querySelector('#code').scrollWidth <= document.querySelector('#code').clientWidth"
    assert page.evaluate(fits) is False
    page.get_by_text("Wrap", exact=True).click()
    assert page.evaluate(fits) is True
    page.reload()
    expect(page.locator("#wrap")).to_be_checked()
    assert page.evaluate(fits) is True
    page.get_by_text("Wrap", exact=True).click()


def test_an_open_page_hears_of_anothers_change(shop: Shop, folder: Path, open_page: Open) -> None:
    (folder / "a.txt").write_text("one\n")
    reader, lister, writer = (open_page(shop.running, storage_state=shop.state) for _ in range(3))
    at = f"{base(reader)}/{folder.name}"
    reader.goto(f"{at}/a.txt")
    lister.goto(at)
    for page in (reader, lister):
        expect(page.locator("[data-live]")).to_have_text("Live")
    stays(lister)
    writer.goto(f"{at}/a.txt?view=edit")
    writer.locator("[data-editor] textarea").fill("two, and rather longer\n")
    writer.keyboard.press("Control+s")
    expect(reader.get_by_text("a.txt changed since this page was made.")).to_be_visible()
    expect(lister.locator("#listing tr", has_text="a.txt").locator(".size")).to_have_text("23 B")
    assert stayed(lister)
    reader.get_by_role("link", name="Load it again").click()
    expect(reader.locator("#L1")).to_contain_text("two, and rather longer")


def test_an_open_page_hears_of_a_change_that_no_page_made(shop: Shop, folder: Path, open_page: Open) -> None:
    (folder / "a.txt").write_text("one\n")
    page = open_page(shop.running, storage_state=shop.state)
    page.goto(f"{base(page)}/{folder.name}")
    expect(page.locator("[data-live]")).to_have_text("Live")
    stays(page)
    listed = page.locator("#listing tr")
    numbers = itertools.count()

    def make_one() -> bool:
        """The directory is watched a moment after the page is live; what is made before that is not told."""
        (folder / f"made-{next(numbers)}.txt").touch()
        return listed.filter(has_text="made-").count() > 0

    until(make_one)
    (folder / "last.txt").touch()
    expect(listed.filter(has_text="last.txt")).to_have_count(1)
    assert stayed(page)


def test_a_picture_shows_and_a_folded_difference_opens(shop: Shop, folder: Path, open_page: Open) -> None:
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20"/></svg>'
    (folder / "drawing.svg").write_text(drawing)
    (folder / "long.txt").write_text("line\n" * 600)
    page = open_page(shop.running, storage_state=shop.state)
    at = f"{base(page)}/{folder.name}"
    page.goto(f"{at}/drawing.svg")
    page.wait_for_function("document.querySelector('.shown-picture img').naturalWidth === 40")
    page.goto(f"{at}?view=changes")
    page.locator("summary", has_text="long.txt").click(position={"x": 600, "y": 10})
    expect(page.locator("details.file", has_text="long.txt").locator(".plus")).to_have_count(600)


def test_a_tool_call_leads_to_its_file(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    page.goto("/")
    page.get_by_label("What should be done?").fill(
        "Look: [[read shop/__init__.py]] [[read test_basket.py]] [[say Seen.]]"
    )
    page.get_by_label("asks", exact=True).select_option("auto")
    page.get_by_role("button", name="Start session").click()
    expect(page.locator(".prose").last).to_have_text("Seen.")
    page.locator(".ev.line a.to-file", has_text="test_basket.py").click()
    page.wait_for_url(re.compile(r"/browse/prj_\w+/test_basket\.py"))
    expect(page.locator("#code")).to_contain_text("import unittest")


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_on_a_phone_list_and_file_are_two_pages(shop: Shop, folder: Path, open_page: Open, script: bool) -> None:
    (folder / "a.txt").write_text("one\n")
    page = open_page(
        shop.running,
        storage_state=shop.state,
        viewport=PHONE,
        is_mobile=True,
        has_touch=True,
        java_script_enabled=script,
    )
    page.goto(base(page))
    expect(page.locator(".tree")).to_be_hidden()
    page.goto(f"{page.url}/{folder.name}")
    page.get_by_role("link", name="a.txt").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("a.txt")
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_role("textbox", name=f"{folder.name}/a.txt").fill("two\n")
    if script:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Save a.txt").click()
    if script:
        expect(page.locator("#save-state")).to_contain_text("Saved")
    else:
        expect(page.locator("#L1")).to_contain_text("two")
    assert (folder / "a.txt").read_text() == "two\n"
    page.goto(page.url.split("?")[0])
    page.get_by_role("link", name=re.compile("^Up")).click()
    page.wait_for_url(re.compile(f"{folder.name}$"))


def test_it_all_works_without_a_script(shop: Shop, folder: Path, tmp_path: Path, open_page: Open) -> None:
    (tmp_path / "sent.txt").write_text("sent")
    page = open_page(shop.running, storage_state=shop.state, java_script_enabled=False)
    page.goto(f"{base(page)}/{folder.name}")
    page.get_by_text("New…").click()
    page.get_by_label("Name in").fill("made.txt")
    page.get_by_role("button", name="New file").click()
    page.get_by_role("textbox", name=f"{folder.name}/made.txt").fill("made\n")
    page.get_by_role("button", name="Save made.txt").click()
    expect(page.locator("#L1")).to_contain_text("made")
    page.get_by_title("More").click()
    page.get_by_role("link", name="Rename or move…").click()
    page.get_by_label("Path in shop").fill(f"{folder.name}/other.txt")
    page.get_by_role("button", name="Move file").click()
    page.get_by_role("link", name="Changes", exact=True).click()
    expect(page.locator(".plus")).to_contain_text("made")
    page.get_by_title("More").click()
    page.get_by_role("link", name="Remove…").click()
    page.get_by_label("Type other.txt to remove it").fill("other.txt")
    page.get_by_role("button", name="Remove other.txt").click()
    expect(page.get_by_text("Nothing is in this folder.")).to_be_visible()
    page.get_by_text("Upload…").click()
    page.get_by_label(f"Files to {folder.name}").set_input_files(tmp_path / "sent.txt")
    page.get_by_role("button", name="Upload files").click()
    expect(page.get_by_role("link", name="sent.txt")).to_have_count(2)
    page.get_by_label("Find a file").fill("basket")
    page.get_by_label("Find a file").press("Enter")
    page.locator(".find-pane a.hit", has_text="shop/basket.py").click()
    expect(page.locator("#code")).to_contain_text("Adding up.")
