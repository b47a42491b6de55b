"""The verbs of files: listing, reading and finding what lies in a place; names never lead out of it."""

from __future__ import annotations

import mimetypes
import os
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Invalid, TooLarge
from app.files import changes, diffs, following, pathlist, ranking, sights, watching, world
from app.files.changes import FileChange, Hunk, compare
from app.files.changing import compose, make_directory, move, receive, remove, write
from app.files.diffs import FileDiff, Mode
from app.files.entry import Entry
from app.files.excerpt import LINES, Excerpt, excerpt
from app.files.handing import Download, Zip, open_for_download, zip_of
from app.files.labels import check_labels, label, labels_of
from app.files.looking import is_directory, list_tree, stamp_of, stat
from app.files.paths import Root
from app.files.ripgrep import Found, Search, search
from app.files.sights import Loss, Sight, Standing, ends_of
from app.files.watch import Change, Gone, Resync, Watch
from app.files.watching import create_watcher, remove_watcher, start_background, watch, watched_name, watcher_events
from app.files.world import SCRATCH, is_scratch, make, scratch_of
from app.projects.service import Place

__all__ = [
    "LINES",
    "SCRATCH",
    "Change",
    "Content",
    "Download",
    "Entry",
    "Excerpt",
    "FileChange",
    "FileDiff",
    "Found",
    "Gone",
    "Hunk",
    "Loss",
    "Match",
    "Mode",
    "Node",
    "Resync",
    "Root",
    "Sight",
    "Standing",
    "Watch",
    "Zip",
    "check_labels",
    "compare",
    "compose",
    "create_watcher",
    "diff",
    "ends_of",
    "excerpt",
    "find_files",
    "find_ignored",
    "find_text",
    "forget",
    "hunks_of",
    "is_directory",
    "is_scratch",
    "label",
    "labels_of",
    "list_changes",
    "list_directory",
    "list_tree",
    "look",
    "loss_of",
    "make",
    "make_directory",
    "move",
    "open_for_download",
    "read",
    "receive",
    "remove",
    "remove_watcher",
    "scratch_of",
    "search",
    "stamp_of",
    "standing",
    "start_background",
    "stat",
    "stop",
    "tell_changes",
    "text_of",
    "unfold",
    "watch",
    "watched_name",
    "watcher_events",
    "write",
    "zip_of",
]
LARGEST = 10 * 1024 * 1024
LISTED = 10_000
DEEPEST = 100
HITS = 1_000
HITS_PER_FILE = 10
OUTPUT = 1024 * 1024
LONGEST_LINE = 2_000
MATCH = b'{"type":"match",'  # how such a record of rg's begins


@dataclass(frozen=True)
class Node:
    """What lies in a folder; path is relative to the place, absolute of this machine."""

    name: str
    path: str
    absolute: str
    is_dir: bool
    is_ignored: bool
    size: int
    mtime: int


@dataclass(frozen=True)
class Content:
    """A file: its text, or its bytes when it is none; hunks lead to the text from the last commit's.

    `stamp` is a digest of its bytes.
    """

    text: str
    data: bytes
    is_binary: bool
    mime: str
    hunks: tuple[Hunk, ...] = ()
    stamp: str = ""


@dataclass(frozen=True)
class Match:
    """A line that matches; offsets in bytes, spans as (text, start, end) in bytes of the line."""

    path: str
    line: str
    line_number: int
    offset: int
    spans: tuple[tuple[str, int, int], ...]


def list_directory(actor: Actor, place: Place, name: str = "") -> list[Node]:
    """Return what lies in a folder, folders first, then by name, at most LISTED; raises Denied."""
    accounts.require(actor, "files:read", place.project)
    base, entries = _entries(Root(place.directory), name)
    return _nodes(base, entries, pathlist.git_ignored(place.directory, [entry.path for entry in entries]))


