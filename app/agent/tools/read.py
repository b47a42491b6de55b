"""The read tool: lines of a text file with their numbers, or a picture."""

from __future__ import annotations

import base64
from pathlib import PurePosixPath

from pydantic import Field

from app.agent.tools.tool import LINE_LIMIT, Given, Prepared, Result, Tool, ToolContext, ToolError, stamp_of
from app.errors import NotFound
from app.files import service as files
from app.files.paths import Root

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
    shown = files.excerpt(text, max(1, given.offset or 1), given.limit or files.LINES)
    if shown.lines and shown.first > shown.lines:
        raise ToolError(f"{path} has {shown.lines} lines; line {shown.first} is beyond its end.")
    preview = "\n".join(text.split("\n")[shown.first - 1 : shown.first - 1 + PREVIEW])[:LINE_LIMIT]
    figures = {"truncated": shown.is_cut, "first": shown.first, "last": shown.last, "lines": shown.lines}
    return Result(shown.text, path, {"preview": preview, **figures, "stamps": {path: stamp}})


TOOL = Tool("read", DESCRIPTION, Input, prepare, run, reads_scratch=True)
