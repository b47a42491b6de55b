"""envd's routes of files: the Filesystem service, raw and multipart uploads, downloads."""

from __future__ import annotations

import dataclasses
import gzip
import posixpath
import stat as modes
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from os import geteuid
from typing import Annotated, Any, BinaryIO, cast

from flask import Response, request
from pydantic import BaseModel, Field

from app import downloads, uploads
from app.actor import Actor
from app.dialects import e2b
from app.dialects.connect import Message
from app.errors import Invalid, UnsupportedMedia
from app.files import bp, service
from app.files.service import Entry
from app.sandboxes import service as sandboxes
from app.sandboxes.service import Workspace
from app.uploads import Part, Reading

door = e2b.door(bp)
HOME = "/home/user"
LABEL = "X-Metadata-"
USER = "user"
BYTES = "application/octet-stream"


class ByPath(Message):
    """Stat, MakeDir, Remove."""

    path: str = ""


class ListDir(Message):
    """ListDir; depth 1 is what lies in the folder itself."""

    path: str = ""
    depth: Annotated[int, Field(ge=0, le=2**32 - 1)] = 1


class Move(Message):
    """Move."""

    source: str
    destination: str


class Query(BaseModel):
    """GET and POST /files."""

    path: str | None = None
    username: str | None = None


class Compose(Message):
    """POST /files/compose."""

    source_paths: Annotated[list[str], Field(min_length=1, max_length=10_000)]
    destination: Annotated[str, Field(min_length=1)]


@door.unary("/filesystem.Filesystem/Stat", body=ByPath, answer=dict[str, Any])
def stat(actor: Actor, body: ByPath) -> dict[str, Any]:
    """What lies at a path."""
    workspace = _workspace(actor, body.path)
    return {"entry": _entry(actor, workspace, body.path, service.stat(actor, workspace.place, body.path))}


@door.unary("/filesystem.Filesystem/ListDir", body=ListDir, answer=dict[str, Any])
def list_dir(actor: Actor, body: ListDir) -> dict[str, Any]:
    """What lies in a folder, and so many levels below."""
    workspace = _workspace(actor, body.path)
    found = service.list_tree(actor, workspace.place, body.path, body.depth or 1)
    top = _absolute(body.path)
    return {"entries": [_entry(actor, workspace, posixpath.join(top, one.path), one) for one in found]}


@door.unary("/filesystem.Filesystem/MakeDir", body=ByPath, answer=dict[str, Any])
def make_dir(actor: Actor, body: ByPath) -> dict[str, Any]:
    """Make a folder and those on the way; one that exists is told as such."""
    workspace = _workspace(actor, body.path)
    made = service.make_directory(actor, workspace.place, body.path, exist_ok=False)
    return {"entry": _entry(actor, workspace, body.path, made)}


@door.unary("/filesystem.Filesystem/Move", body=Move, answer=dict[str, Any])
def move(actor: Actor, body: Move) -> dict[str, Any]:
    """Give a file or folder another path."""
    workspace = _workspace(actor, body.source, body.destination)
    moved = service.move(actor, workspace.place, body.source, body.destination, parents=True)
    return {"entry": _entry(actor, workspace, body.destination, moved)}


@door.unary("/filesystem.Filesystem/Remove", body=ByPath, answer=dict[str, Any])
def remove(actor: Actor, body: ByPath) -> dict[str, Any]:
    """Remove a file, or a folder with all in it."""
    service.remove(actor, _workspace(actor, body.path).place, body.path)
    return {}


@door.get("/files", query=Query)
def download(actor: Actor, query: Query) -> Response:
    """The bytes of a file."""
    if not query.path:
        raise Invalid("The path is missing.", "path")
    found = service.open_for_download(actor, _workspace(actor, query.path).place, query.path)
    return downloads.answer(dataclasses.replace(found, kind=BYTES))


