"""The table of docs/security.md: a row per requirement, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.syntax import parse

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
NUMBERS = [*(f"1.{number}" for number in range(1, 12)), *(f"2.{number}" for number in range(1, 10))]


def rows() -> dict[str, str]:
    """The rows by their number."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    found = [re.match(r"\| (\d+\.\d+) \|(.*)\|$", line) for line in lines]
    return {one[1]: one[2] for one in found if one}


@cache
def known_in(path: str) -> frozenset[str]:
    """The tests of a file, those of classes as `Class::test`."""
    found = set()
    for node in parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found.update(f"{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef))
    return frozenset(found)


def test_every_requirement_has_its_row_with_tests() -> None:
    assert list(rows()) == NUMBERS
    assert [number for number, row in rows().items() if "::test_" not in row] == []


def named() -> Iterator[tuple[str, str]]:
    """Each file that is named, with "" or the name of a test that the page says is in it, as far as it says it."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        path = ""
        for word in re.findall(r"`([^`]+)`", line):
            if word.startswith("tests/"):
                path, _, name = word.partition("::")
                yield path, name
            elif path and (found := re.fullmatch(r"(?:::)?((?:test_)?[a-z0-9]+(?:_[a-z0-9]+){2,}…?)", word)):
                yield path, found[1] if found[1].startswith("test_") else f"test_{found[1]}"


def is_there(path: str, name: str) -> bool:
    """Whether a file has the test; of one that is cut, whether it has one that begins like it."""
    if not name:
        return (ROOT / path).is_file()
    return any(one.startswith(name[:-1]) for one in known_in(path)) if name.endswith("…") else name in known_in(path)


def test_every_test_that_is_named_is_there() -> None:
    found = set(named())
    assert len([name for _path, name in found if name]) > 120
    assert [f"{path}::{name}" for path, name in sorted(found) if not is_there(path, name)] == []
