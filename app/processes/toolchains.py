"""What of PATH the sandbox shows: directories of commands, what their links need, and why the rest is hidden.

PATH is the operator's word on what commands are, not on what agents may read. So a directory is shown only while
it can hold nothing else: not where people keep their own things, not where our data lies, not where anyone may
write (commands planted there would run for every agent). A link leads to a command or its installation. What only
its owner may read is no command, nor is what has a dot before its name (.git, .env). What stays hidden leaves PATH
too: agents could make a directory of that name in their own /tmp and fill it with commands for later approvals.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
NEVER = tuple(map(Path, ("/etc", "/proc", "/sys", "/dev", "/run")))
SCRATCH_ALIAS = Path("/tmp")  # noqa: S108 - its name inside the sandbox
WORLD = "anyone may write there"
OURS = "our own data lies there"
STANDARD = {"bin", "conf", "etc", "include", "jmods", "legal", "lib", "lib64", "libexec", "man", "sbin", "share"}
INSTALLED = {"lib", "libexec", "share"}
HARMLESS = {".gitignore", ".lock"}  # what venv and uv leave beside bin and lib
MOST_COVERED = 16
WORDS = re.compile(r"[\w.+-]+")


@dataclass(frozen=True)
class Toolchains:
    """What to show (directories, single commands), links on the way to them, and what is hidden for which reason.

    `ours` is what our own interpreter needs, `entries` the directories of PATH and where they really lie.
    """

    ours: tuple[Path, ...]
    entries: dict[Path, Path]
    shown: tuple[Path, ...]
    links: tuple[tuple[Path, str], ...]
    hidden: dict[Path, str]

    def beside(self, roots: Iterable[Path]) -> tuple[Path, ...]:
        """What can be shown beside these workspaces: a directory that holds one holds its neighbours too."""
        holders = {parent for root in roots for parent in root.parents}
        return _outermost(place for place in self.shown if place in self.ours or place not in holders)

    def within(self, root: Path) -> tuple[Path, ...]:
        """What lies in a workspace, which may not change it."""
        return _outermost(place for place in self.shown if root in place.parents)

    def path(self, roots: Collection[Path]) -> str:
        """PATH as commands can use it: without links on the way, what they don't see and what they may change."""
        seen = (*_system(), *self.beside(roots))
        kept = (real for real in self.entries.values() if _is_in(real, seen) and real not in roots)
        return os.pathsep.join(dict.fromkeys(map(str, kept)))

    def interpreter(self) -> Path | None:
        """Our own interpreter, if it is shown; wherever it lies, commands can't change it."""
        real = Path(os.path.realpath(sys.executable))
        return real if _is_in(real, (*_system(), *self.ours)) else None

    def private(self) -> Iterator[Path]:
        """What lies beside commands but is for its owner: keys, tokens, notes. Read anew at each call."""
        for entry, real in self.entries.items():
            if entry not in self.hidden and not _is_in(real, (*_system(), Path(sys.prefix))):
                yield from _private(real)

    def explain(self, output: str, roots: Collection[Path]) -> str:
        """Why the sandbox has no such command, when this output of a shell names one that is hidden."""
        seen = self.beside(roots)
        holders = {place: "a workspace lies there" for place in self.shown if not _is_in(place, seen)}
        for word in WORDS.findall(output):
            for place, why in {**self.hidden, **holders}.items():
                command = place if place.name == word and place not in self.entries else place / word
                if command.is_file() and os.access(command, os.X_OK):
                    return f"{command} is hidden from the sandbox: {why}."
        return ""


@cache
def survey(path: str, data: Path) -> Toolchains:
    """Look through PATH once; `data` is our data directory."""
    entries = tuple(dict.fromkeys(Path(entry) for entry in path.split(os.pathsep) if entry.startswith("/")))
    found = _Survey(data, {entry: entry.resolve() for entry in entries if _is_readable(entry)})
    return Toolchains(found.ours, found.entries, tuple(found.shown), tuple(found.links.items()), found.hidden)


