"""The source of `app` as syntax trees: what each module imports, and which functions it holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.syntax import parse

APP = Path(__file__).parent.parent / "app"
DOORS = frozenset({"pages", "opencode", "roo", "codebuddy", "rootcx", "e2b"})


@dataclass(frozen=True)
class Module:
    """One module of `app`; `words` are its dotted name without the leading `app`."""

    path: Path
    words: tuple[str, ...]
    tree: ast.Module

    @property
    def name(self) -> str:
        return ".".join(("app", *self.words))

    @property
    def room(self) -> str | None:
        """The room it stands in, if it does."""
        return self.words[0] if self.words and self.words[0] in rooms_on_disk() else None

    @property
    def is_door(self) -> bool:
        return len(self.words) > 1 and self.words[1] in DOORS

    def imports(self) -> Iterator[str]:
        """The dotted names that it imports; `from a import b` counts as a.b."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}: relative import"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Every call with the last word of what is called."""
        yield from calls(self.tree)

    def functions(self) -> dict[str, ast.FunctionDef]:
        """Its own functions by name."""
        return {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call below a node with the last word of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id, node
            elif isinstance(node.func, ast.Attribute):
                yield node.func.attr, node


@cache
def rooms_on_disk() -> frozenset[str]:
    """The packages of `app` that open with a blueprint."""
    openings = APP.glob("*/__init__.py")
    return frozenset(path.parent.name for path in openings if "bp = Blueprint(" in path.read_text())


@cache
def modules() -> tuple[Module, ...]:
    """Every module of `app`."""
    found = []
    for path in sorted(APP.rglob("*.py")):
        words = path.relative_to(APP).with_suffix("").parts
        tree = parse(path.read_text(encoding="utf-8"), str(path))
        found.append(Module(path, words[:-1] if words[-1] == "__init__" else words, tree))
    return tuple(found)


def module(name: str) -> Module:
    """The module of this dotted name."""
    return next(one for one in modules() if one.name == name)
