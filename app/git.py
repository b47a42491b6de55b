"""The one way git is run here: argument lists, our own environment, no hooks, no prompts, no transports.

A repository an agent may write to is untrusted: its configuration can name commands. The verbs below let
git read
no filters, monitors, hooks or transports from it; what must look at the working tree does so through a
private git
directory whose configuration is ours (`_private_view`). `run` alone cannot promise that: give it nothing that
refreshes an index or checks files out in a repository that is not ours.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app import config

TIMEOUT = 20.0
CHECKOUT = 600.0
_KEPT = ("PATH", "HOME", "TMPDIR", "XDG_CONFIG_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR")
_ALWAYS = {
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    # Overrides every protocol.* a repository configures; a clone names the one it needs.
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": ":",
    "GIT_AUTHOR_NAME": "Signalcabin",
    "GIT_AUTHOR_EMAIL": "signalcabin@localhost",
    "GIT_COMMITTER_NAME": "Signalcabin",
    "GIT_COMMITTER_EMAIL": "signalcabin@localhost",
}
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    # Registering a root is the consent git asks for here; its configuration is not trusted all the same.
    "safe.directory=*",
    "submodule.recurse=false",
)
_HEX = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class GitFailed(Exception):
    """Git said no, took too long or is not installed; `reason` is its last line, fit to show."""

    def __init__(self, args: Sequence[str], code: int, stderr: str) -> None:
        lines = [line.strip() for line in stderr.splitlines() if line.strip()]
        self.code = code
        self.stderr = stderr
        self.reason = lines[-1] if lines else f"git ended with {code}"
        super().__init__(f"git {args[0] if args else ''}: {self.reason}")


@dataclass(frozen=True)
class Change:
    """One line of `git status`: two letters as in porcelain v1, the path, and where a rename came from."""

    code: str
    path: str
    old_path: str = ""


@dataclass(frozen=True)
class Standing:
    """Where a checkout stands: branch ("" when detached), upstream, commits ahead of and behind it."""

    branch: str
    upstream: str = ""
    ahead: int = 0
    behind: int = 0


@dataclass(frozen=True)
class Layout:
    """Where a repository keeps its things; `object_format` is sha1 or sha256, `head` "" before a first
    commit.
    """

    toplevel: Path
    git_dir: Path
    index: Path
    objects: Path
    exclude: Path
    object_format: str
    head: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment git gets: a few of ours, none of the caller's GIT_*."""
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**env, **_ALWAYS, **(extra or {})}


def _command(args: Sequence[str], settings: Sequence[str]) -> list[str]:
    """Return the argument list with our settings before the subcommand."""
    command = ["git"]
    for setting in (*_SETTINGS, *settings):
        command += ["-c", setting]
    return [*command, *args]


def start(
    args: Sequence[str], cwd: Path | None, settings: Sequence[str], env: Mapping[str, str] | None, feed: bool
) -> subprocess.Popen[bytes]:
    """Start git in a process group of its own; raise GitFailed when git or the directory is missing."""
    try:
        return subprocess.Popen(
            _command(args, settings),
            cwd=cwd,
            env=environment(env),
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        missing = "The directory is missing" if cwd and not Path(cwd).is_dir() else "git is not installed"
        raise GitFailed(args, 127, missing) from error
    except OSError as error:
        raise GitFailed(args, 126, error.strerror or "git could not be started") from error


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole process group of a git that is still running."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def run(
    args: Sequence[str],
    cwd: Path | None = None,
    *,
    data: bytes | None = None,
    timeout: float = TIMEOUT,
    settings: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    accept: Sequence[int] = (0,),
) -> bytes:
    """Run git and return what it printed.

    Raises GitFailed for an exit code not in `accept`, and after `timeout` seconds.
    """
    process = start(args, cwd, settings, env, data is not None)
    try:
        out, err = process.communicate(data, timeout)
    except subprocess.TimeoutExpired as error:
        end(process)
        process.communicate()
        raise GitFailed(args, 124, f"git took longer than {timeout:g} seconds") from error
    except BaseException:
        end(process)
        process.communicate()
        raise
    if process.returncode not in accept:
        raise GitFailed(args, process.returncode, err.decode("utf-8", "replace"))
    return out


def text(args: Sequence[str], cwd: Path | None = None, *, accept: Sequence[int] = (0,)) -> str:
    """Run git and return its output as text without the last line end."""
    return os.fsdecode(run(args, cwd, accept=accept)).rstrip("\n")


def _names(out: bytes) -> list[str]:
    """Split a -z listing into names."""
    return [os.fsdecode(name) for name in out.split(b"\0") if name]


def find_toplevel(directory: Path) -> Path | None:
    """Return the nearest directory at or above with a `.git`; asked of the disk, since core.worktree may
    lie.
    """
    for place in (directory, *directory.parents):
        if is_toplevel(place):
            return place
    return None


