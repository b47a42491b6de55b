"""The instruction files in force: AGENTS.md, those that opencode.json names, and Roo's rules.

They are looked for before each step and read again only when they have changed. Whatever a project names is read
beneath its root alone; what the server's own user wrote may lie anywhere. Addresses are not fetched.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path, PurePosixPath

from app.actor import Actor
from app.agent import chosen, modes
from app.agent.providers import catalog, opencode_config
from app.errors import Problem
from app.files.paths import Root
from app.files.service import Entry
from app.projects import service as projects
from app.sessions.service import Session

NAMES = ("AGENTS.md", "CLAUDE.md")
UNFETCHED = "not read: addresses are not fetched"
MODE = re.compile(r"[a-z0-9][a-z0-9_-]*")
LARGEST = 64 * 1024
ALL_TOGETHER = 192 * 1024
MOST = 50
SCANNED = 2_000
DEEPEST = 8
KEPT = 500
_GLOB = re.compile(r"[*?\[]")
_cache: dict[tuple[str, str], tuple[tuple[int, int, int], str]] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Instruction:
    """One file in force: its path as people know it, its text, and what is wrong with it ("" if nothing)."""

    path: str
    text: str
    note: str = ""

    @property
    def told(self) -> str:
        """What the model reads: the text, and what is missing of it."""
        return f"{self.text}\n[{self.note}]" if self.note else self.text


def find(directory: Path, root: Path, mode: str) -> list[Instruction]:
    """The files in force for a mode in a directory beneath `root`, from the widest to the nearest; each once."""
    named = [(layer, opencode_config.instructions(layer.data)) for layer in catalog.configs(directory)]
    # Only who runs the server names files anywhere; what was set over the API names those of a project.
    own = [pattern for layer, patterns in named if layer.is_trusted and layer.folder for pattern in patterns]
    project = [p for layer, patterns in named if not (layer.is_trusted and layer.folder) for p in patterns]
    found: dict[tuple[str, str], Instruction] = {}
    for place, name in _named(directory, root, mode, own, project):
        if (place.path, name) not in found and len(found) < MOST and (one := _read(place, name)):
            found[place.path, name] = one
    shown = [_shown(one, place, root) for (place, _name), one in found.items()]
    return [*_within(shown), *(Instruction(name, "", UNFETCHED) for name in (*own, *project) if "://" in name)]


def of(actor: Actor, session: Session, mode: str) -> list[Instruction]:
    """The files in force for a session in a mode; those of its directory alone, where that is not its project's."""
    directory = Path(session.directory)
    try:
        root = Path(projects.get(actor, session.project).path)
    except Problem:
        root = directory
    found = find(directory, root if directory.is_relative_to(root) else directory, mode)
    if (of_mode := modes.find(mode, directory)) and of_mode.instructions.strip():
        found = [Instruction(f"the mode {mode}", of_mode.instructions.strip()), *found]
    if told := chosen.of(session.owner, session.directory).instructions.strip():
        return [Instruction("its person, for every task here", told), *found]
    return found


def words(found: list[Instruction]) -> str:
    """What the model is told of them."""
    return "\n\n".join(f"# Instructions from {one.path}\n{one.told}" for one in found if one.text)


def _named(directory: Path, root: Path, mode: str, own: list[str], theirs: list[str]) -> Iterator[tuple[Root, str]]:
    """Where instructions may be, in order: a root and a name beneath it; not all of them are there."""
    yield Root(Path.home() / ".config" / "opencode"), NAMES[0]
    project = Root(root)
    folders = _way(directory, root)
    yield from ((project, name) for name in _nearest(project, folders))
    for pattern in own:
        yield from _expanded_own(project, folders, pattern)
    for pattern in theirs:
        yield from _expanded(project, folders, pattern)
    for folder in folders:
        yield from ((project, name) for name in _roo(project, folder, mode))


def _way(directory: Path, root: Path) -> list[str]:
    """The folders from the root down to the directory, relative to the root."""
    below = directory.relative_to(root).parts if directory.is_relative_to(root) else ()
    return ["/".join(below[:depth]) for depth in range(len(below) + 1)]


def _nearest(project: Root, folders: list[str]) -> list[str]:
    """AGENTS.md of each folder; CLAUDE.md only where there is none of it at all."""
    for name in NAMES:
        there = [path for folder in folders if _is_file(project, path := _join(folder, name))]
        if there:
            return there
    return []


