"""Decides a shell line: each of its simple commands, each file it opens, each variable it sets.

Pure.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from app.approvals import patterns, places, readers, shell, weighing, wrappers
from app.approvals.places import Ground
from app.approvals.presets import Base, Stance, base_of
from app.approvals.shell import Assignment, Command, FileUse, Piece, Unclear, Word
from app.approvals.weighing import PartDecision, Rule

MODIFIERS = frozenset(
    (
        "rm",
        "rmdir",
        "mv",
        "cp",
        "mkdir",
        "touch",
        "chmod",
        "chown",
        "chgrp",
        "ln",
        "tee",
        "dd",
        "install",
        "truncate",
        "shred",
        "rsync",
        "sed",
        "unlink",
        "patch",
    )
)
EXACT = (
    MODIFIERS
    | wrappers.INTERPRETERS
    | wrappers.RUNNERS
    | wrappers.SHELLS
    | frozenset(
        (
            "curl",
            "wget",
            "sudo",
            "doas",
            "kill",
            "pkill",
            "killall",
            "scp",
            "sftp",
            "nc",
            "source",
            ".",
            "find",
            "export",
            "declare",
            "typeset",
            "local",
            "readonly",
            "unset",
            "alias",
            "set",
            "shopt",
            "enable",
            "hash",
            "trap",
            "env",
            "command",
            "compgen",
            "complete",
            "jobs",
            "let",
            "mapfile",
            "printf",
            "read",
            "readarray",
            "tar",
            "zip",
        )
    )
)
_VERBS = {
    "git": 2,
    "gh": 3,
    "npm": 2,
    "pnpm": 2,
    "yarn": 2,
    "pip": 2,
    "uv": 2,
    "cargo": 2,
    "go": 2,
    "kubectl": 2,
    "make": 2,
    "terraform": 2,
    "apt": 2,
    "apt-get": 2,
    "brew": 2,
    "systemctl": 2,
    "poetry": 2,
    "dotnet": 2,
    "mvn": 2,
    "gradle": 2,
    "bundle": 2,
    "rails": 2,
    "just": 2,
    "npx": 2,
    "pnpx": 2,
    "bunx": 2,
    "uvx": 2,
    "pipx": 3,
    "tox": 2,
    "hg": 2,
    "svn": 2,
    "aws": 3,
    "gcloud": 3,
    "az": 3,
}
_LONGER = {
    ("npm", "run"),
    ("pnpm", "run"),
    ("yarn", "run"),
    ("uv", "run"),
    ("poetry", "run"),
    ("bundle", "exec"),
    ("git", "remote"),
    ("git", "stash"),
    ("git", "worktree"),
    ("cargo", "run"),
    ("go", "run"),
    ("yarn", "dlx"),
    ("yarn", "exec"),
    ("pnpm", "exec"),
}
_NEVER_SUGGESTED = (("git", "config"), ("npm", "exec"), ("pnpm", "dlx"), ("npm", "config"))
_HARMLESS = re.compile(
    r"CI|LANG|LANGUAGE|LC_[A-Z]+|TZ|NO_COLOR|FORCE_COLOR|CLICOLOR(_FORCE)?|TERM|COLUMNS|LINES|NODE_ENV"
    r"|RUST_BACKTRACE|PYTHONUNBUFFERED|PYTHONDONTWRITEBYTECODE|DEBUG|VERBOSE"
)
_POWERFUL = re.compile(
    r"PATH|IFS|HOME|SHELL|ENV|BASH\w*|PS\d|PROMPT_COMMAND|PAGER|EDITOR|VISUAL|BROWSER|CDPATH|FPATH|TMPDIR"
    r"|CC|CXX|MAKEFLAGS"
    r"|(LD|DYLD|GIT|PYTHON|PERL|RUBY|NODE|NPM|JAVA|GEM|BUNDLE|GO|CARGO|RUST|PIP|SSH|LESS|MAN|XDG)_?\w*"
)
MOST_PATHS = 8_192  # looking at so many takes a few seconds
_VALUED = {"git": ("-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env")}


def decide(line: str, ground: Ground, stance: Stance, given: Sequence[Rule], *, folder: str = "") -> list[PartDecision]:
    """The parts of a shell line, each decided; never none. One that runs in another folder than the project's is
    decided as if it went there first.
    """
    pieces = [*_going(folder, ground), *shell.read(line)]
    bases = _folders(pieces, ground)
    if sum(map(_weight, pieces)) * max(len(bases), 1) > MOST_PATHS:
        pieces = [Unclear(line, "It names too many paths to check.")]
    parts = [part for piece in pieces for part in _piece(piece, bases, ground, stance, given)]
    return list(dict.fromkeys(parts))


@lru_cache(maxsize=1024)
def reading(line: str) -> tuple[str, ...]:
    """The commands of a shell line that only reads, by their names; none for any other line."""
    pieces = shell.read(line)
    found = tuple(piece.name for piece in pieces if isinstance(piece, Command) and _only_reads(piece))
    return found if len(found) == len(pieces) else ()


def _weight(piece: Piece) -> int:
    """About how many files are looked at for a piece, from each folder in which it may run."""
    words = piece.words if isinstance(piece, Command) else [piece.path] if isinstance(piece, FileUse) else []
    return sum(1 + sum(map(word.text.count, "=:@/")) for word in words)


def _going(folder: str, ground: Ground) -> list[Piece]:
    """Going to the folder in which a line runs, as a command of its own; nothing if it runs in the project's."""
    if not folder or places.place(ground, folder).absolute == os.path.normpath(ground.project):
        return []
    return [Command(f"cd {folder}", (Word("cd"), Word(folder)))]


