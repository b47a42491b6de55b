"""The trees that the rules of the floor plan read, whatever is parsed in the middle of one."""

from __future__ import annotations

import ast
import gc

from tests.syntax import parse

LONG = "\n".join(f"def f{number}(a, b):\n    return [a, (b, {{a: b}})]" for number in range(200))


def test_a_tree_is_whole_though_another_one_begins_in_the_middle_of_it() -> None:
    def other(_phase: str, _about: object) -> None:
        ast.parse("x + 1")

    before = gc.get_threshold()
    gc.callbacks.append(other)
    gc.set_threshold(50)
    try:
        made = [parse(LONG) for _ in range(20)]
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(other)
    assert [len(tree.body) for tree in made] == [200] * 20
    assert gc.isenabled()