class _Survey:
    """Collects what is shown and hidden: our interpreter, then PATH's directories, then what their links need."""

    def __init__(self, data: Path, entries: dict[Path, Path]) -> None:
        self._data = data
        self.entries = entries
        self.hidden: dict[Path, str] = {}
        self.links: dict[Path, str] = {}
        self.ours = tuple(_ours())
        self.shown = [*self.ours]
        for entry in entries:
            for place in (entry, *filter(_is_readable, _behind(entry))):
                self._consider(place, place.resolve(), _refusal(place.resolve(), data))
        commands = [command for entry in entries for command in self._commands(entry)]
        for command in commands:
            real = command.resolve()
            self._consider(command, real.parent, _link_refusal(real, data), only=real)
        for place in (*entries, *commands):
            self._follow(place)

    def _consider(self, place: Path, directory: Path, why: str, only: Path | None = None) -> None:
        seen = (*_system(), *(self.shown if only else ()))  # a directory counts even within another: see `within`
        if _is_in(place.resolve(), seen):
            return
        if why and not _is_in(place.resolve(), self.ours):
            self.hidden[place] = why
        else:
            prefix = _installation(directory, self._data)
            self.shown += [*([prefix] if prefix else []), only or directory]

    def _commands(self, entry: Path) -> Iterator[Path]:
        """The commands that are links, in a directory that is shown but isn't the system's."""
        if entry in self.hidden or _is_in(self.entries[entry], _system()):
            return
        with os.scandir(entry) as found:
            names = sorted(link.name for link in found if link.is_symlink() and os.access(link.path, os.X_OK))
        yield from (entry / name for name in names if (entry / name).is_file())

    def _follow(self, place: Path) -> None:
        """Note the links on the way; the sandbox must have them to follow the same way."""
        if place in self.hidden:
            return
        there = [*map(Path, SYSTEM), *self.shown, *NEVER]
        way = {link: target for link, target in _way(place) if not _is_in(link, there)}
        if any(link.is_relative_to(SCRATCH_ALIAS) for link in way):
            if place not in self.entries:
                self.hidden[place] = f"it leads through {SCRATCH_ALIAS}, where commands may write"
        else:
            self.links.update(way)


def _ours() -> Iterator[Path]:
    for place in map(Path, (sys.base_prefix, sys.prefix, "/opt", "/nix/store")):
        if _is_readable(place) and _is_modest(place.resolve()) and not _is_in(place.resolve(), _system()):
            yield place.resolve()


def _private(directory: Path) -> Iterator[Path]:
    with os.scandir(directory) as entries:
        for entry in entries:
            mode = 0 if entry.is_symlink() else entry.stat(follow_symlinks=False).st_mode
            is_command = stat.S_ISREG(mode) and mode & stat.S_IXUSR
            is_closed = not mode & (stat.S_IRWXG | stat.S_IRWXO)
            if mode and (entry.name.startswith(".") or (is_closed and not is_command)):
                yield Path(entry.path)


def _refusal(directory: Path, data: Path) -> str:
    """Why a directory can't be shown, or an empty string."""
    if not _is_readable(directory) or not _is_modest(directory) or _is_in(directory, NEVER):
        return "it holds more than commands"
    if directory.is_relative_to(data) or data.is_relative_to(directory):
        return OURS
    if directory == SCRATCH_ALIAS:
        return "commands have one of their own"
    if directory.stat().st_mode & stat.S_IWOTH:
        return WORLD
    return "it holds private files" if len(list(_private(directory))) > MOST_COVERED else ""


def _link_refusal(command: Path, data: Path) -> str:
    """Why what a link leads to can't be shown, or an empty string."""
    if _is_in(command, NEVER):
        return "it leads to what the sandbox replaces"
    if command.is_relative_to(data):
        return OURS
    return WORLD if command.stat().st_mode & stat.S_IWOTH else ""


def _installation(directory: Path, data: Path) -> Path | None:
    """The prefix of a directory of commands, when it is an installation and no place where somebody works."""
    prefix = directory.parent
    if directory.name not in ("bin", "sbin") or _refusal(prefix, data):
        return None
    names = {path.name for path in prefix.iterdir()}
    directories = {name for name in names if _is_readable(prefix / name)}
    hidden = {name for name in names if name.startswith(".")}
    return prefix if directories <= STANDARD and hidden <= HARMLESS and directories & INSTALLED else None


def _way(place: Path) -> Iterator[tuple[Path, str]]:
    """Every link that the kernel crosses to reach a place that exists: where it lies and what it says."""
    done, left = Path("/"), list(reversed(place.parts[1:]))
    while left:
        step = done.parent if (part := left.pop()) == ".." else done / part
        if step.is_symlink():
            target = step.readlink()
            yield step, str(target)
            done = Path("/") if target.is_absolute() else done
            left += reversed(target.parts[target.is_absolute() :])
        else:
            done = step


def _outermost(places: Iterable[Path]) -> tuple[Path, ...]:
    """These without what lies in one of them."""
    unique = dict.fromkeys(places)
    return tuple(place for place in unique if not any(parent in unique for parent in place.parents))


def _is_readable(directory: Path) -> bool:
    return os.access(directory, os.R_OK | os.X_OK) and directory.is_dir()


def _is_in(place: Path, directories: Iterable[Path]) -> bool:
    line = {place, *place.parents}
    return any(directory in line for directory in directories)


@cache
def _system() -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path.resolve() for path in map(Path, SYSTEM) if path.is_dir()))


def _behind(entry: Path) -> Iterator[Path]:
    """Version switchers keep little on PATH and the real thing beside it."""
    if entry.parts[-2:] == (".cargo", "bin"):
        yield entry.parents[1] / ".rustup"
    if entry.parts[-2:] == (".pyenv", "shims"):
        yield entry.parent


def _is_modest(place: Path) -> bool:
    """Not a directory in which people keep their own things."""
    home = Path.home()
    return not home.is_relative_to(place) and place not in (home / ".local", home / ".cargo", home / ".config")
