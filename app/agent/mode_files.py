"""The files that modes are written in: OpenCode's, of who runs the server and of a project."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.agent import markdown_files
from app.errors import Problem
from app.files.paths import Root
from app.settings import service as settings
from app.settings.service import Layer

FOLDERS: dict[str, Literal["primary", "all"]] = {
    "agent": "all", "agents": "all", "mode": "primary", "modes": "primary",
}  # fmt: skip
# What holds for every mode; no mode can have this name.
ALL = "*"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,63}")
MOST = 100
_FILE = re.compile(r"\{file:([^}]+)\}")


@dataclass(frozen=True)
class Written:
    """A mode as it was written: its name, or ALL; what was given; whether by somebody who may allow; the layer that
    its rules are of.
    """

    name: str
    given: Mapping[str, Any]
    trusted: bool
    kind: Literal["primary", "all"] = "all"
    layer: Literal["server", "project"] = "server"


def found(directory: Path | None) -> Iterator[Written]:
    """All that is written for a directory, a project's last; of one place the configuration before the files."""
    for layer in settings.of_directory(directory):
        yield from _configured(layer)
        if layer.folder is not None and layer.is_trusted:
            yield from _in_folders(layer.folder, "", trusted=True)
        elif layer.folder is not None and (layer.folder / ".opencode").is_dir():
            yield from _in_folders(layer.folder, ".opencode/", trusted=False)


def _configured(layer: Layer) -> Iterator[Written]:
    whose: Literal["server", "project"] = "project" if layer.is_of_project else "server"
    everywhere = {key: layer.data[key] for key in ("permission", "tools") if key in layer.data}
    if everywhere:
        yield Written(ALL, everywhere, layer.is_trusted, layer=whose)
    for key, kind in (("mode", FOLDERS["mode"]), ("agent", FOLDERS["agent"])):
        written = layer.data.get(key)
        for name, one in list(written.items())[:MOST] if isinstance(written, dict) else ():
            if isinstance(one, dict) and NAME.fullmatch(name):
                yield Written(name, _with_prompt(one, layer.folder), layer.is_trusted, kind, whose)


def _with_prompt(given: dict[str, Any], place: Path | None) -> dict[str, Any]:
    """The words of a mode may lie in a file beside the configuration."""
    named = _FILE.fullmatch(str(given.get("prompt", "")).strip())
    if named is None or place is None:
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
                yield Written(title, {**head, "prompt": body}, trusted, kind, "server" if trusted else "project")
