"""Where a path leads: inside the project or out of it, onto something protected, onto a secret.

Pure but for `Ground.resolve`, which the caller may let follow links.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

PROTECTED = (
    (".git",),
    (".opencode",),
    (".roo",),
    (".roomodes",),
    (".roorules",),
    (".rooignore",),
    (".rooprotected",),
    (".clinerules",),
    (".vscode",),
    ("AGENTS.md",),
    ("AGENTS.local.md",),
    ("AGENT.md",),
    ("CLAUDE.md",),
    (".claude",),
    ("opencode.json",),
    ("opencode.jsonc",),
    (".github", "workflows"),
)
# The rules of one mode each, and files of any name that an editor acts on.
PROTECTED_HEADS = (".roorules", ".clinerules")
PROTECTED_TAILS = (".code-workspace",)
OURS = "the server's own data"
HIDDEN = ".rooignore keeps it from agents"
# One sign of a shell's pattern: any characters, one of some, one as it is.
_SIGN = re.compile(r"\*+|\[[!^]?\]?[^\]]*\]|\\.|.", re.DOTALL)
_TAILS = tuple(f"*{tail}" for tail in PROTECTED_TAILS)
_NAMES = (
    *(names[0].casefold() for names in PROTECTED),
    *(f"{head}-*" for head in PROTECTED_HEADS),
    ".env*",
)
_TELLING = 4
_SAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist")


@dataclass(frozen=True)
class Ground:
    """Where an agent stands: its directory, further folders it may use, ours that it may not, and a home; `hides` tells
    of paths in its directory whether they are kept from agents, `exists` of any path whether something is there.
    """

    project: str
    roots: tuple[str, ...] = ()
    data_dir: str = ""
    home: str = ""
    resolve: Callable[[str], str] = os.path.normpath
    hides: Callable[[str], bool] = lambda _path: False
    exists: Callable[[str], bool] = lambda _path: False


@dataclass(frozen=True)
class Place:
    """One path looked at: as written, absolute, relative to the project ("" outside), what it touches; `hidden` if
    agents are kept from it.
    """

    absolute: str
    relative: str
    protected: str = ""
    secret: bool = False
    hidden: bool = False

    @property
    def inside(self) -> bool:
        """Whether it lies in the project or another folder the agent may use."""
        return bool(self.relative)

    @property
    def shown(self) -> str:
        """The path as people and patterns name it."""
        return self.relative or self.absolute


def place(ground: Ground, path: str, base: str = "") -> Place:
    """Look at a path, relative ones from `base` (default: the project); both as written and as links lead."""
    absolute = _absolute(ground, path, base or ground.project)
    real = ground.resolve(absolute)
    outward = next((each for each in (absolute, real) if not _inside(ground, each)), None)
    shown = outward or absolute
    relative = "" if outward else _relative(ground, shown)
    protected = next((found for each in (absolute, real) if (found := _protected(ground, each))), "")
    secret = any(_is_secret(PurePosixPath(each).name) for each in (absolute, real))
    return Place(shown, relative, protected, secret, any(_is_hidden(ground, each) for each in (absolute, real)))


def is_bare_repository(ground: Ground, folder: str) -> bool:
    """Whether git would take a folder of the project, or one above that, for a repository without a `.git`: its
    settings are files like any other, and name programs that git runs.
    """
    project, folder = ground.resolve(ground.project), ground.resolve(folder)
    while _below(project, folder) and folder != project:
        settings = any(ground.exists(f"{folder}/{name}") for name in ("config", "commondir"))
        if settings and ground.exists(f"{folder}/HEAD"):
            return True
        folder = os.path.dirname(folder)  # noqa: PTH120 - text, not a file
    return False


def may_touch_protected(glob: str) -> bool:
    """Whether a shell glob could expand to a protected or secret name in some folder.

    One that begins with `*` takes no name with a dot in front. Of a name that is protected by its end alone it has to
    say some of that: `src*` may be anything.
    """
    parts = [part for part in glob.casefold().split("/") if part]
    heads = any(_meet(part, name) for part in parts if not part.startswith("*") for name in _NAMES)
    ends = (part for part in parts if "code" in part or len(part.rpartition("*")[2]) >= _TELLING)
    return heads or any(_meet(part, name) for part in ends for name in _TAILS)


def _meet(part: str, name: str) -> bool:
    """Whether a shell's pattern for one name and a name, in which `*` is any end or beginning, have one in common.

    It steps along the pattern and keeps every place that this can have come to in the name.
    """
    states = _along({0}, name)
    for sign in _SIGN.findall(part):
        if sign.startswith("*"):
            states = set(range(min(states), len(name) + 1))
            continue
        after = set[int]()
        for at in states:
            if at < len(name) and name[at] == "*":
                after.add(at)
            elif at < len(name) and (sign == name[at] or (sign[0] in "?[" and not (at == 0 and name[0] == "."))):
                after.add(at + 1)
        states = _along(after, name)
        if not states:
            return False
    return len(name) in states


def _along(states: set[int], name: str) -> set[int]:
    return states | {at + 1 for at in states if at < len(name) and name[at] == "*"}


def words_as_paths(word: str) -> list[str]:
    """The paths that a command's word may name: itself, behind `=`, `@` or `:`, behind a short option."""
    found = [word] if not word.startswith("-") else []
    for mark in "=:@":
        found += [piece for piece in word.split(mark)[1:] if piece]
    attached = re.fullmatch(r"-[A-Za-z](.+)", word, re.DOTALL)
    return [*found, attached[1]] if attached else found


