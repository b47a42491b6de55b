"""The todowrite tool: the session's todo list, replaced as a whole."""

from __future__ import annotations

from typing import Any, Literal

import orjson
from pydantic import Field

from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext

DESCRIPTION = """\
Replace the todo list, which people see beside the session. Use it for work of three or more steps: one item \
in_progress at a time, completed as soon as it is done, cancelled if it is no longer wanted."""


class Todo(Given):
    """One thing to do."""

    content: str = Field(min_length=1, max_length=500, description="What, in one line")
    status: Literal["pending", "in_progress", "completed", "cancelled"] = "pending"
    priority: Literal["high", "medium", "low"] = "medium"
    id: str = Field(default="", max_length=64, description="A name for it; its number if left out")


class Input(Given):
    """The whole list."""

    todos: list[Todo] = Field(max_length=200, description="The whole list, in order")


def prepare(_ctx: ToolContext, given: Input) -> Prepared:
    """Show how many are open."""
    return Prepared(title(_plain(given)))


def run(ctx: ToolContext, given: Input) -> Result:
    """Store the list."""
    todos = _plain(given)
    ctx.set_todos(todos)
    ctx.todos = todos
    return result(todos)


def result(todos: list[dict[str, Any]]) -> Result:
    """The list as a tool's result."""
    output = orjson.dumps(todos, option=orjson.OPT_INDENT_2).decode()
    return Result(output, title(todos), {"todos": todos})


def title(todos: list[dict[str, Any]]) -> str:
    """How many are open, as OpenCode counts them."""
    count = sum(todo.get("status") != "completed" for todo in todos)
    return f"{count} todo" if count == 1 else f"{count} todos"


def _plain(given: Input) -> list[dict[str, Any]]:
    return [todo.model_dump() | {"id": todo.id or str(place)} for place, todo in enumerate(given.todos, 1)]


TOOL = Tool("todowrite", DESCRIPTION, Input, prepare, run)
