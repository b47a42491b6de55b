"""Which passwords are refused: those that are short, and those that are guessed first.

There is no rule about kinds of characters. What is guessed first is a common word with a few digits or signs around it
or in place of letters, a row of keys, a sequence, the same few characters over and over, or one's own email or name.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from app.accounts import hashing
from app.errors import Invalid

SHORTEST = 8
_WORDS = Path(__file__).with_name("common_words.txt")

_LEET = str.maketrans("@4310$5789!", "aaeiosstbgi")
_EDGES = re.compile(r"^[\d\W_]+|[\d\W_]+$")
_ROWS = (
    *("qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn"),
    *("1234567890", "0123456789", "abcdefghijklmnopqrstuvwxyz", "qazwsxedcrfvtgbyhnujmikolp", "1qaz2wsx3edc4rfv5tgb"),
    *("1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "zaq1xsw2cde3vfr4bgt5", "a1b2c3d4e5f6g7h8", "1a2b3c4d5e6f7g8h"),
    *("147258369", "123698745", "789456123", "741852963"),
)


def check(password: str, *own: str) -> None:
    """Raise Invalid, with what is wrong, for a password that may not be taken; `own` are one's email and name."""
    if len(password) < SHORTEST:
        raise Invalid(f"A password has at least {SHORTEST} characters.", "password")
    if hashing.is_too_long(password):
        raise Invalid(f"A password has at most {hashing.LONGEST} bytes.", "password")
    if is_common(password) or _is_own(password.lower(), own):
        raise Invalid("This password is among the first that are tried. Take another.", "password")


def is_common(password: str) -> bool:
    """Whether it is among the first that are tried, against whoever it is."""
    lowered = password.lower()
    if len(set(lowered)) <= 3 or _is_repeated(lowered):
        return True
    if any(_is_word(form) for form in _forms(lowered)):
        return True
    return _is_rows(re.sub(r"[\W_]+", "", lowered))


def _forms(lowered: str) -> set[str]:
    """The word in it: without what stands around it, and with letters where digits stand for them."""
    spelled = lowered.translate(_LEET)
    bare = {
        lowered,
        spelled,
        _EDGES.sub("", lowered),
        _EDGES.sub("", lowered).translate(_LEET),
        _EDGES.sub("", spelled),
    }
    return {re.sub(r"[\W_\d]+", "", word) for word in bare}


def _is_word(form: str) -> bool:
    return form in _common() or (form[: len(form) // 2] * 2 == form != "" and form[: len(form) // 2] in _common())


@cache
def _common() -> frozenset[str]:
    return frozenset(_WORDS.read_text(encoding="utf-8").split())


def _is_repeated(text: str) -> bool:
    """Whether it is some characters at most four long, over and over."""
    return any(text == (text[:size] * len(text))[: len(text)] for size in range(1, 5))


def _is_rows(text: str) -> bool:
    """Whether it is put together of a few rows of keys, sequences or years, forwards or backwards."""
    pieces = 0
    while text:
        taken = max((_run(text, row) for row in (*_ROWS, *(row[::-1] for row in _ROWS))), default=0)
        if taken < 3:
            return False
        text, pieces = text[taken:], pieces + 1
    return pieces <= 3


def _run(text: str, row: str) -> int:
    """How much of the beginning of the text is a piece of the row."""
    size = 0
    while size < len(text) and text[: size + 1] in row:
        size += 1
    return size


def _is_own(lowered: str, own: tuple[str, ...]) -> bool:
    words = {word for text in own for word in (text.lower(), *re.split(r"[@\s.+_-]+", text.lower())) if len(word) >= 3}
    stripped = _EDGES.sub("", lowered)
    return lowered in words or stripped in words
