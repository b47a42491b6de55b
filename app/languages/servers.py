"""Which language servers there are: for which files, by which command, and where their roots begin.

Only commands of this machine are taken: what lies in a project is never run for the mere sake of looking at it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from app.processes.spawn import search_path


@dataclass(frozen=True)
class Server:
    """A language server: its id, the languages of the endings of files it knows, its command, the marks of a root."""

    id: str
    languages: dict[str, str]
    command: tuple[str, ...]
    marks: tuple[str, ...]


_PYTHON = {".py": "python", ".pyi": "python"}
_PYTHON_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "pyrightconfig.json")
_SCRIPT = {".ts": "typescript", ".tsx": "typescriptreact", ".mts": "typescript", ".cts": "typescript",
           ".js": "javascript", ".jsx": "javascriptreact", ".mjs": "javascript", ".cjs": "javascript"}  # fmt: skip
_C = {".c": "c", ".h": "c", ".cc": "cpp", ".cpp": "cpp", ".hpp": "cpp"}
SERVERS = (
    Server("basedpyright", _PYTHON, ("basedpyright-langserver", "--stdio"), _PYTHON_MARKS),
    Server("pyright", _PYTHON, ("pyright-langserver", "--stdio"), _PYTHON_MARKS),
    Server("jedi", _PYTHON, ("jedi-language-server",), _PYTHON_MARKS),
    Server("typescript", _SCRIPT, ("typescript-language-server", "--stdio"), ("package.json", "tsconfig.json")),
    Server("gopls", {".go": "go"}, ("gopls",), ("go.work", "go.mod")),
    Server("rust", {".rs": "rust"}, ("rust-analyzer",), ("Cargo.toml",)),
    Server("clangd", _C, ("clangd",), ("compile_commands.json", "CMakeLists.txt")),
)


def serving(path: str, top: Path) -> Server | None:
    """The first server that knows this kind of file and is installed outside of the project at `top`."""
    ending = Path(path).suffix.lower()
    known = (server for server in SERVERS if ending in server.languages)
    return next((server for server in known if binary(server, top) is not None), None)


def binary(server: Server, top: Path) -> Path | None:
    """Where a server's command lies; None if nowhere, or only in the project."""
    named = shutil.which(server.command[0], path=search_path())
    if named is None:
        return None
    found = Path(named)
    return None if top in found.parents or top in found.resolve().parents else found


def root_of(server: Server, path: Path, top: Path) -> Path:
    """The nearest directory above a file that bears a mark, within the project; else the project's own."""
    for directory in path.parents:
        if not directory.is_relative_to(top):
            break
        if any((directory / mark).is_file() for mark in server.marks):
            return directory
    return top
