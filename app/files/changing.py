"""Changing what lies at a name: all or nothing, announced and written down in the moment it happens."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Literal, Protocol

import sqlalchemy as sa

from app import config, db, record
from app.actor import Actor
from app.errors import Conflict, Invalid, NoSpace, NotFound, TooLarge
from app.files import at, world
from app.files.answers import shown
from app.files.entry import Entry
from app.files.events import FileChanged
from app.files.looking import stamp_of
from app.files.paths import Within
from app.files.world import Spot
from app.projects.service import Place

WRITE = "files:write"
CHUNK = 1 << 20
EDITED = 10 * 1024 * 1024
Change = Literal["add", "change", "unlink"]


class Reading(Protocol):
    """What a body is read from: b"" at its end."""

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes."""
        ...


def make_directory(actor: Actor, place: Place, name: str, *, exist_ok: bool = True) -> Entry:
    """Make a folder and those on the way; Conflict if it exists and must not, or if something else is in the way."""
    spot = _writable(actor, place, name)
    before = _find(spot)
    if before is not None and not (exist_ok and before.is_dir):
        raise Conflict(f"{shown(name)} exists already.")
    if before is None:
        with _written(actor, spot, "file.mkdir", "add"):
            spot.root.mkdir(spot.name, exist_ok=exist_ok)
    return spot.root.lstat(spot.name)


def remove(actor: Actor, place: Place, name: str, *, missing_ok: bool = False) -> None:
    """Remove a file, a link, or a folder and all in it, at once; raises NotFound unless it may be missing."""
    spot = _writable(actor, place, name)
    if missing_ok and _find(spot) is None:
        return
    spot.root.discard(spot.name, lambda: _written(actor, spot, "file.remove", "unlink"))


def move(actor: Actor, place: Place, source: str, destination: str, *, parents: bool = False) -> Entry:
    """Move a file or a folder, in place of a file that is there; returns what lies there now.

    Raises NotFound without the source, or without the folder to move to unless `parents` may be made; Invalid for a
    folder or a link that would go to another disk.
    """
    here, there = _writable(actor, place, source), _writable(actor, place, destination)

    @contextlib.contextmanager
    def within() -> Iterator[None]:
        change: Change = "add" if _find(there) is None else "change"
        with db.transaction() as connection:
            _note(connection, actor, here, "file.move", "unlink", to=_path(there))
            _announce(connection, there, change)
            yield

    try:
        here.root.move(here.name, there.name, there.root, parents=parents, within=within)
    except Invalid as refused:
        if refused.code != at.OTHER_DISK or not stat.S_ISREG(here.root.lstat(here.name).mode):
            raise
        _carry_over(here, there, within)
    return there.root.lstat(there.name)


def write(actor: Actor, place: Place, name: str, data: bytes, *, expected: str | None = None) -> Entry:
    """Put the bytes at the name, all or nothing.

    `expected` is the stamp of what was last read there, "" for no file; Conflict if something else lies there by now.
    """
    spot = _writable(actor, place, name)
    before = _bytes(spot) if expected is not None else None
    if expected is not None and expected != ("" if before is None else stamp_of(before)):
        raise Conflict(f"{shown(name)} was changed by somebody else meanwhile.")
    within = _written_by(actor, spot)
    if expected is None:
        with spot.root.open_write(spot.name, within=within) as file:
            file.write(data)
    else:
        spot.root.swap(spot.name, before, data, within=within)
    return spot.root.lstat(spot.name)


def receive(
    actor: Actor, place: Place, name: str, stream: Reading, length: int | None, *, may_empty: bool = True
) -> Entry:
    """Put what the stream gives at the name, all of it or nothing; returns what lies there then.

    `length` is how many bytes are to come, None for all there are. Raises Invalid if fewer come, TooLarge beyond the
    limit of uploads, NoSpace if the disk can't hold them, Conflict if nothing came to replace something, unless it
    `may_empty` a file.
    """
    most = config.current().upload_limit << 20
    if length is not None and length > most:
        raise _too_large(most)
    spot = _writable(actor, place, name)
    with spot.root.open_write(spot.name, within=_written_by(actor, spot)) as file:
        _refuse_full(file, length or 0)
        size = _copy(stream, file, length, most)
        if length is not None and size < length:
            raise Invalid("The upload ended before all of it had come; nothing was written.")
        if size == 0 and not may_empty and (before := _find(spot)) is not None and before.size > 0:
            raise Conflict(f"{shown(name)} is not empty, and nothing came to replace what it holds.")
    return spot.root.lstat(spot.name)


