"""Identifiers: OpenCode's sortable form for what its clients see, random ones for the rest, and secrets."""

from __future__ import annotations

import secrets
import string
import threading
import time

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_MASK = (1 << 48) - 1
_lock = threading.Lock()
_last = 0


def now() -> int:
    """The wall clock in unix milliseconds, for showing; durations are measured by the monotonic clock."""
    return time.time_ns() // 1_000_000


def ascending(prefix: str) -> str:
    """A new id `prefix_` + 12 hex + 14 base62 that sorts after all earlier ones of this process."""
    return f"{prefix}_{_tick():012x}{_random(14)}"


def descending(prefix: str) -> str:
    """A new id of the same form that sorts before all earlier ones: newest first in a plain listing."""
    return f"{prefix}_{~_tick() & _MASK:012x}{_random(14)}"


def random(prefix: str) -> str:
    """A new id `prefix_` + 22 base62 characters (131 bits)."""
    return f"{prefix}_{_random(22)}"


def secret(prefix: str) -> str:
    """A new secret `prefix_` + 43 base62 characters (256 bits)."""
    return f"{prefix}_{_random(43)}"


def hex_secret(prefix: str) -> str:
    """A new secret `prefix_` + 40 hex digits (160 bits), for clients that know no other form."""
    return f"{prefix}_{secrets.token_hex(20)}"


def _tick() -> int:
    """Milliseconds x 4096 + counter, never twice and never backwards even when the clock steps back."""
    global _last
    with _lock:
        _last = max(_last + 1, now() * 4096 + 1)
        return _last & _MASK


def _random(length: int) -> str:
    """So many characters, each as likely as any other; all from one number, because each one costs a system call."""
    rest, digits = secrets.randbelow(len(ALPHABET) ** length), []
    for _ in range(length):
        rest, digit = divmod(rest, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(digits)
