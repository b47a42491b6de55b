"""What this process itself has just written under a name: it is announced by an event of its own, which is kept.

Whoever follows the directory would hear of it twice, for the kernel tells it too.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict

MOST = 5_000
FRESH = 10.0  # seconds after which a note that nobody took means nothing: the name lies where nobody watches

_lock = threading.Lock()
_noted: OrderedDict[str, float] = OrderedDict()


def note(path: str) -> None:
    """Note, before it is done, that something will be put at or taken from an absolute path."""
    with _lock:
        _noted[path] = time.monotonic()
        _noted.move_to_end(path)
        if len(_noted) > MOST:
            _noted.popitem(last=False)


def take(path: str) -> bool:
    """Whether what happened at the path was noted; a note is good for once."""
    with _lock:
        at = _noted.pop(path, None)
    return at is not None and time.monotonic() - at < FRESH


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _noted.clear()


os.register_at_fork(after_in_child=_after_fork)
