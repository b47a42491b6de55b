"""The presets of a session, and the highest one that the server's admin allows."""

from __future__ import annotations

from app import config
from app.config import PRESETS
from app.errors import Invalid


def allowed() -> tuple[str, ...]:
    """The presets that a session can be given, the most careful first."""
    return PRESETS[: PRESETS.index(config.current().preset_ceiling) + 1]


def lowered(preset: str) -> str:
    """The preset that counts: the given one, or the ceiling if that is lower; an unknown one counts as `ask`."""
    rank = PRESETS.index(preset) if preset in PRESETS else PRESETS.index("ask")
    return PRESETS[min(rank, PRESETS.index(config.current().preset_ceiling))]


def check(preset: str) -> None:
    """Raise Invalid unless the preset exists and the server's ceiling allows it."""
    if preset not in PRESETS:
        raise Invalid(f"preset is one of {', '.join(allowed())}.", "preset")
    if preset not in allowed():
        ceiling = config.current().preset_ceiling
        raise Invalid(f"This server allows at most the preset {ceiling!r}, not {preset!r}.", "preset")
