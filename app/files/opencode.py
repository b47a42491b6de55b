"""OpenCode's routes of files: reading, listing and finding in the request's directory."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from app.actor import Actor
from app.dialects import opencode
from app.errors import NotFound
from app.events.service import Fact
from app.files import bp, events, service
from app.files.service import Content, Hunk, Match, Node
from app.projects import service as projects
from app.projects.service import Place

door = opencode.door(bp)
Words = Annotated[str, StringConstraints(max_length=1000)]


class FindText(BaseModel):
    """GET /find."""

    pattern: Words


class FindFiles(BaseModel):
    """GET /find/file."""

    query: Words
    dirs: Literal["true", "false"] | None = None
    type: Literal["file", "directory"] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 10


class VcsDiff(BaseModel):
    """GET /vcs/diff."""

    mode: Literal["git", "branch"]
    context: Annotated[int, Field(ge=0, le=10_000)] = 3


class ByPath(BaseModel):
    """GET /file and /file/content."""

    path: str


@door.get("/find", query=FindText, answer=list[dict[str, Any]])
def find_text(actor: Actor, query: FindText) -> list[dict[str, Any]]:
    """Lines that match a regular expression, in ripgrep's shape."""
    return [_match(match) for match in service.find_text(actor, _place(actor), query.pattern)]


@door.get("/find/file", query=FindFiles, answer=list[str])
def find_files(actor: Actor, query: FindFiles) -> list[str]:
    """Files and directories whose path holds the letters, the likeliest first."""
    kind = query.type or ("file" if query.dirs == "false" else "")
    return service.find_files(actor, _place(actor), query.query, kind=kind, limit=query.limit)


@door.get("/file", query=ByPath, answer=list[dict[str, Any]])
def index(actor: Actor, query: ByPath) -> list[dict[str, Any]]:
    """What lies in a folder, folders first."""
    return [_node(node) for node in service.list_directory(actor, _place(actor), query.path)]


@door.get("/file/content", query=ByPath, answer=dict[str, Any])
def content(actor: Actor, query: ByPath) -> dict[str, Any]:
    """A file's text, or its bytes in base64; a missing file reads as empty."""
    place = _place(actor)
    try:
        return _content(query.path, service.read(actor, place, query.path))
    except NotFound:
        return {"type": "text", "content": ""}


@door.get("/file/status", answer=list[dict[str, Any]])
def status(actor: Actor) -> list[dict[str, Any]]:
    """Files that differ from the last commit."""
    return [
        {"path": change.path, "added": change.added, "removed": change.removed, "status": change.status}
        for change in service.list_changes(actor, _place(actor))
    ]


@door.get("/vcs/status", answer=list[dict[str, Any]])
def vcs_status(actor: Actor) -> list[dict[str, Any]]:
    """The same in the newer form."""
    return [
        {"file": change.path, "additions": change.added, "deletions": change.removed, "status": change.status}
        for change in service.list_changes(actor, _place(actor))
    ]


@door.get("/vcs/diff", query=VcsDiff, answer=list[dict[str, Any]])
def vcs_diff(actor: Actor, query: VcsDiff) -> list[dict[str, Any]]:
    """What differs from the last commit, or from where the branch began, with patches."""
    return [
        {
            "file": file.path,
            "patch": _diff(file.path, file.hunks) if file.hunks else "",
            "additions": file.additions,
            "deletions": file.deletions,
            "status": file.status,
        }
        for file in service.diff(actor, _place(actor), query.mode, query.context)
    ]


def _place(actor: Actor) -> Place:
    return projects.resolve(actor, opencode.directory())


def _match(match: Match) -> dict[str, Any]:
    return {
        "path": {"text": match.path},
        "lines": {"text": match.line},
        "line_number": match.line_number,
        "absolute_offset": match.offset,
        "submatches": [{"match": {"text": text}, "start": start, "end": end} for text, start, end in match.spans],
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "path": node.path,
        "absolute": node.absolute,
        "type": "directory" if node.is_dir else "file",
        "ignored": node.is_ignored,
    }


def _content(path: str, found: Content) -> dict[str, Any]:
    if found.is_binary:
        encoded = b64encode(found.data).decode()
        return {"type": "binary", "content": encoded, "encoding": "base64", "mimeType": found.mime}
    shape: dict[str, Any] = {"type": "text", "content": found.text.strip()}
    if found.hunks:
        shape["diff"] = _diff(path, found.hunks)
        shape["patch"] = {
            "oldFileName": path, "newFileName": path, "oldHeader": "old", "newHeader": "new",
            "hunks": [_hunk(hunk) for hunk in found.hunks],
        }  # fmt: skip
    return shape


def _hunk(hunk: Hunk) -> dict[str, Any]:
    return {
        "oldStart": hunk.old_start,
        "oldLines": hunk.old_lines,
        "newStart": hunk.new_start,
        "newLines": hunk.new_lines,
        "lines": list(hunk.lines),
    }


def _diff(path: str, hunks: tuple[Hunk, ...]) -> str:
    """Spell the hunks as a patch text."""
    head = [f"Index: {path}", "=" * 67, f"--- {path}\told", f"+++ {path}\tnew"]
    for hunk in hunks:
        head.append(f"@@ -{hunk.old_start},{hunk.old_lines} +{hunk.new_start},{hunk.new_lines} @@")
        head += hunk.lines
    return "\n".join(head) + "\n"


@opencode.encodes(events.FileSeen)
def _seen(fact: Fact) -> list[dict[str, Any]]:
    event: events.FileSeen = fact.event  # type: ignore[assignment]
    return [{"type": "file.watcher.updated", "properties": {"file": event.file, "event": event.change}}]


@opencode.encodes(events.FileChanged)
def _changed(fact: Fact) -> list[dict[str, Any]]:
    event: events.FileChanged = fact.event  # type: ignore[assignment]
    return [
        {"type": "file.edited", "properties": {"file": event.file}},
        {"type": "file.watcher.updated", "properties": {"file": event.file, "event": event.change}},
    ]