def _roo(project: Root, folder: str, mode: str) -> list[str]:
    """Roo's rules of a folder, those of the mode first; without a folder of rules the older single file."""
    found: list[str] = []
    kinds = [f"-{mode}", ""] if MODE.fullmatch(mode) else [""]
    for kind in kinds:
        rules = [entry.path for entry in _scan(project, _join(folder, f".roo/rules{kind}")) if _is_rule(entry)]
        found += sorted(rules) or [_join(folder, f".roorules{kind}")]
    return found


def _is_rule(entry: Entry) -> bool:
    return not entry.is_dir and PurePosixPath(entry.name).suffix in (".md", ".txt")


def _expanded_own(project: Root, folders: list[str], pattern: str) -> Iterator[tuple[Root, str]]:
    """What the server's own user named: an absolute path, one from home, or one in each project."""
    if not pattern.startswith(("/", "~/")):
        yield from _expanded(project, folders, pattern)
        return
    path = Path(pattern).expanduser()
    top = Path(*takewhile(lambda part: not _GLOB.search(part), path.parent.parts))
    place = Root(top)
    yield from ((place, name) for name in _globbed(place, "", path.relative_to(top).parts))


def _expanded(project: Root, folders: list[str], pattern: str) -> Iterator[tuple[Root, str]]:
    """The files beneath the root that a pattern names, seen from each folder on the way."""
    path = PurePosixPath(pattern)
    if path.is_absolute():
        if not path.is_relative_to(project.path):
            return
        folders, path = [""], path.relative_to(project.path)
    for folder in folders:
        yield from ((project, name) for name in _globbed(project, folder, path.parts))


def _globbed(place: Root, folder: str, parts: tuple[str, ...]) -> Iterator[str]:
    """The names below a folder that match, by name; `**` stands for any folders, links are not followed there."""
    budget = [SCANNED]

    def walk(at: str, rest: tuple[str, ...], depth: int) -> Iterator[str]:
        if not rest or depth > DEEPEST:
            return
        first, *others = rest
        if not _GLOB.search(first):
            name = _join(at, first)
            yield from walk(name, tuple(others), depth) if others else ([name] if _is_file(place, name) else [])
            return
        if first == "**":
            yield from walk(at, tuple(others), depth)
        for entry in _scan(place, at):
            budget[0] -= 1
            if budget[0] < 0:
                return
            if first == "**":
                if entry.is_dir and not entry.is_link and entry.name not in (".git", "node_modules"):
                    yield from walk(entry.path, rest, depth + 1)
            elif fnmatchcase(entry.name, first):
                if others and entry.is_dir:
                    yield from walk(entry.path, tuple(others), depth)
                elif not others and not entry.is_dir:
                    yield entry.path

    yield from walk(folder, parts, 0)


def _read(place: Root, name: str) -> Instruction | None:
    """A file's text, from the cache while it is the same; None if there is none or it leads out."""
    try:
        with place.open_read(name) as file:
            about = os.fstat(file.fileno())
            mark = (about.st_mtime_ns, about.st_size, about.st_ino)
            with _lock:
                known = _cache.get((place.path, name))
            if known is None or known[0] != mark:
                known = (mark, file.read(LARGEST).decode("utf-8", "replace"))
                with _lock:
                    if len(_cache) >= KEPT:
                        _cache.clear()
                    _cache[place.path, name] = known
    except Problem:
        return None
    text = known[1].replace("\0", "\ufffd").removeprefix("\ufeff").strip()
    note = f"only its first {LARGEST // 1024} KiB are told" if about.st_size > LARGEST else ""
    return Instruction(name, text, note) if text else None


def _shown(one: Instruction, place: str, root: Path) -> Instruction:
    """With a path that tells where the file is: relative to the project, else absolute."""
    return one if Path(place) == root else replace(one, path=str(Path(place) / one.path))


def _within(found: list[Instruction]) -> list[Instruction]:
    """All of them, those beyond the size of all together without their text."""
    left, kept = ALL_TOGETHER, []
    for one in found:
        left -= len(one.text)
        too_much = f"left out: there are more than {ALL_TOGETHER // 1024} KiB of instructions"
        kept.append(one if left >= 0 else Instruction(one.path, "", too_much))
    return kept


def _scan(place: Root, folder: str) -> list[Entry]:
    try:
        return place.scan(folder)
    except Problem:
        return []


def _is_file(place: Root, name: str) -> bool:
    try:
        return not place.stat(name).is_dir
    except Problem:
        return False


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
