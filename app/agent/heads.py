"""The heads of Markdown files that configure something: the part of YAML that people write there.

Mappings by indentation, lists, one-line `{…}` and `[…]`, quoted and plain values, `|` and `>` blocks. No tags, no
anchors, no types beyond text, numbers, booleans and nothing: a head is data, and what is no such data is refused.
"""

from __future__ import annotations

import re
from typing import Any

DEEPEST = 8
_HEAD = re.compile(
    r"\A\ufeff?---[ \t]*\r?\n(?P<head>.*?)^---[ \t]*(?:\r?\n|\Z)(?P<body>.*)\Z", re.DOTALL | re.MULTILINE
)
_QUOTED = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')"""
_KEY = re.compile(rf"""(?P<key>{_QUOTED}|[^\s"'\[\]{{}}#&!|>%@`,][^#]*?)\s*:(?:\s+(?P<rest>.*))?$""")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_FLOW = re.compile(rf"""\s*(?:(?P<mark>[\[\]{{}},:])|(?P<word>{_QUOTED}|[^\[\]{{}},:\s"'][^\[\]{{}},:]*))""")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "yes": True, "no": False, "": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": ""}


class _Unreadable(Exception):
    """It is not the part of YAML that is read here."""


def split(text: str) -> tuple[dict[str, Any], str] | None:
    """The head as plain data and the body; no head is an empty one, None stands for one that cannot be read."""
    found = _HEAD.match(text)
    if found is None:
        return None if re.match(r"\ufeff?---[ \t]*\r?\n", text) else ({}, text.strip())
    lines = [line.rstrip() for line in found["head"].expandtabs(4).splitlines()]
    try:
        head, rest = _mapping(lines, 0, _indent_of(lines), 0)
    except _Unreadable:
        return None
    return (head, found["body"].strip()) if not any(_is_said(line) for line in lines[rest:]) else None


def _mapping(lines: list[str], at: int, indent: int, depth: int) -> tuple[dict[str, Any], int]:
    """The mapping that begins at a line with this indent, and the line after it."""
    if depth > DEEPEST:
        raise _Unreadable
    found: dict[str, Any] = {}
    while at < len(lines):
        line = lines[at]
        if not _is_said(line):
            at += 1
            continue
        if _width(line) < indent:
            break
        named = _KEY.match(line.strip())
        if _width(line) > indent or named is None:
            raise _Unreadable
        key = str(_scalar(named["key"], plain=True))
        found[key], at = _value(lines, at + 1, indent, (named["rest"] or "").strip(), depth)
    return found, at


def _value(lines: list[str], at: int, indent: int, rest: str, depth: int) -> tuple[Any, int]:
    if rest[:1] in ("|", ">") and re.fullmatch(r"[|>][-+]?", _uncommented(rest)):
        return _block(lines, at, indent, folded=rest[0] == ">")
    if _uncommented(rest):
        return _inline(_uncommented(rest)), at
    following = next((number for number in range(at, len(lines)) if _is_said(lines[number])), len(lines))
    if following == len(lines):
        return None, following
    line, width = lines[following], _width(lines[following])
    if line.strip().startswith("- ") and width >= indent:
        return _list(lines, following, width)
    return _mapping(lines, following, width, depth + 1) if width > indent else (None, at)


def _list(lines: list[str], at: int, indent: int) -> tuple[list[Any], int]:
    found = []
    while at < len(lines):
        line = lines[at]
        if _is_said(line):
            if _width(line) < indent or not line.strip().startswith("- "):
                break
            found.append(_inline(_uncommented(line.strip()[2:].strip())))
        at += 1
    return found, at


def _block(lines: list[str], at: int, indent: int, *, folded: bool) -> tuple[str, int]:
    end = at
    while end < len(lines) and (not lines[end].strip() or _width(lines[end]) > indent):
        end += 1
    kept = lines[at:end]
    width = min((_width(line) for line in kept if line.strip()), default=0)
    text = "\n".join(line[width:] for line in kept).strip("\n")
    return (re.sub(r"(?<!\n)\n(?!\n)", " ", text) if folded else text), end


def _inline(text: str) -> Any:
    if text[:1] not in ("{", "["):
        return _scalar(text)
    tokens, end = [], 0
    while end < len(text):
        found = _FLOW.match(text, end)
        if found is None:
            raise _Unreadable
        tokens.append((found["mark"] or "", (found["word"] or "").strip()))
        end = found.end()
    value, after = _flow(tokens, 0, 0)
    if after != len(tokens):
        raise _Unreadable
    return value


def _flow(tokens: list[tuple[str, str]], at: int, depth: int) -> tuple[Any, int]:
    """A value of `{…}` or `[…]` and the token after it."""
    if at >= len(tokens) or depth > DEEPEST:
        raise _Unreadable
    mark, word = tokens[at]
    if not mark:
        return _scalar(word), at + 1
    if mark not in ("{", "["):
        raise _Unreadable
    close, pairs, items = ("}", {}, []) if mark == "{" else ("]", {}, [])
    at += 1
    while at < len(tokens) and tokens[at][0] != close:
        if mark == "[":
            item, at = _flow(tokens, at, depth + 1)
            items.append(item)
        else:
            if tokens[at][0] or tokens[at + 1 : at + 2] != [(":", "")]:
                raise _Unreadable
            key = str(_scalar(tokens[at][1], plain=True))
            pairs[key], at = _flow(tokens, at + 2, depth + 1)
        if at < len(tokens) and tokens[at][0] == ",":
            at += 1
        elif at >= len(tokens) or tokens[at][0] != close:
            raise _Unreadable
    if at >= len(tokens):
        raise _Unreadable
    return (pairs if mark == "{" else items), at + 1


def _scalar(text: str, *, plain: bool = False) -> Any:
    """A quoted or plain value; `plain` leaves words and numbers the text they are, as keys are."""
    if text[:1] == '"':
        if len(text) < 2 or text[-1] != '"':
            raise _Unreadable
        return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1])
    if text[:1] == "'":
        if len(text) < 2 or text[-1] != "'":
            raise _Unreadable
        return text[1:-1].replace("''", "'")
    if plain:
        return text
    if text[:1] in ("&", "!", "%", "@", "`") or (text[:1] == "*" and text != "*"):
        raise _Unreadable
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _NUMBER.fullmatch(text):
        return float(text) if re.search(r"[.eE]", text) else int(text)
    return text


def _uncommented(text: str) -> str:
    """The value without a comment behind it."""
    if text[:1] in ('"', "'"):
        found = re.match(rf"({_QUOTED})\s*(?:#.*)?$", text)
        return found[1] if found else text
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()


def _is_said(line: str) -> bool:
    return bool(line.strip()) and not line.strip().startswith("#")


def _width(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _indent_of(lines: list[str]) -> int:
    return next((_width(line) for line in lines if _is_said(line)), 0)
