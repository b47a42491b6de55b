"""A workspace for tools, and a real model server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app import config
from app.agent.tools import ToolContext
from app.config import Config
from app.files.paths import Root

Contexts = Callable[..., ToolContext]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A small project: two source files, a README and a folder that git ignores."""
    root = tmp_path / "project"
    for name, text in {
        "README.md": "# Shop\n\nSells things.\n",
        "shop/cart.py": "def total(prices):\n    return sum(prices)\n",
        "shop/tax.py": "RATE = 19\n\n\ndef tax(total):\n    return total * RATE / 100\n",
        ".gitignore": "build/\n",
        ".env": "KEY=topsecret\n",
        "build/out.py": "RATE = 0\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / ".git").mkdir()
    return root


@pytest.fixture
def context(workspace: Path, tmp_path: Path) -> ToolContext:
    """Where the tools of a test run: without a sandbox, so that they run on every machine."""
    config.use(Config(data_dir=tmp_path / "data", testing=True))
    private = tmp_path / "private"
    private.mkdir()
    return ToolContext(Root(workspace), workspace, private, sandbox=False)
