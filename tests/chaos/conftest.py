"""How much is killed, cut and raced, and the line that each fault leaves."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SEED = int(os.environ.get("CHAOS_SEED", "20261124"))
IS_FULL = os.environ.get("CHAOS") == "full"
LOG = Path(__file__).parents[2] / "chaos.json"
Report = Callable[..., None]


def times(short: int, full: int) -> int:
    """How often, in the short set and in the full one."""
    return full if IS_FULL else short


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Report:
    """Says what a fault came to: one line at the end of the run, one more in chaos.json."""

    def say(name: str, **figures: Any) -> None:
        record_property("chaos", " ".join([name, *(f"{key}={value}" for key, value in figures.items())]))
        with LOG.open("a") as log:
            log.write(json.dumps({"name": name, "full": IS_FULL, "seed": SEED, **figures}) + "\n")

    sys.stderr.write(f"seed {SEED}\n")  # shown when a test fails
    return say
