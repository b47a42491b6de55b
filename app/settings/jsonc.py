"""JSON with comments and trailing commas, as OpenCode's configuration is written; faults say where they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

DEEPEST = 50
# Possessive, and to the end of the text where nothing closes it: a text from anywhere is read in one go, never twice.
_STRING = r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)'
_COMMENT = re.compile(rf"({_STRING})|//[^\n]*|/\*(?:[^*]++|\*(?!/))*+(\*/|\Z)", re.DOTALL)
_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)
_BRACKET = re.compile(rf"{_STRING}|([\[{{])|([\]}}])", re.DOTALL)


@dataclass(unsafe_hash=True)  # not frozen: a context manager that it passes through writes its traceback
class Fault(Exception):
    """What is wrong in a text: a sentence, and where; line and column count from 1, 0 for nowhere in particular."""

    message: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}: " if self.line else ""
        return f"{where}{self.message}"


def parse(text: str) -> dict[str, Any]:
    """The object that a text is; nothing for a text of comments alone. Raises Fault."""
    plain = _plain(text)
    if not plain.strip():
        return {}
    if _depth(plain) > DEEPEST:
        raise Fault(f"It is nested more than {DEEPEST} levels deep.")
    try:
        data = orjson.loads(plain)
    except orjson.JSONDecodeError as wrong:
        raise Fault(_sentence(wrong.msg), *_place(text, wrong.pos)) from None
    if not isinstance(data, dict):
        raise Fault("A configuration is an object: { … }.", 1, 1)
    return data


def find(text: str, path: Sequence[str | int]) -> tuple[int, int]:
    """Line and column of the key that a path leads to, or of the last one on the way that is there."""
    plain = _plain(text)
    at = found = 0
    for word in path:
        key = re.compile(rf"{re.escape(orjson.dumps(word).decode())}\s*:").search(plain, at) if word != "" else None
        if isinstance(word, str) and key is not None:
            found, at = key.start(), key.end()
    return _place(text, found)


def _plain(text: str) -> str:
    """The same text as JSON: what goes leaves spaces, so that every character keeps its place."""
    if text.startswith("\ufeff"):
        text = " " + text[1:]
    return _COMMA.sub(_blank, _COMMENT.sub(_blank, text))


def _blank(found: re.Match[str]) -> str:
    is_open = found[0].startswith("/*") and found[2] == ""  # nothing closes it: a fault, which the parser tells
    return found[0] if found[1] or is_open else re.sub(r"[^\n]", " ", found[0])


def _depth(plain: str) -> int:
    deepest = depth = 0
    for bracket in _BRACKET.finditer(plain):
        depth += bool(bracket[1]) - bool(bracket[2])
        deepest = max(deepest, depth)
    return deepest


def _place(text: str, at: int) -> tuple[int, int]:
    before = text[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
