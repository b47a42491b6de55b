"""The tools an agent has, by name; one file each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from app.agent.providers import ToolSpec
from app.agent.tools import bash, edit, glob, grep, question, read, task, todoread, todowrite, write
from app.agent.tools import list as list_
from app.agent.tools.tool import Prepared, Result, Tool, ToolContext, ToolError, stamps_of
from app.errors import Problem

__all__ = [
    "Prepared",
    "Result",
    "Tool",
    "ToolContext",
    "ToolError",
    "all_tools",
    "find",
    "prepare",
    "run",
    "specs",
    "stamps_of",
]

_MODULES = (read, edit, write, bash, grep, glob, list_, todowrite, todoread, question, task)
_TOOLS: dict[str, Tool[Any]] = {module.TOOL.name: module.TOOL for module in _MODULES}


def all_tools() -> tuple[Tool[Any], ...]:
    """Every built-in tool."""
    return tuple(_TOOLS.values())


def find(name: str) -> Tool[Any] | None:
    """The tool of this name, if there is one."""
    return _TOOLS.get(name)


def specs(names: Collection[str] | None = None, *switches: Mapping[str, bool] | None) -> tuple[ToolSpec, ...]:
    """The tools as a model sees them: those named (None: all), less those that any of the switches turn off.

    A switch is a name or a pattern like `*`; of one set the last that fits counts.
    """
    return tuple(
        spec
        for spec in _specs()
        if (names is None or spec.name in names) and all(_is_on(spec.name, each or {}) for each in switches)
    )


def prepare(name: str, ctx: ToolContext, given: Mapping[str, Any]) -> Prepared:
    """Say what a call would do; raises ToolError for a bad input or what cannot be done."""
    tool = _known(name)
    try:
        return tool.prepare(ctx, tool.parse(given))
    except Problem as problem:
        raise ToolError(problem.message) from problem


def run(name: str, ctx: ToolContext, given: Mapping[str, Any]) -> Result:
    """Run a call; raises ToolError for whatever the model should be told."""
    tool = _known(name)
    try:
        return tool.run(ctx, tool.parse(given))
    except Problem as problem:
        raise ToolError(problem.message) from problem


def _known(name: str) -> Tool[Any]:
    tool = find(name)
    if tool is None:
        raise ToolError(f"There is no tool {name!r}; there are {', '.join(_TOOLS)}.")
    return tool


def _is_on(name: str, switches: Mapping[str, bool]) -> bool:
    is_on = True
    for pattern, value in switches.items():
        if fnmatchcase(name, pattern):
            is_on = value
    return is_on


@cache
def _specs() -> tuple[ToolSpec, ...]:
    return tuple(ToolSpec(tool.name, tool.description, tool.schema()) for tool in all_tools())
