"""Makes a real git repository of some size for tests: a small failing package among many files."""

from __future__ import annotations

import subprocess
from pathlib import Path

FILES = 600
CODE = '''"""Adding up."""


def total(prices):
    """The sum of the prices, rounded to cents."""
    return round(sum(prices)) / 100
'''
FIXED = "    return round(sum(prices), 2)"
BROKEN = "    return round(sum(prices)) / 100"
TEST = """import unittest

from shop.basket import total


class Total(unittest.TestCase):
    def test_it_adds_up(self):
        self.assertEqual(total([1.25, 2.5]), 3.75)


if __name__ == "__main__":
    unittest.main()
"""


def make(root: Path, files: int = FILES) -> Path:
    """A committed repository with `files` modules and one bug in shop/basket.py."""
    for number in range(files):
        package = root / f"lib{number % 20:02d}"
        package.mkdir(parents=True, exist_ok=True)
        (package / f"module_{number:03d}.py").write_text(f'"""Module {number}."""\n\nVALUE = {number}\n' * 4)
    (root / "shop").mkdir()
    (root / "shop" / "__init__.py").write_text("")
    (root / "shop" / "basket.py").write_text(CODE)
    (root / "test_basket.py").write_text(TEST)
    (root / ".gitignore").write_text("__pycache__/\n")
    (root / "README.md").write_text("# Shop\n\nA basket adds up wrongly.\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "-q", "-m", "Start")
    return root


def git(root: Path, *words: str) -> str:
    """Run git in the repository."""
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout
