"""What browsers get: vendored files as shipped, no markup the policy forbids, no icon that does not exist."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VENDOR = ROOT / "static" / "vendor"
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def test_vendored_files_are_as_shipped():
    sums = dict(reversed(line.split("  ")) for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    found = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()}
    assert found - {"SHA256SUMS"} == set(sums)
    for name, digest in sums.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_template_holds_nothing_the_policy_forbids(path):
    text = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
    assert not re.search(r"\sstyle\s*=", text)
    assert not re.search(r"""<[^>]*\son[a-z]+\s*=\s*["']""", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)|javascript:|\bhx-on\b|\bhx-boost\b", text)
    # A file to take away carries its style; its policy names it by hash.
    assert path.name == "export.html" or "<style" not in text
    assert not re.search(r"\|\s*safe\b|autoescape|Markup", text)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_post_form_carries_the_token(path):
    text = path.read_text()
    forms = re.findall(r"<form\b[^>]*method=\"post\".*?</form>", text, flags=re.DOTALL)
    assert len(forms) == len(re.findall(r"<form\b[^>]*method=\"post\"", text))
    for form in forms:
        assert re.search(r"\bcsrf\(\) }}", form)  # in macros.html it is no macro of another file


def test_every_icon_exists():
    sprite = (ROOT / "static" / "icons.svg").read_text()
    known = set(re.findall(r'<symbol id="([\w-]+)"', sprite))
    for path in TEMPLATES:
        assert set(re.findall(r'icon\("([\w-]+)"', path.read_text())) <= known


def test_the_page_of_an_event_can_be_found_by_its_anchor():
    for name in ("_part.html", "_tool.html"):
        text = (ROOT / "templates" / "sessions" / name).read_text()
        assert 'id="part-{{ part.id }}"' in text
