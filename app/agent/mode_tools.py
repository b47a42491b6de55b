"""Which tools the model is offered in a mode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from app.agent import tools
from app.agent.modes import Mode
from app.agent.providers import ToolSpec
from app.agent.tools import Tool


def listed(mode: Mode) -> dict[str, bool]:
    """The built-in tools that a mode was given or that are switched, each with whether it has it."""
    names = {} if mode.tools is None else {tool.name: tool.name in mode.tools for tool in tools.all_tools()}
    return {**names, **mode.switches}


def offered(
    mode: Mode,
    switches: Mapping[str, bool] | None = None,
    *,
    above: Iterable[Mode] = (),
    directory: Path | None = None,
    more: Mapping[str, Tool[Any]] | None = None,
) -> tuple[ToolSpec, ...]:
    """The tools of a mode, less those that a prompt switches off; `more` are those of MCP servers.

    A subagent has none of MCP servers if one of the modes `above` it was written without them.
    """
    if any(one.source and one.is_roo and one.tools is not None and not one.with_mcp for one in above):
        more = None
    names = mode.tools
    if names is not None and mode.with_mcp:
        names = (*names, *(more or {}))
    found = tools.specs(names, mode.switches, switches, directory=directory, more=more)
    return found if mode.is_roo else tuple(spec for spec in found if spec.name not in tools.OF_ROO)
