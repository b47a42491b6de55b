"""read, edit, write and list: what they give, and what they refuse."""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.agent import tools
from app.agent.tools import ToolContext
from tests.agent.reading import read, refusal


def test_read_numbers_the_lines(context: ToolContext) -> None:
    result = read(context, "shop/cart.py")
    assert result.title == "shop/cart.py"
    assert "    1| def total(prices):\n    2|     return sum(prices)" in result.output
    assert "(End of file, 2 lines)" in result.output
    assert result.metadata["preview"].startswith("def total")


def test_read_gives_the_lines_that_were_asked_for(context: ToolContext) -> None:
    result = read(context, "shop/tax.py", offset=4, limit=1)
    assert "    4| def tax(total):" in result.output
    assert "RATE = 19" not in result.output
    assert "Read on with offset 5" in result.output
    assert (result.metadata["first"], result.metadata["last"], result.metadata["truncated"]) == (4, 4, True)


def test_read_stops_at_2000_lines_2000_characters_and_50_kb(context: ToolContext, workspace: Path) -> None:
    (workspace / "long.txt").write_text("x\n" * 3000)
    (workspace / "wide.txt").write_text("y" * 3000 + "\n" + "z" * 2000 + "\n")
    (workspace / "big.txt").write_text(("w" * 1000 + "\n") * 100)
    assert " 2000| x" in (long := read(context, "long.txt").output)
    assert " 2001|" not in long
    assert "y" * 2000 + " [... cut]" in (wide := read(context, "wide.txt").output)
    assert "z" * 2000 in wide
    assert len(read(context, "big.txt").output) < 51_000


def test_read_finds_files_by_every_name_of_the_workspace(context: ToolContext, workspace: Path) -> None:
    for name in (
        "README.md",
        "./README.md",
        "~/README.md",
        str(workspace / "README.md"),
        "/home/user/README.md",
    ):
        assert read(context, name).title == "README.md"


def test_relative_paths_start_in_the_session_s_directory(context: ToolContext, workspace: Path) -> None:
    inside = replace(context, directory=workspace / "shop")
    assert read(inside, "cart.py").title == "shop/cart.py"
    assert read(inside, "../README.md").title == "README.md"


def test_read_shows_pictures(context: ToolContext, workspace: Path) -> None:
    (workspace / "dot.png").write_bytes(b"\x89PNG fake")
    result = read(context, "dot.png")
    data = base64.b64encode(b"\x89PNG fake").decode()
    assert result.attachments == ({"mime": "image/png", "url": f"data:image/png;base64,{data}"},)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("shop", "is a folder. Use list"),
        ("shop/carts.py", "Did you mean cart.py?"),
        ("nowhere/x.py", "There is no file"),
        ("../outside.txt", "outside the workspace"),
        ("/etc/passwd", "outside the workspace"),
        ("link", "outside the workspace"),
        ("program", "is a binary file"),
        ("latin", "is not UTF-8"),
        ("", "filePath"),
    ],
)
def test_read_refuses_and_says_why(context: ToolContext, workspace: Path, path: str, why: str) -> None:
    (workspace / "program").write_bytes(b"\x7fELF\0\0")
    (workspace / "latin").write_bytes("ä".encode("latin-1"))
    (workspace / "link").symlink_to("/etc/passwd")
    assert why in refusal("read", context, filePath=path)


def test_read_says_that_a_line_is_beyond_the_end(context: ToolContext) -> None:
    assert "has 2 lines" in refusal("read", context, filePath="shop/cart.py", offset=9)


def test_read_gives_an_empty_file(context: ToolContext, workspace: Path) -> None:
    (workspace / "empty").touch()
    assert "The file is empty" in read(context, "empty").output


EDIT = {"filePath": "shop/tax.py", "oldString": "RATE = 19", "newString": "RATE = 7"}


def test_edit_shows_the_change_before_it_makes_it(context: ToolContext, workspace: Path) -> None:
    read(context, "shop/tax.py")
    prepared = tools.prepare("edit", context, EDIT)
    assert prepared.title == "shop/tax.py"
    assert "-RATE = 19\n+RATE = 7\n" in prepared.metadata["diff"]
    assert "RATE = 19" in (workspace / "shop/tax.py").read_text()