def unfold(actor: Actor, place: Place, name: str = "") -> dict[str, list[Node]]:
    """Return what lies in a folder and in each folder above it, by the folder's path from "" down; raises Denied.

    What git ignores is not marked: `find_ignored` tells it of what is shown.
    """
    accounts.require(actor, "files:read", place.project)
    root = Root(place.directory)
    parts = root.parts(name)
    return {above: _nodes(*_entries(root, above), set()) for above in _ways(parts)}


def find_ignored(actor: Actor, place: Place, paths: Iterable[str]) -> set[str]:
    """Return those of the paths that git ignores; none without git."""
    accounts.require(actor, "files:read", place.project)
    return pathlist.git_ignored(place.directory, list(dict.fromkeys(paths)))


def standing(actor: Actor, place: Place) -> Standing:
    """Return how the place stands in git, at most 2 seconds old."""
    accounts.require(actor, "files:read", place.project)
    return sights.standing(place.directory)


def look(actor: Actor, place: Place, name: str) -> Sight:
    """Return a file as it is shown to people, cut when it is long; raises NotFound, Denied, Invalid for a folder."""
    accounts.require(actor, "files:read", place.project)
    root = Root(place.directory)
    with root.open_read(name) as file:
        world.refuse_open(root, file, name)
        return sights.see(file, "/".join(root.parts(name)), stamp_of)


def forget(actor: Actor, place: Place) -> None:
    """Look anew the next time that somebody asks how the place stands: something was written in it."""
    accounts.require(actor, "files:read", place.project)
    sights.forget(place.directory)


def loss_of(actor: Actor, place: Place, name: str) -> Loss:
    """Return what would go with a file or folder, and what of it git could not bring back; raises NotFound."""
    accounts.require(actor, "files:read", place.project)
    root = Root(place.directory)
    entry = root.lstat(name)
    is_dir = entry.is_dir and not entry.is_link
    found = root.walk_down(name, DEEPEST) if is_dir else [entry]
    files = ((one.path, one.size) for one in found if one.is_link or not one.is_dir)
    return sights.loss_of(place.directory, islice(files, LISTED), is_dir=is_dir)


def hunks_of(actor: Actor, place: Place, sight: Sight) -> list[Hunk]:
    """Return how a file that is shown differs from the last commit; none when it is new, large or binary."""
    accounts.require(actor, "files:read", place.project)
    return changes.since_commit(place.directory, sight.path, sight.text)


def read(actor: Actor, place: Place, name: str, limit: int = LARGEST, *, compare: bool = True) -> Content:
    """Return a file's content, unless not `compare` with its changes since the last commit.

    Raises NotFound, Denied, Invalid for a folder, or TooLarge.
    """
    accounts.require(actor, "files:read", place.project)
    root = Root(place.directory)
    with root.open_read(name) as file:
        world.refuse_open(root, file, name)
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(f"{name[-200:]} is larger than {limit:,} bytes.")
    mime = mimetypes.guess_type(name, strict=False)[0]
    text, stamp = text_of(data), stamp_of(data)
    if text is None:
        return Content("", data, True, mime or "application/octet-stream", stamp=stamp)
    hunks = changes.since_commit(place.directory, root.relative(name), text) if compare else []
    return Content(text, data, False, mime or "text/plain", tuple(hunks), stamp)


