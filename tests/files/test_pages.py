from __future__ import annotations

import io
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.actor import Actor
from app.agent.events import FileEdited
from app.dialects.mount import Cabin
from app.files import service as files
from app.files.pages import code, find, forms
from app.files.service import Hunk, Match
from app.projects import service as projects
from app.projects.service import Place, Project
from tests import repository
from tests.conftest import member
from tests.visitor import Browser, is_whole

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A committed repository with one file changed, two new and one deleted since, and a folder that git ignores."""
    root = repository.make(tmp_path / "shop", files=3)
    (root / "shop" / "basket.py").write_text(repository.CODE.replace(repository.BROKEN, repository.FIXED))
    (root / "notes.md").write_text("# Notes\n\n- *first*\n")
    (root / "lib00" / "module_000.py").unlink()
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "x.pyc").write_bytes(b"\0\1")
    return root


@pytest.fixture
def project(alice: Actor, root: Path, app: Cabin) -> Project:
    return projects.add(alice, str(root))


@pytest.fixture
def place(project: Project) -> Place:
    return Place(project, project.path, project.path)


@pytest.fixture
def base(project: Project) -> str:
    return f"/browse/{project.id}"


def form(base: str, act: str, path: str = "") -> str:
    """The address of a form: `/browse/ACT/KEY/PATH`."""
    return base.replace("/browse/", f"/browse/{act}/") + f"/{path}"


def stamp_of(page: Any) -> str:
    found = re.search(r'name="stamp" value="(\w*)"', page.text)
    assert found, page.text
    return found[1]


def row(page: Any, name: str) -> str:
    """The row of a name in a folder's list."""
    found = [one for one in re.findall(r"<tr.*?</tr>", page.text, flags=re.DOTALL) if f">{name}<" in one]
    assert len(found) == 1, (name, page.text)
    return str(found[0])


# Looking


def test_files_begin_with_the_project_that_requests_mean(browser: Browser, alice: Actor) -> None:
    answer = browser.get("/browse")
    assert answer.status_code == 303
    page = browser.get(answer.headers["Location"])
    assert is_whole(page)
    assert projects.resolve(alice, None).project.id in answer.headers["Location"]
    assert 'href="/browse" title="Files"' in page.text


def test_a_project_is_picked_by_a_form(browser: Browser, project: Project, base: str) -> None:
    page = browser.get("/browse", query_string={"to": project.id})
    assert page.headers["Location"] == base
    assert f'<option value="{project.id}" selected>shop</option>' in browser.get(base).text


def test_a_folder_lists_what_lies_in_it_with_its_state_in_git(browser: Browser, base: str) -> None:
    page = browser.get(base)
    assert is_whole(page)
    assert ">M</b>" in row(page, "shop")
    assert ">?</b>" in row(page, "notes.md")
    assert ">D</b>" in row(page, "lib00")
    assert 'class="dim"' in row(page, "__pycache__")
    assert "</b>" not in row(page, "README.md")
    assert "2 changed, 1 new" in page.text
    assert f'href="{base}/shop/basket.py"' in browser.get(f"{base}/shop").text


def test_what_was_deleted_is_listed_and_can_be_looked_at(browser: Browser, base: str) -> None:
    assert "<s>module_000.py</s>" in browser.get(f"{base}/lib00").text
    page = browser.get(f"{base}/lib00/module_000.py")
    assert is_whole(page)
    assert 'class="minus"' in page.text
    assert browser.get(f"{base}/lib00/never.py").status_code == 404


def test_a_folder_is_sorted_by_its_heads(browser: Browser, base: str, root: Path) -> None:
    (root / "lib02" / "module_002.py").unlink()
    for number, (name, text) in enumerate((("a.txt", "22"), ("b.txt", "1"), ("c.txt", "333"))):
        (root / "lib02" / name).write_text(text)
        os.utime(root / "lib02" / name, (1_000_000 + number, 1_000_000 + number))
    ways = {
        "name": "abc",
        "name-back": "cba",
        "size": "bac",
        "size-back": "cab",
        "age": "cba",
        "state": "abc",
        "x": "abc",
    }
    for sort, order in ways.items():
        page = browser.get(f"{base}/lib02?sort={sort}").text
        names = re.findall(r'class="title stretch cut"[^>]*>(\w)\.txt<', page)
        assert "".join(names) == order, sort
        assert page.count("aria-sort") == 1