def test_edit_changes_the_file_and_tells_the_diff(context: ToolContext, workspace: Path) -> None:
    read(context, "shop/tax.py")
    result = tools.run("edit", context, EDIT)
    assert (workspace / "shop/tax.py").read_text().startswith("RATE = 7\n")
    filediff = result.metadata["filediff"]
    assert (filediff["additions"], filediff["deletions"], filediff["file"]) == (1, 1, "shop/tax.py")
    assert result.files_changed == (str(workspace / "shop/tax.py"),)


def test_a_second_edit_needs_no_second_read(context: ToolContext) -> None:
    read(context, "shop/tax.py")
    tools.run("edit", context, EDIT)
    tools.run("edit", context, {**EDIT, "oldString": "RATE = 7", "newString": "RATE = 16"})


def test_a_file_has_to_be_read_before(context: ToolContext) -> None:
    assert "Read shop/tax.py first" in refusal("edit", context, **EDIT)
    assert "Read README.md first" in refusal("write", context, filePath="README.md", content="x")


def test_a_file_that_changed_since_is_read_again_first(context: ToolContext, workspace: Path) -> None:
    read(context, "shop/tax.py")
    (workspace / "shop/tax.py").write_text("RATE = 19  # changed by hand\n")
    assert "has changed since you read it" in refusal("edit", context, **EDIT)
    assert "has changed since you read it" in refusal("write", context, filePath="shop/tax.py", content="x")


@pytest.mark.parametrize("tool", ["edit", "multiedit", "patch", "write"])
def test_a_file_that_a_command_of_the_agent_changed_is_read_again_first(
    context: ToolContext, workspace: Path, tool: str
) -> None:
    read(context, "shop/tax.py")
    tools.run("bash", context, {"command": "sed -i s/19/16/ shop/tax.py"})
    given = {
        "edit": EDIT,
        "multiedit": {"filePath": "shop/tax.py", "edits": [EDIT]},
        "patch": {"patchText": "*** Begin Patch\n*** Delete File: shop/tax.py\n*** End Patch"},
        "write": {"filePath": "shop/tax.py", "content": "x"},
    }[tool]
    assert "has changed since you read it" in refusal(tool, context, **given)
    assert (workspace / "shop/tax.py").read_text().startswith("RATE = 16")


