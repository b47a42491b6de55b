"""Where what is secret of a channel is held."""

from __future__ import annotations


def scope_of(channel_id: str) -> str:
    """The vault's scope of a channel: what is held there goes with it."""
    return f"notification:{channel_id}"
