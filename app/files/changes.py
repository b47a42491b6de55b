"""What changed in a working tree since its last commit: which files, by how many lines, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Literal

from app import git
from app.errors import Problem, Unavailable
from app.files.paths import Root

LISTED = 2_000
COUNTED = 500
LARGEST = 256 * 1024
TOTAL = 32 * 1024 * 1024
EXACT = 4_000_000  # pairs of lines; beyond it lines are counted, not matched
CONTEXT = 3
Status = Literal["added", "deleted", "modified"]


@dataclass(frozen=True)
class FileChange:
    """A changed file, relative to the place; added and removed lines, 0 for binary or large files."""

    path: str
    added: int
    removed: int
    status: Status


@dataclass(frozen=True)
class Hunk:
    """One place of a text that changed; lines begin with a blank, `-`, `+` or a backslash."""

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    lines: tuple[str, ...]


def list_all(directory: Path) -> list[FileChange]:
    """Return the changed files beneath a directory, at most LISTED, by path; none without git."""
    top = git.find_toplevel(directory)
    if top is None:
        return []
    try:
        found = sorted(_beneath(git.status(top), _prefix(top, directory)))[:LISTED]
        counted = {path for path, _ in found[:COUNTED]}
        before = _committed(directory, [path for path, status in found[:COUNTED] if status != "added"])
    except git.GitFailed as failure:
        raise Unavailable(f"git can't tell what changed: {failure.reason}") from None
    root = Root(directory)
    return [
        FileChange(shown(path), *_figures(root, path, status, before.get(path, b"")), status)
        if path in counted
        else FileChange(shown(path), 0, 0, status)
        for path, status in found
    ]


def since_commit(directory: Path, path: str, text: str) -> list[Hunk]:
    """Return how a tracked file's text differs from the last commit; none when it is new, large or binary."""
    top = git.find_toplevel(directory)
    if top is None or len(text) > LARGEST:
        return []
    before = git.find_blob(top, "HEAD", _prefix(top, directory) + path, LARGEST)
    if before is None or b"\0" in before:
        return []
    return list(compare(before.decode("utf-8", "replace"), text))


def compare(old: str, new: str, context: int = CONTEXT) -> Iterator[Hunk]:
    """Yield the hunks that lead from one text to the other, with so many lines around each change."""
    before, after = _lines(old), _lines(new)
    if before == after or len(before) * len(after) > EXACT:
        return
    for group in SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(context):
        (_, i1, _, j1, _), (_, _, i2, _, j2) = group[0], group[-1]
        lines: list[str] = []
        for tag, a1, a2, b1, b2 in group:
            signs = [(" ", before[a1:a2])] if tag == "equal" else [("-", before[a1:a2]), ("+", after[b1:b2])]
            lines += [line for sign, part in signs for one in part for line in _signed(sign, one)]
        yield Hunk(i1 + 1, i2 - i1, j1 + 1, j2 - j1, tuple(lines))


def _lines(text: str) -> list[str]:
    """Cut a text after each line feed and nowhere else."""
    whole, _, rest = text.rpartition("\n")
    lines = [line + "\n" for line in whole.split("\n")] if whole or text.startswith("\n") else []
    return [*lines, rest] if rest else lines


def _signed(sign: str, line: str) -> list[str]:
    return [sign + line[:-1]] if line.endswith("\n") else [sign + line, "\\ No newline at end of file"]


def _prefix(top: Path, directory: Path) -> str:
    """Return what git puts before the names of this directory: "" at the top."""
    way = directory.relative_to(top).as_posix()
    return "" if way == "." else f"{way}/"


def _beneath(changes: Iterable[git.Change], prefix: str) -> Iterator[tuple[str, Status]]:
    """Yield path and status of what lies beneath; a rename is a deletion and an addition."""
    for change in changes:
        if change.old_path.startswith(prefix) and "R" in change.code:
            yield change.old_path[len(prefix) :], "deleted"
        if change.path.startswith(prefix):
            yield change.path[len(prefix) :], _status(change.code)


def _status(code: str) -> Status:
    if "D" in code:
        return "deleted"
    return "added" if any(letter in code for letter in "?ARC") else "modified"


def _committed(directory: Path, paths: Iterable[str]) -> dict[str, bytes]:
    """Return the last commit's contents of these files, small ones only, by two runs of git."""
    wanted: dict[str, tuple[str, int]] = {}
    room = TOTAL
    for path, (name, size) in blobs(directory, "HEAD", paths).items():
        if size <= min(LARGEST, room):
            wanted[path] = name, size
            room -= size
    return contents(directory, wanted)


def blobs(directory: Path, revision: str, paths: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return hash and size of those of the files that a commit has, by path."""
    asked = [path for path in paths if "\n" not in path]
    if not asked:
        return {}
    names = "".join(f"{revision}:./{path}\n" for path in asked).encode("utf-8", "surrogateescape")
    lines = git.run(["cat-file", "--batch-check"], directory, data=names).split(b"\n")
    found: dict[str, tuple[str, int]] = {}
    for path, line in zip(asked, lines, strict=False):
        words = line.decode("utf-8", "replace").split(" ")
        if len(words) == 3 and words[1] == "blob":
            found[path] = words[0], int(words[2])
    return found


def names_since(top: Path, directory: Path, revision: str) -> list[str]:
    """Return the paths beneath a directory, relative to it, that may differ from a commit; raises GitFailed."""
    prefix = _prefix(top, directory)
    found = {path for path, _ in _beneath(git.status(top), prefix)}
    if revision != "HEAD":
        between = git.names_between(top, revision, "HEAD")
        found |= {path.removeprefix(prefix) for path in between if path.startswith(prefix)}
    return sorted(found)


def contents(directory: Path, wanted: dict[str, tuple[str, int]]) -> dict[str, bytes]:
    """Read the blobs, each given as its hash and size."""
    hashes = "".join(f"{name}\n" for name, _ in wanted.values()).encode()
    out = git.run(["cat-file", "--batch"], directory, data=hashes) if wanted else b""
    found: dict[str, bytes] = {}
    at = 0
    for path, (_, size) in wanted.items():
        begin = out.index(b"\n", at) + 1
        found[path] = out[begin : begin + size]
        at = begin + size + 1
    return found


def _figures(root: Root, path: str, status: Status, before: bytes) -> tuple[int, int]:
    """Count the lines added and removed."""
    after = b"" if status == "deleted" else _present(root, path)
    if b"\0" in before or b"\0" in after:
        return 0, 0
    old, new = _lines(before.decode("latin-1")), _lines(after.decode("latin-1"))
    if len(old) * len(new) > EXACT:
        return (Counter(new) - Counter(old)).total(), (Counter(old) - Counter(new)).total()
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    changed = [code for code in codes if code[0] != "equal"]
    return sum(j2 - j1 for *_, j1, j2 in changed), sum(i2 - i1 for _, i1, i2, *_ in changed)


def _present(root: Root, path: str) -> bytes:
    """Return a file as it is now; nothing for what is large, gone or no file."""
    try:
        return root.read_bytes(path, LARGEST)
    except Problem:
        return b""


def shown(path: str) -> str:
    """Return a name as text that JSON can hold."""
    return path.encode("utf-8", "replace").decode()
