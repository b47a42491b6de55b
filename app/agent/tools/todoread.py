"""The todoread tool: the session's todo list."""

from __future__ import annotations

from app.agent.tools import todowrite
from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext

DESCRIPTION = "Read the todo list of this session."


class Input(Given):
    """Nothing is asked for."""


def prepare(ctx: ToolContext, _given: Input) -> Prepared:
    """Show how many are open."""
    return Prepared(todowrite.title(ctx.todos))


def run(ctx: ToolContext, _given: Input) -> Result:
    """Give the list."""
    return todowrite.result(ctx.todos)


TOOL = Tool("todoread", DESCRIPTION, Input, prepare, run)
