"""Where OpenCode's configuration is written, from the widest to the nearest, and how the places make one.

Three kinds of places are trusted: the files of who runs the server, what was set for the server, and what was set for
a project, both by somebody who may. The files of a project come with its repository, from anywhere, and only narrow:
nothing of the server's environment and no file outside goes into them, they name no command that is run by itself,
let nothing pass without asking, and no provider of theirs takes the place of one that is configured elsewhere.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

from app import config, once
from app.errors import Problem
from app.files.paths import Root
from app.settings import jsonc, stored
from app.settings.jsonc import Fault
from app.settings.schema import Action

Origin = Literal["home", "data", "server", "files", "project"]
HERE = ("opencode.json", "opencode.jsonc")
OF_PROJECT = (*HERE, ".opencode/opencode.json", ".opencode/opencode.jsonc")
LARGEST = 1024 * 1024
KEPT = 200
# What runs commands, listens or publishes by itself is not for a repository to say.
NOT_OF_FILES = (
    "mcp", "lsp", "formatter", "plugin", "shell", "server", "experimental", "enterprise", "autoshare", "skills",
)  # fmt: skip
JOINED = ("instructions", "plugin")
_PLACE = re.compile(r"\{(env|file):([^}]+)\}")
_cache: dict[tuple[bool, str, str], tuple[tuple[int, int, int], File]] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class File:
    """A file of configuration: its text, what it holds, and its fault if it cannot be read."""

    name: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    fault: Fault | None = None


@dataclass(frozen=True)
class Layer:
    """What one place holds; `folder` is where its files lie, None for what was set."""

    origin: Origin
    data: Mapping[str, Any]
    folder: Path | None = None
    files: tuple[File, ...] = ()

    @property
    def is_trusted(self) -> bool:
        """Whether it may allow, and not only narrow."""
        return self.origin != "files"

    @property
    def is_of_project(self) -> bool:
        """Whether it is about one project."""
        return self.origin in ("files", "project")


def of(directory: Path | None) -> list[Layer]:
    """All layers for a directory; without one those that no project has a part in."""
    return once.read(("layers", directory), lambda: _of(directory))


def _of(directory: Path | None) -> list[Layer]:
    home, data = Path.home() / ".config" / "opencode", config.current().data_dir
    server, project = stored.of(directory)
    found = [_of_folder("home", home), _of_folder("data", data), Layer("server", server)]
    if directory is not None:
        found += [_of_folder("files", directory), Layer("project", project)]
    return found


def merged(layers: list[Layer]) -> dict[str, Any]:
    """What all layers say together, as OpenCode has it: the nearer over the wider, key by key."""
    found: dict[str, Any] = {}
    for layer in layers:
        for provider in addressed(layer):
            found = _without_key(found, provider)
        found = over(found, layer.data if layer.is_trusted else narrowed(layer.data, found))
    return found


def addressed(layer: Layer) -> set[str]:
    """The providers whose address was set over the API: no key from elsewhere goes there."""
    written = layer.data.get("provider") if layer.origin in ("server", "project") else None
    providers = written.items() if isinstance(written, dict) else ()
    return {name for name, one in providers if isinstance(one.get("options"), dict) and one["options"].get("baseURL")}


def _without_key(given: Mapping[str, Any], provider: str) -> dict[str, Any]:
    written = given.get("provider")
    one = written.get(provider) if isinstance(written, dict) else None
    options = one.get("options") if isinstance(one, dict) else None
    if written is None or one is None or not isinstance(options, dict):
        return dict(given)
    rest = {key: value for key, value in options.items() if key not in ("apiKey", "headers")}
    return {**given, "provider": {**written, provider: {**one, "options": rest}}}


def over(below: Mapping[str, Any], above: Mapping[str, Any], *, is_top: bool = True) -> dict[str, Any]:
    """One configuration over another: objects by key, a few lists one after the other, all else in its place."""
    found = dict(below)
    for key, value in above.items():
        was = found.get(key)
        if isinstance(was, dict) and isinstance(value, dict):
            found[key] = over(was, value, is_top=False)
        elif is_top and key in JOINED and isinstance(was, list) and isinstance(value, list):
            found[key] = [*was, *(one for one in value if one not in was)]
        else:
            found[key] = value
    return found


def without_nulls(given: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the keys that null takes away."""
    kept = {key: value for key, value in given.items() if value is not None}
    return {key: without_nulls(value) if isinstance(value, dict) else value for key, value in kept.items()}


