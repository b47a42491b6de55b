"""Modes: the roles an agent can work in, each with its own words and tools; built in, or written by somebody.

Who runs the server writes modes into OpenCode's configuration, or as custom modes of Roo's: they are trusted. A
project's come with its repository, from anywhere: they may choose words, a model and fewer tools, and forbid or have
asked more, but never let anything run without asking. A mode that both write keeps nothing of what it was allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any, cast

from app import once
from app.agent import custom_modes, grouped_modes, mode_files, roomodes
from app.agent.builtin_modes import MODES, Kind, Mode
from app.agent.providers import catalog
from app.approvals.service import Rule
from app.errors import Invalid
from app.settings import service as settings

__all__ = ["MODES", "Mode", "default", "find", "get", "model_of", "named", "of"]
HOTTEST = 2.0


def of(directory: Path | str | None) -> list[Mode]:
    """The modes of a directory: built-in ones first, then those that somebody wrote; without one those of no project.

    The project's own .roomodes comes last, so that it narrows whatever there is of its slugs.
    """
    place = None if directory is None else Path(directory)
    return once.read(("modes", place), lambda: _of(place))


def _of(place: Path | None) -> list[Mode]:
    everything = list(mode_files.found(place))
    base = reduce(_widened, (one for one in everything if one.name == mode_files.ALL), Mode("", "", ""))
    found = {name: _on(base, mode) for name, mode in MODES.items()}
    for config in custom_modes.of_server():
        found[config.slug] = grouped_modes.of_server(config, found.get(config.slug), base)
    for written in everything:
        if written.name == mode_files.ALL:
            continue
        mode = _changed(found.get(written.name), _answerable(written, place), base)
        if mode is not None:
            found[written.name] = mode
        elif written.name != "build":  # there is always the mode that sessions begin in
            found.pop(written.name, None)
    for config in roomodes.of(place).modes:
        if not grouped_modes.is_taken_away(config.slug, found):
            found[config.slug] = grouped_modes.of_project(config, found.get(config.slug), base)
    return list(found.values())


def find(name: str, directory: Path | str) -> Mode | None:
    """The mode of this name in a directory, if there is one."""
    return next((mode for mode in of(directory) if mode.name == name), None)


def get(name: str, directory: Path | str) -> Mode:
    """The mode of this name in a directory; Invalid names those there are."""
    return named(of(directory), name)


def named(found: list[Mode], name: str) -> Mode:
    """The one of this name among all of a directory, which are read once for several; Invalid names those there are."""
    for mode in found:
        if mode.name == name:
            return mode
    names = ", ".join(mode.name for mode in found if not mode.hidden)
    raise Invalid(f"There is no mode {name!r}; there are {names}.", "mode")


def default(directory: Path | str | None) -> str:
    """The mode that sessions of a directory begin in: the one a configuration names, if a person may choose it."""
    named = catalog.merged(Path(directory) if directory else None).get("default_agent")
    found = next((mode for mode in of(directory or None) if mode.name == named), None) if named else None
    return found.name if found is not None and found.is_primary else "build"


def model_of(name: str, directory: str) -> tuple[str, str]:
    """The (provider, model) that a mode names, empty if it names none; Invalid if there is no such mode."""
    return get(name, directory).model or ("", "")


def _answerable(written: mode_files.Written, directory: Path | None) -> mode_files.Written:
    """The same without a model that a project's files bring along with their own server for it."""
    named = None if written.trusted else _model(written.given)
    if named is None or directory is None or not catalog.is_of_repository(named[0], directory):
        return written
    return replace(written, given={key: value for key, value in written.given.items() if key != "model"})


def _widened(base: Mode, written: mode_files.Written) -> Mode:
    """What holds for every mode, and what one more place says of that."""
    return replace(
        base,
        switches={**base.switches, **_switches(written.given.get("tools"), base.switches, trusted=written.trusted)},
        rules=(*base.rules, *_rules(written.given.get("permission"), written)),
    )


def _on(base: Mode, mode: Mode) -> Mode:
    """A built-in mode under what holds for every mode; what it has not got it does not get."""
    return replace(mode, rules=base.rules, switches={**base.switches, **mode.switches})


def _changed(was: Mode | None, written: mode_files.Written, base: Mode) -> Mode | None:
    """A mode as a file writes it, over what there was of that name; None if the file takes it away."""
    given, trusted = written.given, written.trusted
    if given.get("disable") is True:
        return None
    begun = was or replace(base, name=written.name, kind=written.kind)
    rules = begun.rules if trusted else tuple(rule for rule in begun.rules if rule.action != "allow")
    temperature, top_p = _bounded(given.get("temperature"), HOTTEST), _bounded(given.get("top_p"), 1.0)
    kind = given.get("mode")
    return replace(
        begun,
        description=_text(given, "description")[:1000] or begun.description,
        role=_text(given, "prompt") or begun.role,
        kind=cast("Kind", kind) if kind in ("primary", "subagent", "all") else begun.kind,
        hidden=given.get("hidden") is True or (begun.hidden and "hidden" not in given),
        model=_model(given) or begun.model,
        temperature=begun.temperature if temperature is None else temperature,
        top_p=begun.top_p if top_p is None else top_p,
        switches={**begun.switches, **_switches(given.get("tools"), begun.switches, trusted=trusted)},
        rules=(*rules, *_rules(given.get("permission"), written)),
        source="user" if trusted else "project",
    )


def _model(given: Mapping[str, Any]) -> tuple[str, str] | None:
    provider, slash, model = _text(given, "model").partition("/")
    return (provider, model) if slash and provider and model and len(provider) <= 64 and len(model) <= 128 else None


def _bounded(value: Any, most: float) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= most else None


def _switches(given: Any, was: Mapping[str, bool], *, trusted: bool) -> dict[str, bool]:
    """The tools that a file turns on or off; a project's file turns none back on."""
    if isinstance(given, list):
        given = {"*": False, **{name: True for name in given if isinstance(name, str)}}
    if not isinstance(given, dict):
        return {}
    told = {str(name): value for name, value in given.items() if isinstance(value, bool)}
    return told if trusted or not was else {name: value for name, value in told.items() if not value}


def _rules(given: Any, written: mode_files.Written) -> Iterable[Rule]:
    """The rules of a file's `permission`; a project's files only narrow."""
    spelled = settings.spelled(given) if written.trusted else settings.narrowing(given)
    return (Rule(tool, pattern, action, written.layer) for tool, pattern, action in spelled)


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given.get(key)
    return value.strip() if isinstance(value, str) else ""
