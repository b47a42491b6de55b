"""Commands that carry other commands: `sh -c`, `env`, `xargs`, `find -exec`, `sudo`, … and what they carry.

Pure. A word is (text, fixed): fixed is False if it is known only when it runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Words = Sequence[tuple[str, bool]]

SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh", "ash", "mksh", "rbash"))
INTERPRETERS = frozenset(
    (
        "python",
        "python3",
        "python2",
        "node",
        "nodejs",
        "deno",
        "bun",
        "perl",
        "ruby",
        "php",
        "lua",
        "tclsh",
        "osascript",
        "psql",
        "mysql",
        "sqlite3",
        "awk",
        "gawk",
        "mawk",
        "nawk",
        "pypy",
        "tsx",
        "ts-node",
        "fish",
        "csh",
        "tcsh",
        "pwsh",
        "expect",
        "gdb",
        "ed",
        "ex",
        "at",
        "batch",
        "crontab",
        "R",
        "Rscript",
        "julia",
        "irb",
    )
)
RUNNERS = frozenset(
    (
        "watch",
        "parallel",
        "ssh",
        "su",
        "script",
        "chroot",
        "flock",
        "strace",
        "ltrace",
        "unshare",
        "nsenter",
        "busybox",
        "systemd-run",
        "toybox",
        "runuser",
        "pkexec",
        "chrt",
        "taskset",
        "caffeinate",
        "rlwrap",
        "docker",
        "podman",
    )
)
TRUSTED_NAMES = frozenset(
    (
        "cd",
        "ls",
        "cat",
        "echo",
        "git",
        "grep",
        "find",
        "head",
        "tail",
        "wc",
        "pwd",
        "rg",
        "test",
        "true",
        "command",
        "builtin",
        "exec",
        "eval",
        "env",
        "date",
        "nproc",
        "seq",
    )
)
_PREFIXES: dict[str, str] = {  # the command, and its options that take a value of their own
    "nohup": "",
    "time": "o f output format",
    "nice": "n adjustment",
    "ionice": "c n p class classdata",
    "stdbuf": "i o e input output error",
    "setsid": "",
    "command": "",
    "builtin": "",
    "exec": "a",
    "coproc": "",
    "timeout": "k s kill-after signal",
    "xargs": "a d E I L n P s arg-file delimiter max-args max-procs max-chars process-slot-var",
    "sudo": (
        "u g h p C D R T r t U user group host prompt close-from chdir chroot command-timeout role type other-user"
    ),
    "doas": "u C",
}
_FLAGS = {  # their long options that take no word of their own: any other may, or is short for one that does
    "setsid": "ctty fork wait",
    "ionice": "ignore",
    "timeout": "preserve-status foreground verbose",
    "xargs": "null eof replace max-lines open-tty interactive no-run-if-empty verbose exit show-limits",
    "sudo": "askpass background bell preserve-env set-home non-interactive preserve-groups stdin reset-timestamp",
}
_ATTACHED = {"xargs": "eil"}  # short options whose value can only be attached
_LEADING = {"timeout": 1}
_RAISING = ("sudo", "doas")
_NOTHING_RUNS = {"command": ("-v", "-V")}
_ENV_OPTION = re.compile(r"-|-i|--ignore-environment|-0|--null|--unset=\w+|-u\w+|--")
_LONG_OPTIONS = ("rcfile", "init-file", "norc", "noprofile", "noediting", "login", "posix", "restricted", "verbose")
_FIND_RUNS = ("-exec", "-execdir", "-ok", "-okdir")


@dataclass(frozen=True)
class Carried:
    """What a command carries: a script to read, or words; `why` if it can't be seen; `keeps` if it counts
    itself; `raises` if the carried command gets rights that the same command alone would not have.
    """

    words: tuple[tuple[str, bool], ...] = ()
    script: str | None = None
    sets: tuple[tuple[str, str], ...] = ()
    why: str = ""
    keeps: bool = False
    raises: bool = False


def open_up(name: str, words: Words) -> Carried | None:
    """What the command carries, or None if it is an ordinary one."""
    if name in SHELLS:
        return _shell(name, words)
    opener = _OPENERS.get(name)
    if opener is not None:
        return opener(words)
    return _prefixed(name, words) if name in _PREFIXES else None


def _shell(name: str, words: Words) -> Carried | None:
    """`bash -c script`; a shell without a script file runs what it is fed."""
    at, runs_script = 1, False
    while at < len(words):
        text, fixed = words[at]
        if not fixed:
            return Carried(why=f"What `{name}` runs is known only when it runs.")
        if text in ("-", "--") or not text.startswith(("-", "+")):
            at += text in ("-", "--")
            break
        if _is_odd_option(text):
            return Carried(why=f"`{name} {text}` runs what cannot be seen here.")
        if not text.startswith("--"):
            runs_script = runs_script or "c" in text
            at += text.endswith("o")  # it takes the name of an option from the words behind
        at += 1
    asks_version = len(words) > 1 and all(text in ("--version", "--help") for text, _ in words[1:])
    if asks_version:
        return None
    if runs_script:
        return _script(name, words[at:])
    return None if at < len(words) else Carried(why=f"`{name}` runs whatever it is fed.")


def _is_odd_option(text: str) -> bool:
    """Whether an option of a shell has it read more, or takes a word that another shell would not."""
    if text.startswith("--"):
        return text in ("--rcfile", "--init-file")
    return text[1:] in _LONG_OPTIONS or bool(set("sO") & set(text)) or "o" in text[:-1]


def _script(name: str, rest: Words) -> Carried:
    if not rest or not rest[0][1]:
        return Carried(why=f"What `{name} -c` runs is known only when it runs.")
    return Carried(script=rest[0][0])


def _undashed(words: Words) -> Words:
    """The words of a command without the `--` that ends its options."""
    return [words[0], *words[2:]] if len(words) > 1 and words[1][0] == "--" else words


def _eval(words: Words) -> Carried | None:
    words = _undashed(words)
    if len(words) == 1:
        return None
    if not all(fixed for _text, fixed in words):
        return Carried(why="What `eval` runs is known only when it runs.")
    return Carried(script=" ".join(text for text, _fixed in words[1:]))


def _trap(words: Words) -> Carried | None:
    words = _undashed(words)
    if len(words) < 3 or words[1][0] in ("-", "", "-l", "-p"):
        return None
    if not words[1][1]:
        return Carried(why="What `trap` runs is known only when it runs.")
    return Carried(script=words[1][0])


def _env(words: Words) -> Carried | None:
    """`env NAME=value … command`; with -S, -C or an unknown option it stays unclear."""
    sets: list[tuple[str, str]] = []
    at = 1
    while at < len(words):
        text, fixed = words[at]
        name, equals, value = text.partition("=")
        if equals and not text.startswith(("-", "=")):
            if not fixed and not re.fullmatch(r'[A-Za-z_]\w*="[^"@]*"', text):
                return Carried(why="What `env` runs is known only when it runs.")  # it may fall apart into words
            sets.append((name, value if fixed else "$"))
        elif text in ("-u", "--unset"):
            at += 1
        elif text.startswith("-") and not _ENV_OPTION.fullmatch(text):
            return Carried(why=f"`env {text}` cannot be seen through.")
        elif not text.startswith("-"):
            return Carried(words=tuple(words[at:]), sets=tuple(sets))
        at += 1
    return None


def _find(words: Words) -> Carried | None:
    """`find … -exec command … ;`: the carried command, the found names unknown."""
    starts = [at for at, (text, _fixed) in enumerate(words) if text in _FIND_RUNS]
    if not starts:
        return None
    if len(starts) > 1:
        return Carried(why="`find` runs several commands.", keeps=True)
    inner = []
    for text, fixed in words[starts[0] + 1 :]:
        if text in (";", "+"):
            break
        inner.append((text, fixed and "{}" not in text))
    if not inner or not inner[0][1]:
        return Carried(why="What `find` runs is known only when it runs.", keeps=True)
    return Carried(words=tuple(inner), keeps=True)


def _prefixed(name: str, words: Words) -> Carried | None:
    """The command behind `nohup`, `timeout 5`, `xargs -n 1`, `sudo -u x`, …"""
    if len(words) == 1:
        return None
    takes_value = _PREFIXES[name].split()
    sets: list[tuple[str, str]] = []
    at, leading = 1, _LEADING.get(name, 0)
    while at < len(words):
        text, fixed = words[at]
        if text in _NOTHING_RUNS.get(name, ()):
            return None
        if not fixed:
            return Carried(why=f"What `{name}` runs is known only when it runs.", keeps=name in _RAISING)
        if text == "--":
            at += 1
            break
        if name == "sudo" and text in ("-s", "-i", "-e", "--shell", "--login", "--edit"):
            return Carried(why=f"`sudo {text}` runs what cannot be seen here.", keeps=True)
        if text.startswith("-") and len(text) > 1:
            if _is_unknown(name, text):
                return Carried(why=f"`{name} {text}` cannot be seen through.", keeps=name in _RAISING)
            at += 2 if _wants_next(text, takes_value, _ATTACHED.get(name, "")) else 1
        elif assigns := re.match(r"([A-Za-z_]\w*)\+?=", text):
            sets.append((assigns[1], text[assigns.end() :]))
            at += 1
        elif leading:
            leading, at = leading - 1, at + 1
        else:
            break
    return _behind(name, words[at + leading :], sets)


def _behind(name: str, rest: Words, sets: list[tuple[str, str]]) -> Carried | None:
    keeps = name in _RAISING
    if not rest:
        return None
    fed = (("…", False),) if name == "xargs" else ()
    return Carried(words=(*rest, *fed), sets=tuple(sets), keeps=keeps, raises=keeps)


def _is_unknown(name: str, option: str) -> bool:
    """Whether nobody can say what an option does with the word behind it, or it writes what it measures to a file."""
    if name == "time":
        return option != "-p"
    known = (*_PREFIXES[name].split(), *_FLAGS.get(name, "").split(), "help", "version")
    return option.startswith("--") and option[2:].partition("=")[0] not in known


def _wants_next(option: str, takes_value: list[str], attached: str) -> bool:
    if option.startswith("--"):
        return "=" not in option and option[2:] in takes_value
    return option[-1] in takes_value and not any(letter in (*takes_value, *attached) for letter in option[1:-1])


_OPENERS: dict[str, Callable[[Words], Carried | None]] = {
    "eval": _eval,
    "trap": _trap,
    "env": _env,
    "find": _find,
}
