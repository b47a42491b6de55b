"""The built-in demo model: deterministic, without network, but with the real tools and approvals.

On the sample project it walks through a real task: read, find, edit one file, run the tests, sum up. On any
other it looks around and says what it is. It decides from the transcript alone, so a restart changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app import config
from app.agent.providers import (
    AssistantTurn,
    CallDelta,
    CallDone,
    Cancel,
    Cancelled,
    Delta,
    Done,
    Request,
    TextDelta,
    ToolResult,
    ToolResults,
    Turn,
    Usage,
    UserTurn,
    openai_messages,
)

ID = "demo"
MODEL = "walkthrough"
PAUSE = 0.015
PIECE = 6

README = "README.md"
CODE = "billing/proration.py"
TESTS = "tests/test_proration.py"
COMMAND = "python3 -m unittest -q"
BUG = """\
    unused = (old.price * ratio).quantize(CENT)
    due = (new.price * ratio).quantize(CENT) - unused
"""
FIX = """\
    # Round once, on the difference. Two roundings can drift by a cent.
    delta = (new.price - old.price) * ratio
    due = delta.quantize(CENT)
"""
WHO = (
    "This is the demo model built into Signalcabin: it follows a script and knows one task, on the sample "
    "project. Connect a provider's key or a local Ollama to give this session a model that thinks."
)


SUMMARY = (
    "## Done: the demo model has walked through its task on the sample project, as far as the transcript shows. "
    "It follows a script, so a further prompt begins the walk again."
)


@dataclass(frozen=True)
class Step:
    """What the model says in one step and which tools it calls after it; no calls end the turn."""

    say: str
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()


class Demo:
    """The provider `demo`; `pause` is the time between two pieces of text in seconds."""

    id = ID

    def __init__(self, pause: float | None = None) -> None:
        self._pause = pause

    def stream(self, request: Request, cancel: Cancel) -> Iterator[Delta]:
        """Say and call what the transcript asks for next."""
        step = next_step(request)
        number = sum(isinstance(turn, AssistantTurn) for turn in request.messages)
        yield from self._said(step.say, cancel)
        for index, (name, given) in enumerate(step.calls):
            yield from _called(index, f"call_demo_{number}_{index}", name, given)
        yield Done("tool-calls" if step.calls else "stop", _usage(request, step))

    def _said(self, text: str, cancel: Cancel) -> Iterator[Delta]:
        pause = _pause() if self._pause is None else self._pause
        for start in range(0, len(text), PIECE):
            if cancel.wait(pause) if pause else cancel.is_set():
                raise Cancelled
            yield TextDelta(text[start : start + PIECE])


def next_step(request: Request) -> Step:
    """Decide what comes next from the turns since the last prompt."""
    if request.purpose != "step":
        return Step(SUMMARY)
    results = list(_results(_since_prompt(request.messages)))
    offered = {spec.name for spec in request.tools}
    if not {"list", "read"} <= offered:
        return Step(WHO)
    if not results:
        return Step("I'll look at what is here first.", (("list", {"path": "."}), ("read", {"filePath": README})))
    refused = next((result for result in results if result.is_error and result.name in ("edit", "bash")), None)
    if refused:
        return _refused(refused)
    if not any(CODE in result.output or "proration" in result.output for result in results):
        return _elsewhere(results)
    return _walk(results, offered)


def _walk(results: list[ToolResult], offered: set[str]) -> Step:
    """The walk through the sample's task, one step for each state of the transcript."""
    by_tool = {result.name: result for result in results}
    reads = [result for result in results if result.name == "read"]
    if len(reads) == 1:
        return Step(
            "This is the billing library. Its README says that customers who upgrade in the middle of a "
            "period are sometimes billed a cent too much. I'll read the proration code and its tests.",
            (("read", {"filePath": CODE}), ("read", {"filePath": TESTS})),
        )
    if "edit" not in by_tool:
        return _found(reads[1].output, offered)
    if "bash" not in by_tool:
        return _check("That is the change. Now the tests.", offered)
    return _sum_up(by_tool["bash"])


