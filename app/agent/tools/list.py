"""The list tool: what lies in a directory, as a tree."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext, ToolError

FILES = 200
DESCRIPTION = """\
List a directory as a tree of up to 200 files. Files that .gitignore names and hidden ones are left out; \
`ignore` leaves out more, by patterns. To find files by name use glob."""


class Input(Given):
    """The directory, and what to leave out."""

    path: str | None = Field(default=None, description="The directory; default the project's directory")
    ignore: list[str] = Field(default_factory=list, max_length=100, description="Patterns to leave out")


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Show where it looks."""
    return Prepared(ctx.relative(given.path or ".") or ".")


def run(ctx: ToolContext, given: Input) -> Result:
    """Draw the tree."""
    start = ctx.root.stat(ctx.name(given.path or "."))
    if not start.is_dir:
        raise ToolError(f"{start.path} is a file. Use read.")
    left_out = [word for pattern in given.ignore for word in ("-g", f"!{pattern.removeprefix('!')}")]
    arguments = ["--files", "--null", "--sort=path", *left_out, "-g", "!.git"]
    cwd = Path(ctx.root.path) / start.path
    found = ctx.search(arguments, cwd, FILES, b"\0")
    paths = sorted(record.decode("utf-8", "replace").split("/") for record in ctx.shown(found.records, start.path))
    is_cut = found.is_cut or found.is_late
    notes = [f"(The first {FILES} files only; list a directory below.)"] if is_cut else []
    empty = [] if paths else ["  (no files)"]
    output = "\n".join([f"{str(cwd).rstrip('/')}/", *_tree(paths, 1), *empty, *notes])
    return Result(output, start.path or ".", {"count": len(paths), "truncated": is_cut})


def _tree(paths: list[list[str]], depth: int) -> list[str]:
    """Folders first, then files, each level two blanks further in."""
    folders: dict[str, list[list[str]]] = {}
    for path in paths:
        if len(path) > 1:
            folders.setdefault(path[0], []).append(path[1:])
    blanks = "  " * depth
    rows = [row for name, below in folders.items() for row in (f"{blanks}{name}/", *_tree(below, depth + 1))]
    return rows + [f"{blanks}{path[0]}" for path in paths if len(path) == 1]


TOOL = Tool("list", DESCRIPTION, Input, prepare, run)
