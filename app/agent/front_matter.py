"""The head of a Markdown file: `key: value` lines between two lines of dashes, then the body.

The plain part of YAML that such heads use: words, quoted words, and blocks behind `|` or `>`. What is nested
deeper is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

KEY = re.compile(r"([A-Za-z_][\w-]*)[ \t]*:(?:[ \t]+(.*)|[ \t]*)$")
BLOCK = re.compile(r"([|>])[+-]?\d?[+-]?(?:[ \t]+#.*)?$")
COMMENT = re.compile(r"[ \t]+#.*$")


def split(text: str) -> tuple[dict[str, str], str]:
    """The keys of the head with their values as text, and the body; no keys if there is no head."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != "---":
        return {}, text
    end = next((place for place, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "...")), None)
    if end is None:
        return {}, text
    return dict(_pairs(lines[1:end])), "\n".join(lines[end + 1 :]).strip("\n")


def _pairs(lines: list[str]) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(lines):
        match = KEY.fullmatch(lines[at].rstrip())
        at += 1
        if match is None:
            continue
        start = at
        while at < len(lines) and (not lines[at].strip() or lines[at][0] in " \t"):
            at += 1
        value = _value((match[2] or "").strip(), lines[start:at])
        if value is not None:
            yield match[1], value


def _value(first: str, below: list[str]) -> str | None:
    """The value of a key from its own line and the indented ones below; None for what is no text."""
    block = BLOCK.match(first)
    if block:
        return _block(below, folds=block[1] == ">")
    lines = [first, *(line.strip() for line in below if line.strip())]
    if not first and any(line.startswith("- ") or KEY.fullmatch(line) for line in lines[1:]):
        return None
    words = " ".join(line for line in lines if line)
    return _unquoted(words)


def _unquoted(words: str) -> str | None:
    if words[:1] == '"':
        found = re.match(r'"((?:[^"\\]|\\.)*)"', words)
        return (
            re.sub(r"\\(.)", lambda escaped: {"n": "\n", "t": "\t"}.get(escaped[1], escaped[1]), found[1])
            if found
            else None
        )
    if words[:1] == "'":
        found = re.match(r"'((?:[^']|'')*)'", words)
        return found[1].replace("''", "'") if found else None
    return None if words[:1] in ("[", "{", "&", "*", "!") else COMMENT.sub("", words)


def _block(lines: list[str], *, folds: bool) -> str:
    """Lines of a block without their common indentation; folded, a line end is a blank and an empty line a line end."""
    inner = [line for line in lines if line.strip()]
    depth = min((len(line) - len(line.lstrip()) for line in inner), default=0)
    text = "\n".join(line[depth:].rstrip() for line in lines).strip("\n")
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text).replace("\n\n", "\n") if folds else text
