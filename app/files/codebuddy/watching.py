"""CodeBuddy's routes of watching and searching: a stream of changes, watchers that are asked, fuzzy file search."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from flask import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app import ids
from app.actor import Actor
from app.dialects import codebuddy
from app.errors import NotFound
from app.files import service
from app.files.codebuddy.routes import ByPath, door, name_of, place_of, shape_of
from app.files.ranking import Choice
from app.files.service import Change, Entry, Gone, Resync
from app.streams import Feed, Stream

KEEPALIVE = 15.0
FOUND, MOST_FOUND = 20, 200


class Watching(ByPath):
    """fs/watch and fs/watcher/create."""

    recursive: bool = False


class Named(BaseModel):
    """fs/watcher/events and fs/watcher/remove."""

    model_config = ConfigDict(alias_generator=to_camel)

    watcher_id: Annotated[str, Field(min_length=1, max_length=200)]


def _limit(given: object) -> object:
    """A limit that is no number counts for none, as on the real server."""
    return min(max(int(given), 1), MOST_FOUND) if isinstance(given, str) and given.isdecimal() else FOUND


class Search(BaseModel):
    """fs/search."""

    query: Annotated[str, Field(max_length=1000)] = ""
    limit: Annotated[int, BeforeValidator(_limit)] = FOUND


@door.post("/api/v1/fs/watch", body=Watching)
def watch(actor: Actor, body: Watching) -> Response:
    """What changes in a folder or to a file, as it happens, until the client leaves or the folder is gone."""
    source = service.watch(actor, place_of(actor), name_of(body), recursive=body.recursive, looks=True)
    told = _Told(body.path)
    return Stream(
        Feed(
            source,
            _frame("start", {"watcherId": ids.random("watch")}),
            lambda fact: b"".join(_frame(*one) for one in told.frames(fact)),
            lambda: _frame("keepalive", {}),
            KEEPALIVE,
            shared=True,
            comes_back=False,
        )
    )


@door.post("/api/v1/fs/watcher/create", body=Watching, answer=dict[str, Any])
def create_watcher(actor: Actor, body: Watching) -> dict[str, Any]:
    """Begin to watch for somebody who asks; a watcher that nobody asks for ten minutes is forgotten."""
    path = name_of(body)
    return {"watcherId": service.create_watcher(actor, place_of(actor), path, recursive=body.recursive, looks=True)}


@door.post("/api/v1/fs/watcher/events", body=Named, answer=dict[str, Any])
def watcher_events(actor: Actor, body: Named) -> dict[str, Any]:
    """What has changed since the last time; nothing for an unknown watcher."""
    try:
        told = _Told(service.watched_name(actor, body.watcher_id))
        facts = service.watcher_events(actor, body.watcher_id)
    except NotFound:
        return {"events": []}
    if any(isinstance(fact, Resync) for fact in facts):
        return {"events": [], "overflow": True}
    return {"events": [data for fact in facts for _, data in told.frames(fact)]}


@door.post("/api/v1/fs/watcher/remove", body=Named, answer=dict[str, Any])
def remove_watcher(actor: Actor, body: Named) -> dict[str, Any]:
    """Watch no more."""
    service.remove_watcher(actor, body.watcher_id)
    return {}


@door.get("/api/v1/fs/search", query=Search, answer=dict[str, Any])
def search(actor: Actor, query: Search) -> Response:
    """Files and folders that the letters may mean, the likeliest first; none that is hidden."""
    kind: Choice = "" if query.query.strip() else "file"
    found = service.find_files(actor, place_of(actor), query.query, kind=kind, limit=query.limit, hidden=False)
    return codebuddy.bare({"items": [_item(path) for path in found]})


class _Told:
    """One watch's facts in the dialect's words; paths begin as the client gave them."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._last: tuple[str, Entry | None] | None = None

    def frames(self, fact: Any) -> Iterable[tuple[str, dict[str, Any]]]:
        """The event's name and data, if there is something to tell."""
        if isinstance(fact, Resync):
            yield "resync", {"reason": fact.why} if fact.why else {}
        elif isinstance(fact, Gone):
            yield "fs_event", {"entry": _gone(self._path), "eventType": "rename"}
        elif isinstance(fact, Change):
            is_write = fact.kind in ("write", "chmod")
            seen = (fact.name, fact.entry)
            # The first bytes of a new file, and what is gone again, say nothing that is not told with another event.
            if is_write and (fact.entry is None or seen == self._last):
                return
            self._last = seen
            path = posixpath.join(self._path, fact.name) if fact.name else self._path
            entry = shape_of(fact.entry, path) if fact.entry is not None else _gone(path)
            yield "fs_event", {"entry": entry, "eventType": "write" if is_write else "rename"}


def _gone(path: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "name": posixpath.basename(path.rstrip("/")), "type": "file", "path": path, "size": 0, "mode": 0,
        "permissions": "", "owner": "", "group": "", "modifiedTime": now,
    }  # fmt: skip


def _item(path: str) -> dict[str, str]:
    bare = path.rstrip("/")
    return {"name": posixpath.basename(bare), "path": bare, "type": "directory" if path.endswith("/") else "file"}


def _frame(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