def _piece(piece: Piece, bases: list[str], ground: Ground, stance: Stance, given: Sequence[Rule]) -> list[PartDecision]:
    match piece:
        case Unclear(source, why):
            base = base_of(stance, "bash")
            return [weighing.weigh("bash", source, base, given, lambda _rule: "no", floor=_lower(why))]
        case FileUse():
            return _file(piece, bases, ground, stance, given)
        case Assignment(source, name):
            return _assignment(source, name, stance, given)
        case Command():
            return _command(piece, bases, ground, stance, given)


def _assignment(source: str, name: str, stance: Stance, given: Sequence[Rule]) -> list[PartDecision]:
    powerful = _POWERFUL.fullmatch(name) is not None
    base = base_of(stance, "bash", only_reads=not powerful)
    words = [(source, True)]
    floor = f"{name} changes how later commands run" if powerful and stance.effective != "auto" else ""
    suggest = None if powerful else Rule("bash", patterns.literal(source), "allow")

    def test(rule: Rule) -> patterns.Match:
        return patterns.match_command(rule.pattern, words, wide=rule.action != "allow")

    return [weighing.weigh("bash", source, base, given, test, floor=floor, suggest=suggest)]


def _file(
    piece: FileUse, bases: list[str], ground: Ground, stance: Stance, given: Sequence[Rule]
) -> list[PartDecision]:
    tool = "edit" if piece.writes else "read"
    floating = not bases and not piece.path.text.startswith(("/", "~"))
    unknown = not piece.path.fixed or piece.path.glob or floating
    network = piece.path.text.startswith(("/dev/tcp/", "/dev/udp/"))
    if unknown or network:
        floor = "which file it opens is known only when it runs"
        floor = "it opens a network connection" if network else floor
        base = base_of(stance, tool)
        return [weighing.weigh(tool, piece.source, base, given, lambda _rule: "no", floor=floor)]
    found = {places.place(ground, piece.path.text, base) for base in bases or [ground.project]}
    parts = (weighing.path_parts(tool, piece.source, each, stance, given) for each in sorted(found, key=str))
    return [part for each in parts for part in each]


def _command(
    piece: Command, bases: list[str], ground: Ground, stance: Stance, given: Sequence[Rule]
) -> list[PartDecision]:
    reads = _only_reads(piece)
    base = base_of(stance, "bash", only_reads=reads)
    floor = _floor(piece, bases, ground, reads)
    suggest = None if floor or piece.raised else _suggestion(piece)

    def test(rule: Rule) -> patterns.Match:
        return _covers(rule, piece)

    if piece.raised and base.action != "deny":
        base = Base("allow", "decided with what runs it")
    own = weighing.weigh("bash", piece.source, base, given, test, floor=floor, suggest=suggest)
    named = list(_named(piece, bases, ground, reads))
    kept = [weighing.kept_part("bash", shown) for shown in dict.fromkeys(one.shown for one in named if one.hidden)]
    return [*_outside(piece, named, stance, given), *kept, own]


