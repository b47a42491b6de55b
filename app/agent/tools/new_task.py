"""The new_task tool: hand a piece of work to another mode, in a session of its own."""

from __future__ import annotations

from pydantic import Field

from app.agent.tools import switch_mode
from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext, ToolError

NAME = "new_task"
LONGEST_TITLE = 80
DESCRIPTION = """\
Have a piece of work done in another mode, in a session of its own, and go on when it is done. It begins with an \
empty conversation, so the message must hold all it needs to know and say what it should answer; you get its last \
words. It has the tools of its mode, and a person may be asked first. Several calls in one step run at the same time, \
so give them work that does not touch the same files."""


class Input(Given):
    """In which mode, and what."""

    mode: str = Field(min_length=1, max_length=64, description="The slug of the mode")
    message: str = Field(min_length=1, max_length=100_000, description="The whole task, and what to answer")


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Name the mode; there must be one of this slug."""
    mode = switch_mode.chosen(ctx, given.mode)
    return Prepared(title(given), {"mode": mode.name, "subagent": mode.name})


def title(given: Input) -> str:
    """The work in a line: the first of its words."""
    line = " ".join(given.message.split())
    return line if len(line) <= LONGEST_TITLE else f"{line[: LONGEST_TITLE - 1]}…"


def run(_ctx: ToolContext, _given: Input) -> Result:
    """Refuse: whoever runs the session's calls begins the task, and waits for it without a thread."""
    raise ToolError("A task works in a session of its own; it cannot be run as a call.")


TOOL = Tool(NAME, DESCRIPTION, Input, prepare, run)
