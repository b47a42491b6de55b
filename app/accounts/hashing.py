"""Hashes of passwords: argon2id, few at a time, and as much work for somebody who isn't there as for who is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from app import ids
from app.errors import Limited

if TYPE_CHECKING:
    from argon2 import PasswordHasher

LONGEST = 1024  # bytes of a password; more is refused before anything is worked out
AT_ONCE = 2
WAITING = 4

_places = threading.BoundedSemaphore(AT_ONCE + WAITING)
_working = threading.BoundedSemaphore(AT_ONCE)


@contextmanager
def place() -> Iterator[None]:
    """A place among those whose passwords are worked on; raises Limited if all are taken.

    Each hash takes 19 MiB and a processor for some 40 ms, so a flood of sign-ins is turned away instead of queued.
    """
    if not _places.acquire(blocking=False):
        raise Limited("Too many people are signing in at this moment.", 1, code="AUTH_RATE_LIMITED")
    try:
        with _working:
            yield
    finally:
        _places.release()


def make(password: str) -> str:
    """The hash to keep; wants a place."""
    return _hasher().hash(_bytes(password))


def is_right(kept: str | None, password: str) -> bool:
    """Whether the password is that of the kept hash; for None it does the same work, in vain. Wants a place."""
    from argon2.exceptions import InvalidHashError, VerificationError

    nobodys = _nobodys()
    try:
        return _hasher().verify(kept or nobodys, _bytes(password)) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


def is_weak(kept: str) -> bool:
    """Whether the hash was made with less work than hashes are now."""
    return _hasher().check_needs_rehash(kept)


def is_too_long(password: str) -> bool:
    """Whether it is longer than any password may be."""
    return len(_bytes(password)) > LONGEST


@cache
def _hasher() -> PasswordHasher:
    """How passwords are hashed; imported when somebody has one, for many servers go by links and tokens alone."""
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "backslashreplace")


@cache
def _nobodys() -> str:
    """A hash that no password has."""
    return _hasher().hash(ids.secret("nobody"))
