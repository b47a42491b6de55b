"""The edit tool: replace one exact piece of text in a file that was read before."""

from __future__ import annotations

import re

from pydantic import Field

from app.agent.tools.changes import Change, change
from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext, ToolError, stamp_of
from app.errors import NotFound

DESCRIPTION = """\
Replace text in a file you have read. `oldString` must be exactly what is in the file, with its indentation \
and without the line numbers of read, and must occur once; give more lines around it, or `replaceAll` to \
change every occurrence. To make a new file use write."""


class Input(Given):
    """What to replace by what."""

    file_path: str = Field(min_length=1, description="The file, relative to the project directory or absolute")
    old_string: str = Field(description="The exact text to replace")
    new_string: str = Field(description="The text to put in its place")
    replace_all: bool = Field(default=False, description="Replace every occurrence instead of exactly one")


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Work the change out, so that the diff can be shown before it is decided."""
    found = _change(ctx, given)
    return Prepared(found.path, found.metadata())


def run(ctx: ToolContext, given: Input) -> Result:
    """Make the change, on the file as it is now."""
    found = _change(ctx, given)
    data = found.after.encode()
    ctx.root.write_bytes(found.path, data)
    ctx.stamps[found.path] = stamp_of(data)
    metadata = {**found.metadata(), "stamps": {found.path: stamp_of(data)}}
    told = f"Changed {found.path} (+{found.additions} -{found.deletions})."
    return Result(told, found.path, metadata, (ctx.root.absolute(found.path),))


def seen(ctx: ToolContext, path: str) -> str:
    """The text of a file as it is now; ToolError unless the model has read just this content."""
    try:
        data = ctx.root.read_bytes(path)
    except NotFound:
        raise ToolError(f"There is no file {path}. Use write to make it.") from None
    known = ctx.stamps.get(path)
    if known is None:
        raise ToolError(f"Read {path} first; it was not read in this session.")
    if known != stamp_of(data):
        raise ToolError(f"{path} has changed since you read it. Read it again and then change it.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ToolError(f"{path} is not UTF-8 text.") from None


def _change(ctx: ToolContext, given: Input) -> Change:
    path = ctx.relative(given.file_path)
    if given.old_string == given.new_string:
        raise ToolError("oldString and newString are the same; there is nothing to change.")
    if not given.old_string:
        raise ToolError("oldString is empty. Use write to make a file or to replace all of it.")
    text = seen(ctx, path)
    old, new = _line_ends(text, given)
    count = text.count(old)
    if count == 0:
        raise ToolError(f"oldString is not in {path}.{_near(text, old)}")
    if count > 1 and not given.replace_all:
        raise ToolError(f"oldString occurs {count} times in {path}. Give more lines around it, or set replaceAll.")
    return change(path, text, text.replace(old, new))


def _line_ends(text: str, given: Input) -> tuple[str, str]:
    """Models write line feeds; a file with CRLF keeps its own."""
    old, new = given.old_string, given.new_string
    if "\r\n" in text and old not in text:
        return tuple(re.sub(r"\r?\n", "\r\n", one) for one in (old, new))  # type: ignore[return-value]
    return old, new


def _near(text: str, old: str) -> str:
    """Say where the same words stand with other blanks."""
    wanted = [line.strip() for line in old.strip().splitlines()]
    lines = [line.strip() for line in text.splitlines()]
    for start in range(len(lines) - len(wanted) + 1):
        if lines[start : start + len(wanted)] == wanted:
            return f" The same words stand at line {start + 1} with other blanks; copy them exactly."
    return ""


TOOL = Tool("edit", DESCRIPTION, Input, prepare, run)
