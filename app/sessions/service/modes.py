"""Which modes there are: the room of the agent says so, which this one doesn't know."""

from __future__ import annotations

from collections.abc import Callable

_check: Callable[[str], object] = lambda _name: None  # noqa: E731


def register_modes(check: Callable[[str], object]) -> None:
    """Say how to check a mode's name: Invalid, naming those there are, for one that is none."""
    global _check
    _check = check


def check_mode(name: str) -> None:
    """Raise Invalid unless there is a mode of this name; before modes are registered every name passes."""
    _check(name)
