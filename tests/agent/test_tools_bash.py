"""bash: output, exit codes, progress, time-outs and stops, on real processes."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from app.agent import tools
from app.agent.tools import ToolContext, ToolError


def bash(context: ToolContext, command: str, **given: Any) -> tools.Result:
    return tools.run("bash", context, {"command": command, **given})


def test_it_gives_what_was_printed(context: ToolContext) -> None:
    result = bash(context, "echo out; echo err >&2", description="Say two words")
    assert sorted(result.output.split()) == ["err", "out"]
    assert result.title == "Say two words"
    assert (result.metadata["exit"], result.metadata["truncated"]) == (0, False)


def test_the_command_is_the_title_without_a_description(context: ToolContext) -> None:
    assert tools.prepare("bash", context, {"command": "ls"}).title == "ls"


def test_a_bad_exit_code_is_a_result(context: ToolContext) -> None:
    result = bash(context, "echo no; exit 3")
    assert result.metadata["exit"] == 3
    assert result.output == "no\n\n(Exit code 3)"


def test_it_runs_in_the_project_or_below(context: ToolContext) -> None:
    assert bash(context, "ls").output.split() == ["README.md", "build", "shop"]
    assert bash(context, "ls", workdir="shop").output.split() == ["cart.py", "tax.py"]
    with pytest.raises(ToolError, match="outside"):
        bash(context, "ls", workdir="..")


def test_nothing_of_our_environment_is_seen(context: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "sk-secret" not in bash(context, "env").output


def test_it_shows_its_output_while_it_runs(context: ToolContext) -> None:
    seen: list[dict[str, Any]] = []
    told = threading.Event()

    def progress(metadata: dict[str, Any]) -> None:
        seen.append(metadata)
        told.set()

    bash(replace(context, progress=progress), "echo first; sleep 0.3; echo second", description="x")
    assert told.is_set()
    assert seen[0] == {"output": "first\n", "description": "x"}


def test_what_it_prints_before_it_falls_silent_is_shown(context: ToolContext) -> None:
    seen: list[str] = []

    def progress(metadata: dict[str, Any]) -> None:
        seen.append(metadata["output"])
        if {"first", "last"} <= set(metadata["output"].split()):
            context.cancel.set()

    with pytest.raises(ToolError, match="was stopped"):
        bash(replace(context, progress=progress), "echo first >&2; echo last; sleep 62")
    assert sorted(seen[-1].split()) == ["first", "last"]  # two pipes: either may be read first


def test_what_telling_of_it_fails_with_ends_it(context: ToolContext) -> None:
    class Lost(Exception):
        """Telling is no use any more."""

    def progress(metadata: dict[str, Any]) -> None:
        if "second" in metadata["output"]:
            raise Lost

    with pytest.raises(Lost):
        bash(
            replace(context, progress=progress),
            "echo first; while :; do echo second; sleep 0.05; done",
        )


def test_it_ends_after_its_time(context: ToolContext) -> None:
    result = bash(context, "echo begun; sleep 30", timeout=200)
    assert "begun" in result.output
    assert "was ended after 0.2 s" in result.output
    assert result.metadata["exit"] != 0


def test_it_ends_when_the_run_is_stopped(context: ToolContext) -> None:
    timer = threading.Timer(0.1, context.cancel.set)
    timer.start()
    with pytest.raises(ToolError, match="was stopped"):
        bash(context, "sleep 30")
    timer.join()


def test_long_output_keeps_its_beginning_and_its_end(context: ToolContext) -> None:
    result = bash(context, "seq 1 20000")
    assert result.output.startswith("1\n2\n")
    assert "20000" in result.output
    assert "bytes left out" in result.output
    assert "The whole output is in /tmp/" in result.output
    assert result.metadata["truncated"] is True
    assert len(result.output) < 31_000


def test_a_command_without_output_says_so(context: ToolContext) -> None:
    assert bash(context, "true").output == "(no output)"


def test_an_empty_command_is_refused(context: ToolContext) -> None:
    with pytest.raises(ToolError, match="command"):
        bash(context, "")
