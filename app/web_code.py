"""Code as pieces of text with one of five colour classes, by Pygments; no markup is made here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.lexers.special import TextLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType
from pygments.util import ClassNotFound

CLASSES = frozenset({"kw", "str", "num", "fn", "com"})
_KINDS: tuple[tuple[_TokenType, str], ...] = (
    (Comment, "com"),
    (Keyword, "kw"),
    (Operator.Word, "kw"),
    (String, "str"),
    (Number, "num"),
    (Name.Function, "fn"),
    (Name.Class, "fn"),
    (Name.Decorator, "fn"),
    (Name.Tag, "fn"),
)


@lru_cache(maxsize=64)
def lexer_for(filename: str) -> Lexer:
    """The lexer for a file's name, plain text when none fits."""
    try:
        return get_lexer_for_filename(filename, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return TextLexer(stripnl=False, ensurenl=False)


@lru_cache(maxsize=64)
def lexer_named(language: str) -> Lexer:
    """The lexer for a language's name as written after a fence, plain text when unknown."""
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return TextLexer(stripnl=False, ensurenl=False)


def pieces(code: str, lexer: Lexer) -> list[tuple[str, str]]:
    """The code as (class or "", text), neighbours of one class joined; the texts add up to the code."""
    out: list[tuple[str, str]] = []
    for kind, text in lexer.get_tokens(code):
        name = _class_of(kind)
        if out and out[-1][0] == name:
            out[-1] = (name, out[-1][1] + text)
        else:
            out.append((name, text))
    return out


def tokens(code: str, filename: str) -> Iterator[tuple[str, str]]:
    """The code as (class or "", text), one by one: whoever stops early has not paid for the rest.

    The lexer is one of its own, because some keep where they are in themselves.
    """
    lexer = type(lexer_for(filename))(stripnl=False, ensurenl=False)
    return ((_class_of(kind), text) for kind, text in lexer.get_tokens(code))


def line_pieces(code: str, lexer: Lexer) -> list[list[tuple[str, str]]]:
    """The same, one list per line, without the line ends."""
    rows: list[list[tuple[str, str]]] = [[]]
    for name, text in pieces(code, lexer):
        first, *rest = text.split("\n")
        if first:
            rows[-1].append((name, first))
        rows.extend([(name, part)] if part else [] for part in rest)
    return rows


@lru_cache(maxsize=1024)
def _class_of(kind: _TokenType) -> str:
    return next((name for parent, name in _KINDS if parent is kind or parent in kind.split()), "")
