"""A shadow git repository per project, outside the worktree, that holds what directories looked like.

It writes trees only, each kept by a ref. A first snapshot borrows the project's object store (alternates) and
a copy of its index, which saves hashing and storing all files; until `settle` has copied what was borrowed,
a `git gc --prune` in the project could take it away.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app import config, git

LARGE = 64 * 1024 * 1024
MANY = 200
SLOW = 600.0
_SETTINGS = """
\tautocrlf = false
\tsafecrlf = false
\tcompression = 1
\tlogAllRefUpdates = false
[gc]
\tauto = 0
[pack]
\tthreads = 1
[index]
\tskipHash = true
"""
_REPACK = ("repack", "-a", "-d", "-q", "--no-write-bitmap-index")
# The tree holds bytes as they are on disk: no line ends, keywords, encodings or filters (such as lfs) in
# between.
_ATTRIBUTES = "* -text !eol !crlf !filter !ident !working-tree-encoding\n"


@dataclass(frozen=True)
class Skipped:
    """A path that a snapshot leaves alone, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Snapshot:
    """A tree of a directory; `is_borrowing` says that `settle` is wanted."""

    tree: str
    skipped: tuple[Skipped, ...] = ()
    is_first: bool = False
    is_borrowing: bool = False


class _Lock:
    """A lock on one shadow: among threads by `threads`, among processes by a file locked at the outermost
    entry.
    """

    def __init__(self) -> None:
        self.threads = threading.RLock()
        self._depth = 0
        self._descriptor = -1

    def enter(self, path: Path) -> None:
        """Take the file's lock unless this thread has it; `threads` is held."""
        if self._depth == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._depth += 1

    def leave(self) -> None:
        """Give the file's lock back at the outermost exit."""
        self._depth -= 1
        if self._depth == 0:
            os.close(self._descriptor)


# The state of the object stores in which all that was borrowed has been seen.
_seen: dict[Path, tuple[int, ...]] = {}
_locks: dict[Path, _Lock] = {}
_locks_lock = threading.Lock()


def beneath(path: str) -> bool:
    """Tell whether a path names something below a directory that may be in a snapshot at all."""
    if not path or "\0" in path:
        return False
    return not any(part in ("", ".", "..") or part.lower() == ".git" for part in path.split("/"))


