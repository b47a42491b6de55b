"""What a page reads only once, however many rooms ask for it while it is put together.

A page is made by rooms that do not know each other; several of them want the people, the configuration or the modes.
For the time of one page's request the first answer holds for all, so that the page also agrees with itself. A request
that writes goes on without it. Anywhere else `read` just looks up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class _Page(threading.local):
    known: dict[Hashable, Any] | None = None


_page = _Page()


def begin() -> None:
    """From now on this thread puts a page together, up to `end`."""
    _page.known = {}


def end() -> None:
    """The page is made, or something is about to be written: what was read before may be another then."""
    _page.known = None


def read(key: Hashable, look_up: Callable[[], T]) -> T:
    """What was read for this key, looked up the first time; nobody may change the answer. Failures are not kept."""
    known = _page.known
    if known is None:
        return look_up()
    if key not in known:
        known[key] = look_up()
    found: T = known[key]
    return found
