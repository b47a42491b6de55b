"""The demo model on the sample project and elsewhere, with the real tools."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.agent import tools
from app.agent.providers import (
    AssistantTurn,
    CallDone,
    Cancel,
    Cancelled,
    Done,
    Request,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolResults,
    Turn,
    UserTurn,
)  # fmt: skip
from app.agent.providers.demo import Demo
from app.agent.tools import ToolContext, ToolError
from app.files.paths import Root
from app.projects import sample

READING = ("read", "grep", "glob", "list")
Decide = Callable[[CallDone], str]


@pytest.fixture
def billing(context: ToolContext) -> ToolContext:
    """The sample project, as it is laid out at first start."""
    sample.create()
    return replace(context, root=Root(sample.root()), directory=sample.root())


class Walk:
    """A session of the demo model: `prompt` runs it to its end; `decide` rejects a call by a reason."""

    def __init__(
        self, context: ToolContext, decide: Decide = lambda call: "", names: tuple[str, ...] | None = None
    ) -> None:
        self.context = context
        self.decide = decide
        self.specs = tools.specs(names)
        self.turns: list[Turn] = []
        self.called: list[str] = []
        self.steps = 0

    def prompt(self, text: str) -> str:
        """Give the last words of the turn."""
        self.turns.append(UserTurn((Text(text),)))
        while calls := self._step():
            results = tuple(self._result(call) for call in calls)
            self.turns.append(ToolResults(results))
        said = self.turns[-1]
        assert isinstance(said, AssistantTurn)
        return said.text

    def _step(self) -> list[CallDone]:
        self.steps += 1
        assert self.steps < 20
        deltas = list(Demo().stream(Request("walkthrough", "", self.turns, self.specs), Cancel()))
        calls = [one for one in deltas if isinstance(one, CallDone)]
        text = "".join(one.text for one in deltas if isinstance(one, TextDelta))
        last = deltas[-1]
        assert isinstance(last, Done)
        assert last.finish == ("tool-calls" if calls else "stop")
        assert last.usage.output > 0
        made = tuple(ToolCall(c.id, c.name, c.input) for c in calls if isinstance(c.input, dict))
        self.turns.append(AssistantTurn((Text(text), *made)))
        return calls

    def _result(self, call: CallDone) -> ToolResult:
        assert isinstance(call.input, dict)
        self.called.append(call.name)
        if why := self.decide(call):
            return ToolResult(call.id, call.name, why, is_error=True)
        try:
            result = tools.run(call.name, self.context, call.input)
        except ToolError as failed:
            return ToolResult(call.id, call.name, str(failed), is_error=True)
        self.context.stamps.update(result.metadata.get("stamps", {}))
        return ToolResult(call.id, call.name, result.output)


def test_it_walks_through_the_sample_s_task(billing: ToolContext) -> None:
    walk = Walk(billing)
    words = walk.prompt("Customers who upgrade are sometimes billed a cent too much. Fix it.")
    assert walk.called == ["list", "read", "read", "read", "edit", "bash"]
    assert words.startswith("Done.")
    assert "delta.quantize(CENT)" in (Path(billing.root.path) / "billing/proration.py").read_text()


def test_the_sample_s_tests_fail_before_and_pass_after(billing: ToolContext) -> None:
    command = {"command": "python3 -m unittest -q"}
    assert tools.run("bash", billing, command).metadata["exit"] == 1
    Walk(billing).prompt("fix it")
    assert tools.run("bash", billing, command).metadata["exit"] == 0


def test_it_stops_at_a_rejected_edit(billing: ToolContext) -> None:
    walk = Walk(billing, lambda call: "Not today" if call.name == "edit" else "")
    words = walk.prompt("fix it")
    assert walk.called[-1] == "edit"
    assert "could not change the file: Not today" in words


def test_it_stops_at_a_rejected_command(billing: ToolContext) -> None:
    walk = Walk(billing, lambda call: "No commands" if call.name == "bash" else "")
    assert "could not run the tests: No commands" in walk.prompt("fix it")
    assert walk.called.count("bash") == 1


def test_a_second_prompt_finds_nothing_left_to_fix(billing: ToolContext) -> None:
    walk = Walk(billing)
    walk.prompt("fix it")
    assert "nothing left to fix" in walk.prompt("fix it again")


def test_a_prompt_after_a_rejection_tries_again(billing: ToolContext) -> None:
    walk = Walk(billing, lambda call: "Not today" if call.name == "edit" else "")
    walk.prompt("fix it")
    walk.decide = lambda call: ""
    assert walk.prompt("go on").startswith("Done.")


def test_it_says_so_when_the_tests_do_not_pass(billing: ToolContext) -> None:
    (Path(billing.root.path) / "tests/test_more.py").write_text("import nothing_like_it\n")
    assert "the tests did not pass" in Walk(billing).prompt("fix it")


def test_in_a_reading_mode_it_ends_with_a_plan(billing: ToolContext) -> None:
    walk = Walk(billing, names=READING)
    assert "The plan: round once" in walk.prompt("fix it")
    assert "edit" not in walk.called


def test_on_another_project_it_looks_around_and_says_what_it_is(context: ToolContext) -> None:
    walk = Walk(context)
    words = walk.prompt("What is this?")
    assert walk.called == ["list", "read"]
    assert "`README.md`" in words
    assert "demo model built into Signalcabin" in words


def test_without_a_readme_it_reads_another_file(context: ToolContext, workspace: Path) -> None:
    (workspace / "README.md").unlink()
    (workspace / "main.py").write_text("print(1)\n")
    walk = Walk(context)
    assert "demo model" in walk.prompt("hello")
    assert walk.called == ["list", "read", "read"]


def test_an_empty_project_is_no_trouble(context: ToolContext, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    walk = Walk(replace(context, root=Root(empty), directory=empty))
    assert "no files" in walk.prompt("hello")


def test_without_tools_it_only_says_what_it_is(context: ToolContext) -> None:
    assert "demo model" in Walk(context, names=()).prompt("hello")


def test_it_is_the_same_every_time(billing: ToolContext) -> None:
    request = Request("walkthrough", "", [UserTurn((Text("fix it"),))], tools.specs())
    assert list(Demo().stream(request, Cancel())) == list(Demo().stream(request, Cancel()))


def test_it_pauses_between_pieces_and_can_be_cancelled(context: ToolContext) -> None:
    cancel = Cancel()
    request = Request("walkthrough", "", [UserTurn((Text("fix it"),))], tools.specs())
    stream = Demo(pause=30.0).stream(request, cancel)
    timer = threading.Timer(0.02, cancel.set)
    timer.start()
    with pytest.raises(Cancelled):
        next(stream)
    timer.join()
