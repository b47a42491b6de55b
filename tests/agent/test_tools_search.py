"""grep and glob: what they find, where they stop, what they never open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.agent import tools
from app.agent.tools import ToolContext, ToolError
from app.files import ripgrep


def grep(context: ToolContext, pattern: str, **given: str) -> tools.Result:
    return tools.run("grep", context, {"pattern": pattern, **given})


def test_grep_groups_lines_by_file(context: ToolContext) -> None:
    result = grep(context, "RATE")
    assert result.output == "Found 2 matches\nshop/tax.py:\n  1: RATE = 19\n  5:     return total * RATE / 100"
    assert result.title == "RATE"
    assert result.metadata == {"matches": 2, "files": 1, "truncated": False}


def test_grep_says_when_there_is_nothing(context: ToolContext) -> None:
    assert grep(context, "zebra").output == "Nothing matches"


def test_grep_looks_only_where_it_is_told(context: ToolContext) -> None:
    assert "cart.py" not in grep(context, "total", path="shop/tax.py").output
    assert "tax.py" not in grep(context, "total", include="cart*").output


def test_grep_stops_at_100_matches(context: ToolContext, workspace: Path) -> None:
    (workspace / "many.txt").write_text("needle\n" * 500)
    result = grep(context, "needle")
    assert result.metadata["matches"] == 100
    assert result.metadata["truncated"] is True
    assert "first 100 only" in result.output


@pytest.mark.parametrize(
    "given", [{}, {"include": ".env"}, {"include": ".env*"}, {"include": "*"}, {"include": "**/.ENV"}]
)
def test_grep_never_opens_secrets_from_above(context: ToolContext, workspace: Path, given: dict[str, str]) -> None:
    (workspace / "shop/.env.local").write_text("KEY=topsecret\n")
    assert grep(context, "topsecret", **given).output == "Nothing matches"


def test_a_pattern_that_looks_like_an_option_is_a_pattern(context: ToolContext, workspace: Path) -> None:
    (workspace / "a.txt").write_text("--pre=sh\n")
    assert "a.txt" in grep(context, "--pre=sh").output


def test_no_configuration_file_is_read(context: ToolContext, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace / "rc").write_text("--pre=/bin/false\n")
    monkeypatch.setenv("RIPGREP_CONFIG_PATH", str(workspace / "rc"))
    assert grep(context, "RATE").metadata["matches"] == 2


def test_a_bad_pattern_is_told(context: ToolContext) -> None:
    with pytest.raises(ToolError, match="could not be made"):
        grep(context, "(unclosed")


def test_grep_stays_inside(context: ToolContext) -> None:
    with pytest.raises(ToolError, match="outside"):
        grep(context, "root", path="/etc")


def test_a_search_ends_when_the_run_does(context: ToolContext) -> None:
    context.cancel.set()
    with pytest.raises(ToolError, match="stopped"):
        grep(context, "RATE")


def test_a_search_that_takes_too_long_is_ended(
    context: ToolContext, monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    monkeypatch.setattr(ripgrep, "SECONDS", 0.0)
    result = grep(context, "RATE")
    assert result.metadata["truncated"] is True
    assert "longer than" in result.output


def test_long_lines_are_cut(context: ToolContext, workspace: Path) -> None:
    (workspace / "min.js").write_text("var a=1;" * 1000)
    assert len(grep(context, "var a").output) < 2_300


def test_glob_finds_files_changed_last_first(context: ToolContext, workspace: Path) -> None:
    os.utime(workspace / "shop/cart.py", (2e9, 2e9))
    os.utime(workspace / "shop/tax.py", (1e9, 1e9))
    result = tools.run("glob", context, {"pattern": "**/*.py"})
    assert result.output == "shop/cart.py\nshop/tax.py"
    assert result.metadata == {"count": 2, "truncated": False}


def test_glob_starts_where_it_is_told(context: ToolContext) -> None:
    result = tools.run("glob", context, {"pattern": "*.py", "path": "shop"})
    assert sorted(result.output.split("\n")) == ["shop/cart.py", "shop/tax.py"]
    assert result.title == "shop"


def test_glob_stops_at_100(context: ToolContext, workspace: Path) -> None:
    for number in range(120):
        (workspace / f"n{number}.txt").touch()
    result = tools.run("glob", context, {"pattern": "*.txt"})
    assert result.metadata == {"count": 100, "truncated": True}


def test_glob_says_when_there_is_nothing(context: ToolContext) -> None:
    assert tools.run("glob", context, {"pattern": "*.rs"}).output == "No file is like that."
    with pytest.raises(ToolError, match="outside"):
        tools.run("glob", context, {"pattern": "*", "path": "../.."})
