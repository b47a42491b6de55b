"""multiedit and patch: several changes at once, all of them or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.agent import tools
from app.agent.tools import ToolContext, hunks
from app.approvals import subjects
from app.errors import NoSpace
from app.files.paths import Root
from tests.agent.reading import read, refusal

CODE = "def a():\n    x = 1\n    return x\n\n\ndef b():\n    x = 1\n    return x\n"


def edits(*pairs: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {
        "filePath": "shop/tax.py",
        "edits": [{"oldString": old, "newString": new, **more} for old, new in pairs],
    }


def patched(*lines: str) -> dict[str, str]:
    return {"patchText": "\n".join(["*** Begin Patch", *lines, "*** End Patch"])}


def test_multiedit_makes_all_edits_each_on_what_the_last_one_made(context: ToolContext, workspace: Path) -> None:
    read(context, "shop/tax.py")
    given = edits(("RATE = 19", "RATE = 7"), ("RATE = 7", "RATE = 8"), ("def tax", "def vat"))
    prepared = tools.prepare("multiedit", context, given)
    assert "RATE = 19" in (workspace / "shop/tax.py").read_text()
    result = tools.run("multiedit", context, given)
    text = (workspace / "shop/tax.py").read_text()
    assert text.startswith("RATE = 8\n")
    assert "def vat(total)" in text
    assert result.metadata["diff"] == prepared.metadata["diff"]
    assert (result.metadata["filediff"]["additions"], result.metadata["filediff"]["deletions"]) == (2, 2)
    assert (result.title, result.files_changed) == ("shop/tax.py", (str(workspace / "shop/tax.py"),))
    tools.run("multiedit", context, edits(("RATE = 8", "RATE = 9")))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (edits(("RATE = 19", "RATE = 7"), ("nowhere", "x")), "Edit 2 of 2 does not fit: oldString is not in"),
        (edits(("total", "sum")), "occurs 2 times"),
        (edits(("RATE = 19", "XYZ"), ("XYZ", "RATE = 19")), "undo each other"),
        (edits(("RATE = 19", "x"), filePath="shop/cart.py"), "is of another file"),
        ({**edits(("a", "b")), "filePath": "README.md"}, "Read README.md first"),
        ({**edits(("a", "b")), "filePath": "../x.py"}, "outside the workspace"),
        ({**edits(("a", "b")), "filePath": "shop/none.py"}, "There is no file"),
        (edits(), "edits"),
        ({"filePath": "shop/tax.py", "edits": "all"}, "edits"),
    ],
)
def test_multiedit_refuses_as_a_whole(context: ToolContext, workspace: Path, given: dict[str, Any], why: str) -> None:
    read(context, "shop/tax.py")
    before = (workspace / "shop/tax.py").read_text()
    assert why in refusal("multiedit", context, **given)
    assert (workspace / "shop/tax.py").read_text() == before


def test_an_edit_cannot_grow_a_file_without_end(context: ToolContext, workspace: Path) -> None:
    (workspace / "shop/tax.py").write_text("a" * 1_000)
    read(context, "shop/tax.py")
    given = edits(*[("a", "a" * 1_000)] * 3, replaceAll=True)
    assert "would have more than" in refusal("multiedit", context, **given)


def test_a_patch_adds_changes_moves_and_deletes(context: ToolContext, workspace: Path) -> None:
    (workspace / "run.sh").write_text("#!/bin/sh\necho a\n")
    (workspace / "run.sh").chmod(0o755)
    for name in ("shop/tax.py", "README.md", "run.sh"):
        read(context, name)
    given = patched(
        "*** Add File: docs/new.md",
        "+# New",
        "+",
        "+Text.",
        "*** Update File: shop/tax.py",
        "@@",
        "-RATE = 19",
        "+RATE = 7",
        " ",
        "*** Update File: run.sh",
        "*** Move to: bin/start",
        "@@",
        "-echo a",
        "+echo b",
        "*** Delete File: README.md",
    )
    prepared = tools.prepare("patch", context, given)
    assert (workspace / "README.md").exists()
    result = tools.run("patch", context, given)
    assert (workspace / "docs/new.md").read_text() == "# New\n\nText.\n"
    assert (workspace / "shop/tax.py").read_text().startswith("RATE = 7\n\n\n")
    assert (workspace / "bin/start").read_text() == "#!/bin/sh\necho b\n"
    assert (workspace / "bin/start").stat().st_mode & 0o777 == 0o755
    assert not (workspace / "run.sh").exists()
    assert not (workspace / "README.md").exists()
    told = result.metadata
    assert told["diff"] == prepared.metadata["diff"]
    assert [(one["type"], one["relativePath"], one["additions"], one["deletions"]) for one in told["files"]] == [
        ("add", "docs/new.md", 3, 0),
        ("update", "shop/tax.py", 1, 1),
        ("move", "bin/start", 1, 1),
        ("delete", "README.md", 0, 3),
    ]
    assert told["files"][2]["filePath"] == str(workspace / "run.sh")
    assert told["files"][2]["movePath"] == str(workspace / "bin/start")
    assert told["filepath"] == "docs/new.md, shop/tax.py, run.sh, bin/start, README.md"
    assert (told["filediff"]["additions"], told["filediff"]["deletions"]) == (5, 5)
    assert result.title == "docs/new.md and 3 more"
    assert "R run.sh -> bin/start (+1 -1)" in result.output
    assert set(told["stamps"]) == {"docs/new.md", "shop/tax.py", "bin/start"}
    tools.run("patch", context, patched("*** Update File: bin/start", "@@", "-echo b", "+echo c"))


def test_a_patch_is_known_by_its_other_name_and_field(context: ToolContext, workspace: Path) -> None:
    tools.run("apply_patch", context, {"input": patched("*** Add File: a.txt", "+a")["patchText"]})
    assert (workspace / "a.txt").read_text() == "a\n"


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["*** Delete File: README.md"], "Read README.md first"),
        (["*** Update File: README.md", "@@", "-# Shop", "+# S"], "Read README.md first"),
        (["*** Add File: shop/tax.py", "+x"], "exists already"),
        (["*** Update File: shop/tax.py", "*** Move to: README.md"], "exists already"),
        (["*** Update File: shop/none.py", "@@", "-a", "+b"], "There is no file"),
        (["*** Add File: ../out.txt", "+x"], "outside the workspace"),
        (["*** Update File: shop/tax.py", "*** Move to: /etc/x"], "outside the workspace"),
        (["*** Delete File: shop"], "is a folder"),
        (["*** Update File: shop/tax.py", "@@", "-RATE = 20", "+RATE = 7"], "its lines are not there"),
        (["*** Update File: shop/tax.py", "@@", "-return total * RATE / 100", "+x"], "stand at line 5"),
        (["*** Update File: shop/tax.py", "@@ def vat(", "-RATE", "+x"], "no line 'def vat('"),
        (["*** Update File: shop/tax.py", "@@", " RATE = 19"], "adds or removes"),
        (["*** Update File: shop/tax.py", "@@", "-RATE = 19", "+RATE = 19"], "changes nothing"),
        (["*** Update File: shop/tax.py"], "says nothing"),
        (["*** Update File: shop/tax.py", "RATE = 19"], "begins with a blank, - or +"),
        (["*** Add File: a.txt", "x"], "beginning with +"),
        (["*** Add File: a.txt", "+x", "*** Add File: ./a.txt", "+y"], "names a.txt twice"),
        (["*** Add File:  ", "+x"], "no path"),
        (["*** Rename File: a.txt"], "wanted is"),
        ([], "names no file"),
    ],
)
def test_a_patch_that_does_not_fit_changes_nothing(
    context: ToolContext, workspace: Path, lines: list[str], why: str
) -> None:
    read(context, "shop/tax.py")
    before = {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()}
    good = ["*** Add File: first.txt", "+first"]
    assert why in refusal("patch", context, **patched(*good, *lines) if lines else patched())
    assert {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "text",
    [
        "*** Add File: a\n+x",
        "*** Begin Patch\n*** Add File: a\n+x",
        "*** Begin Patch",
        "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
        " \n ",
    ],
)
def test_a_patch_without_its_first_and_last_line_is_refused(context: ToolContext, text: str) -> None:
    assert "begins with the line" in refusal("patch", context, patchText=text)


@pytest.mark.parametrize("given", [{}, {"patchText": ""}, {"patchText": 3}, {"patchText": None}])
def test_a_patch_that_is_no_text_is_refused(context: ToolContext, given: dict[str, Any]) -> None:
    assert "The input of patch is not right" in refusal("patch", context, **given)


def applied(text: str, *lines: str) -> str:
    [section] = hunks.parse("\n".join(["*** Begin Patch", "*** Update File: f", *lines, "*** End Patch"]))
    return hunks.apply("f", text, section.hunks)


@pytest.mark.parametrize(
    ("text", "lines", "after"),
    [
        ("a\nb\nc\n", ["@@", " a", "-b", "+B", " c"], "a\nB\nc\n"),
        ("a\nb\nc\n", [" a", "-b", "+B", " c"], "a\nB\nc\n"),
        ("a\nb\n", ["@@", "-a", "@@", "+c"], "b\nc\n"),
        ("a\nb", ["@@", "-b", "+c", "+d"], "a\nc\nd"),
        ("a\nb", ["@@", "+c"], "a\nb\nc"),
        ("", ["@@", "+c"], "c\n"),
        ("a\n", ["@@", "-a"], ""),
        ("a\r\nb\r\n", ["@@", "-b", "+c"], "a\r\nc\r\n"),
        ("a  \nb\n", ["@@", " a", "-b", "+c"], "a  \nc\n"),
        ("x\na\nx\n", ["@@", "-x", "+y", "*** End of File"], "x\na\ny\n"),
        ("a\n\nb\n", ["@@", " a", "", "-b", "+c", "", ""], "a\n\nc\n"),
        ("a\nb\n", ["@@ -1,2 +1,2 @@ def", "-a", "+c"], "c\nb\n"),
        (CODE, ["@@ def b():", "-    x = 1", "+    x = 2"], CODE[:44] + CODE[44:].replace("1", "2")),
        (CODE, ["@@ def b():", " def b():", "-    x = 1", "+    x = 2"], CODE[:44] + CODE[44:].replace("1", "2")),
        (CODE, ["@@ def b():", "+    y = 0"], CODE.replace("b():\n", "b():\n    y = 0\n")),
        (
            "class A:\n    def f():\n        1\nclass B:\n    def f():\n        1\n",
            ["@@ class B:", "@@     def f():", "-        1", "+        2"],
            "class A:\n    def f():\n        1\nclass B:\n    def f():\n        2\n",
        ),
    ],
)
def test_hunks_find_their_place(text: str, lines: list[str], after: str) -> None:
    assert applied(text, *lines) == after


def test_a_hunk_that_fits_twice_is_refused(context: ToolContext) -> None:
    with pytest.raises(tools.ToolError, match=r"fits at 2 places \(lines 2, 7\)"):
        applied(CODE, "@@", "-    x = 1", "+    x = 2")


def test_hunks_stand_in_the_order_of_the_file() -> None:
    with pytest.raises(tools.ToolError, match=r"Hunk 2 of f does not fit.*above the hunk before"):
        applied("a\nb\n", "@@", "-b", "+B", "@@", "-a", "+A")


class FullDisk(Root):
    """A root on which everything fits but one file."""

    def swap(self, name: str, before: bytes | None, after: bytes | None, mode: int | None = None) -> None:
        if name == "full.txt":
            raise NoSpace("The disk is full; nothing was written.")
        super().swap(name, before, after, mode)


def test_a_patch_that_breaks_in_the_middle_is_taken_back(context: ToolContext, workspace: Path) -> None:
    (workspace / "run.sh").write_text("a\n")
    (workspace / "run.sh").chmod(0o755)
    read(context, "shop/tax.py")
    read(context, "run.sh")
    stamps = dict(context.stamps)
    context.root = FullDisk(workspace)
    given = patched(
        "*** Add File: new.txt", "+x", "*** Update File: shop/tax.py", "@@", "-RATE = 19", "+RATE = 7",
        "*** Delete File: run.sh", "*** Add File: full.txt", "+x",
    )  # fmt: skip
    assert refusal("patch", context, **given) == "The disk is full; nothing was written. Nothing was changed."
    assert not (workspace / "new.txt").exists()
    assert (workspace / "shop/tax.py").read_text().startswith("RATE = 19")
    assert (workspace / "run.sh").stat().st_mode & 0o777 == 0o755
    assert context.stamps == stamps


class Meddled(Root):
    """A root on which somebody writes into what was just changed, before the next file is refused."""

    def swap(self, name: str, before: bytes | None, after: bytes | None, mode: int | None = None) -> None:
        super().swap(name, before, after, mode)
        if name == "new.txt":
            (Path(self.path) / name).write_text("theirs")
            (Path(self.path) / "second.txt").write_text("in the way")


def test_what_cannot_be_taken_back_is_named(context: ToolContext, workspace: Path) -> None:
    context.root = Meddled(workspace)
    why = refusal("patch", context, **patched("*** Add File: new.txt", "+x", "*** Add File: second.txt", "+x"))
    assert why.endswith("Could not be put back and stays changed: new.txt.")
    assert (workspace / "new.txt").read_text() == "theirs"
    assert (workspace / "second.txt").read_text() == "in the way"


@pytest.mark.parametrize("key", ["patchText", "patch_text", "input", "patch"])
@pytest.mark.parametrize(
    "line",
    [
        "*** Add File: a",
        "*** Add File:   a b ",
        "*** Add File: a\r",
        "*** Add File: a\u2028b",
        "*** Add File: a\x85",
        "*** Add File: *** Add File: x",
    ],
)
def test_every_file_that_a_patch_changes_is_decided_upon(key: str, line: str) -> None:
    text = f"*** Begin Patch\n{line}\n+x\n*** End Patch"
    changed = {section.path for section in hunks.parse(text)}
    assert changed
    for given in ({key: text}, {**dict.fromkeys(("patchText", "input"), "*** Begin Patch"), key: text}):
        assert changed <= set(subjects.paths_of("patch", given))
