"""Homes of people who never used a client before, and where the published programs are."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

MODULES = Path(__file__).parent / "node_modules"


def program(package: str = "opencode-linux-x64") -> Path:
    """The binary of a published OpenCode; the test fails where there is none."""
    binary = MODULES / package / "bin" / "opencode"
    if not binary.exists():
        machine = f"{platform.system()} {platform.machine()}"
        pytest.fail(f"{binary} is missing: it is published for Linux on x86_64, and this is {machine}", pytrace=False)
    return binary


def home(place: Path) -> dict[str, str]:
    """The environment of somebody whose home is this directory."""
    own = {f"XDG_{kind}_HOME": str(place / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
    return {"PATH": os.environ["PATH"], "HOME": str(place), "OPENCODE_DISABLE_AUTOUPDATE": "1", **own}
