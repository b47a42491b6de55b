"""CodeBuddy's routes of files, in E2B's words: looking, making, moving, removing, and the bytes themselves."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from flask import Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app import downloads, uploads
from app.actor import Actor
from app.dialects import codebuddy
from app.errors import Invalid
from app.files import bp, service
from app.files.service import Entry
from app.projects import service as projects
from app.projects.service import Place

door = codebuddy.door(bp)
SOURCES = 1_000


class ByPath(BaseModel):
    """fs/stat, fs/mkdir, fs/remove and files/download."""

    path: str


class Listing(ByPath):
    """fs/list; depth 1 is what lies in the folder itself, below 1 nothing."""

    depth: int | None = 1


class Move(BaseModel):
    """fs/move."""

    source: Annotated[str, Field(min_length=1)]
    destination: Annotated[str, Field(min_length=1)]


class Upload(ByPath):
    """files/upload; an empty body empties a file only with `allowEmpty=1`."""

    model_config = ConfigDict(alias_generator=to_camel)

    allow_empty: Literal["0", "1", "false", "true", ""] = "0"


class Compose(BaseModel):
    """files/compose."""

    model_config = ConfigDict(alias_generator=to_camel)

    source_paths: Annotated[list[str], Field(min_length=1, max_length=SOURCES)]
    destination: Annotated[str, Field(min_length=1)]


@door.post("/api/v1/fs/stat", body=ByPath, answer=dict[str, Any])
def stat_path(actor: Actor, body: ByPath) -> dict[str, Any]:
    """What lies at a path; a link as a link."""
    return {"entry": shape_of(service.stat(actor, place_of(actor), name_of(body)), body.path)}


@door.post("/api/v1/fs/list", body=Listing, answer=dict[str, Any])
def list_path(actor: Actor, body: Listing) -> dict[str, Any]:
    """What lies in a folder and so many levels below, each folder before what is in it."""
    found = service.list_tree(actor, place_of(actor), name_of(body), 1 if body.depth is None else body.depth)
    above = posixpath.normpath(body.path)
    return {"entries": _spelled.of(found, "" if above == "." else f"{above.rstrip('/')}/")}


@door.post("/api/v1/fs/mkdir", body=ByPath, answer=dict[str, Any])
def make_directory(actor: Actor, body: ByPath) -> dict[str, Any]:
    """Make a folder and those on the way; one that exists is fine."""
    return {"entry": shape_of(service.make_directory(actor, place_of(actor), name_of(body)), body.path)}


@door.post("/api/v1/fs/remove", body=ByPath, answer=dict[str, Any])
def remove(actor: Actor, body: ByPath) -> dict[str, Any]:
    """Remove a file, or a folder and all in it; what is missing is fine."""
    service.remove(actor, place_of(actor), name_of(body), missing_ok=True)
    return {}


@door.post("/api/v1/fs/move", body=Move, answer=dict[str, Any])
def move(actor: Actor, body: Move) -> dict[str, Any]:
    """Move a file or a folder, in place of a file that is there."""
    moved = service.move(actor, place_of(actor), body.source, body.destination)
    return {"entry": shape_of(moved, body.destination)}


@door.get("/api/v1/files/download", query=ByPath)
def download(actor: Actor, query: ByPath) -> Response:
    """A file's bytes, whole or in ranges; a folder as a zip."""
    place, name = place_of(actor), name_of(query)
    if service.is_directory(actor, place, name):
        packed = service.zip_of(actor, place, name)
        return downloads.zipped(packed.name, packed.chunks)
    return downloads.answer(service.open_for_download(actor, place, name))


@door.post("/api/v1/files/upload", query=Upload, answer=dict[str, Any])
def upload(actor: Actor, query: Upload) -> dict[str, Any]:
    """Write a file, all or nothing: the body as it is, or the part `file` of a multipart form."""
    place, name = place_of(actor), name_of(query)
    may_empty = query.allow_empty in ("1", "true")
    if not uploads.is_form():
        body = uploads.body()
        entry = service.receive(actor, place, name, body, body.length, may_empty=may_empty)
        return {"entries": [shape_of(entry, query.path)]}
    for part in uploads.files():
        if part.name == "file":
            entry = service.receive(actor, place, name, part, None, may_empty=may_empty)
            return {"entries": [shape_of(entry, query.path)]}
    raise Invalid("The form has no part called file.", "file")


@door.post("/api/v1/files/compose", body=Compose, answer=dict[str, Any])
def compose(actor: Actor, body: Compose) -> dict[str, Any]:
    """Put files together, one behind the other; they are gone afterwards."""
    made = service.compose(actor, place_of(actor), body.source_paths, body.destination)
    return {"entry": shape_of(made, body.destination)}


class _Spelled:
    """How listings are spelled, kept while they are the same objects: one that has not changed costs nothing more."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[int, tuple[Sequence[Entry], str, orjson.Fragment]] = {}

    def of(self, entries: Sequence[Entry], above: str) -> orjson.Fragment:
        """The entries under what lies above them."""
        known = self._known.get(id(entries))
        if known is None or known[0] is not entries or known[1] != above:
            spelled = orjson.dumps([shape_of(entry, above + entry.path) for entry in entries])
            known = entries, above, orjson.Fragment(spelled)
            if isinstance(entries, tuple):  # a list is nobody else's
                self._keep(known)
        return known[2]

    def _keep(self, known: tuple[Sequence[Entry], str, orjson.Fragment]) -> None:
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[id(known[0])] = known


_spelled = _Spelled(64)


def place_of(actor: Actor) -> Place:
    """Where requests work that name no directory."""
    return projects.resolve(actor, None)


def name_of(given: ByPath) -> str:
    """The path that is asked for; raises Invalid PATH_REQUIRED without one."""
    if not given.path:
        raise Invalid("path is required", code="PATH_REQUIRED")
    return given.path


def shape_of(entry: Entry, path: str) -> dict[str, Any]:
    """What lies there, under the path that was asked for."""
    shape: dict[str, Any] = {
        "name": entry.name or posixpath.basename(path.rstrip("/")) or path,
        "type": "symlink" if entry.is_link else "directory" if entry.is_dir else "file",
        "path": path,
        "size": entry.size,
        "mode": entry.mode,
        "permissions": stat.filemode(entry.mode)[1:],
        "owner": str(entry.uid),
        "group": str(entry.gid),
        "modifiedTime": datetime.fromtimestamp(entry.mtime / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
    }
    if entry.is_link:
        shape["symlinkTarget"] = entry.target
    return shape
