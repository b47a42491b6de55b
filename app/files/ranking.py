"""In which order a person expects the files that a few typed letters may mean."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable

STARTS = re.compile(r"(?:^|(?<=[^A-Za-z0-9]))[A-Za-z0-9]|(?<=[a-z0-9])[A-Z]")
NO_MATCH = 9


def best(names: Iterable[str], query: str, limit: int) -> list[str]:
    """Return the names that hold the query's letters in this order, the likeliest first."""
    wanted = "".join(query.lower().split())
    ranked = ((rank(name, wanted), len(name), name) for name in names if _holds(name.lower(), wanted))
    return [name for *_, name in heapq.nsmallest(limit, ranked)]


def rank(name: str, wanted: str) -> int:
    """Say how near a name is to the letters (in lower case): 0 is its whole basename, NO_MATCH none of it."""
    path = name.lower().removesuffix("/")
    base = path.rpartition("/")[2]
    if wanted in (base, path):
        return 0
    if base.partition(".")[0] == wanted:
        return 1
    if base.startswith(wanted):
        return 2
    at = base.find(wanted)
    if at >= 0:
        return 3 if not base[at - 1].isalnum() else 4
    return _loose_rank(name, path, base, wanted)


def _loose_rank(name: str, path: str, base: str, wanted: str) -> int:
    """Rank a name that holds the letters with others between them, or above its basename."""
    own = name.removesuffix("/").rpartition("/")[2]
    if _holds(_starts(own), wanted):
        return 5
    if wanted in path:
        return 6
    if _holds(_starts(name), wanted):
        return 7
    return 8 if _holds(base, wanted) or _holds(path, wanted) else NO_MATCH


def _starts(name: str) -> str:
    """Return the first letters of a name's words: `tests/test_tax.py` gives `tttp`."""
    return "".join(STARTS.findall(name)).lower()


def _holds(text: str, wanted: str) -> bool:
    """Tell whether the letters stand in the text in this order."""
    at = 0
    for letter in wanted:
        at = text.find(letter, at) + 1
        if not at:
            return False
    return True