def narrowed(given: Mapping[str, Any], below: Mapping[str, Any]) -> dict[str, Any]:
    """What of a project's files is in force over the trusted layers below them."""
    found = {key: value for key, value in given.items() if key not in NOT_OF_FILES}
    for key in ("agent", "mode"):
        if isinstance(modes := found.get(key), dict):
            found[key] = {name: _narrowed_mode(mode) for name, mode in modes.items() if isinstance(mode, dict)}
    found |= _narrowed_mode({key: found.pop(key) for key in ("permission",) if key in found})
    if isinstance(providers := found.get("provider"), dict):
        known = below.get("provider") if isinstance(below.get("provider"), dict) else {}
        found["provider"] = {name: one for name, one in providers.items() if name not in (known or ())}
    if isinstance(off := found.get("disabled_providers"), list):
        found["disabled_providers"] = [*(below.get("disabled_providers") or ()), *off]
    if isinstance(on := found.get("enabled_providers"), list) and isinstance(below.get("enabled_providers"), list):
        found["enabled_providers"] = [one for one in on if one in below["enabled_providers"]]
    if isinstance(switches := found.get("tools"), dict):
        found["tools"] = {name: value for name, value in switches.items() if value is False}
    if found.get("share") == "auto":
        del found["share"]
    return found


def _narrowed_mode(given: dict[str, Any]) -> dict[str, Any]:
    if "permission" not in given:
        return given
    kept: dict[str, dict[str, str]] = {}
    for tool, pattern, action in narrowing(given["permission"]):
        kept.setdefault(tool, {})[pattern] = action
    rest = {key: value for key, value in given.items() if key != "permission"}
    return {**rest, "permission": {tool: _short(patterns) for tool, patterns in kept.items()}} if kept else rest


def _short(patterns: dict[str, str]) -> str | dict[str, str]:
    return patterns["*"] if patterns.keys() == {"*"} else patterns


def spelled(given: object) -> Iterator[tuple[str, str, Action]]:
    """A `permission` as tool, pattern and action, in its order: an action for all, by tool, or by pattern."""
    if isinstance(given, str):
        given = {"*": given}
    for tool, said in given.items() if isinstance(given, dict) else ():
        for pattern, action in (said if isinstance(said, dict) else {"*": said}).items():
            if action in ("allow", "ask", "deny"):
                yield str(tool), str(pattern), action


def narrowing(given: object) -> Iterator[tuple[str, str, Action]]:
    """The same of a project's files: `allow` grants nothing; behind what narrows the tool it is an exception that
    asks.
    """
    narrowed_tools: set[str] = set()
    for tool, pattern, action in spelled(given):
        if action != "allow":
            narrowed_tools.add(tool)
            yield tool, pattern, action
        elif tool in narrowed_tools:
            yield tool, pattern, "ask"


def _of_folder(origin: Origin, folder: Path) -> Layer:
    names = OF_PROJECT if origin == "files" else HERE
    files = tuple(file for name in names if (file := _file(origin, folder, name)) is not None)
    data: dict[str, Any] = {}
    for file in files:
        data = over(data, file.data)
    return Layer(origin, data, folder, files)


def _file(origin: Origin, folder: Path, name: str) -> File | None:
    """A file as it is now; from the cache while it is the same and takes nothing from elsewhere."""
    key = origin == "files", str(folder), name  # a project may lie where the server's own files do
    try:
        with _opened(origin, folder, name) as file:
            about = os.fstat(file.fileno())
            mark = about.st_mtime_ns, about.st_size, about.st_ino
            with _lock:
                known = _cache.get(key)
            if known is not None and known[0] == mark:
                return known[1]
            raw = file.read(LARGEST + 1)
    except (OSError, Problem):
        return None
    found = _read(name, raw, None if origin == "files" else folder)
    if origin == "files" or not _PLACE.search(found.text):
        with _lock:
            if len(_cache) >= KEPT:
                _cache.clear()
            _cache[key] = mark, found
    return found


def _opened(origin: Origin, folder: Path, name: str) -> BinaryIO:
    return Root(folder).open_read(name) if origin == "files" else (folder / name).open("rb")


def _read(name: str, raw: bytes, filling: Path | None) -> File:
    if len(raw) > LARGEST:
        return File(name, "", fault=Fault(f"It has more than {LARGEST // 1024} KiB and is not read."))
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return File(name, "", fault=Fault("It is not UTF-8 text."))
    filled = text if filling is None else _PLACE.sub(lambda place: _filled(place, filling), text)
    try:
        return File(name, text, jsonc.parse(filled))
    except Fault as fault:
        return File(name, text, fault=fault)


def _filled(place: re.Match[str], folder: Path) -> str:
    """The value of `{env:NAME}` or `{file:PATH}`, as the inside of a JSON string."""
    if place[1] == "env":
        value = os.environ.get(place[2], "")
    else:
        try:
            value = (folder / Path(place[2]).expanduser()).read_text().strip()
        except (OSError, UnicodeDecodeError):
            value = ""
    return orjson.dumps(value).decode()[1:-1]
