"""JSON with comments is read as OpenCode writes it, and faults say where they are."""

from __future__ import annotations

import pytest

from app.settings import jsonc
from app.settings.jsonc import Fault


def test_comments_and_trailing_commas_are_read() -> None:
    text = '{\n  // a comment\n  "model": "a/b", /* and // more */\n  "x": "http://y//z,]",\n  "l": [1, 2,],\n}'
    assert jsonc.parse(text) == {"model": "a/b", "x": "http://y//z,]", "l": [1, 2]}


@pytest.mark.parametrize("text", ["", "  \n", "// nothing yet", "\ufeff{}", "/* a */ {} // b"])
def test_nothing_is_no_fault(text: str) -> None:
    assert jsonc.parse(text) == {}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [('{"a": 1,\n "b": }', 2, 7), ("[1]", 1, 1), ('{\n  // one\n  "a" 1\n}', 3, 7), ('{"a": "\n"}', 1, 8)],
)
def test_a_fault_says_where_it_is(text: str, line: int, column: int) -> None:
    with pytest.raises(Fault) as found:
        jsonc.parse(text)
    assert (found.value.line, found.value.column) == (line, column)
    assert str(found.value).startswith(f"line {line}, column {column}: ")


def test_what_is_nested_without_end_is_no_trouble() -> None:
    with pytest.raises(Fault, match="levels deep"):
        jsonc.parse('{"a": ' + "[" * 10_000 + "]" * 10_000 + "}")
    with pytest.raises(Fault):
        jsonc.parse("{" * 40)
    assert jsonc.parse('{"a": "[[[[' + "[" * 100 + '"}')["a"].startswith("[[[[")


def test_a_key_is_found_in_its_place() -> None:
    text = '{\n  "agent": {\n    "build": {\n      "temperature": 9\n    }\n  },\n  "temperature": 1\n}'
    assert jsonc.find(text, ("agent", "build", "temperature")) == (4, 7)
    assert jsonc.find(text, ("nowhere",)) == (1, 1)
