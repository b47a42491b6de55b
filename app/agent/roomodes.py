"""A project's own modes: its file .roomodes, read with care, because it came with a repository from anywhere."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from app.agent import mode_config
from app.agent.mode_config import BadModes, ModeConfig
from app.errors import NotFound, Problem
from app.files.paths import Root

NAME = ".roomodes"
LARGEST = 128 * 1024
KEPT = 200


@dataclass(frozen=True)
class Written:
    """What the file holds; with a fault none of its modes are in force, and the fault says in words why."""

    modes: tuple[ModeConfig, ...] = ()
    fault: str = ""


NOTHING = Written()
_cache: dict[str, tuple[tuple[int, int, int], Written]] = {}
_lock = threading.Lock()


def of(directory: Path | None) -> Written:
    """What is written in a directory now; read again only when the file has changed."""
    if directory is None:
        return NOTHING
    try:
        with Root(directory).open_read(NAME) as file:
            about = os.fstat(file.fileno())
            mark = about.st_mtime_ns, about.st_size, about.st_ino
            with _lock:
                known = _cache.get(str(directory))
            if known is not None and known[0] == mark:
                return known[1]
            raw = file.read(LARGEST + 1)
    except NotFound:
        return NOTHING
    except (OSError, Problem) as problem:
        return Written(fault=getattr(problem, "message", "It cannot be opened."))
    found = _read(raw)
    with _lock:
        if len(_cache) >= KEPT:
            _cache.clear()
        _cache[str(directory)] = mark, found
    return found


def _read(raw: bytes) -> Written:
    if len(raw) > LARGEST:
        return Written(fault=f"It has more than {LARGEST // 1024} KiB and is not read.")
    try:
        return Written(tuple(mode_config.read(raw.decode())))
    except UnicodeDecodeError:
        return Written(fault="It is not UTF-8 text.")
    except BadModes as wrong:
        return Written(fault=str(wrong))
