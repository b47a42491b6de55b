"""Handing files out: one as an open descriptor, a folder as a zip that is made while it is sent."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from app.actor import Actor
from app.errors import Invalid, Problem
from app.files import world
from app.files.entry import Entry
from app.files.kinds import kind_of
from app.files.looking import READ
from app.files.paths import Root
from app.files.world import Spot
from app.projects.service import Place

CHUNK = 256 * 1024
ENTRIES = 200_000
EARLIEST = (1980, 1, 1, 0, 0, 0)
LATEST = (2107, 12, 31, 23, 59, 58)
LARGE = 1 << 31  # beyond it an entry's sizes need the long form, which has to be said before them


@dataclass(frozen=True)
class Download:
    """A regular file, open for reading; whoever gets it closes it. mtime in unix seconds; the ETag is quoted."""

    file: BinaryIO
    name: str
    size: int
    mtime: float
    etag: str
    kind: str


@dataclass(frozen=True)
class Zip:
    """A folder as a zip, made while it is read; its name, without an ending, is also its top folder."""

    name: str
    chunks: Iterator[bytes]


def open_for_download(actor: Actor, place: Place, name: str) -> Download:
    """Open a regular file; raises NotFound, Denied, Invalid for a folder or a special file."""
    spot = world.locate(actor, place, READ, name)
    file = spot.root.open_read(spot.name)
    try:
        world.refuse_open(spot.root, file, spot.name)
        about = os.fstat(file.fileno())
    except BaseException:
        file.close()
        raise
    label = spot.root.parts(spot.name)[-1]
    etag = f'"{about.st_ino:x}-{about.st_size:x}-{about.st_mtime_ns:x}-{about.st_ctime_ns:x}"'
    return Download(file, label, about.st_size, about.st_mtime, etag, kind_of(label))


def zip_of(actor: Actor, place: Place, name: str) -> Zip:
    """Pack a folder: files, folders, and links as the files inside that they lead to; no other links.

    Raises NotFound, Denied, Invalid PATH_NOT_DIRECTORY. A file that is gone or unreadable by its turn is left out.
    """
    spot = world.locate(actor, place, READ, name)
    if not spot.root.stat(spot.name).is_dir:
        raise Invalid("Path is not a directory", "path", code="PATH_NOT_DIRECTORY")
    world.refuse_ours(spot.root, os.path.realpath(spot.root.absolute(spot.name)), spot.name)
    top = world.SCRATCH if spot.is_scratch else spot.root.path
    label = os.path.basename("/".join((top, *spot.root.parts(spot.name))))  # noqa: PTH119 - text, not a file
    return Zip(label, _packed(spot, label))


def _packed(spot: Spot, label: str) -> Iterator[bytes]:
    """The zip, piece by piece."""
    sink = _Sink()
    above = "/".join((".", *spot.root.parts(spot.name)))
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number, entry in enumerate(_shown(spot)):
            if number >= ENTRIES:
                break
            inner = f"{label}/{entry.path}"
            if entry.is_dir and not entry.is_link:
                archive.writestr(_about(f"{inner}/", entry), b"")
            else:
                yield from _pack_file(archive, sink, spot.root, above, entry, inner)
            yield from sink.taken(CHUNK)
    yield from sink.taken(0)


def _pack_file(
    archive: zipfile.ZipFile, sink: _Sink, root: Root, above: str, entry: Entry, inner: str
) -> Iterator[bytes]:
    try:
        file = root.open_read(f"{above}/{entry.path}")
    except Problem:
        return
    with file:
        about = os.fstat(file.fileno())
        info = _about(inner, entry._replace(size=about.st_size, mode=about.st_mode))
        with archive.open(info, "w", force_zip64=about.st_size >= LARGE) as out:
            left = about.st_size
            while left > 0 and (data := file.read(min(CHUNK, left))):
                out.write(data)
                left -= len(data)
                yield from sink.taken(CHUNK)


def _shown(spot: Spot) -> Iterator[Entry]:
    """What lies below, without the server's own data."""
    for entry in spot.root.walk_down(spot.name, 100, here=True):
        if not world.is_ours(spot.root, f"{spot.path}/{entry.path}"):
            yield entry


def _about(inner: str, entry: Entry) -> zipfile.ZipInfo:
    when = time.localtime(entry.mtime / 1000)[:6]
    info = zipfile.ZipInfo(inner, min(max(when, EARLIEST), LATEST))
    info.external_attr = (entry.mode & 0xFFFF) << 16 | (0x10 if inner.endswith("/") else 0)
    info.compress_type = zipfile.ZIP_STORED if inner.endswith("/") else zipfile.ZIP_DEFLATED
    return info


class _Sink(io.RawIOBase):
    """What the zip is written to: it can't be sought in, and gives away what it was given."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        """It is for writing."""
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Keep a piece."""
        self._pieces.append(bytes(data))
        self._size += len(data)
        return len(data)

    def taken(self, least: int) -> Iterator[bytes]:
        """Give away what there is, if it is so much."""
        if self._size and self._size >= least:
            whole = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
            yield whole
