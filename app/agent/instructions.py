"""The instruction files in force: AGENTS.md, those that opencode.json names, and Roo's rules.

They are looked for before each step and read again only when they have changed. Whatever a project names is read
beneath its root alone; what the server's own user wrote may lie anywhere. Addresses are not fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import chain, takewhile
from pathlib import Path, PurePosixPath

from app.accounts import service as accounts
from app.actor import Actor
from app.agent import chosen, instruction_files, rule_files
from app.agent.instruction_files import LARGEST, Found, Instruction, is_file, join, scan
from app.agent.providers import catalog, opencode_config
from app.approvals import service as approvals
from app.errors import Problem
from app.files.paths import Root
from app.projects import service as projects
from app.projects.service import Place
from app.sessions.service import Session

__all__ = ["ALL_TOGETHER", "LARGEST", "Instruction", "find", "of", "of_place", "words"]

# The first that there is; beside it what a person keeps to themselves.
NAMES = ("AGENTS.md", "AGENT.md", "CLAUDE.md")
LOCAL = "AGENTS.local.md"
UNFETCHED = "not read: addresses are not fetched"
ALL_TOGETHER = 192 * 1024
MOST = 50
SCANNED = 2_000
DEEPEST = 8
_GLOB = re.compile(r"[*?\[]")


def find(directory: Path, root: Path, mode: str) -> list[Instruction]:
    """The files in force for a mode in a directory beneath `root`, in the order in which they are told; each once."""
    named = [(layer, opencode_config.instructions(layer.data)) for layer in catalog.configs(directory)]
    # Only who runs the server names files anywhere; what was set over the API names those of a project.
    own = [pattern for layer, patterns in named if layer.is_trusted and layer.folder for pattern in patterns]
    project = [p for layer, patterns in named if not (layer.is_trusted and layer.folder) for p in patterns]
    found: dict[tuple[str, str], Instruction] = {}
    for file in _named(directory, root, mode, own, project):
        if file.key not in found and len(found) < MOST and (one := _read(file)):
            found[file.key] = one
    shown = [_shown(one, place, root) for (place, _name), one in found.items()]
    return [*_within(shown), *(Instruction(name, "", UNFETCHED) for name in (*own, *project) if "://" in name)]


def of(actor: Actor, session: Session, mode: str, told: str = "") -> list[Instruction]:
    """What is in force for a session in a mode, which is `told` something of its own; of the files those of its
    directory alone, where that is not its project's.
    """
    directory = Path(session.directory)
    try:
        root = Path(projects.get(actor, session.project).path)
    except Problem:
        root = directory
    return _in_force(session.owner, directory, root, mode, told)


def of_place(actor: Actor | None, place: Place, mode: str, told: str = "") -> list[Instruction]:
    """What would be in force for a task that the actor begins in a workspace."""
    actor = accounts.require(actor, "settings:read", place.project)
    return _in_force(actor.user, place.directory, Path(place.project.path), mode, told)


def words(found: list[Instruction]) -> str:
    """What the model is told of them."""
    return "\n\n".join(f"# Instructions from {one.path}\n{one.told}" for one in found if one.text)


def _in_force(owner: str, directory: Path, root: Path, mode: str, told: str) -> list[Instruction]:
    """A person's words for every task come first, then what the mode is told, then the files."""
    own = _said("its person, for every task here", chosen.of(owner, str(directory)).instructions, "person")
    of_mode = _said(f"the mode {mode}", told, "mode")
    return [*own, *of_mode, *find(directory, root if directory.is_relative_to(root) else directory, mode)]


def _said(whose: str, text: str, source: instruction_files.Source) -> list[Instruction]:
    text = text.strip()
    return [Instruction(whose, text, size=len(text.encode()), source=source)] if text else []


def _named(directory: Path, root: Path, mode: str, own: list[str], theirs: list[str]) -> Iterator[Found]:
    """Where instructions may be, in order; not all of them are there."""
    project = Root(root)
    folders = _way(directory, root)
    yield from rule_files.of_mode(project, folders, mode)
    yield Found(project, join(folders[-1], approvals.ROOIGNORE))
    yield Found(Root(Path.home() / ".config" / "opencode"), NAMES[0])
    yield from (Found(project, name) for name in _nearest(project, folders))
    expanded = (_expanded_own(project, folders, pattern) for pattern in own)
    of_project = (_expanded(project, folders, pattern) for pattern in theirs)
    yield from (Found(place, name) for place, name in chain(*expanded, *of_project))
    yield from rule_files.of_all(project, folders)


def _read(file: Found) -> Instruction | None:
    one = instruction_files.read(file)
    is_list = PurePosixPath(file.name).name == approvals.ROOIGNORE
    return replace(one, text=approvals.told_hidden(one.text)) if one and is_list else one


def _way(directory: Path, root: Path) -> list[str]:
    """The folders from the root down to the directory, relative to the root."""
    below = directory.relative_to(root).parts if directory.is_relative_to(root) else ()
    return ["/".join(below[:depth]) for depth in range(len(below) + 1)]


def _nearest(project: Root, folders: list[str]) -> Iterator[str]:
    """AGENTS.md of each folder, another name only where there is none of it at all; and what is not shared."""
    there = (name for name in NAMES if any(is_file(project, join(folder, name)) for folder in folders))
    name = next(there, NAMES[0])
    return (join(folder, each) for folder in folders for each in (name, LOCAL))


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
            name = join(at, first)
            yield from walk(name, tuple(others), depth) if others else ([name] if is_file(place, name) else [])
            return
        if first == "**":
            yield from walk(at, tuple(others), depth)
        for entry in scan(place, at):
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


def _shown(one: Instruction, place: str, root: Path) -> Instruction:
    """With a path that tells where the file is: relative to the project, else absolute."""
    if Path(place) == root:
        return one
    return replace(one, path=str(Path(place) / one.path), source="server")


def _within(found: list[Instruction]) -> list[Instruction]:
    """All of them, those beyond the size of all together without their text."""
    left, kept = ALL_TOGETHER, []
    for one in found:
        left -= len(one.text)
        too_much = f"left out: there are more than {ALL_TOGETHER // 1024} KiB of instructions"
        kept.append(one if left >= 0 else replace(one, text="", note=too_much))
    return kept