def shown(path: str) -> str:
    """Return a path as text that JSON can hold, with escapes for bytes that are no UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def base_of(name: str) -> str:
    """Return the name under which the base of a snapshot is kept, once nothing else keeps it."""
    return f"{name}-base"


class Shadow:
    """The shadow repository of one project; opening it does no I/O."""

    def __init__(self, git_dir: Path) -> None:
        self.git_dir = git_dir

    @classmethod
    def of(cls, project_id: str) -> Shadow:
        """Return the shadow of a project, in the data directory."""
        return cls(config.current().data_dir / "checkpoints" / f"{project_id}.git")

    def run(
        self,
        args: Sequence[str],
        *,
        data: bytes | None = None,
        directory: Path | None = None,
        settings: Sequence[str] = (),
        timeout: float = SLOW,
    ) -> bytes:
        """Run git on the shadow, with `directory` as its working tree if given; raise git.GitFailed."""
        env = {"GIT_DIR": str(self.git_dir)}
        if directory is not None:
            env |= {"GIT_WORK_TREE": str(directory), "GIT_INDEX_FILE": str(self._index(directory))}
        place = directory or self.git_dir
        return git.run(args, place, data=data, settings=settings, env=env, timeout=timeout)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the shadow alone, among the threads and processes of this machine; may be nested."""
        with _locks_lock:
            lock = _locks.setdefault(self.git_dir, _Lock())
        with lock.threads:
            lock.enter(self.git_dir.with_suffix(".lock"))
            try:
                yield
            finally:
                lock.leave()

    def snapshot(self, directory: Path, keep: str = "", *, also: Iterable[str] = (), unless: str = "") -> Snapshot:
        """Store what a directory holds now and keep it under the name `keep` (unless the tree is `unless`).

        Ignored files are left out, except those in `also`. Raises git.GitFailed, such as for a full disk.
        """
        with self.locked():
            self._create(directory)
            is_first = not self._index(directory).exists()
            lent = self._lent()
            try:
                tree, skipped = self._store(directory, also)
                if lent and _seen.get(self.git_dir) != lent:
                    # What is borrowed and has gone since is taken from the disk again, while it is there.
                    self._insist(tree)
                    _seen[self.git_dir] = lent
            except git.GitFailed:
                # An index that lost its objects, or that git can't read, is made again; nothing else is
                # lost with it.
                self._index(directory).unlink(missing_ok=True)
                tree, skipped = self._store(directory, also, is_plain=True)
            if tree != unless:
                self.run(["update-ref", f"refs/keep/{keep or self._key(directory)}", tree])
            return Snapshot(tree, tuple(skipped), is_first, self._alternates.exists())

    def has(self, tree: str) -> bool:
        """Tell whether a tree is still here, with everything in it."""
        try:
            self._insist(tree)
        except git.GitFailed:
            return False
        return True

    def kept(self) -> dict[str, str]:
        """Return the tree of each snapshot that is kept, by its name."""
        if not self.git_dir.exists():
            return {}
        lines = self.run(["for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/keep"]).decode()
        return dict(line.split(" ") for line in lines.splitlines() if " " in line)

    def keep(self, name: str, tree: str) -> None:
        """Keep a tree that is here already under a further name."""
        with self.locked():
            self.run(["update-ref", f"refs/keep/{name}", tree])

    def forget(self, names: Iterable[str]) -> None:
        """Let go of snapshots kept under these names, and of their bases; `free` then frees what only they needed."""
        with self.locked():
            known = self.kept()
            gone = [kept for name in names for kept in (name, base_of(name)) if kept in known]
            if gone:
                lines = "".join(f"delete refs/keep/{name}\n" for name in gone)
                self.run(["update-ref", "--stdin"], data=lines.encode())

    def lost(self) -> list[str]:
        """Return the names of the snapshots that miss something they borrowed."""
        return [name for name, tree in self.kept().items() if not self.has(tree)]

    def free(self) -> None:
        """Give back the space of what was let go; copies what is borrowed first, and holds the lock at its end."""
        if not self.git_dir.exists():
            return
        self.settle()
        with self.locked():
            self.run(_REPACK)
            self.run(["prune", "--expire=now"])
            self.run(["pack-refs", "--all"])

    def settle(self) -> None:
        """Copy all borrowed objects into the shadow and borrow no more; long, but holds the lock only at its
        end.
        """
        # A snapshot under way beside us may need what no name leads to yet.
        self.run([*_REPACK, "--keep-unreachable"])
        with self.locked():
            if not self._alternates.exists():
                return
            self.run([*_REPACK, "--keep-unreachable"])
            borrowed = self._alternates.with_suffix(".borrowed")
            self._alternates.replace(borrowed)
            try:
                self.run(["rev-list", "--objects", "--all", "--quiet"])
            except git.GitFailed:
                borrowed.replace(self._alternates)
                raise
            borrowed.unlink()

    def _lent(self) -> tuple[int, ...]:
        """Return when the object stores that are borrowed from were last changed; empty when none is."""
        places = [Path(line) for line in _text(self._alternates).splitlines()]
        return tuple(changed for place in places for changed in _changes(place))

    def _insist(self, tree: str) -> None:
        """Raise git.GitFailed unless a tree is here with everything in it."""
        self.run(["rev-list", "--objects", "--quiet", tree])

    def ignored(self, directory: Path, limit: int = 20) -> list[str]:
        """Return up to `limit` ignored files and whole directories (these end with a slash)."""
        args = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"]
        found = self.run(args, directory=directory).split(b"\0")
        return [os.fsdecode(name) for name in found if name][:limit]

    def size(self) -> int:
        """Return how many bytes the shadow takes on disk."""
        return sum(_blocks(file) for file in self.git_dir.rglob("*"))

    @property
    def _alternates(self) -> Path:
        return self.git_dir / "objects" / "info" / "alternates"

    @staticmethod
    def _key(directory: Path) -> str:
        return hashlib.sha256(os.fsencode(directory)).hexdigest()[:24]

    def _index(self, directory: Path) -> Path:
        return self.git_dir / f"index-{self._key(directory)}"

    def _create(self, directory: Path) -> None:
        """Make the shadow, in the project's object format so that it can borrow."""
        if (self.git_dir / "HEAD").exists():
            return
        place = _layout(directory)
        fresh = self.git_dir.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        kind = place.object_format if place else "sha1"
        git.run(["init", "-q", "--bare", "--template=", f"--object-format={kind}", str(fresh)], fresh.parent)
        with (fresh / "config").open("a") as file:
            file.write(f"[core]{_SETTINGS}")
        (fresh / "info").mkdir()
        (fresh / "info" / "attributes").write_text(_ATTRIBUTES)
        fresh.replace(self.git_dir)

    def _store(self, directory: Path, also: Iterable[str], *, is_plain: bool = False) -> tuple[str, list[Skipped]]:
        """Bring the directory's index up to date and write its tree."""
        index = self._index(directory)
        # We hold the lock: a lock file of git's was left by one that was killed.
        index.with_name(f"{index.name}.lock").unlink(missing_ok=True)
        if not index.exists():
            self._adopt(directory, is_plain=is_plain)
        listed = self._listed(directory)
        adding, leaving, skipped = _sort(directory, listed, [path for path in also if beneath(path)])
        if leaving:
            self._update(directory, ["--force-remove"], leaving)
        if adding:
            # With a tiny threshold git streams all new files into one pack instead of a file each.
            settings = ("core.bigFileThreshold=1",) if len(adding) > MANY else ()
            self._update(directory, ["--add", "--remove", "--replace"], adding, settings)
        tree = self.run(["write-tree"], directory=directory).decode().strip()
        return tree, skipped

    def _listed(self, directory: Path) -> list[tuple[str, str]]:
        """Return (tag, path) of what differs from the index: ? untracked, C changed, R removed."""
        args = ["ls-files", "-z", "-t", "--others", "--modified", "--deleted", "--exclude-standard"]
        data_dir = config.current().data_dir
        if data_dir.is_relative_to(directory) and data_dir != directory:
            own = "".join(f"\\{c}" if c in "\\*?[]!# " else c for c in str(data_dir.relative_to(directory)))
            args += ["-x", f"/{own}/"]
        fields = self.run(args, directory=directory).split(b"\0")
        return [(field[:1].decode("ascii"), os.fsdecode(field[2:])) for field in fields if field]

    def _update(self, directory: Path, flags: list[str], paths: Iterable[str], settings: Sequence[str] = ()) -> None:
        """Hand paths to update-index."""
        data = b"".join(os.fsencode(path) + b"\0" for path in paths)
        args = ["update-index", *flags, "-z", "--stdin"]
        self.run(args, data=data, directory=directory, settings=settings)

    def _adopt(self, directory: Path, *, is_plain: bool) -> None:
        """Start a directory's index from the project's own, borrowing its objects; `is_plain` starts from
        nothing.
        """
        place = _layout(directory)
        if place is None:
            return
        (self.git_dir / "info" / "exclude").write_text(_text(place.exclude), "utf-8", "surrogateescape")
        if not self._borrow(place) or is_plain or place.toplevel != directory or not place.index.exists():
            return
        shutil.copyfile(place.index, self._index(directory))
        odd = [path for mark, path in self._entries(directory) if mark != "H"]
        if odd:
            self._update(directory, ["--force-remove"], odd)

    def _entries(self, directory: Path) -> Iterator[tuple[str, str]]:
        """Yield each path of the index with H, or with x where it is not a plain file seen on disk as it
        should be.

        That is: unmerged, not checked out (sparse), assumed unchanged, or a submodule.
        """
        for line in self.run(["ls-files", "-z", "-v", "--stage"], directory=directory).split(b"\0"):
            if not line:
                continue
            head, _, path = line.partition(b"\t")
            tag, mode, _, stage = head.decode("ascii").split(" ")
            yield ("H" if tag == "H" and stage == "0" and mode != "160000" else "x"), os.fsdecode(path)

    def _borrow(self, place: git.Layout) -> bool:
        """Let the shadow read the project's objects; False where their format is another."""
        name = str(place.objects)
        kind = self.run(["rev-parse", "--show-object-format"]).decode().strip()
        if kind != place.object_format or "\n" in name or name.startswith(('"', "#")):
            return False
        self._alternates.parent.mkdir(parents=True, exist_ok=True)
        lines = [*_text(self._alternates).splitlines(), name]
        fresh = self._alternates.with_suffix(".new")
        fresh.write_text("".join(f"{line}\n" for line in dict.fromkeys(lines)), "utf-8", "surrogateescape")
        fresh.replace(self._alternates)
        return True


