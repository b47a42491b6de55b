"""The short list of shell commands that only read, and how to tell that this use of one does.

Pure. `words` are the words of the command after its name, all fixed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_PLAIN = frozenset(
    (
        "ls",
        "cat",
        "head",
        "tail",
        "wc",
        "pwd",
        "echo",
        "true",
        "false",
        "[",
        "test",
        "basename",
        "dirname",
        "realpath",
        "readlink",
        "stat",
        "du",
        "df",
        "which",
        "type",
        "uname",
        "whoami",
        "id",
        "nl",
        "cut",
        "tr",
        "diff",
        "cmp",
        "grep",
        "egrep",
        "fgrep",
        "cd",
        "sleep",
        "seq",
        "md5sum",
        "sha256sum",
    )
)
_SHORT_WRITES = {"sort": "oT", "date": "sf", "file": "Cf", "tree": "oR", "printf": "v", "uniq": ""}
_LONG_WRITES = {
    "sort": ("--output", "--compress-program", "--temporary-directory"),
    "date": ("--set", "--file"),
    "file": ("--compile", "--files-from"),
    "tree": ("--output",),
    "rg": ("--pre", "--hostname-bin", "--search-zip"),
    "printf": (),
    "uniq": (),
}
_FIND_ACTS = ("-exec", "-ok", "-delete", "-fprint", "-fls")
_GIT = frozenset(("status", "diff", "log", "show", "rev-parse", "ls-files", "blame", "describe", "shortlog"))
_GIT_WRITES = ("--output", "--ext-diff", "--open-files-in-pager", "--parseopt", "--exec")
_GIT_LISTS = {
    "branch": ("-a", "-r", "-v", "-vv", "--all", "--remotes", "--list", "--show-current"),
    "remote": ("-v", "--verbose"),
    "tag": ("-l", "--list"),
    "stash": ("list",),
}
GLOBBED = frozenset(
    (
        "ls",
        "cat",
        "head",
        "tail",
        "wc",
        "grep",
        "stat",
        "file",
        "du",
        "diff",
        "echo",
        "[",
        "test",
    )
)
NO_PATHS = frozenset(
    (
        "echo",
        "true",
        "false",
        "basename",
        "dirname",
        "which",
        "type",
        "uname",
        "whoami",
        "id",
        "tr",
        "sleep",
        "seq",
        "printf",
        "pwd",
    )
)


def only_reads(name: str, words: Sequence[str]) -> bool:
    """Whether the command can change nothing but the terminal."""
    if name in _PLAIN:
        return True
    if name == "git":
        return _git_reads(words)
    if name == "find":
        return not any(word.startswith(_FIND_ACTS) for word in words)
    if name == "uniq":
        # `-` is the input, and after `--` an option is a name like any other: a second name is written to.
        return sum(not word.startswith("-") or word == "-" for word in words) <= ("--" not in words)
    if name == "date" and any(re.fullmatch(r"\d{8,}(\.\d+)?", word) for word in words) and not _says_date(words):
        return False  # it sets the clock
    return name in _LONG_WRITES and not any(_writes(name, word) for word in words)


def _says_date(words: Sequence[str]) -> bool:
    return any(word.startswith(("-d", "--d")) for word in words)


def _writes(name: str, word: str) -> bool:
    if word.startswith("--"):
        given = word.partition("=")[0]
        return any(full.startswith(given) for full in _LONG_WRITES[name])  # GNU takes abbreviations
    return word.startswith("-") and any(letter in word for letter in _SHORT_WRITES.get(name, ""))


def _git_reads(words: Sequence[str]) -> bool:
    words = list(words)
    while words[:1] == ["--no-pager"]:
        words = words[1:]
    if not words:
        return True
    verb, rest = words[0], words[1:]
    if verb in _GIT_LISTS:
        return all(word in _GIT_LISTS[verb] for word in rest) and (verb != "stash" or rest == ["list"])
    return verb in _GIT and not any(
        word.startswith("--") and len(word) > 2 and any(full.startswith(word.partition("=")[0]) for full in _GIT_WRITES)
        for word in rest
    )
