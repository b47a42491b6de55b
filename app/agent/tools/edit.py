"""The edit tool: replace one exact piece of text in a file that was read before."""

from __future__ import annotations

import re

from pydantic import Field

from app.agent.tools import known
from app.agent.tools.changes import Change
from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext, ToolError

LARGEST = 16 * 1024 * 1024
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
    return saved(ctx, _change(ctx, given))


def saved(ctx: ToolContext, found: Change) -> Result:
    """Make one file's change and tell it."""
    stamps = known.save(ctx, [found])
    told = f"Changed {found.path} (+{found.additions} -{found.deletions}).{known.notes([found])}"
    return Result(told, found.path, {**found.metadata(), "stamps": stamps}, known.absolute(ctx, [found]))


def replaced(path: str, text: str, old: str, new: str, every: bool) -> str:
    """The text with one exact piece replaced; ToolError says why it can't be."""
    if old == new:
        raise ToolError("oldString and newString are the same; there is nothing to change.")
    if not old:
        raise ToolError("oldString is empty. Use write to make a file or to replace all of it.")
    old, new = _line_ends(text, old, new)
    count = text.count(old)
    if count == 0:
        raise ToolError(f"oldString is not in {path}.{near(text, old)}")
    if count > 1 and not every:
        raise ToolError(f"oldString occurs {count} times in {path}. Give more lines around it, or set replaceAll.")
    if len(text) + count * (len(new) - len(old)) > LARGEST:
        raise ToolError(f"{path} would have more than {LARGEST:,} characters.")
    return text.replace(old, new)


def near(text: str, old: str) -> str:
    """Say where the same words stand with other blanks; nothing if they don't."""
    wanted = [line.strip() for line in old.strip().splitlines()]
    lines = [line.strip() for line in text.splitlines()]
    for start in range(len(lines) - len(wanted) + 1):
        if lines[start : start + len(wanted)] == wanted:
            return f" The same words stand at line {start + 1} with other blanks; copy them exactly."
    return ""


def _change(ctx: ToolContext, given: Input) -> Change:
    path = ctx.relative(given.file_path)
    text = known.text_of(ctx, path)
    return known.changed(ctx, path, text, replaced(path, text, given.old_string, given.new_string, given.replace_all))


def _line_ends(text: str, old: str, new: str) -> tuple[str, str]:
    """Models write line feeds; a file with CRLF keeps its own."""
    if "\r\n" in text and old not in text:
        return tuple(re.sub(r"\r?\n", "\r\n", one) for one in (old, new))  # type: ignore[return-value]
    return old, new


TOOL = Tool("edit", DESCRIPTION, Input, prepare, run)