def is_toplevel(directory: Path) -> bool:
    """Tell whether a directory is the top of a repository or worktree."""
    mark = directory / ".git"
    return mark.is_file() or (mark / "HEAD").exists()


def layout(toplevel: Path) -> Layout:
    """Return where the repository at this top level keeps things; raise GitFailed when it is broken."""
    asked = ["rev-parse", "--path-format=absolute", "--git-dir", "--git-path", "index"]
    asked += ["--git-path", "objects", "--git-path", "info/exclude", "--show-object-format", "HEAD"]
    lines = text(asked, toplevel, accept=(0, 128)).split("\n")
    if len(lines) < 6:
        raise GitFailed(asked, 128, "This is not a usable git repository")
    git_dir, index, objects, exclude, object_format, head = lines[:6]
    known = head if _HEX.fullmatch(head) else ""
    return Layout(toplevel, Path(git_dir), Path(index), Path(objects), Path(exclude), object_format, known)


def root_commit(directory: Path) -> str:
    """Return the hash of the first commit (the smallest of several), or "" without commits or git."""
    try:
        roots = text(["rev-list", "--max-parents=0", "--all"], directory).split()
    except GitFailed:
        return ""
    return min(roots, default="")


def branch(directory: Path) -> str:
    """Return the branch checked out, or "" when detached or without git."""
    try:
        return text(["symbolic-ref", "--short", "-q", "HEAD"], directory, accept=(0, 1))
    except GitFailed:
        return ""


def read_branch(toplevel: Path) -> str:
    """Return the branch checked out as HEAD tells it, without starting git: "" when detached or unreadable."""
    mark = toplevel / ".git"
    try:
        if mark.is_file():
            mark = toplevel / mark.read_text()[:4096].removeprefix("gitdir:").strip()
        head = (mark / "HEAD").read_text()[:4096].strip()
    except (OSError, ValueError):
        return ""
    name = head.removeprefix("ref: refs/heads/")
    return name if name != head and name.isprintable() else ""


def default_branch(directory: Path) -> str:
    """Return the branch others merge into: origin's, else main or master, else the present one."""
    known = text(["for-each-ref", "--format=%(refname)", "refs/heads/main", "refs/heads/master"], directory)
    origin = text(["symbolic-ref", "--short", "-q", "refs/remotes/origin/HEAD"], directory, accept=(0, 1))
    if origin:
        return origin.removeprefix("origin/")
    return known.split("\n")[0].removeprefix("refs/heads/") if known else branch(directory)


def merge_base(directory: Path) -> str:
    """Return the commit where the present branch left the default one; HEAD where nothing tells. Raises GitFailed."""
    name = default_branch(directory)
    for ref in (f"refs/remotes/origin/{name}", f"refs/heads/{name}"):
        found = text(["merge-base", ref, "HEAD"], directory, accept=(0, 1, 128))
        if found:
            return found
    return "HEAD"


