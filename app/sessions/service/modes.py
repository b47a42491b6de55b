"""Which modes there are, and which model answers: the agent's room says so, which this one can't know."""

from __future__ import annotations

from collections.abc import Callable

_model_of: Callable[[str, str], tuple[str, str]] = lambda _name, _directory: ("", "")  # noqa: E731
_default: Callable[[str, str], tuple[str, str]] = lambda _directory, _owner: ("", "")  # noqa: E731
_default_mode: Callable[[str], str] = lambda _directory: "build"  # noqa: E731


def register_modes(model_of: Callable[[str, str], tuple[str, str]]) -> None:
    """Say how to look a mode up by name and directory.

    It gives the (provider, model) that the mode names, empty if none, and raises Invalid with those there are.
    """
    global _model_of
    _model_of = model_of


def model_of(name: str, directory: str) -> tuple[str, str]:
    """The (provider, model) that a mode names; Invalid if the directory has no such mode.

    Before modes are registered every name passes.
    """
    return _model_of(name, directory)


def register_default_model(choose: Callable[[str, str], tuple[str, str]]) -> None:
    """Say which (provider, model) answers in a directory, in a session of this owner, when nobody named one."""
    global _default
    _default = choose


def register_default_mode(choose: Callable[[str], str]) -> None:
    """Say which mode a session of a directory begins in when nobody named one."""
    global _default_mode
    _default_mode = choose


def default_mode(directory: str) -> str:
    """The mode that a session of a directory begins in when nobody named one."""
    return _default_mode(directory)


def default_model(directory: str, owner: str) -> tuple[str, str]:
    """The (provider, model) that answers in a directory when nobody named one; empty before it is registered."""
    return _default(directory, owner)
