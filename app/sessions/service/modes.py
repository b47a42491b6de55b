"""Which modes there are, and which model answers by default: the agent's room says so, which this one can't know."""

from __future__ import annotations

from collections.abc import Callable

_check: Callable[[str, str], object] = lambda _name, _directory: None  # noqa: E731
_choose: Callable[[str, str, tuple[str, str]], tuple[str, str]] = lambda _directory, _mode, kept: kept  # noqa: E731


def register_modes(check: Callable[[str, str], object]) -> None:
    """Say how to check a mode's name in a directory: Invalid, naming those there are, for one that is none."""
    global _check
    _check = check


def check_mode(name: str, directory: str) -> None:
    """Raise Invalid unless the directory has a mode of this name; before modes are registered every name passes."""
    _check(name, directory)


def register_models(choose: Callable[[str, str, tuple[str, str]], tuple[str, str]]) -> None:
    """Say which (provider, model) answers in a directory and mode when nobody named one, given the one kept so far."""
    global _choose
    _choose = choose


def choose_model(directory: str, mode: str, kept: tuple[str, str]) -> tuple[str, str]:
    """The (provider, model) for a prompt that names none; the one kept so far before models are registered."""
    return _choose(directory, mode, kept)
