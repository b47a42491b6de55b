"""Patterns over paths: read as JavaScript reads them, and bounded in time."""

from __future__ import annotations

import pytest

from app.approvals import js_patterns

# What JavaScript itself says (`new RegExp(pattern).test(text)`), where other languages say something else.
SAME = [
    (r"\.md$", "docs/a.md", True),
    (r"\.md$", "a.md\n", False),
    (r"\.md$", "a.md.py", False),
    (r"^docs/", "docs/a.py", True),
    (r"^docs/", "src/docs/a.py", False),
    (r"md", "docs/cmd.py", True),
    (r"^(?!src/).*\.md$", "src/a.md", False),
    (r"^(?!src/).*\.md$", "a.md", True),
    (r"\.(js|ts)x?$", "web/a.tsx", True),
    (r"[^/]+\/a\-b$", "x/a-b", True),
    (r"a{e}", "b", False),
    (r"a{e}", "a{e}", True),
    (r"a{,2}", "aa", False),
    (r"a{2,}?b", "aaab", True),
    (r"[]", "a", False),
    (r"[^]", "\n", True),
    (r".", "\u2028", False),
    (r"\s", "\u00a0", True),
    (r"[\S]", "\u00a0", False),
    (r"\w", "\u00e9", False),
    (r"\d", "\u0663", False),
    (r"[a-\d]", "-", True),
    (r"[[:alpha:]]", "a", False),
    (r"[[:alpha:]]", "a]", True),
    (r"[a&&b]", "&", True),
    (r"\Z", "Z", True),
    (r"\z", "", False),
    (r"\p{L}", "p{L}", True),
    (r"\u0061\x62\cA\0", "ab\x01\x00", True),
    (r"\ud83d\ude00", "\U0001f600", True),
    (r"(?<n>a)\k<n>", "aa", True),
    (r"(?<n>a)\k<n>", "ab", False),
    (r"(a)?\1b", "b", True),
    (r"(?<=docs/).*", "docs/a", True),
    (r"}", "}", True),
    (r"#x y", "#x y", True),
]
NONE = [
    "", "(", ")", "[a", "*a", "a**", "a++", "a{2}{3}", "a{3,2}", "[z-a]", "\\", "(?>a)", "(?P<n>a)", "(?#x)", "(?i)a",
    "(?<n>a)(?<n>b)", "(?<1>a)", "(?<a", "^*", "x" * 1_001,
]  # fmt: skip
SLOW = ["(x+x+)+y", r"^(?:(x|xx)+)+$", "(.*?,){11}P", "((((((((x)+)+)+)+)+)+)+)+b"]
COSTLY = ["(?:(?:a{9999}){9999}){9999}", "(?:ab{0,1000}){1,1000}", "(" * 25 + "a" + ")+" * 25, "a{999999999}"]


@pytest.mark.parametrize(("pattern", "text", "is_found"), SAME)
def test_a_pattern_means_what_it_means_in_javascript(pattern: str, text: str, is_found: bool) -> None:
    assert js_patterns.finds(pattern, text) is is_found


@pytest.mark.parametrize("pattern", NONE)
def test_what_is_no_pattern_there_is_none_here(pattern: str) -> None:
    assert js_patterns.fault_of(pattern)
    with pytest.raises(js_patterns.BadPattern):
        js_patterns.finds(pattern, "a")


@pytest.mark.parametrize("pattern", SLOW)
def test_a_pattern_that_never_ends_is_given_up(pattern: str) -> None:
    with pytest.raises(js_patterns.TooSlow, match="takes too long"):
        js_patterns.finds(pattern, "x" * 3_000 + "1,2,3,4,5,6,7,8,9,10,11,12" * 50)


@pytest.mark.parametrize("pattern", COSTLY)
def test_a_pattern_that_is_costly_to_compile_is_refused_before(pattern: str) -> None:
    assert js_patterns.fault_of(pattern)
