"""The switch_mode tool: go on with the same conversation in another mode."""

from __future__ import annotations

from pydantic import Field

from app.agent import modes
from app.agent.modes import Mode
from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext, ToolError

NAME = "switch_mode"
DESCRIPTION = """\
Go on with this conversation in another mode, whose role and tools you have from your next step on. A person may be \
asked first. Switch when what is to be done next is for another mode; to have one piece of work done and go on \
yourself, use new_task."""


class Input(Given):
    """Which one, and why."""

    mode_slug: str = Field(alias="mode_slug", min_length=1, max_length=64, description="The slug of the mode")
    reason: str = Field(default="", max_length=2_000, description="Why you switch, for the people who decide")


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Name the mode; there must be one of this slug, and another than now."""
    mode = chosen(ctx, given.mode_slug)
    if mode.name == ctx.mode:
        raise ToolError(f"You are in the mode {mode.name} already.")
    return Prepared(f"Switch to {mode.title or mode.name}", {"mode": mode.name, "reason": given.reason})


def chosen(ctx: ToolContext, slug: str) -> Mode:
    """The mode of a slug that people too may choose; ToolError names those there are."""
    known = {mode.name: mode for mode in modes.of(ctx.directory) if mode.is_primary}
    if slug not in known:
        raise ToolError(f"There is no mode {slug!r}; there are {', '.join(known)}.")
    return known[slug]


def run(_ctx: ToolContext, _given: Input) -> Result:
    """Refuse: whoever runs the session's calls changes its mode."""
    raise ToolError("A session's mode cannot be changed from within a call.")


TOOL = Tool(NAME, DESCRIPTION, Input, prepare, run)
