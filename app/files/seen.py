"""What folders held when they were last listed, so that what has not changed need not be made anew.

And one look for all who ask at the same time: each gets one that began after it had asked.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping

from app.files.entry import Entry

Key = tuple[str, tuple[str, ...], str]
Known = tuple[Mapping[str, "Entry"], tuple["Entry", ...]]
FOLDERS = 64
ENTRIES = 2_000  # of one folder
_NOTHING: Known = ({}, ())
_lock = threading.Lock()
_folders: OrderedDict[Key, Known] = OrderedDict()


class _Look:
    """One look at a folder, which others may wait for."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.found: tuple[Entry, ...] | None = None
        self.callers = 1


_under_way: dict[Key, _Look] = {}
_next: dict[Key, _Look] = {}


def together(key: Key, look: Callable[[], tuple[Entry, ...]]) -> tuple[Entry, ...]:
    """What `look` gives, or gave another caller; who comes while somebody looks shares the next look, not this one."""
    with _lock:
        current, following = _under_way.get(key), _next.get(key)
        is_first = current is None or following is None
        mine = _Look() if current is None or following is None else following
        mine.callers += not is_first
        if current is None:
            _under_way[key] = mine
        elif is_first:
            _next[key] = mine
    if not is_first:
        mine.over.wait()
        return look() if mine.found is None else mine.found  # what went wrong for another may be well for us
    if current is not None:
        current.over.wait()
    try:
        mine.found = look()
        return mine.found
    finally:
        with _lock:
            if key in _next:
                _under_way[key] = _next.pop(key)
            else:
                del _under_way[key]
        mine.over.set()


def waiting(key: Key) -> int:
    """How many wait for the next look at a folder."""
    with _lock:
        return _next[key].callers if key in _next else 0


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
