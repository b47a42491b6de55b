"""Patterns over paths as people write them for Roo: JavaScript's regular expressions, without flags.

Pure. A pattern is read as JavaScript reads it and written anew for the `regex` package, which can be bounded in time:
`$` is the very end, a name in braces is no fuzzy match, and what JavaScript refuses is refused. A pattern comes from
anywhere, so what is costly to compile is refused, and what is slow to match is given up.
"""

from __future__ import annotations

import re
import string
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

LONGEST = 1_000
DEEPEST = 8  # a compiler takes twice as long with each level
LARGEST = 5_000  # how many characters it is with all its counts written out
PATIENCE = 0.25  # seconds for one search
PER_CALL = 1.0  # and for all that are made to decide one call
_WORD = frozenset(string.ascii_letters + string.digits + "_")
_SPACE = r"\t\n\x0b\x0c\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_NO_SPACE = (
    r"\x00-\x08\x0e-\x1f!-\x9f\xa1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u2fff"
    r"\u3001-\ufefe\uff00-\U0010ffff"
)
_ANY = r"[^\n\r\u2028\u2029]"
_CONTROLS = {"t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "0": "\0"}
_GROUPS = ("(?:", "(?=", "(?!", "(?<=", "(?<!", "(?i:", "(?-i:")


class BadPattern(ValueError):
    """The pattern is none, or too much of one; the message says what is wrong with it."""


class TooSlow(Exception):
    """It could not be told in time whether a text fits."""


def fault_of(pattern: str) -> str:
    """What is wrong with a pattern, "" if nothing is."""
    try:
        compiled(pattern)
    except BadPattern as bad:
        return str(bad)
    return ""


@dataclass
class Allowance:
    """The seconds that all searches of one decision may take together: paths times patterns have no other bound."""

    left: float = PER_CALL


def finds(pattern: str, text: str, allowance: Allowance | None = None) -> bool:
    """Whether a pattern is found anywhere in a text; raises BadPattern, or TooSlow, too once the allowance is spent."""
    allowed = allowance or Allowance()
    search, began = compiled(pattern).search, time.monotonic()
    try:
        if allowed.left <= 0:
            raise TimeoutError
        return search(text, timeout=min(PATIENCE, allowed.left), concurrent=True) is not None
    except (TimeoutError, MemoryError):
        raise TooSlow(f"{shortened(pattern)} takes too long") from None
    finally:
        allowed.left -= time.monotonic() - began


def shortened(pattern: str) -> str:
    """A pattern as it is shown in a sentence."""
    line = " ".join(pattern.split())
    return line if len(line) <= 200 else f"{line[:199]}…"


@lru_cache(maxsize=500)
def compiled(pattern: str) -> Any:
    """The pattern to search with; raises BadPattern."""
    if not pattern:
        raise BadPattern("it is empty")
    if len(pattern) > LONGEST:
        raise BadPattern(f"it has more than {LONGEST} characters")
    import regex  # loaded with the first pattern, not with the server

    try:
        return regex.compile(_Reader(pattern).read(), regex.ASCII | regex.VERSION0)
    except (regex.error, RecursionError, OverflowError) as error:
        raise BadPattern(f"it cannot be used: {error}") from None


@dataclass
class _Reader:
    """Reads a pattern from its start to its end, once."""

    pattern: str
    at: int = 0
    depth: int = 0
    groups: int = 0
    names: list[str] = field(default_factory=list)

    def read(self) -> str:
        """The whole pattern, written anew."""
        found, _size = self._alternatives()
        if self._peek():
            raise BadPattern("a ) closes nothing")
        return found

    def _alternatives(self) -> tuple[str, int]:
        """What stands up to the end of a group, and how large that is."""
        written, size = [], 0
        while (sign := self._peek()) and sign != ")":
            if sign == "|":
                self.at += 1
                written.append("|")
                continue
            atom, large, repeats = self._atom()
            count, times = self._count()
            if count and not repeats:
                raise BadPattern(f"nothing stands before {count} that it could repeat")
            written.append(atom + count)
            size += large * times
            if size > LARGEST:
                raise BadPattern("its counts make it too large")
        return "".join(written), max(size, 1)

    def _atom(self) -> tuple[str, int, bool]:
        """One piece: as written anew, how large it is, whether it may be repeated."""
        sign = self._next()
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._class(), 1, True
        if sign == "\\":
            return self._escaped()
        if sign in "*+?":
            raise BadPattern(f"nothing stands before {sign} that it could repeat")
        if sign == "{" and _counted(self.pattern, self.at - 1):
            raise BadPattern("nothing stands before { that it could repeat")
        special = {"^": r"\A", "$": r"\Z", ".": _ANY}
        return special.get(sign) or _plain(sign), 1, sign not in "^$"

    def _group(self) -> tuple[str, int, bool]:
        self.depth += 1
        if self.depth > DEEPEST:
            raise BadPattern(f"its groups stand more than {DEEPEST} deep")
        start = self._start_of_group()
        inner, size = self._alternatives()
        if self._next() != ")":
            raise BadPattern("a ( is not closed")
        self.depth -= 1
        return f"{start}{inner})", size, not start.startswith("(?<") and start not in ("(?=", "(?!")

    def _start_of_group(self) -> str:
        if self._peek() != "?":
            self.groups += 1
            return "("
        for start in _GROUPS:
            if self.pattern.startswith(start[1:], self.at):
                self.at += len(start) - 1
                return start
        if self.pattern.startswith("?<", self.at):
            name = self.pattern[self.at + 2 :].partition(">")[0]
            if name.isidentifier() and name.isascii() and name not in self.names:
                self.at += len(name) + 3
                self.groups += 1
                self.names.append(name)
                return f"(?P<{name}>"
        raise BadPattern("a group begins with (? and something unknown")

    def _count(self) -> tuple[str, int]:
        """How often what stands before is repeated, as written, and at most."""
        sign, times = self._peek(), 1
        if sign and sign in "*+?":
            self.at += 1
        elif counted := _counted(self.pattern, self.at):
            sign, times = counted
            self.at += len(sign)
        else:
            return "", 1
        if self._peek() == "?":
            self.at += 1
            sign += "?"
        return sign, times

    def _escaped(self) -> tuple[str, int, bool]:
        sign = self._peek()
        if sign in ("b", "B"):
            self.at += 1
            return f"\\{sign}", 1, False
        if sign == "k" and self.names:
            name = self.pattern[self.at + 1 :].partition(">")[0].removeprefix("<")
            if name not in self.names:
                raise BadPattern(r"\k names no group that stands before it")
            self.at += len(name) + 3
            return f"(?({name})(?P={name})|)", 1, True
        if sign in "123456789" and sign:
            number = self.pattern[self.at :][: 2 if self.pattern[self.at + 1 : self.at + 2].isdigit() else 1]
            if int(number) > self.groups:
                raise BadPattern(f"\\{number} names no group that stands before it")
            self.at += len(number)
            return f"(?({number})\\{number}|)", 1, True
        known = self._known_class()
        if known:
            return {"s": f"[{_SPACE}]", "S": f"[^{_SPACE}]"}.get(known) or f"\\{known}", 1, True
        return _plain(self._character()), 1, True

    def _known_class(self) -> str:
        """The letter of an escape that stands for many characters, read; "" for another."""
        sign = self._peek()
        if not sign or sign not in "dDwWsS":
            return ""
        self.at += 1
        return sign

    def _character(self) -> str:
        """The character that an escape stands for; the backslash is read already."""
        sign = self._next()
        if not sign:
            raise BadPattern("it ends with a backslash")
        if sign == "c" and self._peek().isalpha() and self._peek().isascii():
            return chr(ord(self._next()) % 32)
        if sign in "xu":
            return self._by_number(2 if sign == "x" else 4) or sign
        return _CONTROLS.get(sign, sign)

    def _by_number(self, digits: int) -> str:
        r"""The character of `\x41` or `\u0041`, two of them where they are the halves of one; "" if there is none."""
        found = self._hexadecimal(digits)
        if found is None:
            return ""
        if 0xD800 <= found < 0xDC00 and self.pattern.startswith("\\u", self.at):
            before, self.at = self.at, self.at + 2
            low = self._hexadecimal(4)
            if low is not None and 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((found - 0xD800) << 10) + low - 0xDC00)
            self.at = before
        return chr(found)

    def _hexadecimal(self, digits: int) -> int | None:
        text = self.pattern[self.at : self.at + digits]
        if len(text) < digits or any(sign not in string.hexdigits for sign in text):
            return None
        self.at += digits
        return int(text, 16)

    def _class(self) -> str:
        """A class of characters; its bracket is read already."""
        negated = self._peek() == "^"
        self.at += negated
        written: list[str] = []
        while (sign := self._next()) != "]":
            if not sign:
                raise BadPattern("a [ is not closed")
            first = self._in_class(sign)
            if self._peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                written.append(_span(first, self._in_class(self._next())))
            else:
                written.append(_listed(first))
        if not written:
            return "[\\x00-\\U0010ffff]" if negated else "(?!)"
        return f"[{'^' if negated else ''}{''.join(written)}]"

    def _in_class(self, sign: str) -> str | tuple[str]:
        """One character of a class, or (letter,) of an escape that stands for many."""
        if sign != "\\":
            return sign
        if known := self._known_class():
            return (known,)
        if self._peek() == "b":
            self.at += 1
            return "\b"
        return self._character()

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _next(self) -> str:
        sign = self._peek()
        self.at += 1
        return sign


def _counted(pattern: str, at: int) -> tuple[str, int] | None:
    """A count in braces at a place, and how often it repeats at most; None where the brace is a plain one."""
    found = re.match(r"\{([0-9]{1,9})(,([0-9]{0,9}))?\}", pattern[at : at + 30])
    if not found:
        return None
    least = int(found[1])
    most = int(found[3]) if found[3] else least
    if most < least:
        raise BadPattern(f"the numbers of {found[0]} are out of order")
    return found[0], max(most, 1)


def _span(first: str | tuple[str], last: str | tuple[str]) -> str:
    if isinstance(first, tuple) or isinstance(last, tuple):
        return f"{_listed(first)}\\-{_listed(last)}"
    if first > last:
        raise BadPattern(f"the range {first}-{last} is out of order")
    return f"{_plain(first)}-{_plain(last)}"


def _listed(one: str | tuple[str]) -> str:
    if isinstance(one, str):
        return _plain(one)
    return {"s": _SPACE, "S": _NO_SPACE}.get(one[0]) or f"\\{one[0]}"


def _plain(sign: str) -> str:
    """A character as itself."""
    return sign if sign in _WORD else f"\\U{ord(sign):08x}"