def test_a_long_folder_comes_in_parts(browser: Browser, base: str, root: Path) -> None:
    (root / "many").mkdir()
    for number in range(620):
        (root / "many" / f"{number:04d}.txt").touch()
    page = browser.get(f"{base}/many")
    assert "300 of 620 shown" in page.text
    assert page.text.count("data-row") == 300
    assert "420 more in the list" in page.text
    rest = browser.get(f"{base}/many?rows=600")
    assert is_whole(rest)
    assert "0619.txt" in rest.text
    fragment = browser.get(f"{base}/many?rows=600", headers={"HX-Request": "true"}).text
    assert "<html" not in fragment
    assert fragment.count("data-row") == 20


def test_a_text_has_numbers_colours_and_signs(browser: Browser, base: str) -> None:
    page = browser.get(f"{base}/shop/basket.py")
    assert is_whole(page)
    lines = re.findall(r'<tr id="L(\d+)">.*?<td class="sg([^"]*)">(.?)</td>', page.text)
    assert [number for number, _kind, _sign in lines] == [str(n) for n in range(1, len(lines) + 1)]
    assert ("6", " need", "~") in lines
    assert '<span class="kw">def</span>' in page.text
    assert "Edit</a>" in page.text


def test_a_long_text_comes_in_parts_that_can_be_linked_to(browser: Browser, base: str, root: Path) -> None:
    (root / "long.py").write_text("".join(f"value_{n} = {n}\n" for n in range(1, 1001)))
    page = browser.get(f"{base}/long.py")
    assert 'id="L300"' in page.text
    assert 'id="L301"' not in page.text
    assert f'href="{base}/long.py?at=301#L301"' in page.text
    later = browser.get(f"{base}/long.py?at=777")
    assert is_whole(later)
    assert 'id="L777"' in later.text
    assert 'id="L601"' in later.text
    assert "Lines up to 600" in later.text
    stamp = files.stamp_of((root / "long.py").read_bytes())
    part = browser.get(f"{base}/long.py?view=source&at=901&part={stamp}&way=down", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert re.findall(r'id="L(\d+)"', part) == [str(n) for n in range(901, 1001)]
    other = browser.get(f"{base}/long.py?view=source&at=901&part=0123&way=down", headers={"HX-Request": "true"}).text
    assert "The file changed meanwhile" in other
    assert "value_901" not in other


def test_a_line_that_is_no_number_shows_the_beginning(browser: Browser, base: str) -> None:
    for at in ("0", "-3", "x", "99999999999999999999", "77"):
        page = browser.get(f"{base}/shop/basket.py?at={at}")
        assert page.status_code == 200
        assert 'id="L1"' in page.text


def test_markdown_reads_as_prose_and_has_a_source(browser: Browser, base: str, root: Path) -> None:
    (root / "notes.md").write_text(f"# Notes\n\n- *first*\n\n{EVIL} ![x](http://evil.example/x.png)\n")
    page = browser.get(f"{base}/notes.md").text
    assert "<em>first</em>" in page
    assert "<img src=x" not in page
    assert 'src="http://evil' not in page
    source = browser.get(f"{base}/notes.md?view=source").text
    assert "*first*" in source
    assert "&lt;img src=x" in source


def test_words_that_look_like_markup_stay_words(browser: Browser, base: str, root: Path) -> None:
    name = "<svg onload=alert(3)>.txt"
    (root / name).write_text(f"{EVIL}\n</textarea>{EVIL}\x1b[2J\u202eabc\n")
    for path in (
        "",
        f"/{name}",
        f"/{name}?view=edit",
        f"/{name}?view=changes",
        f"/{name}?view=move",
        f"/{name}?view=remove",
    ):
        page = browser.get(base + path.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")).text
        assert "<img src=x" not in page
        assert "<svg onload" not in page
    shown = browser.get(f"{base}/%3Csvg%20onload=alert(3)%3E.txt").text
    assert '<span class="ctl">U+202E</span>' in shown
    assert "\N{SYMBOL FOR ESCAPE}" in shown
    assert "\x1b" not in shown


def test_what_is_no_text_says_what_it_is(browser: Browser, base: str, root: Path) -> None:
    (root / "data.bin").write_bytes(bytes(range(256)))
    page = browser.get(f"{base}/data.bin").text
    assert "No text: application/octet-stream, 256 B" in page
    assert "view=edit" not in page


def test_a_huge_text_is_told_honestly(browser: Browser, base: str, root: Path) -> None:
    (root / "huge.log").write_text("a line of a log\n" * 100_000)
    page = browser.get(f"{base}/huge.log").text
    assert "1.6 MB: the first 2,000 lines are shown" in page
    assert "view=edit" not in page
    (root / "one-line.js").write_text("x" * 3_000_000)
    assert browser.get(f"{base}/one-line.js").status_code == 200


def test_a_picture_is_shown_from_a_route_where_it_can_do_nothing_else(browser: Browser, base: str, root: Path) -> None:
    (root / "dot.png").write_bytes(b"\x89PNG\r\n\x1a\n\0")
    (root / "evil.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    (root / "evil.html").write_text("<script>alert(1)</script>")
    for name, kind in (
        ("dot.png", "image/png"),
        ("evil.svg", "image/svg+xml"),
        ("evil.html", "text/plain; charset=utf-8"),
    ):
        if kind.startswith("image"):
            assert f'<img src="{form(base, "raw", name)}"' in browser.get(f"{base}/{name}").text
        answer = browser.get(form(base, "raw", name), buffered=True)
        assert answer.headers["Content-Type"].startswith(kind)
        assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Source</a>" in browser.get(f"{base}/evil.svg").text
    assert "onload=" in browser.get(f"{base}/evil.svg?view=source").text


def test_a_file_is_kept_whole_in_parts_or_not_at_all(browser: Browser, base: str, root: Path) -> None:
    (root / "data.bin").write_bytes(bytes(range(256)))
    whole = browser.get(form(base, "raw", "data.bin"), buffered=True)
    assert whole.headers["Content-Disposition"].startswith("attachment")
    assert whole.data == bytes(range(256))
    part = browser.get(form(base, "raw", "data.bin"), headers={"Range": "bytes=16-31"}, buffered=True)
    assert part.status_code == 206
    assert part.data == bytes(range(16, 32))
    same = browser.get(form(base, "raw", "data.bin"), headers={"If-None-Match": whole.headers["ETag"]}, buffered=True)
    assert same.status_code == 304
    kept = browser.get(form(base, "raw", "notes.md") + "?download=1", buffered=True)
    assert "notes.md" in kept.headers["Content-Disposition"]


def test_a_folder_is_kept_as_a_zip(browser: Browser, base: str) -> None:
    answer = browser.get(form(base, "zip", "shop"), buffered=True)
    assert answer.headers["Content-Disposition"] == "attachment; filename=\"shop.zip\"; filename*=UTF-8''shop.zip"
    with zipfile.ZipFile(io.BytesIO(answer.data)) as packed:
        assert "shop/basket.py" in packed.namelist()
    assert browser.get(form(base, "zip").rstrip("/"), buffered=True).status_code == 200


def test_a_page_is_the_same_by_directory_and_name(
    browser: Browser, base: str, root: Path, alice: Actor, project: Project
) -> None:
    for path in ("shop/basket.py", str(root / "shop" / "basket.py")):
        answer = browser.get("/browse/at", query_string={"directory": str(root), "path": path, "line": "6"})
        assert answer.headers["Location"] == f"{base}/shop/basket.py?at=6#L6"
    assert browser.get("/browse/at", query_string={"directory": str(root)}).headers["Location"] == base
    assert browser.get("/browse/at", query_string={"directory": "/etc", "path": "passwd"}).status_code == 403
    tree = projects.with_worktree(alice, project, root, "own tree")
    key = projects.find_worktrees(alice, project)[0].id
    answer = browser.get("/browse/at", query_string={"directory": str(tree.directory), "path": "shop"})
    assert answer.headers["Location"] == f"/browse/{key}/shop"


def test_a_worktree_is_a_place_of_its_own(
    browser: Browser, base: str, root: Path, alice: Actor, project: Project
) -> None:
    tree = projects.with_worktree(alice, project, root, "own tree")
    key = projects.find_worktrees(alice, project)[0].id
    (tree.directory / "only-there.txt").write_text("x")
    page = browser.get(f"/browse/{key}")
    assert is_whole(page)
    assert "only-there.txt" in page.text
    assert f'<option value="{key}" selected>signalcabin/own-tree</option>' in page.text
    assert "only-there.txt" not in browser.get(base).text
    assert f'href="/browse/{key}"' in browser.get(f"/projects?project={project.id}").text


# Changes


def test_what_differs_is_shown_for_a_file_and_for_all(browser: Browser, base: str) -> None:
    page = browser.get(f"{base}?view=changes").text
    assert "3 files differ from the last commit" in page
    for name in ("shop/basket.py", "notes.md", "lib00/module_000.py"):
        assert f"<code>{name}</code>" in page
    one = browser.get(f"{base}/shop/basket.py?view=changes")
    assert is_whole(one)
    assert "notes.md</code>" not in one.text
    assert one.text.count('class="plus"') == 1
    assert "as in the last commit" in browser.get(f"{base}/README.md?view=changes").text
    assert "lib00/module_000.py" in browser.get(f"{base}/lib00?view=changes").text


def test_many_changes_begin_folded_and_come_when_they_are_opened(browser: Browser, base: str, root: Path) -> None:
    (root / "long.txt").write_text("line\n" * 700)
    page = browser.get(f"{base}?view=changes").text
    assert "over 500 lines, folded" in page
    later = f"{base}/long.txt?view=changes&amp;only=1"
    assert f'hx-get="{later}"' in page
    fragment = browser.get(later.replace("&amp;", "&"), headers={"HX-Request": "true"}).text
    assert "<html" not in fragment
    assert fragment.count('class="plus"') == 700


def test_without_git_there_is_nothing_to_compare_with(browser: Browser, alice: Actor, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a.txt").write_text("a")
    base = f"/browse/{projects.add(alice, str(tmp_path / 'plain')).id}"
    assert "Changes</a>" not in browser.get(base).text
    assert "There is no git here" in browser.get(f"{base}?view=changes").text
    assert browser.get(f"{base}/a.txt").status_code == 200


# Editing


def test_an_edit_is_saved_and_shown(browser: Browser, base: str, root: Path) -> None:
    page = browser.get(f"{base}/README.md?view=edit")
    assert is_whole(page)
    answer = browser.post(
        form(base, "save", "README.md"), {"text": "# Shop\r\n\r\nFixed.\r\n", "stamp": stamp_of(page)}
    )
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"{base}/README.md"
    assert (root / "README.md").read_bytes() == b"# Shop\n\nFixed.\n"
    assert ">M</b>" in row(browser.get(base), "README.md")


def test_saving_with_script_answers_with_the_next_stamp(browser: Browser, base: str, root: Path) -> None:
    stamp = stamp_of(browser.get(f"{base}/README.md?view=edit"))
    answer = browser.htmx(form(base, "save", "README.md"), {"text": "one\r\n", "stamp": stamp})
    assert "<html" not in answer.text
    assert "Saved" in answer.text
    again = browser.htmx(form(base, "save", "README.md"), {"text": "two\r\n", "stamp": stamp_of(answer)})
    assert again.status_code == 200
    assert (root / "README.md").read_text() == "two\n"


def test_anothers_change_meanwhile_is_shown_and_nothing_is_lost(browser: Browser, base: str, root: Path) -> None:
    stamp = stamp_of(browser.get(f"{base}/README.md?view=edit"))
    (root / "README.md").write_text("# Shop\n\ntheirs\n")
    answer = browser.post(form(base, "save", "README.md"), {"text": "# Shop\n\nmine\n", "stamp": stamp})
    assert answer.status_code == 409
    assert is_whole(answer)
    assert "README.md was changed on disk while you edited it." in answer.text
    assert "theirs" in answer.text.split('class="minus"')[1]
    assert "\n# Shop\n\nmine\n</textarea>" in answer.text
    assert (root / "README.md").read_text() == "# Shop\n\ntheirs\n"
    for words in ("Save mine over it", "Take theirs", "Copy mine"):
        assert words in answer.text
    saved = browser.post(form(base, "save", "README.md"), {"text": "# Shop\n\nmine\n", "stamp": stamp_of(answer)})
    assert saved.status_code == 303
    assert (root / "README.md").read_text() == "# Shop\n\nmine\n"


def test_a_file_that_is_gone_meanwhile_can_be_saved_anew(browser: Browser, base: str, root: Path) -> None:
    stamp = stamp_of(browser.get(f"{base}/README.md?view=edit"))
    (root / "README.md").unlink()
    answer = browser.post(form(base, "save", "README.md"), {"text": "mine", "stamp": stamp})
    assert answer.status_code == 409
    assert "README.md was removed while you edited it." in answer.text
    assert not (root / "README.md").exists()
    browser.post(form(base, "save", "README.md"), {"text": "mine", "stamp": stamp_of(answer)})
    assert (root / "README.md").read_text() == "mine"


def test_a_change_can_be_looked_at_before_it_is_saved(browser: Browser, base: str, root: Path) -> None:
    page = browser.get(f"{base}/README.md?view=edit")
    answer = browser.post(form(base, "save", "README.md"), {"text": "other\n", "stamp": stamp_of(page), "look": "yes"})
    assert "What saving changes on disk" in answer.text
    assert stamp_of(answer) == stamp_of(page)
    assert (root / "README.md").read_text().startswith("# Shop")


def test_line_ends_and_the_end_of_a_file_stay_as_they_were(browser: Browser, base: str, root: Path) -> None:
    cases = (
        (b"a\nb\n", "a\r\nb\r\nc\r\n", b"a\nb\nc\n"),
        (b"a\nb", "a\r\nb", b"a\nb"),
        (b"a\r\nb\r\n", "a\r\nx\r\n", b"a\r\nx\r\n"),
        (b"a\r\nb\nc\n", "a\nb\nnew\nc\n", b"a\r\nb\nnew\nc\n"),
        (b"a\rb\rc", "a\nb\nx\nc", b"a\rb\rx\rc"),
        (b"\xef\xbb\xbfa\n", "a\r\nb\r\n", b"\xef\xbb\xbfa\nb\n"),
        (b"", "a\r\n", b"a\n"),
    )
    for before, typed, after in cases:
        (root / "ends.txt").write_bytes(before)
        stamp = stamp_of(browser.get(f"{base}/ends.txt?view=edit"))
        assert browser.post(form(base, "save", "ends.txt"), {"text": typed, "stamp": stamp}).status_code == 303
        assert (root / "ends.txt").read_bytes() == after


def test_an_edit_of_a_mebibyte_is_taken_and_a_larger_one_told(browser: Browser, base: str, root: Path) -> None:
    (root / "large.txt").write_text("0123456789abcde\n" * 65_536)
    stamp = stamp_of(browser.get(f"{base}/large.txt?view=edit"))

    def save(text: str) -> Any:
        fields = {"csrf_token": browser.token, "stamp": stamp, "text": text}
        parts = [
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
        ]
        headers = {"Accept": "text/html", "Origin": "http://localhost"}
        body = io.BytesIO(("".join(parts) + "--b--\r\n").encode())
        length = str(len(body.getvalue()))
        kind = "multipart/form-data; boundary=b"
        where = form(base, "save", "large.txt")
        return browser.client.post(where, input_stream=body, headers=headers, content_type=kind, content_length=length)

    assert save("0123456789abcdX\r\n" * 65_536).status_code == 303
    assert (root / "large.txt").read_text().count("X\n") == 65_536
    assert save("x" * 5_000_000).status_code == 413


def test_new_files_and_folders(browser: Browser, base: str, root: Path) -> None:
    answer = browser.post(form(base, "new", "shop"), {"called": "prices/list.py", "kind": "file"})
    assert answer.headers["Location"] == f"{base}/shop/prices/list.py?view=edit"
    assert (root / "shop" / "prices" / "list.py").read_bytes() == b""
    answer = browser.post(form(base, "new").rstrip("/"), {"called": "docs", "kind": "folder"})
    assert answer.headers["Location"] == f"{base}/docs"
    assert (root / "docs").is_dir()


def test_nothing_new_takes_the_place_of_what_exists(browser: Browser, base: str, root: Path) -> None:
    for kind, called in (("file", "README.md"), ("folder", "shop"), ("file", "shop"), ("folder", "README.md")):
        answer = browser.post(form(base, "new").rstrip("/"), {"called": called, "kind": kind})
        assert answer.status_code in (400, 409)
        assert is_whole(answer)
    assert (root / "README.md").read_text().startswith("# Shop")
    assert (root / "shop" / "basket.py").exists()


def test_a_file_gets_another_name_and_nothing_is_replaced(browser: Browser, base: str, root: Path) -> None:
    assert is_whole(browser.get(f"{base}/notes.md?view=move"))
    refused = browser.post(form(base, "move", "notes.md"), {"to": "README.md"})
    assert refused.status_code == 409
    assert "README.md exists already." in refused.text
    assert 'value="README.md"' in refused.text
    answer = browser.post(form(base, "move", "notes.md"), {"to": "docs/deep/notes.md"})
    assert answer.headers["Location"] == f"{base}/docs/deep/notes.md"
    assert (root / "docs" / "deep" / "notes.md").exists()
    assert browser.post(form(base, "move", "shop"), {"to": "shop/inner"}).status_code == 400
    assert browser.post(form(base, "move", "shop"), {"to": ""}).status_code == 400


def test_what_git_brings_back_goes_by_one_press(browser: Browser, base: str, root: Path) -> None:
    page = browser.get(f"{base}/README.md?view=remove").text
    assert "It is as in the last commit, from which git brings it back." in page
    assert "Type README.md" not in page
    answer = browser.post(form(base, "remove", "README.md"))
    assert answer.headers["Location"] == base
    assert not (root / "README.md").exists()


def test_what_would_be_lost_is_told_and_asks_for_its_name(browser: Browser, base: str, root: Path) -> None:
    alone = "What it holds is not in the last commit, so it is gone for good."
    for path, words in (
        ("notes.md", alone),
        ("shop", "1 of 2 files are not in the last commit as they are here, and gone for good."),
        ("shop/basket.py", alone),
        ("__pycache__", "The one file in it is not in the last commit as it is here, and gone for good."),
    ):
        assert words in browser.get(f"{base}/{path}?view=remove").text
        refused = browser.post(form(base, "remove", path), {"typed": "something"})
        assert refused.status_code == 400
        assert words in refused.text
        assert (root / path).exists()
        if path != "shop":
            assert browser.post(form(base, "remove", path), {"typed": path.rpartition("/")[2]}).status_code == 303
            assert not (root / path).exists()


# Uploads


def test_files_of_a_form_come_into_the_folder(browser: Browser, base: str, root: Path) -> None:
    data = {"files": [(io.BytesIO(b"one"), "one.txt"), (io.BytesIO(b"\0two"), "two.bin")]}
    answer = browser.post(form(base, "upload", "shop"), data, content_type="multipart/form-data")
    assert answer.status_code == 303, answer.text
    assert (root / "shop" / "one.txt").read_bytes() == b"one"
    assert (root / "shop" / "two.bin").read_bytes() == b"\0two"


def test_an_upload_replaces_only_when_it_is_told_to(browser: Browser, base: str, root: Path) -> None:
    again = {"files": [(io.BytesIO(b"mine"), "README.md"), (io.BytesIO(b"new"), "new.txt")]}
    answer = browser.post(form(base, "upload").rstrip("/"), again, content_type="multipart/form-data")
    assert answer.status_code == 409
    assert "README.md exists already." in answer.text
    assert (root / "new.txt").read_text() == "new"
    assert (root / "README.md").read_text() != "mine"
    told = {"files": [(io.BytesIO(b"mine"), "README.md")], "replace": "yes"}
    browser.post(form(base, "upload").rstrip("/"), told, content_type="multipart/form-data")
    assert (root / "README.md").read_text() == "mine"


def test_a_body_is_taken_as_one_file_as_it_comes(browser: Browser, base: str, root: Path) -> None:
    def send(path: str, data: bytes, **more: Any) -> Any:
        headers = {"X-CSRF-Token": browser.token, "Accept": "application/json", "Origin": "http://localhost"}
        where = form(base, "upload", path)
        return browser.client.post(where, data=data, headers=headers, content_type="application/octet-stream", **more)

    answer = send("deep/er/file.bin", b"\0" * 3_000_000)
    assert answer.status_code == 201
    assert answer.get_json() == {"path": "deep/er/file.bin", "size": 3_000_000}
    assert (root / "deep" / "er" / "file.bin").stat().st_size == 3_000_000
    clash = send("README.md", b"x")
    assert clash.status_code == 409
    assert clash.get_json()["error"] == "README.md exists already."
    assert send("README.md", b"x", query_string={"replace": "yes"}).status_code == 201
    assert (root / "README.md").read_bytes() == b"x"
    assert send("../out.txt", b"x").status_code in (403, 404)


# Finding


def test_names_are_found_by_their_letters(browser: Browser, base: str) -> None:
    page = browser.get(form(base, "find").rstrip("/") + "?q=bskt")
    assert is_whole(page)
    hits = page.text.split('class="file-hits"')[1]
    assert f'href="{base}/shop/basket.py"' in hits
    assert "<mark>b</mark>a<mark>sk</mark>e<mark>t</mark>.py" in hits
    fragment = browser.get(form(base, "find").rstrip("/") + "?q=basket", headers={"HX-Request": "true"}).text
    assert "<html" not in fragment
    assert "<mark>basket</mark>.py" in fragment
    assert "No name matches" in browser.get(form(base, "find").rstrip("/") + "?q=zzzz").text


def test_words_are_found_by_file_and_lead_to_their_lines(browser: Browser, base: str) -> None:
    where = form(base, "find").rstrip("/")
    page = browser.get(f"{where}?q=round(sum&in=text").text
    assert f'href="{base}/shop/basket.py?at=6#L6"' in page
    assert "<mark>round(sum</mark>" in page
    assert "1 line in 1 file" in page
    both = browser.get(f"{where}?q=VALUE%5Cs%3D&in=text&regex=1").text
    assert "lib01/module_001.py" in both
    broken = browser.get(f"{where}?q=(&in=text&regex=1")
    assert broken.status_code == 200
    assert "The search could not be made" in broken.text
    assert "No line matches." in browser.get(f"{where}?q=nowhere-at-all-is-this&in=text").text
    assert is_whole(browser.get(where))


def test_letters_are_marked_together_where_they_stand_so() -> None:
    assert find.letters("shop/basket.py", "basket") == set(range(5, 11))
    assert find.letters("basket/basket.py", "basket") == set(range(7, 13))
    assert find.letters("sessions/routes.py", "sessrout") == {0, 1, 2, 3, 9, 10, 11, 12}
    assert find.letters("a/b.py", "zz") == set()


def test_a_long_line_begins_near_what_was_found() -> None:
    line = f"{'x' * 5000}needle{'y' * 5000}\n"
    shown = find.spans(Match("a", line, 1, 0, (("needle", 5000, 5006),)))
    assert ("needle", True) in shown
    assert sum(len(text) for text, _on in shown) < 400
    assert find.spans(Match("a", "    née x\n", 1, 0, (("x", 9, 10),))) == [("née ", False), ("x", True)]


def test_signs_tell_new_changed_and_gone_lines() -> None:
    hunk = Hunk(1, 5, 1, 5, (" a", "-b", "+B", "+new", " c", "-d", " e"))
    assert code.signs_of([hunk]) == {2: "~", 3: "+", 4: "\N{MINUS SIGN}"}
    assert code.signs_of([Hunk(1, 1, 1, 0, ("-only",))]) == {1: "\N{MINUS SIGN}"}


def test_colours_are_made_no_further_than_they_are_looked_at() -> None:
    made = code.Coloured("\n".join(f"x = {n}" for n in range(5000)), "a.py")
    assert made.upto(10)[2] == [("", "x = "), ("num", "2")]
    assert len(made.rows) < 20
    assert len(made.upto(10_000)) == 5000
    joined = "\n".join("".join(text for _kind, text in row) for row in made.rows)
    assert joined == made.text


def test_far_lines_are_coloured_from_a_place_near_them() -> None:
    text = "".join(f"def one_{n}():\n    return {n}\n\n\n" for n in range(2000))
    sight = files.Sight("far.py", len(text), 0, "text/x-python", text, stamp="far")
    part = code.part_of(sight, [], 7001)
    assert part.first == 6901
    assert part.rows[0].pieces == [("kw", "def"), ("", " "), ("fn", "one_1725"), ("", "():")]
    assert part.rows[1].pieces == [("", "    "), ("kw", "return"), ("", " "), ("num", "1725")]
    assert [row.number for row in part.rows] == list(range(6901, 7201))


# Who may


def test_somebody_who_only_reads_sees_no_way_to_change(app: Cabin, alice: Actor, base: str, root: Path) -> None:
    viewer = Browser(app, member(alice, "Vera", "viewer"))
    for path in ("", "/README.md", "/shop"):
        page = viewer.get(base + path)
        assert page.status_code == 200
        for word in ("Edit</a>", "New…", "Upload…", "Rename or move", "Remove…"):
            assert word not in page.text
    for view in ("edit", "move", "remove"):
        assert viewer.get(f"{base}/README.md?view={view}").status_code == 403
    for act, data in (
        ("save", {"text": "x", "stamp": ""}),
        ("move", {"to": "x.md"}),
        ("remove", {"typed": "README.md"}),
        ("new", {"called": "x"}),
        ("upload", {}),
    ):
        assert viewer.post(form(base, act, "README.md"), data).status_code == 403, act
    assert (root / "README.md").read_text().startswith("# Shop")


def test_a_member_may_edit_what_the_team_shares(app: Cabin, alice: Actor, base: str, root: Path) -> None:
    bob = Browser(app, member(alice, "Bob"))
    stamp = stamp_of(bob.get(f"{base}/README.md?view=edit"))
    assert bob.post(form(base, "save", "README.md"), {"text": "by bob\n", "stamp": stamp}).status_code == 303
    assert (root / "README.md").read_text() == "by bob\n"


def test_somebody_without_a_grant_learns_nothing(app: Cabin, alice: Actor, base: str) -> None:
    stranger = Browser(app, member(alice, "Carl", "base"))
    for path in (
        base,
        f"{base}/README.md",
        form(base, "raw", "README.md"),
        form(base, "find").rstrip("/") + "?q=a",
        "/browse",
    ):
        assert stranger.get(path).status_code in (403, 404), path
    unknown = stranger.get("/browse/prj_unknown")
    assert "Not found" in unknown.text
    assert "Not found" in stranger.get(base).text


def test_forms_need_the_token_and_our_own_origin(browser: Browser, base: str, root: Path) -> None:
    for act in ("save", "new", "move", "remove", "upload"):
        where = form(base, act, "notes.md")
        assert browser.post(where, {"typed": "notes.md", "to": "x", "text": "x"}, token="").status_code == 403
        assert browser.post(where, {"typed": "notes.md"}, headers={"Origin": "https://evil.example"}).status_code == 403
    assert (root / "notes.md").exists()


def test_names_that_lead_nowhere_or_out_are_refused(browser: Browser, base: str) -> None:
    out = ("../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", ".git/../../x")
    odd = ("a%5Cb", "nothing-here", "shop/basket.py/deeper", "http:/x", "a%0ab", "x" * 300)
    for path in (*out, *odd):
        for where in (f"{base}/{path}", form(base, "raw", path), f"{base}/{path}?view=edit"):
            answer = browser.get(where)
            assert answer.status_code in (400, 403, 404), where
            assert "root:x" not in answer.text


def test_links_that_lead_out_stay_closed(browser: Browser, base: str, root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("top secret")
    (root / "out").symlink_to(tmp_path)
    (root / "leak.txt").symlink_to(tmp_path / "secret.txt")
    assert browser.get(base).status_code == 200
    for path in ("out/secret.txt", "leak.txt", "out"):
        for where in (f"{base}/{path}", form(base, "raw", path), form(base, "zip", path)):
            answer = browser.get(where)
            assert answer.status_code in (400, 403, 404), where
            assert b"top secret" not in answer.data


def test_what_git_keeps_for_itself_is_not_written(browser: Browser, base: str, root: Path) -> None:
    before = (root / ".git" / "config").read_bytes()
    assert browser.post(form(base, "save", ".git/config"), {"text": "x", "stamp": ""}).status_code in (403, 404, 409)
    assert browser.post(form(base, "remove", ".git"), {"typed": ".git"}).status_code == 403
    assert browser.post(form(base, "new", ".git"), {"called": "hooks/x", "kind": "file"}).status_code == 403
    assert (root / ".git" / "config").read_bytes() == before


# Where others lead here


def test_the_command_bar_opens_a_file(browser: Browser) -> None:
    hits = browser.get("/search?q=proration.py").text
    assert "/browse/at?directory=" in hits
    assert "path=billing/proration.py" in hits.replace("%2F", "/")


def test_an_open_page_is_told_when_its_file_changes(app: Cabin, root: Path) -> None:
    from app import live

    def news(file: str, shown: str) -> list[str]:
        with app.test_request_context(query_string={"files": str(root), "shown": shown}):
            return live.file_news(str(root / file))

    assert news("shop/basket.py", "shop/basket.py")
    assert news("shop/basket.py", "shop")
    assert not news("shop/basket.py", "")
    assert not news("shop/basket.py", "notes.md")
    with app.test_request_context():
        assert live.file_news(str(root / "a")) == []
    assert FileEdited.__doc__


def test_ends_that_are_mixed_keep_their_lines() -> None:
    assert forms.spelled("a\nb\n", "a\r\nb\n") == "a\r\nb\n"
    assert forms.spelled("x", "") == "x"
