"""The page on ASVS: a row for each of its sections, and whatever a row leads to is there."""

from __future__ import annotations

import re

from tests.threats.test_table import ROOT, rows

PAGE = ROOT / "docs" / "asvs.md"
# How many each chapter has; two of them ask for nothing below level 3.
SECTIONS = {1: 5, 2: 4, 3: 7, 4: 4, 5: 4, 6: 8, 7: 6, 8: 4, 9: 2, 10: 7, 11: 7, 13: 4, 14: 3, 15: 4, 16: 5}
HIGHER = {"3.1", "11.7"}


def told() -> dict[str, tuple[str, str]]:
    """Where each section is met, and what it lacks."""
    found = re.findall(r"^\| V(\d+\.\d+) [^|]+\|([^|]*)\|([^|]*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {number: (where.strip(), lacks.strip()) for number, where, lacks in found}


def test_each_section_has_its_row() -> None:
    wanted = [f"{chapter}.{number}" for chapter, last in SECTIONS.items() for number in range(1, last + 1)]
    assert list(told()) == [one for one in wanted if one not in HIGHER]
    assert [one for one, (where, lacks) in told().items() if not where and not lacks] == []


def test_what_a_row_leads_to_is_there() -> None:
    known = {
        *rows(),
        *re.findall(r"^## ([\d.]+)", (ROOT / "docs/security.md").read_text(encoding="utf-8"), re.MULTILINE),
    }
    for number, (where, _lacks) in told().items():
        leads = re.findall(r"`((?:tests|app)/[\w/.]+)`", where)
        assert [one for one in leads if not (ROOT / one).exists()] == [], number
        pages = [ROOT / "docs" / one.partition("#")[0] for one in re.findall(r"\]\(([^)]+)\)", where)]
        assert [str(one) for one in pages if not one.exists()] == [], number
        named = re.findall(r"(?<![\w.-])(\d\.\d+|8)(?![\w.-])", re.sub(r"`[^`]*`|\([^)]*\)", "", where))
        assert [one for one in named if one not in known] == [], number
