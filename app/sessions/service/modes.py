"""Which modes there are, and which model answers by default: the agent's room says so, which this one can't know."""

from __future__ import annotations

from collections.abc import Callable

_check: Callable[[str], object] = lambda _name: None  # noqa: E731
_default: Callable[[str], tuple[str, str]] = lambda _directory: ("", "")  # noqa: E731


def register_modes(check: Callable[[str], object]) -> None:
    """Say how to check a mode's name: Invalid, naming those there are, for one that is none."""
    global _check
    _check = check


def check_mode(name: str) -> None:
    """Raise Invalid unless there is a mode of this name; before modes are registered every name passes."""
    _check(name)


def register_default_model(choose: Callable[[str], tuple[str, str]]) -> None:
    """Say which (provider, model) answers in a directory when nobody named one."""
    global _default
    _default = choose


def default_model(directory: str) -> tuple[str, str]:
    """The (provider, model) that answers in a directory when nobody named one; empty before it is registered."""
    return _default(directory)
