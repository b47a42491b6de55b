"""The multiedit tool: several exact edits of one file that was read before, all of them or none."""

from __future__ import annotations

from pydantic import Field

from app.agent.tools import edit, known
from app.agent.tools.changes import Change
from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext, ToolError

MOST = 200
DESCRIPTION = """\
Make several edits of one file you have read, in order and all or none: if one of them does not fit, the file \
stays as it is. Each works on what the edits before it made of the file, and its `oldString` follows the rules \
of edit. For edits of several files use patch."""


class Replacement(Given):
    """One edit."""

    old_string: str = Field(description="The exact text to replace")
    new_string: str = Field(description="The text to put in its place")
    replace_all: bool = Field(default=False, description="Replace every occurrence instead of exactly one")
    file_path: str | None = Field(default=None, description="Leave this out: all edits are of the one file")


class Input(Given):
    """The file and its edits."""

    file_path: str = Field(min_length=1, description="The file, relative to the project directory or absolute")
    edits: list[Replacement] = Field(min_length=1, max_length=MOST, description="The edits, in order")


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Work the whole change out, so that its diff can be shown before it is decided."""
    found = _change(ctx, given)
    return Prepared(found.path, found.metadata())


def run(ctx: ToolContext, given: Input) -> Result:
    """Make all the edits, on the file as it is now."""
    return edit.saved(ctx, _change(ctx, given))


def _change(ctx: ToolContext, given: Input) -> Change:
    path = ctx.relative(given.file_path)
    text = before = known.text_of(ctx, path)
    for number, one in enumerate(given.edits, 1):
        if one.file_path and ctx.relative(one.file_path) != path:
            raise ToolError(f"Edit {number} is of another file, {one.file_path}. Use patch. Nothing was changed.")
        try:
            text = edit.replaced(path, text, one.old_string, one.new_string, one.replace_all)
        except ToolError as wrong:
            raise ToolError(f"Edit {number} of {len(given.edits)} does not fit: {wrong} Nothing was changed.") from None
    if text == before:
        raise ToolError("The edits undo each other; there is nothing to change.")
    return known.changed(ctx, path, before, text)


TOOL = Tool("multiedit", DESCRIPTION, Input, prepare, run)