def _found(code: str, offered: set[str]) -> Step:
    if "due = (new.price * ratio).quantize(CENT) - unused" not in code:
        return Step(
            "The two roundings that the task is about are not in `billing/proration.py` any more, so there "
            f"is nothing left to fix. {WHO}"
        )
    found = (
        "Found it. `split` rounds twice: once for what is unused of the old plan, once for the price of the "
        "new one. The two roundings can add up to a cent more than the difference: a third of a period from "
        "starter to team comes to 13.34, where the test expects 13.33."
    )
    if "edit" not in offered:
        return Step(
            f"{found}\n\nThe plan: round once, on the difference of the two prices, in `{CODE}`; then run "
            f"`{COMMAND}`. This mode changes nothing, so I stop here."
        )
    edit = {"filePath": CODE, "oldString": BUG, "newString": FIX}
    return Step(f"{found} I'll round once, on the difference.", (("edit", edit),))


def _check(say: str, offered: set[str]) -> Step:
    if "bash" not in offered:
        return Step(f"The change is made; run `{COMMAND}` to check it.")
    return Step(say, (("bash", {"command": COMMAND, "description": "Run the tests"}),))


def _sum_up(tests: ToolResult) -> Step:
    # unittest ends with "OK", or with "FAILED (…)"
    if "FAILED" in tests.output or "Error" in tests.output or "OK" not in tests.output:
        return Step(
            f"The change is in `{CODE}`, but the tests did not pass here; their output is above. "
            "I leave it as it is for you to look at, and you can undo the edit from its checkpoint."
        )
    return Step(
        "Done.\n\n"
        f"- **Cause**: `split` in `{CODE}` rounded the unused part and the new price each on its own.\n"
        "- **Change**: it now rounds once, on the difference. A change to a dearer plan can no longer cost a "
        "cent too much.\n"
        f"- **Check**: `{COMMAND}` passes, with the test that showed the fault.\n\n"
        "You can see the diff under Changes, and Undo at the edit takes it back."
    )


def _refused(result: ToolResult) -> Step:
    what = "change the file" if result.name == "edit" else "run the tests"
    why = result.output.strip().splitlines()[0][:200] if result.output.strip() else "no reason was given"
    return Step(f"I could not {what}: {why}\n\nI stop here and do not try it in another way.")


def _elsewhere(results: list[ToolResult]) -> Step:
    """On any other project: name what is there, read one file if none could be read, and say what this is."""
    read = next((result for result in results if result.name == "read" and not result.is_error), None)
    listed = next((result.output for result in results if result.name == "list"), "")
    names = [line.strip() for line in listed.splitlines()[1:] if line.strip()]
    tried = sum(result.name == "read" for result in results)
    if read is None and tried == 1 and (file := _first_file(listed)):
        return Step(f"There is no README here, so I'll read `{file}`.", (("read", {"filePath": file}),))
    shown = ", ".join(f"`{name}`" for name in names[:8]) or "no files yet"
    about = f" I read {read.output.count(chr(10)) + 1} lines of one of them." if read else ""
    return Step(f"This project holds {shown}.{about}\n\n{WHO}")


def _first_file(listed: str) -> str:
    """The first file at the top of a tree as the list tool draws it."""
    for line in listed.splitlines()[1:]:
        if line.startswith("  ") and not line.startswith("   ") and not line.endswith("/"):
            return line.strip()
    return ""


def _since_prompt(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns after the last prompt; on a sample already walked through, a new prompt starts anew."""
    for place in range(len(turns) - 1, -1, -1):
        if isinstance(turns[place], UserTurn):
            return turns[place + 1 :]
    return turns


def _results(turns: Sequence[Turn]) -> Iterator[ToolResult]:
    for turn in turns:
        if isinstance(turn, ToolResults):
            yield from turn.results


def _called(index: int, id: str, name: str, given: dict[str, Any]) -> Iterator[Delta]:
    yield CallDelta(index, id, name, "")
    yield CallDone(id, name, given)


def _usage(request: Request, step: Step) -> Usage:
    """About four characters a token, so that the figures on the page are alive."""
    read = sum(len(str(message.get("content") or "")) for message in openai_messages.messages(request))
    written = len(step.say) + sum(len(str(given)) for _, given in step.calls)
    return Usage(input=read // 4, output=written // 4)


def _pause() -> float:
    return 0.0 if config.current().testing else PAUSE
