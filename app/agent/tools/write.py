"""The write tool: make a file, or replace all of one that was read before."""

from __future__ import annotations

from pydantic import Field

from app.agent.tools.changes import Change, change
from app.agent.tools.edit import seen
from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext, ToolError, stamp_of

DESCRIPTION = """\
Write a whole file; folders on the way are made. A file that exists must have been read before and is \
replaced entirely: for a change in it use edit."""


class Input(Given):
    """The file and all of its content."""

    file_path: str = Field(min_length=1, description="The file, relative to the project directory or absolute")
    content: str = Field(description="The whole content")


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Work the change out, so that the diff can be shown before it is decided."""
    found, exists = _change(ctx, given)
    return Prepared(found.path, _metadata(ctx, found, exists))


def run(ctx: ToolContext, given: Input) -> Result:
    """Write the file."""
    found, exists = _change(ctx, given)
    data = found.after.encode()
    ctx.root.write_bytes(found.path, data)
    ctx.stamps[found.path] = stamp_of(data)
    metadata = {**_metadata(ctx, found, exists), "stamps": {found.path: stamp_of(data)}}
    told = f"{'Replaced' if exists else 'Made'} {found.path} (+{found.additions} -{found.deletions})."
    return Result(told, found.path, metadata, (ctx.root.absolute(found.path),))


def _change(ctx: ToolContext, given: Input) -> tuple[Change, bool]:
    path = ctx.relative(given.file_path)
    exists = ctx.root.exists(path)
    if exists and ctx.root.stat(path).is_dir:
        raise ToolError(f"{path or '.'} is a folder.")
    return change(path, seen(ctx, path) if exists else "", given.content), exists


def _metadata(ctx: ToolContext, found: Change, exists: bool) -> dict[str, object]:
    return {**found.metadata(), "filepath": ctx.root.absolute(found.path), "exists": exists}


TOOL = Tool("write", DESCRIPTION, Input, prepare, run)
