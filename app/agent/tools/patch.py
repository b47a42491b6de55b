"""The patch tool: changes of several files in OpenCode's patch format, all of them or none."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, Field

from app.agent.tools import hunks, known
from app.agent.tools.changes import Change, change, figures
from app.agent.tools.hunks import Section
from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext, ToolError

SIGNS = {"add": "A", "update": "M", "delete": "D", "move": "R"}
DESCRIPTION = """\
Add, change, move and delete files with one patch, all or nothing. Files that it changes or deletes must have \
been read before. The form, in which every line of a new file begins with + and every line of a hunk with a \
blank, - or +:

*** Begin Patch
*** Add File: docs/new.md
+# All of its lines
*** Update File: src/app.py
*** Move to: src/main.py
@@ def greet():
     name = "you"
-    print("Hi")
+    print(f"Hi {name}")
*** Delete File: old.txt
*** End Patch

Move to is optional. An @@ line names a line above the hunk, exactly; without a name it only parts two hunks. \
A hunk needs enough unchanged lines around it, usually 3, to fit at one place only; hunks stand in the order of \
the file. *** End of File after a hunk's last line ties it to the end of the file."""


class Input(Given):
    """The patch."""

    patch_text: str = Field(
        min_length=1,
        validation_alias=AliasChoices("patchText", "patch_text", "input", "patch"),
        description="The whole patch, from *** Begin Patch to *** End Patch",
    )


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Work all changes out, so that their diffs can be shown before they are decided."""
    changes = _changes(ctx, given)
    return Prepared(_title(changes), _metadata(ctx, changes))


def run(ctx: ToolContext, given: Input) -> Result:
    """Make the changes, on the files as they are now."""
    changes = _changes(ctx, given)
    stamps = known.save(ctx, changes)
    lines = [f"{SIGNS[one.kind]} {' -> '.join(one.paths)} (+{one.additions} -{one.deletions})" for one in changes]
    metadata = {**_metadata(ctx, changes), "stamps": stamps}
    told = "\n".join(["Changed:", *lines]) + known.notes(changes)
    return Result(told, _title(changes), metadata, known.absolute(ctx, changes))


def _changes(ctx: ToolContext, given: Input) -> list[Change]:
    changes = [_change(ctx, section) for section in hunks.parse(given.patch_text)]
    paths = [path for one in changes for path in one.paths]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise ToolError(f"The patch names {twice} twice; put all its changes into one section.")
    return changes


def _change(ctx: ToolContext, section: Section) -> Change:
    path = ctx.relative(section.path)
    if section.kind == "add":
        _refuse_taken(ctx, path)
        return known.changed(ctx, path, None, section.text)
    text = known.text_of(ctx, path)
    if section.kind == "delete":
        return change(path, text, None)
    to = ctx.relative(section.to) if section.to else ""
    if to:
        _refuse_taken(ctx, to)
    after = hunks.apply(path, text, section.hunks)
    if after == text and not to:
        raise ToolError(f"The patch changes nothing in {path}.")
    return known.changed(ctx, path, text, after, to)


def _refuse_taken(ctx: ToolContext, path: str) -> None:
    if not path or ctx.root.exists(path):
        raise ToolError(f"{path or '.'} exists already. Use Update File to change a file, after reading it.")


def _title(changes: list[Change]) -> str:
    more = len(changes) - 1
    name = " -> ".join(changes[0].paths)
    return f"{name} and {more} more" if more else name


def _metadata(ctx: ToolContext, changes: list[Change]) -> dict[str, Any]:
    """All changes in OpenCode's form: the whole diff, each file's own, and the figures."""
    additions, deletions = figures(changes)
    named = ", ".join(path for one in changes for path in one.paths)
    return {
        "filepath": named,
        "diff": "".join(one.diff for one in changes),
        "filediff": {"file": named, "additions": additions, "deletions": deletions},
        "files": [_file(ctx, one) for one in changes],
        "diagnostics": {},
    }


def _file(ctx: ToolContext, one: Change) -> dict[str, Any]:
    moved = {"movePath": ctx.root.absolute(one.to), "to": one.to} if one.to else {}
    return {
        "filePath": ctx.root.absolute(one.path),
        "relativePath": one.to or one.path,
        "path": one.path,
        "type": one.kind,
        "diff": one.diff,
        "additions": one.additions,
        "deletions": one.deletions,
        **moved,
    }


TOOL = Tool("patch", DESCRIPTION, Input, prepare, run, also_called=("apply_patch",))