def _covers(rule: Rule, piece: Command) -> patterns.Match:
    """Whether a rule covers a command; what denies or asks also sees through its disguises."""
    found = _match(rule, piece)
    if found != "no" and any(_match(Rule(rule.tool, one, "allow"), piece) == "yes" for one in rule.unless):
        return "no"
    return found


def _match(rule: Rule, piece: Command) -> patterns.Match:
    words = [(word.text, word.fixed and not word.glob) for word in piece.words]
    sets = [(f"{name}={value.text}", value.fixed) for name, value in piece.sets]
    if rule.action == "allow":
        if piece.raised or _is_fed(piece):
            return "no"
        plain = all(_HARMLESS.fullmatch(name) for name, _value in piece.sets)
        tries = [[*sets, *words], words] if plain else [[*sets, *words]]
        found = [patterns.match_command(rule.pattern, each, wide=False) for each in tries]
        return "yes" if "yes" in found else "no"
    found = [patterns.match_command(rule.pattern, each, wide=True) for each in _disguises(piece, words, sets)]
    return "yes" if "yes" in found else "maybe" if "maybe" in found else "no"


def _disguises(
    piece: Command, words: list[tuple[str, bool]], sets: list[tuple[str, bool]]
) -> list[list[tuple[str, bool]]]:
    """The command as written, by its bare name, without global options, and what a runner would run."""
    bare = [(piece.name, True), *words[1:]]
    at = 1
    while at < len(words) and words[at][1] and words[at][0].startswith("-"):
        at += 2 if words[at][0] in _VALUED.get(piece.name, ()) else 1
    tries = [words, bare, [bare[0], *words[at:]], *([[*sets, *words]] if sets else [])]
    if piece.name in wrappers.RUNNERS:
        tries += [words[start:] for start in range(1, min(len(words), 32))]
    return tries


def _is_fed(piece: Command) -> bool:
    """Whether it is an interpreter without a program of its own: it runs whatever it is fed."""
    operands = [word.text for word in piece.words[1:] if not word.text.startswith("-") or word.text == "-"]
    return piece.name in wrappers.INTERPRETERS and (not operands or "-" in operands)


def _only_reads(piece: Command) -> bool:
    fixed = all(word.fixed for word in piece.words)
    hidden = any(word.glob and word.text[0] in "*?[-" for word in piece.words[1:])
    hidden = hidden and piece.name not in readers.GLOBBED  # a file may be called `--pre=x`
    plain = all(_HARMLESS.fullmatch(name) for name, _value in piece.sets)
    if not fixed or hidden or not plain or piece.raised or "/" in piece.words[0].text:
        return False
    return readers.only_reads(piece.name, [word.text for word in piece.words[1:]])


def _floor(piece: Command, bases: list[str], ground: Ground, reads: bool) -> str:
    """Why a command asks whatever the rules say: it names something protected, or a secret."""
    if piece.name == "git" and any(
        places.is_bare_repository(ground, each) for each in _repositories(piece, bases, ground)
    ):
        return "git would run what the settings of a repository inside the project say"
    floating = any(not word.text.startswith("/") for word in piece.words[1:])
    if piece.name in MODIFIERS and not bases and floating:
        return "where it writes is known only when it runs"
    for word in piece.words[1:]:
        if word.glob and piece.name in MODIFIERS and not set(word.text) - set("*?./"):
            return f"{word.text} may take the whole project"
        if word.glob and places.may_touch_protected(word.text) and piece.name not in ("echo", "find", "ls"):
            return f"{word.text} may touch something protected"
        for path in places.words_as_paths(word.text) if word.fixed and not word.glob else ():
            found = _touched(piece, path, bases or [ground.project], ground, reads)
            if found:
                return found
    return ""


def _repositories(piece: Command, bases: list[str], ground: Ground) -> list[str]:
    """The folders in which git may look for its repository: where it runs, and those that its words name."""
    bases = bases or [ground.project]
    texts = [word.text.removeprefix("--git-dir=") for word in piece.words[1:]]
    named = [text for before, text in pairwise(["", *texts]) if before in ("-C", "--git-dir")]
    named += [text for word, text in zip(piece.words[1:], texts, strict=True) if word.text != text]
    return [*bases, *(places.place(ground, text, base).absolute for text in named for base in bases)]