def _changes(objects: Path) -> list[int]:
    """Return when the directories of an object store were changed: whatever is added or removed changes one."""
    try:
        with os.scandir(objects) as entries:
            times = sorted((entry.name, entry.stat().st_mtime_ns) for entry in entries if entry.is_dir())
        return [objects.stat().st_mtime_ns, *(changed for _name, changed in times)]
    except OSError:
        return [0]


def _blocks(path: Path) -> int:
    """Return the bytes that a file takes on disk, 0 for one that a repack removed meanwhile."""
    try:
        info = path.lstat()
    except FileNotFoundError:
        return 0
    return info.st_blocks * 512 if stat.S_ISREG(info.st_mode) else 0


def _layout(directory: Path) -> git.Layout | None:
    """Return the layout of the repository a directory is in, None without a usable one."""
    toplevel = git.find_toplevel(directory)
    if toplevel is None:
        return None
    try:
        return git.layout(toplevel)
    except git.GitFailed:
        return None


def _text(path: Path) -> str:
    """Return a small file's text, "" when there is none."""
    try:
        return path.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


def _sort(
    directory: Path, listed: Iterable[tuple[str, str]], also: Iterable[str]
) -> tuple[list[str], list[str], list[Skipped]]:
    """Part what git listed into paths to take in, entries to drop, and paths left alone with the reason."""
    adding: dict[str, None] = {}
    leaving: dict[str, None] = {}
    skipped: list[Skipped] = []
    linked: dict[str, bool] = {}
    for tag, path in [*listed, *(("also", path) for path in also)]:
        reason = "a repository of its own" if path.endswith("/") else _reason(directory, path, tag, linked)
        if reason == "gone":
            leaving[path] = None
        elif reason:
            skipped.append(Skipped(shown(path.rstrip("/")), reason))
        else:
            adding[path] = None
    return list(adding), list(leaving), skipped


def _reason(directory: Path, path: str, tag: str, linked: dict[str, bool]) -> str:
    """Return why a path is not taken in ("gone" for an entry to drop), "" to take it in."""
    is_entry = tag in "CR"
    if _is_beyond_link(directory, path.rpartition("/")[0], linked):
        return "gone" if is_entry else "beyond a symbolic link"
    try:
        info = (directory / path).lstat()
    except OSError:
        return ""
    if stat.S_ISLNK(info.st_mode):
        return ""
    if not stat.S_ISREG(info.st_mode):
        return "gone" if is_entry else "not a plain file"
    if info.st_size > LARGE:
        return f"larger than {LARGE >> 20} MB"
    return "" if os.access(directory / path, os.R_OK) else "cannot be read"


def _is_beyond_link(directory: Path, parent: str, linked: dict[str, bool]) -> bool:
    """Tell whether a directory below is reached through a symbolic link; answers are kept in `linked`."""
    if not parent:
        return False
    if parent not in linked:
        above = _is_beyond_link(directory, parent.rpartition("/")[0], linked)
        linked[parent] = above or (directory / parent).is_symlink()
    return linked[parent]
