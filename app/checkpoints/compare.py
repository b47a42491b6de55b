"""What differs between two trees of a shadow: entries, and file by file with contents and patch, within
caps.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app import git, redact
from app.checkpoints.shadow import Shadow, shown

MAX_FILE = 512 * 1024
MAX_TOTAL = 24 * 1024 * 1024
MAX_FILES = 400
_BATCH = 16 * 1024 * 1024
_WORDS = {"A": "added", "D": "deleted", "M": "modified", "T": "modified", "R": "renamed"}


@dataclass(frozen=True)
class Entry:
    """One path that differs: modes and object names are "000000" and zeros where there is no file."""

    path: str
    status: str
    old_mode: str
    new_mode: str
    old: str
    new: str
    old_path: str
    is_retyped: bool = False


@dataclass(frozen=True)
class FileDiff:
    """One file's difference; `before`, `after` and `patch` are "" for binary files, and with `note` when too
    large.
    """

    path: str
    status: str
    additions: int
    deletions: int
    before: str
    after: str
    patch: str
    binary: bool
    old_path: str = ""
    note: str = ""


def changed(shadow: Shadow, tree_a: str, tree_b: str, *, renames: bool = False) -> list[Entry]:
    """Return the entries that differ from one tree to the other, in path order."""
    return _changed(shadow, tree_a, tree_b, renames, ())


def diff(
    shadow: Shadow, tree_a: str, tree_b: str, *, only: Iterable[str] | None = None, renames: bool = False
) -> list[FileDiff]:
    """Return the files that differ, of those in `only` (as `shown`) if given; past the caps without
    contents.
    """
    if tree_a == tree_b:
        return []
    wanted = None if only is None else set(only)
    entries = [
        entry
        for entry in changed(shadow, tree_a, tree_b, renames=renames)
        if wanted is None or shown(entry.path) in wanted
    ]
    sizes = sizes_of(shadow, {name for entry in entries for name in (entry.old, entry.new)})
    fitting = _fitting(entries, sizes)
    contents = dict(blobs(shadow, {n for e in fitting for n in (e.old, e.new) if n in sizes}, sizes))
    patches = _patches(shadow, tree_a, tree_b, fitting, renames) if fitting else {}
    return [_file(entry, contents, patches.get(entry.path)) for entry in entries]


def summary(shadow: Shadow, tree_a: str, tree_b: str) -> list[dict[str, Any]]:
    """Return {path, status, additions, deletions} of each file that differs, without reading contents."""
    args = ["diff-tree", "-r", "-z", "--raw", "--numstat", "--no-renames", tree_a, tree_b]
    fields = iter(shadow.run(args).split(b"\0"))
    found: dict[str, dict[str, Any]] = {}
    for field in fields:
        if field.startswith(b":"):
            path = os.fsdecode(next(fields))
            status = _WORDS[field[-1:].decode("ascii")]
            found[path] = {"path": shown(path), "status": status, "additions": 0, "deletions": 0}
        elif field:
            added, removed, name = field.split(b"\t", 2)
            figures = {"additions": int(added), "deletions": int(removed)} if added != b"-" else {}
            found[os.fsdecode(name)].update(figures)
    return list(found.values())


def read(shadow: Shadow, tree: str, path: str, limit: int = MAX_FILE) -> bytes | None:
    """Return a file's content in a tree; None when it isn't there or is over `limit` bytes."""
    listed = shadow.run(["ls-tree", "-z", "--full-tree", tree, "--", path])
    if not listed:
        return None
    name = listed.split(b"\t")[0].split(b" ")[2].decode()
    sizes = sizes_of(shadow, {name})
    if sizes.get(name, limit + 1) > limit:
        return None
    return dict(blobs(shadow, {name}, sizes))[name]


def blobs(shadow: Shadow, names: Iterable[str], sizes: dict[str, int] | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield the named blobs with their content, reading no more than some 16 MB (or one blob) at a time."""
    names = [name for name in names if name.strip("0")]
    known = sizes_of(shadow, names) if sizes is None else sizes
    batch: list[str] = []
    total = 0
    for name in names:
        if batch and total + known[name] > _BATCH:
            yield from _read(shadow, batch)
            batch, total = [], 0
        batch.append(name)
        total += known[name]
    if batch:
        yield from _read(shadow, batch)


