"""Globs over commands, paths and hosts, matched at word boundaries.

Pure. An allowing pattern is read narrowly, an asking or denying one widely: `git push *` covers `git push`
and `git push origin x`, never `git pushy`; `*` inside a word stays inside it; `rm*` as a denial covers
`rmdir x` too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

Match = Literal["no", "maybe", "yes"]
REST: Final = "rest"  # a `*` that is a word of its own: any number of words, none included


@dataclass(frozen=True)
class Atom:
    """A character of a glob, or with an empty `char` a wildcard: `one`, `some` (no slash) or `any`."""

    char: str = ""
    kind: Literal["", "one", "some", "any"] = ""


PatternWord = tuple[Atom, ...] | Literal["rest"]


def match_command(pattern: str, words: Sequence[tuple[str, bool]], *, wide: bool) -> Match:
    """Whether a pattern covers a command of (text, fixed) words; `maybe` if only running it tells."""
    elements = _command(pattern, wide)
    states = _closure({0}, elements)
    sure = set(states)
    for text, fixed in words:
        sure = _closure(_step(sure, elements, text, fixed, wide), elements)
        after = _step(states, elements, text, fixed, wide)
        if not fixed and states:
            after |= set(range(min(states), len(elements) + 1))
        states = _closure(after, elements)
    if len(elements) in sure:
        return "yes"
    return "maybe" if len(elements) in states else "no"


def match_path(pattern: str, path: str, *, wide: bool) -> bool:
    """Whether a pattern covers a path: `*` stays in one folder (not in a denial), `**` does not.

    A pattern without a slash means that name in any folder.
    """
    pattern = pattern.removeprefix("./")
    if pattern in ("*", "**", "**/*", "/**"):
        return True
    if wide:
        pattern, path = pattern.casefold(), path.casefold()
    if pattern.endswith("/"):
        pattern += "**"
    if pattern.endswith("/**") and fits(_path(pattern[:-3], wide), path):
        return True
    if "/" not in pattern:
        names = path.split("/") if wide else [path.rpartition("/")[2]]
        return any(fits(_path(pattern, wide), name) for name in names)
    if pattern.startswith("**/") and fits(_path(pattern[3:], wide), path):
        return True
    return fits(_path(pattern, wide), path)


def match_name(pattern: str, name: str) -> bool:
    """Whether a pattern covers a host or the name of a tool, case aside."""
    return fits(_name(pattern.casefold()), name.casefold())


def literal(word: str) -> str:
    """A word as a pattern that matches just it."""
    escaped = re.sub(r"([*?\\])", r"\\\1", word)
    if not word or re.search(r"[\s'\"]", word):
        inner = re.sub(r'(["\\])', r"\\\1", word)
        return f'"{inner}"'
    return escaped


def literal_path(path: str) -> str:
    """A path as a pattern that matches just it, from the project's root or the file system's."""
    escaped = re.sub(r"([*?\\])", r"\\\1", path)
    return escaped if "/" in escaped else f"./{escaped}"


def fits(atoms: Sequence[Atom], text: str) -> bool:
    """Whether a glob covers a text whole; time is at most their product, however hostile the two are."""
    states = _skip({0}, atoms)
    for char in text:
        after: set[int] = set()
        for at in states:
            if at == len(atoms):
                continue
            atom = atoms[at]
            if atom.kind == "any" or (atom.kind == "some" and char != "/"):
                after.add(at)
            elif atom.kind == "one" or atom.char == char:
                after.add(at + 1)
        if not after:
            return False
        states = _skip(after, atoms)
    return len(atoms) in states


def _skip(states: set[int], atoms: Sequence[Atom]) -> set[int]:
    found = set(states)
    for at in states:
        while at < len(atoms) and atoms[at].kind in ("any", "some"):
            at += 1  # noqa: PLW2901 - a walk from each state
            found.add(at)
    return found


def _step(states: set[int], elements: Sequence[PatternWord], text: str, fixed: bool, wide: bool) -> set[int]:
    after: set[int] = set()
    for at in states:
        if at == len(elements):
            continue
        element = elements[at]
        if element == REST:
            after.add(at)
        elif fixed and isinstance(element, tuple) and _covers_word(element, text, wide):
            after.add(at + 1)
    return after


def _covers_word(element: tuple[Atom, ...], text: str, wide: bool) -> bool:
    if not wide and ".." in text.split("/") and any(atom.kind for atom in element):
        return False  # `tests/*` does not reach `tests/../../x`
    return fits(element, text)


def _closure(states: set[int], elements: Sequence[PatternWord]) -> set[int]:
    found = set(states)
    for at in states:
        while at < len(elements) and elements[at] == REST:
            at += 1  # noqa: PLW2901 - a walk from each state
            found.add(at)
    return found


@lru_cache(maxsize=4096)
def _command(pattern: str, wide: bool) -> tuple[PatternWord, ...]:
    """The words of a pattern; quotes and backslashes make characters plain."""
    elements: list[PatternWord] = [
        REST if len(atoms) == 1 and atoms[0].kind == "any" else tuple(atoms) for atoms in _lex(pattern)
    ]
    last = elements[-1] if elements else REST
    if isinstance(last, tuple) and len(last) > 1 and last[-1].kind == "any":
        boundary = last[-2].char.isalnum() or last[-2].char == "_"
        if wide:
            elements.append(REST)
        elif boundary:
            elements[-1:] = [last[:-1], REST]
    return tuple(elements)


def _lex(pattern: str) -> list[list[Atom]]:
    """The words of a pattern; where its quotes do not close, they are plain characters."""
    words, closed = _lexed(pattern, quotes="'\"")
    return words if closed else _lexed(pattern, quotes="")[0]


def _lexed(pattern: str, quotes: str) -> tuple[list[list[Atom]], bool]:
    words: list[list[Atom]] = []
    word: list[Atom] | None = None
    quote = ""
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char.isspace() and not quote:
            words, word = ([*words, word], None) if word is not None else (words, None)
            continue
        word = [] if word is None else word
        if char == "\\" and at < len(pattern) and quote != "'":
            word.append(Atom(pattern[at]))
            at += 1
        elif char in quotes and quote in ("", char):
            quote = "" if quote else char
        elif char in "*?" and not quote:
            word.append(Atom(kind="any" if char == "*" else "one"))
        else:
            word.append(Atom(char))
    return ([*words, word] if word is not None else words), not quote


@lru_cache(maxsize=4096)
def _path(pattern: str, wide: bool) -> tuple[Atom, ...]:
    star: Literal["any", "some"] = "any" if wide else "some"
    atoms = []
    for piece in re.findall(r"\\.|\*\*+|.", pattern, re.DOTALL):
        if piece[0] == "*":
            atoms.append(Atom(kind="any" if len(piece) > 1 else star))
        elif piece == "?":
            atoms.append(Atom(kind="one"))
        else:
            atoms.append(Atom(piece[-1]))
    return tuple(atoms)


@lru_cache(maxsize=4096)
def _name(pattern: str) -> tuple[Atom, ...]:
    kinds: dict[str, Atom] = {"*": Atom(kind="any"), "?": Atom(kind="one")}
    return tuple(kinds.get(char, Atom(char)) for char in pattern)
