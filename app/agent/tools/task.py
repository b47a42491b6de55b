"""The task tool: hand a piece of work to a subagent, which works in a session of its own."""

from __future__ import annotations

from pydantic import Field

from app.agent import modes
from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext, ToolError

NAME = "task"
DESCRIPTION = """\
Hand a piece of work to a subagent. It begins with an empty conversation, so its prompt must hold all it needs to \
know and say what it should answer; you get its last words when it is done. Several calls in one step run at the \
same time, so give them work that does not touch the same files. It may do what you may, and asks the same people."""


class Input(Given):
    """Who does what."""

    description: str = Field(min_length=1, max_length=200, description="3 to 5 words that name the work")
    prompt: str = Field(min_length=1, max_length=100_000, description="The whole task, and what to answer")
    subagent_type: str = Field(alias="subagent_type", min_length=1, max_length=64, description="The subagent's name")
    task_id: str = Field(
        default="", alias="task_id", max_length=40, description="A task_id of an earlier result, to go on with it"
    )


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Name the subagent; there must be one of this name."""
    subagent(ctx, given)
    return Prepared(given.description, {"subagent": given.subagent_type})


def subagent(ctx: ToolContext, given: Input) -> modes.Mode:
    """The mode that the subagent works in; ToolError names those there are."""
    known = {mode.name: mode for mode in modes.of(ctx.directory) if mode.is_subagent}
    if given.subagent_type not in known:
        raise ToolError(f"There is no subagent {given.subagent_type!r}; there are {', '.join(known) or 'none'}.")
    return known[given.subagent_type]


def run(_ctx: ToolContext, _given: Input) -> Result:
    """Refuse: whoever runs the session's calls begins a subagent, and waits for it without a thread."""
    raise ToolError("A subagent works in a session of its own; it cannot be run as a call.")


TOOL = Tool(NAME, DESCRIPTION, Input, prepare, run)