@pytest.mark.parametrize("tool", ["edit", "write"])
def test_a_file_that_changes_while_it_is_written_keeps_that_change(
    context: ToolContext, workspace: Path, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody saves between the look at the file and the moment that puts the new one in its place."""
    read(context, "shop/tax.py")
    fchmod = os.fchmod

    def save_meanwhile(fd: int, mode: int) -> None:
        fchmod(fd, mode)
        (workspace / "shop/tax.py").write_text("theirs\n")

    monkeypatch.setattr(os, "fchmod", save_meanwhile)
    given = EDIT if tool == "edit" else {"filePath": "shop/tax.py", "content": "x"}
    why = refusal(tool, context, **given)
    assert "changed by somebody else meanwhile" in why
    assert "Nothing was changed" in why
    assert (workspace / "shop/tax.py").read_text() == "theirs\n"
    assert sorted(path.name for path in (workspace / "shop").iterdir()) == ["cart.py", "tax.py"]


def test_what_was_seen_is_known_again_from_the_transcript(context: ToolContext) -> None:
    states: list[dict[str, Any]] = [
        {"status": "completed", "metadata": read(context, "shop/tax.py").metadata},
        {"status": "error", "metadata": {"stamps": {"README.md": "no"}}},
        {"status": "running"},
    ]
    later = replace(context, stamps=tools.stamps_of(states))
    tools.run("edit", later, EDIT)
    assert "README.md" not in later.stamps


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"oldString": "total"}, "occurs 2 times"),
        ({"oldString": "nothing like it"}, "is not in shop/tax.py"),
        ({"oldString": "return total *  RATE"}, "is not in"),
        ({"oldString": "  def tax(total):\n return total * RATE / 100"}, "stand at line 4 with other blanks"),
        ({"newString": "RATE = 19"}, "are the same"),
        ({"oldString": ""}, "oldString is empty"),
        ({"filePath": "shop/new.py"}, "Use write to make it"),
        ({"filePath": "../x.py"}, "outside the workspace"),
    ],
)
def test_edit_refuses_what_is_not_exact(context: ToolContext, change: dict[str, str], why: str) -> None:
    read(context, "shop/tax.py")
    assert why in refusal("edit", context, **{**EDIT, **change})


def test_edit_replaces_every_occurrence_when_told(context: ToolContext, workspace: Path) -> None:
    read(context, "shop/tax.py")
    tools.run("edit", context, {**EDIT, "oldString": "total", "newString": "sum_", "replaceAll": True})
    assert (workspace / "shop/tax.py").read_text().count("sum_") == 2


def test_edit_keeps_the_line_ends_of_the_file(context: ToolContext, workspace: Path) -> None:
    (workspace / "dos.txt").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    read(context, "dos.txt")
    tools.run("edit", context, {"filePath": "dos.txt", "oldString": "one\ntwo", "newString": "1\n2"})
    assert (workspace / "dos.txt").read_bytes() == b"1\r\n2\r\nthree\r\n"


def test_snake_case_is_understood_too(context: ToolContext) -> None:
    read(context, "shop/tax.py")
    given = {"file_path": "shop/tax.py", "old_string": "RATE = 19", "new_string": "RATE = 1"}
    assert tools.run("edit", context, given).title == "shop/tax.py"


def test_write_makes_a_file_and_its_folders(context: ToolContext, workspace: Path) -> None:
    result = tools.run("write", context, {"filePath": "docs/a/b.md", "content": "hello"})
    assert (workspace / "docs/a/b.md").read_text() == "hello"
    assert (result.metadata["exists"], result.metadata["filepath"]) == (False, str(workspace / "docs/a/b.md"))
    assert "+hello\n\\ No newline at end of file" in result.metadata["diff"]


def test_write_replaces_what_was_read(context: ToolContext, workspace: Path) -> None:
    read(context, "README.md")
    prepared = tools.prepare("write", context, {"filePath": "README.md", "content": "# New\n"})
    assert prepared.metadata["exists"] is True
    tools.run("write", context, {"filePath": "README.md", "content": "# New\n"})
    assert (workspace / "README.md").read_text() == "# New\n"


def test_write_never_follows_a_link(context: ToolContext, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("keep")
    (workspace / "link").symlink_to(tmp_path / "outside")
    refusal("write", context, filePath="link", content="gone")
    assert (tmp_path / "outside").read_text() == "keep"


def test_large_changes_do_not_carry_the_whole_texts(context: ToolContext) -> None:
    prepared = tools.prepare("write", context, {"filePath": "big.txt", "content": "x\n" * 150_000})
    assert "after" not in prepared.metadata["filediff"]


def test_list_draws_a_tree_without_ignored_files(context: ToolContext, workspace: Path) -> None:
    result = tools.run("list", context, {})
    assert result.output == f"{workspace}/\n  shop/\n    cart.py\n    tax.py\n  README.md"
    assert result.metadata == {"count": 3, "truncated": False}
    assert result.title == "."


def test_list_leaves_out_what_it_is_told(context: ToolContext) -> None:
    assert "tax.py" not in tools.run("list", context, {"path": ".", "ignore": ["tax.py"]}).output


def test_list_stops_at_200_files(context: ToolContext, workspace: Path) -> None:
    for number in range(250):
        (workspace / f"f{number}.txt").touch()
    result = tools.run("list", context, {})
    assert result.metadata == {"count": 200, "truncated": True}
    assert "first 200 files only" in result.output


def test_list_refuses_a_file_and_the_outside(context: ToolContext) -> None:
    assert "Use read" in refusal("list", context, path="README.md")
    assert "outside" in refusal("list", context, path="../..")
