"""The read tool: lines of a text file with their numbers, or a picture."""

from __future__ import annotations

import base64
from pathlib import PurePosixPath

from pydantic import Field

from app.agent.tools.tool import LINE_LIMIT, Given, Prepared, Result, Tool, ToolContext, ToolError, stamp_of
from app.errors import NotFound
from app.files.paths import Root

LINES = 2_000
BYTES = 50_000
LARGEST = 64 * 1024 * 1024
LARGEST_PICTURE = 5 * 1024 * 1024
PREVIEW = 20
PICTURES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
DESCRIPTION = """\
Read a file. Gives up to 2,000 lines from the start, each with its number; `offset` (first line, from 1) \
and `limit` read other parts of a long file. Lines over 2,000 characters are cut. Pictures (png, jpeg, gif, \
webp) are shown to you. Folders cannot be read: use list. Read a file before you edit it."""


class Input(Given):
    """Which lines of which file."""

    file_path: str = Field(min_length=1, description="The file, relative to the project directory or absolute")
    offset: int | None = Field(default=None, ge=0, description="The first line to read, from 1")
    limit: int | None = Field(default=None, ge=1, description="How many lines; 2,000 if left out")


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Only the path is shown."""
    _root, path = ctx.locate(given.file_path)
    return Prepared(path or ".")


def run(ctx: ToolContext, given: Input) -> Result:
    """Read the lines, or the picture."""
    root, path = ctx.locate(given.file_path)
    _refuse_folder(root, path)
    data = root.read_bytes(path, LARGEST)
    mime = PICTURES.get(PurePosixPath(path).suffix.lower())
    if mime:
        return _picture(path, mime, data)
    return _lines(path, _text(path, data), given, stamp_of(data))


def _refuse_folder(root: Root, path: str) -> None:
    try:
        entry = root.stat(path)
    except NotFound:
        raise ToolError(f"There is no file {path}.{_similar(root, path)}") from None
    if entry.is_dir:
        raise ToolError(f"{path or '.'} is a folder. Use list to see what is in it.")


def _similar(root: Root, path: str) -> str:
    """Name files beside it whose names look alike."""
    wanted = PurePosixPath(path)
    try:
        names = [entry.name for entry in root.scan(str(wanted.parent)) if not entry.is_dir]
    except NotFound:
        return ""
    stem = wanted.stem.lower()
    alike = [name for name in names if stem and (stem in name.lower() or name.lower().split(".")[0] in stem)]
    return f" Did you mean {', '.join(alike[:3])}?" if alike else ""


def _picture(path: str, mime: str, data: bytes) -> Result:
    if len(data) > LARGEST_PICTURE:
        raise ToolError(f"{path} is a picture of more than {LARGEST_PICTURE // 1024 // 1024} MiB.")
    url = f"data:{mime};base64,{base64.b64encode(data).decode()}"
    metadata = {"preview": "", "truncated": False, "stamps": {path: stamp_of(data)}}
    return Result("The picture is attached.", path, metadata, attachments=({"mime": mime, "url": url},))


def _text(path: str, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ToolError(f"{path} is not UTF-8 text and cannot be read.") from None
    if "\0" in text:
        raise ToolError(f"{path} is a binary file and cannot be read.")
    return text


def _lines(path: str, text: str, given: Input, stamp: str) -> Result:
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    first = max(1, given.offset or 1)
    if lines and first > len(lines):
        raise ToolError(f"{path} has {len(lines)} lines; line {first} is beyond its end.")
    shown: list[str] = []
    size = 0
    for number, line in enumerate(lines[first - 1 : first - 1 + min(given.limit or LINES, LINES)], first):
        row = f"{number:>5}| {_cut(line)}"
        size += len(row.encode()) + 1
        if size > BYTES and shown:
            break
        shown.append(row)
    last = first + len(shown) - 1
    more = last < len(lines)
    output = "\n".join(["<file>", *shown, _end(lines, last, more), "</file>"])
    preview = "\n".join(lines[first - 1 : first - 1 + PREVIEW])[:LINE_LIMIT]
    metadata = {"preview": preview, "truncated": more, "first": first, "last": last, "lines": len(lines)}
    return Result(output, path, {**metadata, "stamps": {path: stamp}})


def _cut(line: str) -> str:
    line = line.removesuffix("\r")
    return line if len(line) <= LINE_LIMIT else f"{line[:LINE_LIMIT]} [... cut]"


def _end(lines: list[str], last: int, more: bool) -> str:
    if more:
        return f"\n(The file has {len(lines)} lines. Read on with offset {last + 1}.)"
    return f"\n(End of file, {len(lines)} lines)" if lines else "(The file is empty)"


TOOL = Tool("read", DESCRIPTION, Input, prepare, run, reads_scratch=True)
