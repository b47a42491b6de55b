"""In which order a person expects the files that a few typed letters may mean.

An `Index` keeps the names of a workspace so that this is quick: for each letter it knows, as the bits of one large
number, which names hold it. Few names are left to be looked at, and the nearest kinds of match are looked for first:
when there are enough of them, the farther ones need no look.
"""

from __future__ import annotations

import functools
import heapq
import re
import string
from collections.abc import Callable, Iterable, Iterator
from itertools import compress, islice
from typing import Literal

MOST_WEIGHED = 600  # names that are weighed one by one, the shortest of them
LONGEST = 64  # letters that can mean the beginnings of words
MOST_LETTERS = 1_000
MOST_TIMES = 3  # as which a letter's further times count
MOST_MARKS = 200
IN_BASE, NONE = 5, 11  # the last kind of match of which nothing far is nearer; none at all
Choice = Literal["", "file", "directory"]
_AS_BYTES = bytes.maketrans(b"01", b"\0\1")


def _table(members: str) -> bytes:
    return bytes(ord("1" if chr(code) in members else "0") for code in range(256))


_LETTERS, _DIGITS, _CAPITALS = map(_table, (string.ascii_letters, string.digits, string.ascii_uppercase))


class Index:
    """The names of a workspace, directories with a slash at their end; not safe to change while it is asked."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names: list[str] = []
        self._paths: list[str] = []  # in lower case, without the slash
        self._bases: list[str] = []
        self._at: dict[str, int] = {}
        self._letters: dict[str, int] = {}
        self._base_letters: dict[str, int] = {}
        self._starting: dict[str, int] = {}
        self._marks: dict[tuple[str, str, int], int] = {}
        self._living = self._directories = self._hidden = self._sorted_until = 0
        self._fill(list(names))

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)

    def update(self, names: Iterable[str]) -> None:
        """Hold just these names from now on."""
        now = set(names)
        gone = [name for name in self._at if name not in now]
        came = [name for name in now if name not in self._at]
        if len(gone) + len(came) > 1_000 or len(self._names) > 2 * len(now) + 1_000:
            self._fill(list(now))
            return
        for name in gone:
            self.remove(name)
        for name in came:
            self.add(name)

    def add(self, name: str) -> None:
        """Hold a name more."""
        if name in self._at:
            return
        bit = 1 << len(self._names)
        path, base = self._append(name)
        for letter in set(path):
            self._letters[letter] = self._letters.get(letter, 0) | bit
        for letter in set(base):
            self._base_letters[letter] = self._base_letters.get(letter, 0) | bit
        self._starting[base[:1]] = self._starting.get(base[:1], 0) | bit
        for (part, letter, times), mark in self._marks.items():
            if (path if part == "path" else base).count(letter) >= times:
                self._marks[part, letter, times] = mark | bit
        self._living |= bit
        self._directories |= bit if name.endswith("/") else 0
        self._hidden |= bit if _is_hidden(name) else 0

    def remove(self, name: str) -> None:
        """Hold it no more."""
        at = self._at.pop(name, None)
        if at is not None:
            self._living &= ~(1 << at)

    def first(self, limit: int, kind: Choice = "", *, hidden: bool = True) -> list[str]:
        """The names near the top first."""
        found = compress(self._names, _bits(self._chosen(kind, hidden)))
        return heapq.nsmallest(limit, found, key=lambda name: (name.rstrip("/").count("/"), name.lower()))

    def best(self, query: str, limit: int, kind: Choice = "", *, hidden: bool = True) -> list[str]:
        """The names that hold the query's letters in this order, its words each, the likeliest first."""
        words = query.lower().split()
        chosen = self._chosen(kind, hidden)
        if not words:
            return self.first(limit, kind, hidden=hidden)
        by_kind = self._sorted(words[0], limit, chosen) if len(words) == 1 else self._sorted_by_all(words, chosen)
        found: list[int] = []
        for one in sorted(by_kind):
            found += self._shortest(limit - len(found), by_kind[one])
            if len(found) >= limit:
                break
        return [self._names[at] for at in found]

    def _shortest(self, limit: int, places: list[int]) -> list[int]:
        """The places of the shortest names; those that were there at first stand in that order."""
        later = [at for at in places if at >= self._sorted_until]
        first = heapq.nsmallest(limit, (at for at in places if at < self._sorted_until) if later else places)
        return heapq.nsmallest(limit, [*first, *later], key=self._length) if later else first

    def _length(self, at: int) -> tuple[int, str]:
        return len(self._names[at]), self._names[at]

    def _sorted(self, wanted: str, limit: int, chosen: int) -> dict[int, list[int]]:
        """The places of names by their kind of match (see `rank`), the farther kinds only if there are too few."""
        found: dict[int, list[int]] = {}
        others: list[int] = []
        self._add_beginnings(wanted, chosen, found)
        if _count(found) < limit:
            others = self._others(wanted, chosen)
            self._add_near(others, wanted, found)
        if _count(found) < limit:
            bases, loose = self._bases, _in_order(wanted)
            self._add_far([at for at in others if loose(bases[at])], wanted, found)
        if sum(len(places) for kind, places in found.items() if kind <= IN_BASE) < limit:
            paths, loose = self._paths, _in_order(wanted)
            held = self._places(chosen & self._holding("path", wanted))
            self._add_far((at for at in held if loose(paths[at])), wanted, found)
        return found

    def _add_beginnings(self, wanted: str, chosen: int, found: dict[int, list[int]]) -> None:
        """Add the names whose basename begins with the letters."""
        bases, stem = self._bases, wanted.rstrip("/")
        if stem != wanted:
            chosen &= self._directories
        held = chosen & self._holding("base", stem)
        if stem:
            held &= self._starting.get(stem[0], 0)
        for at in [at for at in self._places(held) if bases[at].startswith(stem)]:
            is_stem = _is_stem(bases[at], stem)
            kind = 2 if not is_stem else 0 if stem in (bases[at], self._paths[at]) else 1
            found.setdefault(kind, []).append(at)

    def _others(self, wanted: str, chosen: int) -> list[int]:
        """The names whose basename may hold the letters."""
        if wanted.endswith("/"):
            chosen &= self._directories
        return self._places(chosen & self._holding("base", wanted.rstrip("/")))

    def _add_near(self, held: list[int], wanted: str, found: dict[int, list[int]]) -> None:
        """Add the names whose basename holds the letters in one piece further on."""
        bases = self._bases
        wanted = wanted.rstrip("/")
        near = (at for at in held if wanted in bases[at] and not bases[at].startswith(wanted))
        for at in islice(near, MOST_WEIGHED):
            found.setdefault(_near_rank(self._names[at], bases[at], wanted), []).append(at)

    def _add_far(self, held: Iterable[int], wanted: str, found: dict[int, list[int]]) -> None:
        """Add names that hold the letters apart from each other, or above their basename."""
        known = set().union(*found.values())
        for at in islice((at for at in held if at not in known), MOST_WEIGHED):
            found.setdefault(_far_rank(self._names[at], self._paths[at], wanted), []).append(at)

    def _sorted_by_all(self, words: list[str], chosen: int) -> dict[int, list[int]]:
        """The places of the names that hold each of the words, by how near they are to them together."""
        for word in words:
            chosen &= self._holding("path", word)
        tests = [_in_order(word) for word in words]
        found: dict[int, list[int]] = {}
        held = (at for at in self._places(chosen) if all(test(self._paths[at]) for test in tests))
        for at in islice(held, MOST_WEIGHED // len(words)):
            found.setdefault(sum(rank(self._names[at], word) for word in words), []).append(at)
        return found

    def _holding(self, part: str, wanted: str) -> int:
        """The names whose path or basename (`part`) holds every one of the letters, as often as they are wanted."""
        letters, found = self._letters if part == "path" else self._base_letters, -1
        for letter in set(wanted):
            found &= letters.get(letter, 0)
            times = min(wanted.count(letter), MOST_TIMES)
            if found and times > 1:
                found &= self._often(part, letter, times)
        return found

    def _often(self, part: str, letter: str, times: int) -> int:
        """The names whose path or basename holds a letter so many times; worked out when it is first asked for."""
        mark = part, letter, times
        if mark not in self._marks:
            if len(self._marks) >= MOST_MARKS:
                self._marks.clear()
            texts = self._paths if part == "path" else self._bases
            self._marks[mark] = _number(["1" if text.count(letter) >= times else "0" for text in texts])
        return self._marks[mark]

    def _places(self, chosen: int) -> list[int]:
        """The places that are set, short names first, apart from those that came later."""
        return list(compress(range(len(self._names)), _bits(chosen)))

    def _fill(self, names: list[str]) -> None:
        self._names, self._paths, self._bases, self._at, self._marks = [], [], [], {}, {}
        for name in sorted(names, key=lambda name: (len(name), name)):
            self._append(name)
        self._sorted_until = len(self._names)
        self._letters, self._base_letters = _letters(self._paths), _letters(self._bases)
        self._starting = _starting(self._bases)
        self._living = (1 << len(self._names)) - 1
        self._directories = _number(["1" if name.endswith("/") else "0" for name in self._names])
        self._hidden = _number(["1" if _is_hidden(name) else "0" for name in self._names])

    def _append(self, name: str) -> tuple[str, str]:
        path = name.lower().removesuffix("/")
        base = path.rpartition("/")[2]
        self._at[name] = len(self._names)
        self._names.append(name)
        self._paths.append(path)
        self._bases.append(base)
        return path, base

    def _chosen(self, kind: Choice, hidden: bool) -> int:
        chosen = self._living
        if kind:
            chosen &= self._directories if kind == "directory" else ~self._directories
        return chosen if hidden else chosen & ~self._hidden


def best(names: Iterable[str], query: str, limit: int) -> list[str]:
    """The names that hold the query's letters, the likeliest first; for names that are asked once."""
    return Index(names).best(query, limit)


def rank(name: str, wanted: str) -> int:
    """Say how near a name is to the letters (in lower case): 0 is its whole basename; the farthest is 10, then NONE.

    1 its basename without endings, 2 that begins so, 3 a word of it begins so, 4 it holds them in one piece, 5 its
    words begin with pieces of them; then of the whole path: 6 it holds them in one piece, 7 words up to its basename
    begin with pieces of them, 8 words above its basename begin so; last, with other letters between, 9 its basename
    holds them and 10 its path.
    """
    path = name.lower().removesuffix("/")
    base = path.rpartition("/")[2]
    if wanted in (base, path):
        return 0
    if _is_stem(base, wanted):
        return 1
    if base.startswith(wanted):
        return 2
    if wanted in base:
        return _near_rank(name, base, wanted)
    return _far_rank(name, path, wanted) if _in_order(wanted)(path) else NONE


def _near_rank(name: str, base: str, wanted: str) -> int:
    """Rank a name whose basename holds the letters, but not at its start."""
    starts = _starts(name.removesuffix("/").rpartition("/")[2])
    return 3 if starts & _places_of(base, wanted) else 4


def _far_rank(name: str, path: str, wanted: str) -> int:
    """Rank a name that holds the letters in order, its basename not in one piece."""
    own = path.rfind("/") + 1
    letters = wanted.replace("/", "")
    if 0 < len(letters) <= LONGEST:
        end = _begins_words(name, path, letters, own if "/" not in wanted else len(path))
        if end == 3:
            return 5
        if end and wanted not in path:
            return 9 - end
    if wanted in path:
        return 6
    return 9 if _in_order(wanted)(path, own) else 10


def _is_stem(base: str, wanted: str) -> bool:
    """Whether the letters are the basename up to one of its dots: `app` or `app.test` of `app.test.ts`."""
    return base.startswith(wanted) and base[len(wanted) : len(wanted) + 1] in ("", ".")


def _begins_words(name: str, path: str, wanted: str, own: int) -> int:
    """How the letters are, in order, beginnings of words of the name: 0 not at all, 1 above its basename, which starts
    at `own`, 2 up to its basename, 3 in its basename alone, before its endings.

    `sessrout` begins words of `sessions/routes.py`, `tpi` those of `test_post_index`. It is worked out for all places
    at once: bit n of `reached` says that the letters so far can end at place n.
    """
    starts = _starts(name)
    reached = _reach(path, wanted, starts)
    if not reached or not reached >> own:
        return 1 if reached else 0
    dot = path.find(".", own + 1)
    within = _reach(path, wanted, starts & (-1 << own))
    return 3 if within and (dot < 0 or within & ((1 << dot) - 1)) else 2


def _reach(path: str, wanted: str, starts: int) -> int:
    """The places at which the letters can end, each of them at a start or right after the one before; as bits."""
    text = path.encode("ascii", "replace")[::-1]
    reached = _places_in(text, path, wanted[0]) & starts
    for letter in wanted[1:]:
        if not reached:
            break
        later = starts & ~((reached & -reached) * 2 - 1)
        reached = _places_in(text, path, letter) & (reached << 1 | later)
    return reached


def _places_in(text: bytes, path: str, letter: str) -> int:
    """Where a letter stands in a path, as bits; `text` is the path from its end, with ? for what is not ASCII."""
    return int(text.translate(_only(letter)), 2) if letter.isascii() and letter != "?" else _places_of(path, letter)


@functools.lru_cache(maxsize=128)
def _only(letter: str) -> bytes:
    return _table(letter)


def _starts(name: str) -> int:
    """Where its words start, as bits: letters or digits begin, a capital follows none, or a digit a letter."""
    text = name.encode("ascii", "replace")[::-1]
    if not text:
        return 0
    letters, digits, capitals = (int(text.translate(kind), 2) for kind in (_LETTERS, _DIGITS, _CAPITALS))
    either = letters | digits
    return either & ~(either << 1) | capitals & ((either & ~capitals) << 1) | digits & (letters << 1)


def _places_of(path: str, wanted: str) -> int:
    """Where the wanted stands in it, as bits."""
    places, at = 0, path.find(wanted)
    while at >= 0:
        places |= 1 << at
        at = path.find(wanted, at + 1)
    return places


@functools.lru_cache(maxsize=64)
def _in_order(wanted: str) -> Callable[..., object]:
    """A test whether the letters stand in a text in this order, from a place on; it never goes back."""
    letters = map(re.escape, wanted[:MOST_LETTERS])
    return re.compile("".join(f"[^{letter}]*{letter}" for letter in letters), re.DOTALL).match


def _count(found: dict[int, list[int]]) -> int:
    return sum(map(len, found.values()))


def _starting(bases: list[str]) -> dict[str, int]:
    """Which basenames start with each letter."""
    found: dict[str, list[int]] = {}
    for at, base in enumerate(reversed(bases)):
        found.setdefault(base[:1], []).append(at)
    return {letter: _set(places, len(bases)) for letter, places in found.items()}


def _set(places: list[int], size: int) -> int:
    """The number of so many bits of which these are set, counted from the highest."""
    bits = bytearray(b"0") * size
    for at in places:
        bits[at] = 49
    return int(bits, 2)


def _letters(texts: list[str]) -> dict[str, int]:
    alphabet = set().union(*map(set, texts)) if texts else set()
    return {letter: _number(["1" if letter in text else "0" for text in texts]) for letter in alphabet}


def _number(bits: list[str]) -> int:
    """The number whose bit n is the n-th of these."""
    bits.reverse()
    return int("".join(bits), 2) if bits else 0


def _bits(number: int) -> bytes:
    """Its bits, the lowest first, each as a byte of 0 or 1."""
    return bin(number)[:1:-1].encode().translate(_AS_BYTES)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or "/." in name
