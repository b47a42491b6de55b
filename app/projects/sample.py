"""The sample repository: a small billing library with a real bug, laid out in the data directory at first
start.

Its files are shipped as `NAME.in` (and `dot-NAME.in`), so that no tool takes them for ours.
"""

from __future__ import annotations

import secrets
import shutil
from functools import lru_cache
from pathlib import Path

from app import config, git

SHIPPED = Path(__file__).parent / "sample"
DATE = "2026-01-05T09:00:00Z"


def root() -> Path:
    """Return where the sample lies, whether or not it is there yet."""
    return _real(config.current().data_dir) / "sample"


@lru_cache(maxsize=8)
def _real(data_dir: Path) -> Path:
    return data_dir.resolve()


def create() -> bool:
    """Lay the sample out and commit it; False when it is there already."""
    place = root()
    if place.exists():
        return False
    # Moved in whole, so that a start that was killed leaves nothing half made.
    fresh = place.with_name(f"sample.{secrets.token_hex(4)}")
    fresh.mkdir(parents=True)
    try:
        _copy(fresh)
        git.commit_all(fresh, "Billing: plans, periods, proration and invoices", DATE)
        fresh.rename(place)
    except OSError:
        if not place.exists():
            raise
        return False
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return True


def _copy(target: Path) -> None:
    """Copy the shipped files under their own names."""
    for source in sorted(SHIPPED.rglob("*.in")):
        name = source.name.removesuffix(".in").replace("dot-", ".", 1)
        place = target / source.relative_to(SHIPPED).parent / name
        place.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, place)
