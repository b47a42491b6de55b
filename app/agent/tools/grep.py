"""The grep tool: lines of files that match a regular expression."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pydantic import Field

from app.agent.tools.tool import LINE_LIMIT, NEVER_SEARCHED, SCRATCH, Given, Prepared, Result, Tool, ToolContext

MATCHES = 100
DESCRIPTION = """\
Search files for a regular expression (ripgrep's syntax), from a directory or in one file. Files that \
.gitignore names and hidden ones are left out. Gives up to 100 matching lines with their numbers, by file."""


class Input(Given):
    """What to look for, and where."""

    pattern: str = Field(min_length=1, max_length=2_000, description="The regular expression")
    path: str | None = Field(default=None, description="The directory or file; default the project's directory")
    include: str | None = Field(default=None, description='Only files like this, as "*.py" or "*.{ts,tsx}"')


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Only the pattern is shown."""
    ctx.locate(given.path or ".")
    return Prepared(given.pattern)


def run(ctx: ToolContext, given: Input) -> Result:
    """Search, grouped by file."""
    root, path = ctx.locate(given.path or ".")
    start = root.stat(path)
    include = ["-g", given.include] if given.include else []
    arguments = ["-nH", "--null", "--no-heading", *include, *NEVER_SEARCHED, "-e", given.pattern, "--"]
    found = ctx.search([*arguments, f"./{start.path}"], Path(root.path), MATCHES)
    is_ours = root is ctx.root
    by_file = _by_file(ctx.shown(found.records) if is_ours else found.records, "" if is_ours else SCRATCH)
    rows = [row for path, lines in sorted(by_file.items()) for row in (f"{path}:", *lines, "")]
    count = sum(map(len, by_file.values()))
    head = f"Found {count} {'match' if count == 1 else 'matches'}" if count else "Nothing matches"
    notes = [f"(The first {MATCHES} only; narrow the search.)"] if found.is_cut else []
    notes += ["(The search took longer than 5 s and was ended; narrow it.)"] if found.is_late else []
    metadata = {"matches": count, "files": len(by_file), "truncated": found.is_cut or found.is_late}
    return Result("\n".join([head, *rows, *notes]).rstrip(), given.pattern, metadata)


def _by_file(records: list[bytes], base: str) -> dict[str, list[str]]:
    """Records are `path NUL number:line`; the paths get what they are relative to, if it is to be shown."""
    by_file: dict[str, list[str]] = {}
    for record in records:
        path, _, rest = record.decode("utf-8", "replace").partition("\0")
        number, _, line = rest.partition(":")
        shown = line.rstrip("\r") if len(line) <= LINE_LIMIT else f"{line[:LINE_LIMIT]} [... cut]"
        by_file.setdefault(str(PurePosixPath(base, path)), []).append(f"  {number}: {shown}")
    return by_file


TOOL = Tool("grep", DESCRIPTION, Input, prepare, run, reads_scratch=True)
