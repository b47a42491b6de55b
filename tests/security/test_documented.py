"""The tests that docs/security.md names are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.(?:py|tsv|txt))(?:::(test_\w+)(…)?)?")


def test_every_test_that_is_named_is_there() -> None:
    found = NAMED.findall((ROOT / "docs/security.md").read_text(encoding="utf-8"))
    assert len(found) >= 30
    for path, name, _cut in found:
        assert (ROOT / path).exists(), path
        assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8"), (path, name)
