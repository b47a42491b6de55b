"""What folders held when they were last listed, so that what has not changed need not be made anew."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.files.paths import Entry

Key = tuple[str, tuple[str, ...], str]
Known = tuple[Mapping[str, "Entry"], tuple["Entry", ...]]
FOLDERS = 64
ENTRIES = 2_000  # of one folder
_NOTHING: Known = ({}, ())
_lock = threading.Lock()
_folders: OrderedDict[Key, Known] = OrderedDict()


def get(key: Key) -> Known:
    """What a folder held, by name and in order; each entry still has to be compared with what lies there now."""
    with _lock:
        found = _folders.get(key)
        if found is None:
            return _NOTHING
        _folders.move_to_end(key)
        return found


def put(key: Key, found: Mapping[str, Entry], listing: tuple[Entry, ...]) -> None:
    """Remember what a folder holds, unless it is very much."""
    with _lock:
        _folders.pop(key, None)
        if len(found) <= ENTRIES:
            _folders[key] = found, listing
            if len(_folders) > FOLDERS:
                _folders.popitem(last=False)
