"""Homes of people who never used a client before, tokens for them, and where the published programs are."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT, Running

MODULES = Path(__file__).parent / "node_modules"
# What a port needs for a client without credentials, as docs/clients.md has it.
SPEAKER = (
    "sessions:*",
    "approvals:*",
    "checkpoints:*",
    "files:*",
    "events:*",
    "projects:read",
    "settings:read",
    "mcp:read",
)


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


def mint(running: Running, name: str, *scopes: str) -> str:
    """A token of the owner that may do only this; without scopes, what the owner may."""
    given = [word for scope in scopes for word in ("--scope", scope)]
    command = [sys.executable, "-m", "app", "token", name, *given]
    done = subprocess.run(command, cwd=ROOT, env=running.environ, check=True, capture_output=True, text=True)
    return done.stdout.strip()
