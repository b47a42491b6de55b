"""The tokens of both themes against WCAG AA: 4.5 for text, 3 for edges, glyphs and plot series."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SHEET = (Path(__file__).parent.parent / "static" / "style.css").read_text()
TOKENS = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", SHEET)
}
CODE = ("kw", "str", "num", "fn", "com", "ink")
GROUNDS = ("bg", "rail", "sunk", "raised", "hover")

TEXT = [
    *[(ink, ground) for ink in ("ink", "ink-2", "ink-3") for ground in GROUNDS],
    *[("ink", ground) for ground in ("active", "add-mark", "del-mark", "accent-bg", "need-bg", "fail-bg", "done-bg")],
    *[("ink-2", ground) for ground in ("active", "accent-bg", "need-bg", "fail-bg", "a1", "a2", "a3", "a4", "a5")],
    *[("ink-3", ground) for ground in ("accent-bg",)],
    *[(tone, ground) for tone in ("accent", "need", "done", "fail") for ground in GROUNDS],
    *[("accent", "accent-bg"), ("need", "need-bg"), ("done", "done-bg"), ("fail", "fail-bg")],
    *[("need", "active"), ("fail", "active"), ("need", "accent-bg")],
    *[
        ("on-fill", "fill"),
        ("on-fill", "fill-h"),
        ("on-need", "need-solid"),
        ("on-fail", "fail"),
        ("bg", "ink"),
    ],
    *[(code, ground) for code in CODE for ground in ("bg", "sunk", "raised", "add", "del")],
    *[("add-ink", ground) for ground in (*GROUNDS, "add")],
    *[("del-ink", ground) for ground in (*GROUNDS, "del")],
    *[("term-ink", "term"), ("term-2", "term")],
]
SHAPES = [
    *[("control", ground) for ground in ("bg", "raised")],
    *[(glyph, ground) for glyph in ("accent", "done", "fail", "ink-3") for ground in GROUNDS],
    *[("need", ground) for ground in ("bg", "raised", "need-bg")],
    *[(series, "bg") for series in ("p1", "p3", "p4")],
    *[("p2", "bg")],
    *[("accent", "hover"), ("fill", "bg")],
]


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT, ids=["-on-".join(pair) for pair in TEXT])
def test_text_is_legible(ink, ground, theme):
    assert contrast(TOKENS[ink][theme], TOKENS[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("shape", "ground"), SHAPES, ids=["-on-".join(pair) for pair in SHAPES])
def test_edges_and_glyphs_are_visible(shape, ground, theme):
    assert contrast(TOKENS[shape][theme], TOKENS[ground][theme]) >= 3


def test_every_token_in_use_exists():
    defined = set(re.findall(r"(?<![\w-])--([\w-]+):", SHEET))
    assert set(re.findall(r"var\(--([\w-]+)", SHEET)) <= defined


def test_black_on_white_is_21():
    assert round(contrast("#000000", "#ffffff"), 2) == 21
