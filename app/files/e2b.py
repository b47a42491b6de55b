"""envd's routes of files: the Filesystem service, raw and multipart uploads, downloads."""

from __future__ import annotations

import dataclasses
import gzip
import posixpath
import stat as modes
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from os import geteuid
from typing import Annotated, Any, BinaryIO, cast

from flask import Response, request
from pydantic import BaseModel, Field

from app import downloads, streams, uploads
from app.actor import Actor
from app.dialects import connect, e2b
from app.dialects.connect import DeadlineExceeded, Message
from app.errors import Invalid, Problem, Unavailable, UnsupportedMedia
from app.files import bp, service
from app.files.service import Entry, Gone, Resync, Watch
from app.files.watch import Fact
from app.sandboxes import service as sandboxes
from app.sandboxes.service import Workspace
from app.uploads import Part, Reading

door = e2b.door(bp)
HOME = "/home/user"
LABEL = "X-Metadata-"
USER = "user"
BYTES = "application/octet-stream"
LOST = Unavailable("More happened than could be told: look at the folder, and follow it anew.")
OVER = DeadlineExceeded("The time that was given is over.")
ENDED = Unavailable("The stream was ended by the server.")


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


class Watching(Message):
    """CreateWatcher and WatchDir; there are no network mounts to be allowed here."""

    path: str = ""
    recursive: bool = False
    include_entry: bool = False


class Watcher(Message):
    """GetWatcherEvents and RemoveWatcher."""

    watcher_id: Annotated[str, Field(max_length=5_000)] = ""


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


@door.unary("/filesystem.Filesystem/CreateWatcher", body=Watching, answer=dict[str, Any])
def create_watcher(actor: Actor, body: Watching) -> dict[str, Any]:
    """Begin to follow a folder for a client that asks now and then."""
    place = _workspace(actor, body.path).place
    wish = {"recursive": body.recursive, "looks": body.include_entry}
    watcher_id = service.create_watcher(actor, place, body.path, only_folders=True, **wish)
    return {"watcherId": f"{watcher_id}:{_absolute(body.path)}"}  # the path is for the entries of its events


@door.unary("/filesystem.Filesystem/GetWatcherEvents", body=Watcher, answer=dict[str, Any])
def watcher_events(actor: Actor, body: Watcher) -> dict[str, Any]:
    """What happened since the last time."""
    watcher_id, _, top = body.watcher_id.partition(":")
    facts = service.watcher_events(actor, watcher_id)
    if any(isinstance(fact, Resync) and not fact.why for fact in facts):
        raise LOST
    return {"events": [event for fact in facts if (event := _event(fact, top)) is not None]}


@door.unary("/filesystem.Filesystem/RemoveWatcher", body=Watcher, answer=dict[str, Any])
def remove_watcher(actor: Actor, body: Watcher) -> dict[str, Any]:
    """Follow a folder no more."""
    service.remove_watcher(actor, body.watcher_id.partition(":")[0])
    return {}


@door.stream("/filesystem.Filesystem/WatchDir", body=Watching)
def watch_dir(actor: Actor, body: Watching) -> Response:
    """Follow a folder: a stream of what happens in it, until its client hangs up or its time is over."""
    seconds = connect.timeout_of(request)
    place = _workspace(actor, body.path).place
    wish = {"recursive": body.recursive, "looks": body.include_entry}
    watch = service.watch(actor, place, body.path, only_folders=True, **wish)
    until = None if seconds is None else time.monotonic() + seconds
    if seconds is not None:
        watch.end_in(seconds)
    told = _Told(watch, _absolute(body.path), until)
    return streams.Stream(
        _Feed(
            source=watch,
            opening=connect.envelope({"start": {}}),
            frame=told.frame,
            beat=lambda: connect.envelope({"keepalive": {}}),
            every=connect.keepalive_of(request),
            shared=True,
            content_type=connect.STREAM,
            comes_back=False,
            told=told,
        )
    )


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


class _Told:
    """What a stream has told of a folder, and so how it ends."""

    def __init__(self, watch: Watch, top: str, until: float | None) -> None:
        self._watch = watch
        self._top = top
        self._until = until
        self._failure: Problem | None = None
        self._is_gone = False

    def frame(self, fact: Fact) -> bytes:
        """Return a fact's envelope; one that says that something was lost ends the stream."""
        if isinstance(fact, Resync) and not fact.why:
            self._failure = LOST
            self._watch.end()
        self._is_gone = self._is_gone or isinstance(fact, Gone)
        event = _event(fact, self._top)
        return connect.envelope({"filesystem": event}) if event is not None else b""

    def last(self) -> bytes:
        """Return the envelope that says how the stream ends."""
        is_late = self._until is not None and time.monotonic() >= self._until
        problem = self._failure or (None if self._is_gone else OVER if is_late else ENDED)
        return connect.last(connect.error(problem) if problem else None)


@dataclass(frozen=True)
class _Feed(streams.Feed):
    """What happens in a folder, as envelopes."""

    told: _Told | None = None

    def last(self) -> bytes:
        """Return the last envelope."""
        return self.told.last() if self.told else b""


def _event(fact: Fact, top: str) -> dict[str, Any] | None:
    """FilesystemEvent; the folder's own end is told as the removal of `.`."""
    if isinstance(fact, Gone):
        return {"name": ".", "type": "EVENT_TYPE_REMOVE"}
    if isinstance(fact, Resync):
        return None
    event: dict[str, Any] = {"name": fact.name, "type": f"EVENT_TYPE_{fact.kind.upper()}"}
    return {**event, "entry": _shape(posixpath.join(top, fact.name), fact.entry)} if fact.entry else event


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
    """EntryInfo with the labels of a file."""
    shape = _shape(_absolute(name), found)
    if modes.S_ISREG(found.mode) and (labels := service.labels_of(actor, workspace.place, name)):
        shape["metadata"] = labels
    return shape


def _shape(path: str, found: Entry) -> dict[str, Any]:
    """EntryInfo: the permissions with the letter of the type, the mode without."""
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
    return {**shape, "symlinkTarget": found.target} if found.is_link else shape


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