@door.post("/files", query=Query, answer=list[dict[str, Any]])
def upload(actor: Actor, query: Query) -> list[dict[str, Any]]:
    """Write files: the body to the path, or each part to the path, else to the file name of the part."""
    labels = {name[len(LABEL) :].lower(): value for name, value in request.headers if name.title().startswith(LABEL)}
    service.check_labels(labels)
    body = uploads.body()
    is_packed = request.headers.get("Content-Encoding", "").lower() == "gzip"
    content: Reading = _Unpacked(body) if is_packed else body
    if uploads.is_form():
        return list(_received(actor, query, uploads.files(content), labels))
    if request.mimetype != BYTES:
        raise UnsupportedMedia(f"A file comes as multipart/form-data or as {BYTES}.")
    if not query.path:
        raise Invalid("The path is missing: a raw body needs one.", "path")
    return [_receive(actor, query.path, content, None if is_packed else body.length, labels)]


@door.post("/files/compose", body=Compose, answer=dict[str, Any])
def compose(actor: Actor, body: Compose) -> dict[str, Any]:
    """Put files together, one behind the other, and remove them."""
    workspace = _workspace(actor, body.destination, *body.source_paths)
    if _absolute(body.destination) in map(_absolute, body.source_paths):
        raise Invalid("A source is the destination itself.", "source_paths")
    service.compose(actor, workspace.place, body.source_paths, body.destination)
    return _written(body.destination, {})


class _Unpacked:
    """A gzip body, unpacked as it is read."""

    def __init__(self, body: Reading) -> None:
        self._file = gzip.GzipFile(fileobj=cast("BinaryIO", body), mode="rb")

    def read(self, size: int, /) -> bytes:
        """Read; raises Invalid for what is no gzip, or cut off."""
        try:
            return self._file.read(size)
        except (OSError, EOFError, zlib.error):
            raise Invalid("The body is no gzip, or is cut off.") from None


def _received(actor: Actor, query: Query, parts: Iterator[Part], labels: dict[str, str]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for part in parts:
        if part.name != "file":
            continue
        name = query.path or part.filename
        if not name:
            raise Invalid("The path is missing: give one, or a file name to each part.", "path")
        if _absolute(name) in seen:
            raise Invalid("Several files of one upload have the same path.", "path")
        seen.add(_absolute(name))
        yield _receive(actor, name, part, None, labels)
    if not seen:
        raise Invalid("There is no part called `file`.", "file")


def _receive(actor: Actor, name: str, body: Reading, length: int | None, labels: dict[str, str]) -> dict[str, Any]:
    workspace = _workspace(actor, name)
    service.receive(actor, workspace.place, name, body, length)
    if labels:
        service.label(actor, workspace.place, name, labels)
    return _written(name, labels)


def _written(name: str, labels: dict[str, str]) -> dict[str, Any]:
    path = _absolute(name)
    told = {"name": posixpath.basename(path), "type": "file", "path": path}
    return {**told, "metadata": labels} if labels else told


def _workspace(actor: Actor, *names: str) -> Workspace:
    """Where the request works; the names may not lead out of its sandbox."""
    workspace = sandboxes.workspace(actor, e2b.named())
    for name in names:
        sandboxes.check_name(workspace, name)
    return workspace


def _absolute(name: str) -> str:
    """A path as commands know it."""
    inside = HOME + name[1:] if name == "~" or name.startswith("~/") else name
    return posixpath.normpath(posixpath.join(HOME, inside))


def _entry(actor: Actor, workspace: Workspace, name: str, found: Entry) -> dict[str, Any]:
    """EntryInfo: the permissions with the letter of the type, the mode without."""
    path = _absolute(name)
    kind = "SYMLINK" if found.is_link else "DIRECTORY" if found.is_dir else "FILE"
    shape: dict[str, Any] = {
        "name": posixpath.basename(path) or path,
        "type": f"FILE_TYPE_{kind}",
        "path": path,
        "size": str(found.size),
        "mode": found.mode & 0o7777,
        "permissions": modes.filemode(found.mode),
        "owner": USER if found.uid == geteuid() else str(found.uid),
        "group": USER if found.uid == geteuid() else str(found.gid),
        "modifiedTime": _time(found.mtime),
        "isSymlink": found.is_link,
    }
    if found.is_link:
        shape["symlinkTarget"] = found.target
    elif modes.S_ISREG(found.mode) and (labels := service.labels_of(actor, workspace.place, name)):
        shape["metadata"] = labels
    return shape


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