def text_of(data: bytes) -> str | None:
    """Return the text that the bytes are, or None."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text.removeprefix("\ufeff")


def list_changes(actor: Actor, place: Place) -> list[FileChange]:
    """Return what differs from the last commit, untracked files too; nothing without git."""
    accounts.require(actor, "files:read", place.project)
    return changes.list_all(place.directory)


def diff(actor: Actor, place: Place, mode: Mode, context: int, beneath: str = "") -> list[FileDiff]:
    """Return what differs from the last commit (`git`) or from where the branch began (`branch`), with patches.

    `beneath` is the file or folder that matters, "" all.
    """
    accounts.require(actor, "files:read", place.project)
    root = Root(place.directory)

    def is_shown(path: str) -> bool:
        is_beneath = not beneath or path == beneath or path.startswith(f"{beneath}/")
        return is_beneath and not world.is_ours(root, str(place.directory / path))

    return diffs.diff(place.directory, mode, context, is_shown)


def find_text(actor: Actor, place: Place, pattern: str, limit: int = HITS, *, is_literal: bool = False) -> list[Match]:
    """Return the lines that a regular expression matches, by file and line; at most 10 of one file.

    `is_literal` looks for the words as they stand, in either case while all are small. Ignored files are left out.
    The search ends after `limit` lines, a MiB or 5 seconds. Raises Invalid.
    """
    accounts.require(actor, "files:read", place.project)
    if not pattern or "\0" in pattern:
        raise Invalid("The pattern is empty or holds a NUL character.", "pattern")
    bounds = [f"--max-count={HITS_PER_FILE}", "--max-filesize=10M", "--regex-size-limit=10M"]
    how = ["--fixed-strings", "--smart-case"] if is_literal else []
    arguments = ["--json", "--hidden", *bounds, *pathlist.left_out(place.directory), *how, "-e", pattern, "--", "."]
    with Search(arguments, place.directory, most=OUTPUT) as records:
        found = list(islice(_matches(records), limit))
    return sorted(found, key=lambda match: (match.path, match.line_number))


def find_files(
    actor: Actor, place: Place, query: str, *, kind: ranking.Choice = "", limit: int = 10, hidden: bool = True
) -> list[str]:
    """Return the paths that the letters may mean, the likeliest first; directories end in `/`.

    What was made before is found, what was removed is not. Without letters the directories come, those near the top
    first, or the files if only files are wanted; unless `hidden`, nothing whose path has a part that begins with a dot.
    """
    accounts.require(actor, "files:read", place.project)
    kind = kind or ("" if query.strip() else "directory")
    listing = pathlist.of(place.directory)
    with listing.lock:
        listing.refresh()
        return listing.index.best(query, limit, kind, hidden=hidden)


def tell_changes() -> None:
    """At start of a process that serves: tell who follows a directory what changes in it."""
    following.start()


def stop() -> None:
    """End every watch of this process; none is taken any more."""
    following.stop()
    pathlist.clear()
    watching.stop()


def _ways(parts: tuple[str, ...]) -> list[str]:
    """The paths of the folders from the top down to the one with these parts."""
    return ["/".join(parts[:depth]) for depth in range(len(parts) + 1)]


def _entries(root: Root, name: str) -> tuple[str, list[Entry]]:
    base = root.absolute(name)
    world.refuse_ours(root, os.path.realpath(base), name)
    found = [entry for entry in root.scan(name) if entry.name not in pathlist.LEFT_OUT]
    if world.holds_ours(root):
        found = [entry for entry in found if not world.is_ours(root, f"{base.rstrip('/')}/{entry.name}")]
    return base, sorted(found, key=lambda entry: (not entry.is_dir, entry.name.lower(), entry.name))[:LISTED]


def _nodes(base: str, entries: list[Entry], ignored: set[str]) -> list[Node]:
    above = base.rstrip("/")
    return [
        Node(one.name, one.path, f"{above}/{one.name}", one.is_dir, one.path in ignored, one.size, one.mtime)
        for one in entries
    ]


def _matches(records: Iterable[bytes]) -> Iterator[Match]:
    """Read rg's JSON; its other records, often two for each that counts, frame those of a file."""
    for record in records:
        if record.startswith(MATCH):
            yield _match(orjson.loads(record)["data"])


def _match(data: dict[str, Any]) -> Match:
    spans = [(_told(one["match"]), one["start"], one["end"]) for one in data["submatches"]]
    line = _told(data["lines"])
    if len(line) > LONGEST_LINE:
        line = line[:LONGEST_LINE]
        spans = [(text[:LONGEST_LINE], start, end) for text, start, end in spans if start < LONGEST_LINE]
    path = _told(data["path"]).removeprefix("./")
    return Match(path, line, data["line_number"], data["absolute_offset"], tuple(spans))


def _told(field: dict[str, str]) -> str:
    """Return rg's `text`, or its `bytes` (base64) when that is no Unicode."""
    return field["text"] if "text" in field else b64decode(field["bytes"]).decode("utf-8", "replace")
