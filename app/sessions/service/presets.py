"""The presets of a session, and the highest one that the server's admin allows."""

from __future__ import annotations

from app import config
from app.accounts import service as accounts
from app.actor import Actor, Thing
from app.config import PRESETS
from app.errors import Invalid

USUAL = "ask"


def allowed() -> tuple[str, ...]:
    """The presets that a session can be given, the most careful first."""
    return PRESETS[: PRESETS.index(config.current().preset_ceiling) + 1]


def lowered(preset: str) -> str:
    """The preset that counts: the given one, or the ceiling if that is lower; an unknown one counts as `ask`."""
    return PRESETS[min(_rank(preset), PRESETS.index(config.current().preset_ceiling))]


def check(preset: str) -> None:
    """Raise Invalid unless the preset exists and the server's ceiling allows it."""
    if preset not in PRESETS:
        raise Invalid(f"preset is one of {', '.join(allowed())}.", "preset")
    if preset not in allowed():
        ceiling = config.current().preset_ceiling
        raise Invalid(f"This server allows at most the preset {ceiling!r}, not {preset!r}.", "preset")


def check_raise(actor: Actor, session: Thing, preset: str, before: str) -> None:
    """Raise Denied for who lets more run unasked in a session than the usual preset, or the one before, does, and may
    not answer what is asked in it: that would be an answer given beforehand.
    """
    if _rank(preset) > max(_rank(before), _rank(USUAL)):
        accounts.require(actor, "approvals:answer", session)


def _rank(preset: str) -> int:
    return PRESETS.index(preset if preset in PRESETS else USUAL)
