"""The task tool: hand a part of the task to a subagent, a session of its own; the engine begins and awaits it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from app.agent import modes
from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext, ToolError

DESCRIPTION = """\
Hand a part of your task to a subagent, which works in a session of its own and gives you its last answer. It \
sees nothing of this conversation: tell it all it needs to know, what it may change, and what to answer. Calls \
in one step run at the same time, so give them parts that do not meet. With `task_id` an earlier subagent goes \
on where it ended. Do small things yourself."""


class Input(Given):
    """What it shall do, and who."""

    description: str = Field(min_length=1, max_length=200, description="What it does, in 3 to 5 words")
    prompt: str = Field(min_length=1, max_length=100_000, description="The whole task")
    subagent_type: str = Field(alias="subagent_type", min_length=1, description="One of the subagents listed")
    task_id: str | None = Field(
        default=None, alias="task_id", max_length=40, description="An earlier call's task_id, to go on with it"
    )


def described(directory: Path) -> str:
    """The tool's description with the subagents there are in a directory."""
    rows = [f"- {mode.name}: {mode.description}" for mode in modes.subagents(directory)]
    return "\n".join([DESCRIPTION, "", "Subagents:", *rows])


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Show whom it is for."""
    known = [mode.name for mode in modes.subagents(ctx.directory)]
    if given.subagent_type not in known:
        raise ToolError(f"There is no subagent {given.subagent_type!r}; there are {', '.join(known)}.")
    return Prepared(given.description, {"agent": given.subagent_type})


def run(_ctx: ToolContext, _given: Input) -> Result:
    """Nothing runs here: a subagent is a run of its own (see app/agent/subagents)."""
    raise ToolError("A subagent is begun by the engine only.")


TOOL = Tool("task", DESCRIPTION, Input, prepare, run)
