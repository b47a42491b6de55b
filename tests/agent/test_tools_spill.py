"""Output that is too long: the model gets its ends, and a file with all of it that it can read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from app import redact
from app.agent import tools
from app.agent.tools import Result, ToolContext, spill
from app.agent.tools.spill import OUTPUT_LIMIT
from app.errors import NoSpace
from app.files.paths import Root
from tests.agent.reading import refusal

LONG = "\n".join(f"line {number}" for number in range(20_000))


def spilled(context: ToolContext, text: str = LONG) -> Result:
    return spill.fitting(context, Result(text, "long", {"count": 1}))


def test_what_fits_stays_as_it_is(context: ToolContext) -> None:
    result = Result("x" * OUTPUT_LIMIT, "t")
    assert spill.fitting(context, result) is result
    assert not Path(context.scratch.path).exists()


def test_the_rest_lies_in_a_file_that_read_and_grep_can_open(context: ToolContext) -> None:
    result = spilled(context)
    assert result.output.startswith("line 0\nline 1\n")
    assert result.output.endswith("line 19998\nline 19999")
    assert len(result.output) < OUTPUT_LIMIT + 300
    path = result.metadata["outputPath"]
    assert re.fullmatch(r"/tmp/output_\w+\.txt", path)
    assert f"the whole output, 20,000 lines, is in {path}: read parts of it with read" in result.output
    assert (result.metadata["count"], result.metadata["truncated"]) == (1, True)
    assert "10001| line 10000\n" in tools.run("read", context, {"filePath": path, "offset": 10_001}).output
    found = tools.run("grep", context, {"pattern": "line 12345$", "path": path})
    assert f"{path}:\n  12346: line 12345" in found.output
    assert f"{path}:" in tools.run("grep", context, {"pattern": "line 12345$", "path": "/tmp"}).output


def test_a_command_s_long_output_can_be_read_too(context: ToolContext) -> None:
    result = tools.run("bash", context, {"command": "seq 1 20000"})
    path = result.metadata["outputPath"]
    assert f"The whole output is in {path}: read parts" in result.output
    assert "10000| 10000\n" in tools.run("read", context, {"filePath": path, "offset": 10_000}).output


def test_long_matches_of_grep_are_kept(context: ToolContext, workspace: Path) -> None:
    (workspace / "wide.txt").write_text(("needle " + "x" * 1_500 + "\n") * 90)
    result = tools.run("grep", context, {"pattern": "needle"})
    assert result.metadata["truncated"] is True
    assert (
        "90: needle"
        in tools.run("grep", context, {"pattern": " 90: needle", "path": result.metadata["outputPath"]}).output
    )


def test_no_read_is_so_long_that_it_spills(context: ToolContext, workspace: Path) -> None:
    (workspace / "big.txt").write_text(("ä" * 1_990 + "\n") * 100)
    assert "outputPath" not in tools.run("read", context, {"filePath": "big.txt"}).metadata


def test_a_secret_is_not_cut_in_two(context: ToolContext) -> None:
    secret = "hunter2-hunter2-hunter2"
    redact.watch("PASSWORD", secret)
    try:
        text = "a" * (OUTPUT_LIMIT // 2 - 10) + secret + "b" * OUTPUT_LIMIT
        result = spilled(context, text)
        kept = context.scratch.read_text(result.metadata["outputPath"])
        assert "hunter2" not in result.output + kept
        assert "[secret:PASSWORD]" in kept
    finally:
        redact.forget("PASSWORD")


@pytest.mark.parametrize("name", ["/tmp/../etc/passwd", "/tmp/link", "/tmp/none.txt", "/tmpfile", "/tmp"])
def test_nothing_else_of_the_machine_is_read_by_way_of_tmp(context: ToolContext, name: str) -> None:
    scratch = context.make_scratch()
    (Path(scratch.path) / "link").symlink_to("/etc/passwd")
    assert re.search("outside the workspace|no file|is a folder", refusal("read", context, filePath=name))


def test_the_machine_s_own_tmp_is_not_the_agent_s(context: ToolContext, tmp_path: Path) -> None:
    """The workspace of this test lies below it, and stays what it is."""
    (tmp_path / "other.txt").write_text("of the machine")
    assert "There is no file" in refusal("read", context, filePath=str(tmp_path / "other.txt"))
    inside = str(Path(context.root.path) / "README.md")
    assert tools.run("read", context, {"filePath": inside}).title == "README.md"


@pytest.mark.parametrize("tool", ["edit", "write", "list", "glob"])
def test_only_read_and_grep_go_there(context: ToolContext, tool: str) -> None:
    given = {"filePath": "/tmp/x", "path": "/tmp", "pattern": "*", "oldString": "a", "newString": "b", "content": "c"}
    assert "outside the workspace" in refusal(tool, context, **given)


class FullDisk(Root):
    """A root without room."""

    def write_bytes(self, name: str, data: bytes | Iterable[bytes], mode: int | None = None) -> int:
        raise NoSpace("The disk is full; nothing was written.")


class Crowded(ToolContext):
    """A context whose scratch directory is full."""

    def make_scratch(self) -> Root:
        return FullDisk(super().make_scratch().path)


def test_no_rule_is_loosened_for_tools_that_see_the_machine_s_own_tmp() -> None:
    assert {tool.name for tool in tools.all_tools() if tools.roots(tool.name)} == {"read", "grep"}
    assert tools.roots("crm_read") == ()


def test_output_that_cannot_be_kept_is_told_as_far_as_it_fits(context: ToolContext) -> None:
    result = spilled(Crowded(context.root, context.directory, context.private))
    assert "could not be kept: The disk is full" in result.output
    assert result.output.endswith("line 19999")
    assert "outputPath" not in result.metadata
