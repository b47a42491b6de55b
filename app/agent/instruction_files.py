"""One file of instructions: its text as agents read it, kept while the file is the same."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Literal

from app.errors import Problem
from app.files.paths import Root
from app.files.service import Entry

LARGEST = 64 * 1024
KEPT = 500
NO_TEXT = "left out: it is no text"
Source = Literal["person", "mode", "server", "project"]
_cache: dict[tuple[str, str], tuple[tuple[int, int, int], bytes]] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Instruction:
    """What is in force: its path as people know it, its text, what is wrong with it ("" if nothing), and whose it is.

    `size` is that of the file in bytes; `source` says who wrote it: the person themselves, the mode, who runs the
    server, or somebody in the repository of the project.
    """

    path: str
    text: str
    note: str = ""
    size: int = 0
    source: Source = "project"

    @property
    def told(self) -> str:
        """What the model reads: the text, and what is missing of it."""
        return f"{self.text}\n[{self.note}]" if self.note else self.text


@dataclass(frozen=True)
class Found:
    """A file beneath a root; `own` ones count only if the user that runs the server wrote them."""

    place: Root
    name: str
    own: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others, however it was come by."""
        return self.place.path, self.name


def read(found: Found) -> Instruction | None:
    """A file's text, from the cache while it is the same; None if there is none or it leads out."""
    try:
        with found.place.open_read(found.name) as file:
            about = os.fstat(file.fileno())
            if found.own and about.st_uid != server_user():
                return None
            mark = (about.st_mtime_ns, about.st_size, about.st_ino)
            with _lock:
                known = _cache.get(found.key)
            if known is None or known[0] != mark:
                known = (mark, file.read(LARGEST))
                with _lock:
                    if len(_cache) >= KEPT:
                        _cache.clear()
                    _cache[found.key] = known
    except Problem:
        return None
    text = known[1].decode("utf-8", "replace").replace("\0", "\ufffd").removeprefix("\ufeff").strip()
    note = f"only its first {LARGEST // 1024} KiB are told" if about.st_size > LARGEST else ""
    return Instruction(found.name, text, note, about.st_size) if text else None


def server_user() -> int:
    """The user that runs this server."""
    return os.geteuid()


def is_text(found: Found) -> bool:
    """Whether what was read of a file has no byte that no text has."""
    with _lock:
        known = _cache.get(found.key)
    return known is None or b"\0" not in known[1]


def scan(place: Root, folder: str) -> list[Entry]:
    """What lies in a folder; nothing if there is none."""
    try:
        return place.scan(folder)
    except Problem:
        return []


def is_file(place: Root, name: str) -> bool:
    """Whether there is a file of this name."""
    try:
        return not place.stat(name).is_dir
    except Problem:
        return False


def join(folder: str, name: str) -> str:
    """A name in a folder beneath a root; "" is the root itself."""
    return f"{folder}/{name}" if folder else name
