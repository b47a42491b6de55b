"""The files that modes are written in: OpenCode's, of who runs the server and of a project."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app import config
from app.agent import markdown_files
from app.agent.providers import opencode_config
from app.errors import Problem
from app.files.paths import Root

FOLDERS: dict[str, Literal["primary", "all"]] = {
    "agent": "all", "agents": "all", "mode": "primary", "modes": "primary",
}  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,63}")
MOST = 100
_FILE = re.compile(r"\{file:([^}]+)\}")


@dataclass(frozen=True)
class Written:
    """A mode as it was written: its name, what was given, and whether by who runs the server."""

    name: str
    given: Mapping[str, Any]
    trusted: bool
    kind: Literal["primary", "all"] = "all"


def found(directory: Path) -> Iterator[Written]:
    """All that is written for a directory, a project's last; of one place the configuration before the files."""
    for place in (config.current().data_dir, Path.home() / ".config" / "opencode"):
        yield from _configured(opencode_config.read(place, trusted=True), place, trusted=True)
        yield from _in_folders(place, "", trusted=True)
    yield from _configured(opencode_config.read(directory, trusted=False), directory, trusted=False)
    if (directory / ".opencode").is_dir():
        yield from _in_folders(directory, ".opencode/", trusted=False)


def _configured(given: Mapping[str, Any], place: Path, *, trusted: bool) -> Iterator[Written]:
    for key, kind in (("mode", FOLDERS["mode"]), ("agent", FOLDERS["agent"])):
        written = given.get(key)
        for name, one in list(written.items())[:MOST] if isinstance(written, dict) else ():
            if isinstance(one, dict) and NAME.fullmatch(name):
                yield Written(name, _with_prompt(one, place), trusted, kind)


def _with_prompt(given: dict[str, Any], place: Path) -> dict[str, Any]:
    """The words of a mode may lie in a file beside the configuration."""
    named = _FILE.fullmatch(str(given.get("prompt", "")).strip())
    if named is None:
        return given
    try:
        return {**given, "prompt": Root(place).read_text(named[1].removeprefix("./"), markdown_files.LARGEST)}
    except Problem:
        return {**given, "prompt": ""}


def _in_folders(top: Path, below: str, *, trusted: bool) -> Iterator[Written]:
    for folder, kind in FOLDERS.items():
        # The folders of who runs the server may be links; a project's must not lead out of it.
        place = top / below / folder
        if not place.is_dir():
            continue
        root, name = (Root(place.resolve()), "") if trusted else (Root(top), f"{below}{folder}")
        for title, head, body in markdown_files.in_folder(root, name, MOST):
            if NAME.fullmatch(title):
                yield Written(title, {**head, "prompt": body}, trusted, kind)
