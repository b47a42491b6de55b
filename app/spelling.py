"""How things are spelled on the wire, remembered by id and version: a list that has not changed is encoded once.

Versions are read from the database with every request, in the same snapshot as what is missing, so that a
spelling is never older than the row it stands for, whichever process wrote that row.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import orjson

T = TypeVar("T")
MIB = 1 << 20


class Spelling(Generic[T]):
    """One spelling of one kind of thing; keeps those last used, `most` bytes of them.

    `spell` gives plain data and may depend on nothing but the thing.
    """

    def __init__(self, spell: Callable[[T], Any], most: int = 8 * MIB) -> None:
        self._spell = spell
        self._most = most
        self._size = 0
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, keys: Sequence[str], load: Callable[[list[str]], Iterable[tuple[str, T]]]) -> orjson.Fragment:
        """The list of these keys' things, in their order; `load` gives those of the ids it is asked for, or more.

        A key is `id@version`; `id@` stands for a thing that is still being written, which is read each time.
        """
        with self._lock:
            found = list(map(self._known.get, keys))
        if None in found:
            fresh = self._read([key for key, known in zip(keys, found, strict=True) if known is None], load)
            self._keep(keys, fresh)
            found = [known or fresh.get(key) for key, known in zip(keys, found, strict=True)]
        return orjson.Fragment(b"[" + b",".join([spelled for spelled in found if spelled is not None]) + b"]")

    def _read(self, keys: list[str], load: Callable[[list[str]], Iterable[tuple[str, T]]]) -> dict[str, bytes]:
        missing = {key.partition("@")[0]: key for key in keys}
        loaded = ((name, thing) for name, thing in load(list(missing)) if name in missing)
        return {missing[name]: orjson.dumps(self._spell(thing)) for name, thing in loaded}

    def _keep(self, keys: Iterable[str], fresh: dict[str, bytes]) -> None:
        """Take in what is new and let go of what was used longest ago; what was asked for counts as used."""
        with self._lock:
            for key in keys:
                if key in self._known:
                    self._known.move_to_end(key)
            for key, spelled in fresh.items():
                size = len(spelled)
                if key.endswith("@") or key in self._known or size > self._most // 8:
                    continue
                self._known[key] = spelled
                self._size += size
            while self._size > self._most:
                self._size -= len(self._known.popitem(last=False)[1])
