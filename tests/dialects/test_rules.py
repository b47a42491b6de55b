"""How addresses are built: worked out with the first one, and the same as Werkzeug's own rules build."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from werkzeug.routing import Map, Rule

from app.dialects.rules import Build, LateRule

ROUTES = [
    ("/session/<id>/message", {"id": "ses 1/ä"}),
    ("/session/<id>/message", {"id": "ses_1", "limit": 5, "words": ["a", "b"]}),
    ("/files/<path:name>", {"name": "a b/c.py"}),
    ("/", {}),
]


def bound(rules: Iterable[Rule]) -> Map:
    return Map(rules, strict_slashes=False, merge_slashes=False)


@pytest.mark.parametrize(("path", "values"), ROUTES)
@pytest.mark.parametrize("subdomain", ["", "roo"])
def test_an_address_is_what_werkzeug_would_build(path: str, values: dict[str, object], subdomain: str) -> None:
    built = [
        bound([kind(path, endpoint="it", subdomain=subdomain)]).bind("h").build("it", values)
        for kind in (LateRule, Rule)
    ]
    assert built[0] == built[1]


def test_nothing_is_compiled_before_the_first_address(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Rule] = []
    compile_now = Rule._compile_builder

    def note(rule: Rule, append_unknown: bool) -> Build:
        compiled.append(rule)
        return compile_now(rule, append_unknown)

    monkeypatch.setattr(Rule, "_compile_builder", note)
    rules = bound([LateRule("/a/<id>", endpoint="a"), LateRule("/b/<id>", endpoint="b")]).bind("h")
    assert rules.match("/b/1") == ("b", {"id": "1"})
    assert compiled == []
    assert [rules.build("b", {"id": one}) for one in "12"] == ["/b/1", "/b/2"]
    assert [one.endpoint for one in compiled] == ["b"]
