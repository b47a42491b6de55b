"""The write tool: make a file, or replace all of one that was read before."""

from __future__ import annotations

from pydantic import Field

from app.agent.tools import known
from app.agent.tools.changes import Change
from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext, ToolError

DESCRIPTION = """\
Write a whole file; folders on the way are made. A file that exists must have been read before and is \
replaced entirely: for a change in it use edit."""


class Input(Given):
    """The file and all of its content."""

    file_path: str = Field(min_length=1, description="The file, relative to the project directory or absolute")
    content: str = Field(description="The whole content")


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Work the change out, so that the diff can be shown before it is decided."""
    found = _change(ctx, given)
    return Prepared(found.path, _metadata(ctx, found))


def run(ctx: ToolContext, given: Input) -> Result:
    """Write the file."""
    found = _change(ctx, given)
    stamps = known.save(ctx, [found])
    done = "Made" if found.before is None else "Replaced"
    told = f"{done} {found.path} (+{found.additions} -{found.deletions}).{known.notes([found])}"
    return Result(told, found.path, {**_metadata(ctx, found), "stamps": stamps}, known.absolute(ctx, [found]))


def _change(ctx: ToolContext, given: Input) -> Change:
    path = ctx.relative(given.file_path)
    exists = ctx.root.exists(path)
    if exists and ctx.root.stat(path).is_dir:
        raise ToolError(f"{path or '.'} is a folder.")
    return known.changed(ctx, path, known.text_of(ctx, path) if exists else None, given.content)


def _metadata(ctx: ToolContext, found: Change) -> dict[str, object]:
    return {**found.metadata(), "filepath": ctx.root.absolute(found.path), "exists": found.before is not None}


TOOL = Tool("write", DESCRIPTION, Input, prepare, run)