def compose(actor: Actor, place: Place, sources: Sequence[str], destination: str) -> Entry:
    """Put the sources together, one behind the other, at the destination, and remove them.

    Raises NotFound for a missing source; then nothing is changed.
    """
    there = _writable(actor, place, destination)
    spots = [_writable(actor, place, name) for name in sources]
    most = config.current().upload_limit << 20
    with there.root.open_write(there.name, within=_written_by(actor, there, "file.compose")) as file:
        for spot in spots:
            with spot.root.open_read(spot.name) as part:
                _refuse_full(file, os.fstat(part.fileno()).st_size)
                most -= _copy(part, file, None, most)
    for path, spot in {spot.path: spot for spot in spots}.items():
        if path != there.path:
            with contextlib.suppress(NotFound):
                spot.root.discard(spot.name, lambda spot=spot: _written(actor, spot, "file.remove", "unlink"))  # type: ignore[misc]
    return there.root.lstat(there.name)


def _carry_over(here: Spot, there: Spot, within: Within) -> None:
    """Move a file to another disk: it takes its place there whole, and only then goes here."""
    with here.root.open_read(here.name) as source:
        about = os.fstat(source.fileno())
        with there.root.open_write(there.name, about.st_mode, within) as file:
            _refuse_full(file, about.st_size)
            _copy(source, file, None, about.st_size)
    here.root.discard(here.name)


def _writable(actor: Actor, place: Place, name: str) -> Spot:
    spot = world.locate(actor, place, WRITE, name)
    world.refuse_protected(spot)
    return spot


def _copy(stream: Reading, file: BinaryIO, length: int | None, most: int) -> int:
    """Copy so many bytes, or all there are; TooLarge beyond `most`."""
    size = 0
    view = memoryview(bytearray(CHUNK))
    fill = getattr(stream, "readinto", None)
    while length is None or size < length:
        wanted = CHUNK if length is None else min(CHUNK, length - size)
        if fill is None:
            data: bytes | memoryview = stream.read(wanted)
        else:
            data = view[: fill(view[:wanted])]
        if not data:
            break
        size += len(data)
        if size > most:
            raise _too_large(most)
        file.write(data)
    return size


def _refuse_full(file: BinaryIO, size: int) -> None:
    """Refuse before the first byte what the disk can't hold."""
    disk = os.fstatvfs(file.fileno())
    if size > disk.f_bavail * disk.f_frsize:
        raise NoSpace("The disk has no room for this; nothing was written.")


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"An upload has at most {most:,} bytes here; nothing was written.")


def _find(spot: Spot) -> Entry | None:
    try:
        return spot.root.lstat(spot.name)
    except NotFound:
        return None


def _bytes(spot: Spot) -> bytes | None:
    try:
        return spot.root.read_bytes(spot.name, EDITED)
    except NotFound:
        return None


def _written_by(actor: Actor, spot: Spot, action: str = "file.write") -> Within:
    """The context in which a written file takes its place."""
    return lambda: _written(actor, spot, action, "add" if _find(spot) is None else "change")


@contextlib.contextmanager
def _written(actor: Actor, spot: Spot, action: str, change: Change) -> Iterator[None]:
    """A transaction in which a change is written down, announced and done, or none of it."""
    with db.transaction() as connection:
        _note(connection, actor, spot, action, change)
        yield


def _note(connection: sa.Connection, actor: Actor, spot: Spot, action: str, change: Change, **detail: str) -> None:
    record.audit(connection, actor, action, spot.project.id, {"path": _path(spot), **detail})
    _announce(connection, spot, change)


def _announce(connection: sa.Connection, spot: Spot, change: Change) -> None:
    if not spot.is_scratch:
        record.event(connection, FileChanged(spot.root.path, spot.path, change), spot.project)


def _path(spot: Spot) -> str:
    """The path as callers know it, as the audit log keeps it."""
    path = "/".join((world.SCRATCH, *spot.root.parts(spot.name))) if spot.is_scratch else spot.path
    return path.encode("utf-8", "replace").decode()[-1000:]