def _touched(piece: Command, path: str, bases: list[str], ground: Ground, reads: bool) -> str:
    if not path or len(path) > 4096:
        return ""
    for base in bases:
        place = places.place(ground, path, base)
        if place.protected == places.OURS:
            return f"{places.OURS} is protected"
        if place.secret and piece.name not in readers.NO_PATHS | {"ls", "find", "test", "["}:
            return f"{place.shown} may hold secrets"
        if place.protected and not reads:
            return f"{place.protected} is protected"
        if piece.name in MODIFIERS and _holds_project(place.absolute, ground):
            return "it holds the whole project"
    return ""


def _holds_project(absolute: str, ground: Ground) -> bool:
    return f"{ground.project}/".startswith(absolute.rstrip("/") + "/")


def _outside(
    piece: Command, named: Iterable[places.Place], stance: Stance, given: Sequence[Rule]
) -> list[PartDecision]:
    """A part for each place outside the project that a reading or writing command names."""
    writes = piece.name in MODIFIERS
    found = {place.absolute: place for place in named if not place.inside}
    return [
        weighing.outside_part(f"{piece.name} {place.absolute}", place, stance, given, writes=writes)
        for place in found.values()
    ]


def _named(piece: Command, bases: list[str], ground: Ground, reads: bool) -> Iterator[places.Place]:
    """The places that a reading or writing command names."""
    if piece.name not in MODIFIERS and (not reads or piece.name in readers.NO_PATHS):
        return
    for word in _path_words(piece):
        for path in places.words_as_paths(word.text):
            for base in (bases or [ground.project]) if len(path) <= 4096 else ():
                yield places.place(ground, path, base)


def _path_words(piece: Command) -> list[Word]:
    """The words that may be paths: what a search looks for is none."""
    words = list(piece.words[1:])
    if piece.name in ("grep", "egrep", "fgrep", "rg", "sed") and not any(
        word.text.startswith(("-e", "-f", "--regexp", "--file")) for word in words
    ):
        first = next((at for at, word in enumerate(words) if not word.text.startswith("-")), None)
        return words if first is None else words[:first] + words[first + 1 :]
    return words


def _suggestion(piece: Command) -> Rule | None:
    """The one rule that "always" would add for a command; none if no rule can cover it."""
    powerful = ((name, value) for name, value in piece.sets if not _HARMLESS.fullmatch(name))
    sets = [f"{name}={patterns.literal(value.text)}" for name, value in powerful]
    texts = [word.text for word in piece.words]
    verbs = _VERBS.get(piece.name, 1) + (tuple(texts[:2]) in _LONGER)
    lead = texts[:verbs]
    runs_any = piece.name in EXACT or any(_is_interpreter(text) for text in lead)
    if piece.is_carrier or tuple(texts[:2]) in _NEVER_SUGGESTED or runs_any or "/" in texts[0]:
        pattern = [patterns.literal(text) for text in texts]
    else:
        plain = len(lead) == verbs and not any(text.startswith("-") for text in lead)
        pattern = (
            [*(patterns.literal(text) for text in lead), "*"] if plain else [patterns.literal(text) for text in texts]
        )
    text = " ".join([*sets, *pattern])
    return Rule("bash", text, "allow") if len(text) <= 500 else None


def _is_interpreter(text: str) -> bool:
    """Whether a word names what runs any program it is given, of whatever version: `python3.12`, `uv run python`."""
    name = text.rpartition("/")[2]
    bare = re.sub(r"[\d.]+$", "", name)
    return bool({name, bare} & (wrappers.INTERPRETERS | wrappers.SHELLS))


def _folders(pieces: Sequence[Piece], ground: Ground) -> list[str]:
    """Every folder in which a part of the line may run; none if that is known only when it runs."""
    found = [ground.project]
    for piece in pieces:
        if isinstance(piece, Command) and piece.name in ("cd", "pushd", "popd"):
            words = [word for word in piece.words[1:] if not re.fullmatch(r"-[LPe@]+|--", word.text)]
            if len(words) != 1 or not words[0].fixed or words[0].glob or words[0].text.startswith(("-", "+")):
                return []
            found += [places.place(ground, words[0].text, base).absolute for base in found]
            if len(found) > 64:
                return []
    return list(dict.fromkeys(found))


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")