def _read(shadow: Shadow, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield a batch of blobs."""
    out = shadow.run(["cat-file", "--batch"], data="".join(f"{name}\n" for name in names).encode())
    at = 0
    for name in names:
        end = out.index(b"\n", at)
        size = int(out[at:end].split(b" ")[2])
        yield name, out[end + 1 : end + 1 + size]
        at = end + size + 2


def sizes_of(shadow: Shadow, names: Iterable[str]) -> dict[str, int]:
    """Return the size of each named blob, zeros left out; raise git.GitFailed when one is not there."""
    data = "".join(f"{name}\n" for name in names if name.strip("0")).encode()
    if not data:
        return {}
    lines = shadow.run(["cat-file", "--batch-check"], data=data).decode().splitlines()
    found = [line.split() for line in lines]
    if any(len(words) != 3 for words in found):
        raise git.GitFailed(["cat-file"], 128, "what it held is not there any more")
    return {words[0]: int(words[2]) for words in found}


def _changed(shadow: Shadow, tree_a: str, tree_b: str, renames: bool, paths: Sequence[str]) -> list[Entry]:
    """Return the entries that differ, of those paths if any are named."""
    args = ["diff-tree", "-r", "-z", "--raw", "--no-abbrev", "-M" if renames else "--no-renames"]
    fields = iter(shadow.run([*args, tree_a, tree_b, "--", *paths]).split(b"\0"))
    found: list[Entry] = []
    for field in fields:
        if not field:
            continue
        old_mode, new_mode, old, new, letter = field.decode("ascii")[1:].split(" ")
        old_path = os.fsdecode(next(fields))
        path = os.fsdecode(next(fields)) if letter[0] == "R" else old_path
        status = _WORDS[letter[0]]
        found.append(Entry(path, status, old_mode, new_mode, old, new, old_path, letter[0] == "T"))
    return found


def _fitting(entries: Iterable[Entry], sizes: dict[str, int]) -> list[Entry]:
    """Return the entries whose contents are shown: none too large, not too many, not too much in all."""
    fitting: list[Entry] = []
    total = 0
    for entry in entries:
        both = [sizes.get(entry.old, 0), sizes.get(entry.new, 0)]
        if max(both) <= MAX_FILE and total + sum(both) <= MAX_TOTAL and len(fitting) < MAX_FILES:
            fitting.append(entry)
            total += sum(both)
    return fitting


def _patches(shadow: Shadow, tree_a: str, tree_b: str, fitting: Sequence[Entry], renames: bool) -> dict[str, str]:
    """Return each entry's patch text by its path."""
    paths = sorted({path for entry in fitting for path in (entry.old_path, entry.path)})
    # A path may also name a directory of the other tree, so the entries under these paths are asked for
    # again.
    entries = _changed(shadow, tree_a, tree_b, renames, paths)
    args = ["diff-tree", "-r", "-p", "--no-ext-diff", "--no-textconv", "-M" if renames else "--no-renames"]
    limit = f"core.bigFileThreshold={MAX_FILE + 1}"
    out = shadow.run([*args, tree_a, tree_b, "--", *paths], settings=(limit,))
    # Inside a patch every line begins with a space, + - @ or \, so this begins a file and nothing else.
    pieces = iter((b"\n" + out).split(b"\ndiff --git ")[1:])
    patches: dict[str, str] = {}
    for entry in entries:
        parts = [next(pieces, b"")] + ([next(pieces, b"")] if entry.is_retyped else [])
        whole = b"".join(b"diff --git " + part.rstrip(b"\n") + b"\n" for part in parts if part)
        patches[entry.path] = whole.decode("utf-8", "replace")
    return patches


def _file(entry: Entry, contents: dict[str, bytes], patch: str | None) -> FileDiff:
    """Make the difference of one file, to be shown: without known secrets; without a patch it was too large."""
    path, old_path = shown(entry.path), shown(entry.old_path)
    if patch is None:
        return FileDiff(path, entry.status, 0, 0, "", "", "", False, old_path, "too large to show")
    old, new = contents.get(entry.old, b""), contents.get(entry.new, b"")
    if b"\0" in old[:8000] or b"\0" in new[:8000]:
        return FileDiff(path, entry.status, 0, 0, "", "", "", True, old_path)
    added, removed = _count(patch)
    before, after = (redact.text(text.decode("utf-8", "replace")) for text in (old, new))
    return FileDiff(path, entry.status, added, removed, before, after, redact.text(patch), False, old_path)


def _count(patch: str) -> tuple[int, int]:
    """Count the lines a patch adds and removes."""
    added = removed = 0
    in_hunk = False
    for line in patch.split("\n"):
        if line.startswith("@@"):
            in_hunk = True
        elif line.startswith("diff --git "):
            in_hunk = False
        elif in_hunk:
            added += line.startswith("+")
            removed += line.startswith("-")
    return added, removed
