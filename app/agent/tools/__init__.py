"""The tools an agent has, by name; one file each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from app.agent.providers import ToolSpec
from app.agent.tools import (
    bash,
    edit,
    glob,
    grep,
    multiedit,
    new_task,
    patch,
    question,
    read,
    skill,
    spill,
    switch_mode,
    task,
    todoread,
    todowrite,
    webfetch,
    write,
)
from app.agent.tools import list as list_
from app.agent.tools.tool import SCRATCH, Prepared, Result, Tool, ToolContext, ToolError, stamps_of
from app.errors import Problem

__all__ = [
    "OF_ROO",
    "Prepared",
    "Result",
    "Tool",
    "ToolContext",
    "ToolError",
    "all_tools",
    "find",
    "named",
    "prepare",
    "roots",
    "run",
    "specs",
    "stamps_of",
]

_MODULES = (
    read, edit, multiedit, write, patch, bash, grep, glob, list_, webfetch, todowrite, todoread, question, skill, task,
    switch_mode, new_task,
)  # fmt: skip
_TOOLS: dict[str, Tool[Any]] = {module.TOOL.name: module.TOOL for module in _MODULES}
# With these Roo's modes hand work to each other; other modes have the task tool alone.
OF_ROO = frozenset((switch_mode.NAME, new_task.NAME))
_ALSO = {name: tool.name for tool in _TOOLS.values() for name in tool.also_called}


def all_tools() -> tuple[Tool[Any], ...]:
    """Every built-in tool."""
    return tuple(_TOOLS.values())


def named(name: str) -> str:
    """The name that we have for a tool that a model may call otherwise: `apply_patch` is `patch`."""
    return _ALSO.get(name, name)


def find(name: str, more: Mapping[str, Tool[Any]] | None = None) -> Tool[Any] | None:
    """The tool of this name, if there is one; `more` are those beside the built-in ones."""
    return _TOOLS.get(named(name)) or (more or {}).get(name)


def roots(name: str) -> tuple[str, ...]:
    """The folders beside the project in which a tool reads without being asked about: the scratch directory."""
    tool = find(name)
    return (SCRATCH,) if tool and tool.reads_scratch else ()


def specs(
    names: Collection[str] | None = None,
    *switches: Mapping[str, bool] | None,
    directory: Path | None = None,
    more: Mapping[str, Tool[Any]] | None = None,
) -> tuple[ToolSpec, ...]:
    """The tools as a model sees them: those named (None: all), less those that any of the switches turn off.

    A switch is a name or a pattern like `*`; of one set the last that fits counts. For a directory the skills there
    are named too, and without any there is no such tool. `more` are tools beside the built-in ones.
    """
    chosen = (
        spec
        for spec in (*_specs(), *_specs_of(more or {}))
        if (names is None or spec.name in names) and all(_is_on(spec.name, each or {}) for each in switches)
    )
    return tuple(chosen if directory is None else _with_skills(chosen, directory))


def prepare(name: str, ctx: ToolContext, given: Mapping[str, Any]) -> Prepared:
    """Say what a call would do; raises ToolError for a bad input or what cannot be done."""
    tool = _known(name, ctx)
    try:
        return tool.prepare(ctx, tool.parse(given))
    except Problem as problem:
        raise ToolError(problem.message) from problem


def run(name: str, ctx: ToolContext, given: Mapping[str, Any]) -> Result:
    """Run a call; raises ToolError for whatever the model should be told. Too long an output lies in a file then."""
    tool = _known(name, ctx)
    try:
        return spill.fitting(ctx, tool.run(ctx, tool.parse(given)))
    except Problem as problem:
        raise ToolError(problem.message) from problem


def _known(name: str, ctx: ToolContext) -> Tool[Any]:
    tool = find(name, ctx.more)
    if tool is None:
        raise ToolError(f"There is no tool {name!r}; there are {', '.join((*_TOOLS, *ctx.more))}.")
    return tool


def _is_on(name: str, switches: Mapping[str, bool]) -> bool:
    is_on = True
    for pattern, value in switches.items():
        if any(fnmatchcase(one, pattern) for one in (name, *(_TOOLS[name].also_called if name in _TOOLS else ()))):
            is_on = value
    return is_on


def _with_skills(chosen: Iterable[ToolSpec], directory: Path) -> Iterator[ToolSpec]:
    for spec in chosen:
        if spec.name != skill.TOOL.name:
            yield spec
        elif description := skill.described(directory):
            yield replace(spec, description=description)


@cache
def _specs() -> tuple[ToolSpec, ...]:
    return tuple(ToolSpec(tool.name, tool.description, tool.schema()) for tool in all_tools())


def _specs_of(more: Mapping[str, Tool[Any]]) -> Iterator[ToolSpec]:
    for name, tool in more.items():
        if name not in _TOOLS and name not in _ALSO:
            yield ToolSpec(name, tool.description, tool.schema())