def _absolute(ground: Ground, path: str, base: str) -> str:
    if path == "~" or path.startswith("~/"):
        path = (ground.home or "/~") + path[1:]
    elif path.startswith("~"):
        path = "/~" + path[1:]
    return os.path.normpath("/" + os.path.join(base, path).lstrip("/"))  # noqa: PTH118 - text, not a file


def _inside(ground: Ground, path: str) -> bool:
    return any(_below(root, path) for root in _roots(ground))


def _roots(ground: Ground) -> Iterable[str]:
    for root in (ground.project, *ground.roots):
        yield os.path.normpath(root)
        yield ground.resolve(root)


def _below(root: str, path: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _relative(ground: Ground, path: str) -> str:
    for root in (os.path.normpath(ground.project), ground.resolve(ground.project)):
        if _below(root, path):
            return path[len(root) :].strip("/") or "."
    return path


def _protected(ground: Ground, path: str) -> str:
    """The protected thing that the path is, is in, or holds; empty if none."""
    folded = path.casefold()
    if _is_ours(ground, folded):
        return OURS
    relative = _relative(ground, path) if _inside(ground, path) else path
    parts = tuple(part for part in relative.casefold().split("/") if part)
    if parts and (head := next((one for one in PROTECTED_HEADS if parts[-1].startswith(f"{one}-")), "")):
        return head
    if parts and parts[-1].endswith(PROTECTED_TAILS):
        return parts[-1]
    for names in PROTECTED:
        folds = tuple(name.casefold() for name in names)
        for at in range(len(parts)):
            window = parts[at : at + len(names)]
            if window == folds or (len(window) < len(folds) and window == folds[: len(window)]):
                return "/".join(names)
    return parts[-1] if parts and _is_secret(parts[-1]) else ""


def _is_hidden(ground: Ground, path: str) -> bool:
    """Whether it is kept from agents, as a file or as a folder."""
    roots = (os.path.normpath(ground.project), ground.resolve(ground.project))
    root = next((root for root in roots if _below(root, path)), None)
    name = path[len(root) :].strip("/") if root is not None else ""
    return bool(name) and (ground.hides(name) or ground.hides(f"{name}/"))


def _is_ours(ground: Ground, folded: str) -> bool:
    """Whether it lies in our data directory, and not in a project that itself lies there."""
    ours = os.path.normpath(ground.data_dir).casefold() if ground.data_dir else ""
    if not ours or not _below(ours, folded):
        return False
    own = (root.casefold() for root in _roots(ground))
    return not any(_below(ours, root) and _below(root, folded) for root in own)


def _is_secret(name: str) -> bool:
    folded = name.casefold()
    return folded.startswith(".env") and folded not in _SAMPLES and not folded.startswith(".environment")
