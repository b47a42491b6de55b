"""The glob tool: files whose path is like a pattern, those changed last first."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pydantic import Field

from app.agent.tools.tool import NEVER_SEARCHED, Given, Prepared, Result, Tool, ToolContext, ToolError

SHOWN = 100
LOOKED_AT = 5_000
DESCRIPTION = """\
Find files by a pattern like "**/*.py" or "src/**/*.{ts,tsx}", from a directory. Files that .gitignore \
names and hidden ones are left out. Gives up to 100 paths, those changed last first."""


class Input(Given):
    """The pattern and where to start."""

    pattern: str = Field(min_length=1, max_length=1_000, description="The pattern")
    path: str | None = Field(default=None, description="The directory; default the project's directory")


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Show where it looks."""
    return Prepared(ctx.relative(given.path or ".") or ".", {"pattern": given.pattern})


def run(ctx: ToolContext, given: Input) -> Result:
    """Find them."""
    start = ctx.root.stat(ctx.name(given.path or "."))
    if not start.is_dir:
        raise ToolError(f"{start.path} is a file, not a directory.")
    arguments = ["--files", "--null", "-g", given.pattern.removeprefix("./"), *NEVER_SEARCHED]
    cwd = Path(ctx.root.path) / start.path
    found = ctx.search(arguments, cwd, LOOKED_AT, b"\0")
    names = [record.decode("utf-8", "replace") for record in ctx.shown(found.records, start.path)]
    newest = sorted(names, key=lambda name: (-_changed(cwd / name), name))
    paths = [str(PurePosixPath(start.path) / name) for name in newest[:SHOWN]]
    is_cut = len(newest) > SHOWN or found.is_cut or found.is_late
    notes = [f"(The first {SHOWN} only; narrow the pattern.)"] if is_cut else []
    output = "\n".join([*paths, *notes]) if paths else "No file is like that."
    return Result(output, start.path or ".", {"count": len(paths), "truncated": is_cut})


def _changed(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0  # removed while we looked


TOOL = Tool("glob", DESCRIPTION, Input, prepare, run)