def names_between(toplevel: Path, old: str, new: str) -> list[str]:
    """Return the paths, relative to the top level, that differ between two commits."""
    return _names(run(["diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new], toplevel))


def origin(directory: Path) -> str:
    """Return the URL of the remote `origin` without any name or password in it, or ""."""
    try:
        url = text(["config", "--get", "remote.origin.url"], directory, accept=(0, 1))
    except GitFailed:
        return ""
    return re.sub(r"^([a-z+]+://)[^/@]*@", r"\1", url)


def standing(directory: Path) -> Standing:
    """Return branch, upstream, ahead and behind; raise GitFailed where there is no repository."""
    name = branch(directory)
    shown = ["for-each-ref", "--format=%(upstream:short)%00%(upstream:track,nobracket)", f"refs/heads/{name}"]
    line = text(shown, directory).split("\n")[0] if name else ""
    upstream, _, track = line.partition("\0")
    figures = dict(re.findall(r"(ahead|behind) (\d+)", track))
    return Standing(name, upstream, int(figures.get("ahead", 0)), int(figures.get("behind", 0)))


def _private_view(place: Layout) -> dict[str, str]:
    """Return the environment that shows a working tree through a git directory configured by us."""
    key = hashlib.sha256(os.fsencode(place.toplevel)).hexdigest()[:24]
    view = config.current().data_dir / "git" / f"{key}-{place.object_format}"
    (view / "refs").mkdir(parents=True, exist_ok=True)
    (view / "info").mkdir(exist_ok=True)
    sha256 = place.object_format == "sha256"
    extension = "[extensions]\n\tobjectFormat = sha256\n" if sha256 else ""
    _write(view / "config", f"[core]\n\trepositoryFormatVersion = {int(sha256)}\n\tbare = false\n{extension}")
    _write(view / "HEAD", f"{place.head}\n" if place.head else "ref: refs/heads/none\n")
    _write(view / "info" / "attributes", "* !filter !working-tree-encoding\n")
    _write(view / "info" / "exclude", _read(place.exclude))
    return {
        "GIT_DIR": str(view),
        "GIT_WORK_TREE": str(place.toplevel),
        "GIT_INDEX_FILE": str(place.index),
        "GIT_OBJECT_DIRECTORY": str(place.objects),
    }


def _read(path: Path) -> str:
    """Return a small text file's content, "" when there is none."""
    try:
        return path.read_text("utf-8", "surrogateescape")[:262_144]
    except OSError:
        return ""


def _write(path: Path, content: str) -> None:
    """Write a small file whole, so that a git running beside us never reads half of it."""
    if _read(path) == content and path.exists():
        return
    fresh = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    fresh.write_text(content, "utf-8", "surrogateescape")
    fresh.replace(path)


def status(toplevel: Path, *, untracked: bool = True) -> list[Change]:
    """Return what differs from HEAD in a working tree, paths relative to its top level."""
    args = ["status", "--porcelain=v1", "-z", "--ignore-submodules=all", f"-u{'all' if untracked else 'no'}"]
    fields = run(args, toplevel, env=_private_view(layout(toplevel))).split(b"\0")
    found: list[Change] = []
    rest = filter(None, fields)
    for field in rest:
        code, path = field[:2].decode("ascii"), os.fsdecode(field[3:])
        old = os.fsdecode(next(rest, b"")) if "R" in code or "C" in code else ""
        found.append(Change(code, path, old))
    return found


def ls_files(directory: Path, *, untracked: bool = True) -> list[str]:
    """Return the tracked (and untracked, never the ignored) files below a directory, relative to it."""
    others = ["--others", "--exclude-standard"] if untracked else []
    return _names(run(["ls-files", "-z", "--cached", "--deduplicate", *others], directory))


def find_blob(directory: Path, revision: str, path: str, limit: int = 10_000_000) -> bytes | None:
    """Return a file's content at a revision; None when absent or over `limit`.

    The path is relative to the top level.
    """
    if revision.startswith("-") or ":" in revision:
        return None
    name = f"{revision}:{path}"
    try:
        size = int(text(["cat-file", "-s", name], directory))
        return run(["cat-file", "blob", name], directory) if size <= limit else None
    except (GitFailed, ValueError):
        return None


def common_dir(directory: Path) -> Path:
    """Return the git directory that all worktrees of a repository share."""
    return Path(text(["rev-parse", "--path-format=absolute", "--git-common-dir"], directory))


def own_dir(directory: Path) -> Path:
    """Return the git directory of this checkout alone, which for a worktree lies within the shared one."""
    return Path(text(["rev-parse", "--absolute-git-dir"], directory))


def has_branch(directory: Path, name: str) -> bool:
    """Tell whether a local branch of this name is there."""
    return bool(text(["for-each-ref", "--format=x", f"refs/heads/{name}"], directory))


def add_worktree(toplevel: Path, target: Path, branch: str) -> None:
    """Make a worktree on a new branch that begins at HEAD; nothing of the repository's own runs meanwhile."""
    made = ["worktree", "add", "-q", "--no-checkout", "--no-track", "-b", branch, "--", str(target), "HEAD"]
    run(made, toplevel)
    place = layout(target)
    run(["read-tree", "--reset", "-u", place.head], target, env=_private_view(place), timeout=CHECKOUT)


def list_worktrees(toplevel: Path) -> list[Path]:
    """Return where the worktrees are that a repository knows, its own checkout first; missing ones too."""
    fields = run(["worktree", "list", "--porcelain", "-z"], toplevel).split(b"\0")
    return [Path(os.fsdecode(field[9:])) for field in fields if field.startswith(b"worktree ")]


def remove_worktree(toplevel: Path, target: Path) -> None:
    """Remove a worktree with all that is in it, or what the repository still knows of a missing one."""
    run(["worktree", "remove", "--force", "--", str(target)], toplevel, timeout=CHECKOUT)


def remove_branch(toplevel: Path, name: str) -> None:
    """Remove a local branch, whatever it holds."""
    run(["branch", "-q", "-D", "--", name], toplevel)


def count_own(directory: Path, branches: Sequence[str]) -> int:
    """Return how many commits HEAD and these branches hold that no remote and no other branch has."""
    mine = [f"refs/heads/{name}" for name in branches if has_branch(directory, name)]
    without = [f"--exclude={name}" for name in branches]
    return int(text(["rev-list", "--count", "HEAD", *mine, "--not", "--remotes", *without, "--branches"], directory))


def apart(directory: Path, base: str) -> tuple[int, int]:
    """Return how many commits HEAD is ahead of and behind a branch."""
    counted = text(["rev-list", "--left-right", "--count", f"refs/heads/{base}...HEAD"], directory)
    behind, ahead = counted.split()
    return int(ahead), int(behind)


def commit_all(directory: Path, message: str, date: str) -> None:
    """Make a repository with branch main of a directory of ours and commit all in it, dated `date`."""
    run(["init", "-q", "-b", "main"], directory)
    run(["add", "-A"], directory)
    dated = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    run(["commit", "-q", "--no-gpg-sign", "-m", message], directory, env=dated)
