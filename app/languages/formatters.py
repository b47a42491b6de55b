"""Which formatters there are: for which files, by which command, and in which projects they are at home.

As with language servers only commands of this machine are taken, and only such as run nothing of what they read: a
configuration that is a script, or names plugins, would let an agent that may edit but not run commands run some. Each
reads the text and gives it back; none touches the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.languages.servers import installed
from app.projects.service import Place

FILE = "{file}"  # in a command: the file's path
LARGEST_MARK = 1 << 20


@dataclass(frozen=True)
class Formatter:
    """A formatter: its name, the endings of files it knows, its command, and what files a project has that uses it.

    A mark may say what stands in the file: `pyproject.toml:[tool.ruff`. Without marks it is at home in every project:
    its language has one form.
    """

    name: str
    extensions: tuple[str, ...]
    command: tuple[str, ...]
    marks: tuple[str, ...] = ()


FORMATTERS = (
    Formatter("gofmt", (".go",), ("gofmt",)),
    Formatter("rustfmt", (".rs",), ("rustfmt", "--edition", "2021")),
    Formatter("zig", (".zig", ".zon"), ("zig", "fmt", "--stdin")),
    Formatter("gleam", (".gleam",), ("gleam", "format", "--stdin")),
    Formatter("terraform", (".tf", ".tfvars"), ("terraform", "fmt", "-")),
    Formatter(
        "ruff",
        (".py", ".pyi"),
        ("ruff", "format", "--no-cache", "--quiet", "--force-exclude", "--stdin-filename", FILE, "-"),
        ("ruff.toml", ".ruff.toml", "pyproject.toml:[tool.ruff"),
    ),
    Formatter(
        "clang-format",
        (".c", ".cc", ".cpp", ".cxx", ".c++", ".h", ".hh", ".hpp", ".hxx", ".h++", ".ino"),
        ("clang-format", "--style=file", "--assume-filename", FILE),
        (".clang-format", "_clang-format"),
    ),
    Formatter(
        "biome",
        (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".json", ".jsonc", ".css", ".graphql"),
        ("biome", "format", "--stdin-file-path", FILE),
        ("biome.json", "biome.jsonc"),
    ),
    Formatter("shfmt", (".sh", ".bash"), ("shfmt", "-filename", FILE), (".editorconfig",)),
    Formatter("ocamlformat", (".ml", ".mli"), ("ocamlformat", "--name", FILE, "-"), (".ocamlformat",)),
)


def formatting(path: Path, place: Place) -> tuple[Formatter, Path] | None:
    """The first formatter of this kind of file that is at home in the place and installed, and its command."""
    ending = path.suffix.lower()
    for one in FORMATTERS:
        if ending in one.extensions and is_at_home(one, path.parent, place.root):
            found = binary(one, place)
            if found is not None:
                return one, found
    return None


def binary(one: Formatter, place: Place) -> Path | None:
    """Where a formatter's command lies; None if nowhere, or only in the project or a worktree of it."""
    return installed(one.command[0], place.root, place.project.path)


def is_at_home(one: Formatter, folder: Path, top: Path) -> bool:
    """Whether one of its marks lies in a folder or above it, within the project; or it has none."""
    return not one.marks or any(_bears(place, mark) for place in _upwards(folder, top) for mark in one.marks)


def _upwards(folder: Path, top: Path) -> Iterator[Path]:
    for place in (folder, *folder.parents):
        if not place.is_relative_to(top):
            return
        yield place


def _bears(folder: Path, mark: str) -> bool:
    name, _, words = mark.partition(":")
    place = folder / name
    if place.is_symlink() or not place.is_file():
        return False
    if not words:
        return True
    with place.open("rb") as file:
        return words.encode() in file.read(LARGEST_MARK)
