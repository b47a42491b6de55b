"""The table of docs/security.md: a row per requirement, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

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
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found.update(f"{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef))
    return frozenset(found)


def test_every_requirement_has_its_row_with_tests() -> None:
    assert list(rows()) == NUMBERS
    assert [number for number, row in rows().items() if "::test_" not in row] == []


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 60
    assert [f"{path}::{name}" for path, name in named if name not in known_in(path)] == []
