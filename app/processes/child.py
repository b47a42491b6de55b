"""One running command: started with exactly what it is given, ended with everything it has started."""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import IO

import psutil

from app import config
from app.errors import Invalid
from app.processes import cgroups, orphans, seccomp, spare, standin
from app.processes import sandbox as walls
from app.processes.egress import Egress

FILE_BYTES = 1 << 30
BLOCK = 512  # what `ulimit -f` counts in
GRACE = 2.0
POLL = 0.05
BUILDING, LOOK = 1.0, 0.005
SIGNALLED = 128
NPROC_PER_NAMESPACE = (5, 14)


class Child:
    """A started command with its pipes (bytes) and its whole group; safe to use from any thread."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        sandboxed: bool,
        mark: str,
        group: cgroups.Group | None = None,
        egress: Egress | None = None,
    ) -> None:
        self.pid = popen.pid
        self.sandboxed = sandboxed
        self.stdin: IO[bytes] | None = popen.stdin
        self.stdout: IO[bytes] | None = popen.stdout
        self.stderr: IO[bytes] | None = popen.stderr
        self._popen = popen
        self.ran_out = False
        self._mark = mark
        self._egress = egress
        self._group = group
        self.views: tuple[standin.StandIn, ...] = ()
        self._ended = False

    def exited(self) -> bool:
        """Whether the command itself has ended; what it started may still run until `wait` or `kill`."""
        if self._ended or self._popen.returncode is not None:
            return True
        if not hasattr(os, "waitid"):
            return self._popen.poll() is not None
        try:  # WNOWAIT leaves the zombie: the group's number isn't given to others before we kill it
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def status(self) -> tuple[int, str | None] | None:
        """How the command itself has ended: exit code (128 + n after signal n) and the signal's name; None before.

        It is left to be collected by `wait` or `kill`.
        """
        if not self.exited():
            return None
        code, killed = 0, False
        try:
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except (AttributeError, ChildProcessError):
            code = self.kill()  # it has been collected already
            killed = code > SIGNALLED
        else:
            if found is not None:
                killed = found.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
                code = found.si_status + (SIGNALLED if killed else 0)
        if killed or (self.sandboxed and code > SIGNALLED):  # bubblewrap tells it by the code
            with suppress(ValueError):
                return code, signal.Signals(code - SIGNALLED).name
        return code, None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, kill what it left; its exit code, 128 + n after signal n; raises TimeoutError."""
        if not self._sleep_until_exit(timeout):
            raise TimeoutError(f"the command is still running after {timeout} s")
        return self.kill()

    def signal(self, number: int) -> None:
        """Send a signal to the command and everything it has started."""
        if self._ended:
            return
        if not self.sandboxed:
            self._kill_group(number)
        for process in self._reachable():
            try:
                process.send_signal(number)
            except psutil.Error:
                continue

    def terminate(self, grace: float = GRACE) -> int:
        """SIGTERM to all, SIGKILL after `grace` seconds to what is left; returns the exit code."""
        self.signal(signal.SIGTERM)
        self._sleep_until_exit(grace)
        return self.kill()

    def kill(self) -> int:
        """SIGKILL to the command and everything it has started; returns the exit code.

        From then on `ran_out` says whether it was killed for using up its memory, where that can be known.
        """
        if not self._ended:
            if not self.exited():
                self.signal(signal.SIGKILL)
            self._kill_group(signal.SIGKILL)
            if not self.sandboxed and self._group is None:
                orphans.kill(self._mark)
            if self._egress is not None:
                self._egress.close()
            self._ended = True
        code = self._popen.wait()
        group, self._group = self._group, None  # of two threads that kill it, one ends the group
        if group is not None:
            self.ran_out = group.ran_out()
            group.end()
        views, self.views = self.views, ()
        standin.leave(views)
        return 128 - code if code < 0 else code

    def close(self) -> None:
        """Kill it if it runs, and close our ends of its pipes."""
        self.kill()
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()

    def exit_descriptor(self) -> int | None:
        """A new descriptor, readable when the command ends (the caller closes it), where there is one."""
        try:
            return os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            return None

    def _sleep_until_exit(self, timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        fd = self.exit_descriptor()
        poll = select.poll()
        if fd is not None:
            poll.register(fd, select.POLLIN)
        try:
            while not self.exited():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                pause = left if fd is not None else min(POLL, POLL if left is None else left)
                poll.poll(None if pause is None else pause * 1000)
        finally:
            if fd is not None:
                os.close(fd)
        return True

    def _kill_group(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # nobody is left in it

    def _reachable(self) -> list[psutil.Process]:
        """What a signal goes to. While bubblewrap still builds the sandbox there is nobody in it yet."""
        found = self._descendants()
        deadline = time.monotonic() + BUILDING
        while self.sandboxed and not found and not self.exited() and time.monotonic() < deadline:
            time.sleep(LOOK)
            found = self._descendants()
        return found

    def _descendants(self) -> list[psutil.Process]:
        """What the command has started, without bubblewrap's own first process, which must live on."""
        try:
            found = psutil.Process(self.pid).children(recursive=True)
        except psutil.Error:
            return []
        return [process for process in found if not (self.sandboxed and self._is_init(process))]

    def _is_init(self, process: psutil.Process) -> bool:
        try:
            return process.ppid() == self.pid
        except psutil.Error:
            return True  # it is gone


def start(
    argv: Sequence[str],
    *,
    cwd: Path,
    workspace: Path,
    private: Path,
    env: Mapping[str, str] | None = None,
    network: bool = False,
    sandbox: bool | None = None,
    also: Sequence[Path] = (),
    keep: Sequence[Path] = (),
    stdin: bool = False,
    tty: int | None = None,
    egress: Egress | None = None,
) -> Child:
    """Start a command; `tty` is a terminal's descriptor for its three streams, else they are pipes.

    `egress` is this command's own way out of a sandbox without `network`; outside there is nothing to open.
    `sandbox`: None takes it where it works, True raises Unavailable where it doesn't, False not.
    Raises Invalid for a directory outside the workspace, FileNotFoundError for a command that isn't there.
    """
    _check(argv, env)
    place = walls.Place(workspace, private, tuple(also), tuple(keep))
    place.prepare()
    directory = place.host_path(cwd)
    if not directory.is_dir():
        raise Invalid(f"There is no directory {cwd}.", "cwd")
    sandboxed = walls.sandbox_state().on if sandbox is None else sandbox
    path = walls.visible_path(place) if sandboxed else walls.search_path()
    way = egress if sandboxed and not network and walls.interpreter() else None
    whole = {**environment(place.home, path), **(way.environment() if way else {}), **(env or {})}
    if sandboxed:
        with standin.entered(workspace, private, also) as views:
            seen = replace(place, views=views)
            child = _on_spawner(lambda: _start_inside(seen, cwd, argv, whole, network, stdin, tty, way))
            child.views = views
        return child
    if tty is None and (made := _of_spare(directory, argv, whole, stdin)) is not None:
        return made
    return _on_spawner(lambda: _start_outside(directory, argv, whole, stdin, tty))


def environment(home: Path, path: str) -> dict[str, str]:
    """All that a command gets from our own environment."""
    ours = {name: os.environ[name] for name in ("LANG", "TZ") if name in os.environ}
    switchers = {"RUSTUP_HOME": str(rustup)} if (rustup := Path.home() / ".rustup").is_dir() else {}
    always = {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb"}
    return {**always, **ours, **switchers}


def _check(argv: Sequence[str], env: Mapping[str, str] | None) -> None:
    words = [*argv, *(env or {}).keys(), *(env or {}).values()]
    if not argv or not argv[0] or any("\0" in word for word in words):
        raise Invalid("A command is a list of words without NUL bytes.", "command")
    if any("=" in name or not name for name in env or {}):
        raise Invalid("An environment variable's name has no '='.", "env")


def _start_inside(
    place: walls.Place,
    cwd: Path,
    argv: Sequence[str],
    env: dict[str, str],
    network: bool,
    stdin: bool,
    tty: int | None,
    egress: Egress | None,
) -> Child:
    with ExitStack() as ours:
        passed = []
        if (filter_fd := seccomp.descriptor()) is not None:
            ours.callback(os.close, filter_fd)
            passed.append(filter_fd)
        variables = walls.variables(argv, env)
        ours.callback(os.close, variables)
        passed.append(variables)
        wall = walls.command(place, cwd, network=network, tty=tty is not None, filter_fd=filter_fd, variables=variables)
        way: list[str] = []
        if egress is not None and (interpreter := walls.interpreter()) is not None:
            channel = ours.enter_context(egress.channel())
            passed.append(channel.fileno())
            way = egress.prefix(interpreter, channel.fileno())
        group = cgroups.make(orphans.server())
        # The terminal is taken inside: a shell that manages jobs must see the number of the group in front.
        whole = [*_joined(group), *wall, *_terminal(tty), *way, *_limits(group), *argv]
        # Shell and bubblewrap run outside, where a variable such as LD_PRELOAD would do the command's bidding.
        return _child(_popen, (whole, Path("/"), {}, stdin, tty, tuple(passed), True), True, "", group, egress)


def _start_outside(cwd: Path, argv: Sequence[str], env: dict[str, str], stdin: bool, tty: int | None) -> Child:
    orphans.watch()
    mark = orphans.mark()
    group = cgroups.make(orphans.server())
    before = _limiting(group)
    whole = [*cgroups.join(_directories(group), before), *_terminal(tty), *_tied(group), *argv]
    marked = {**env, orphans.VARIABLE: mark}
    return _child(_popen, (whole, cwd, marked, stdin, tty, (), tty is None), False, mark, group)


def _of_spare(cwd: Path, argv: Sequence[str], env: dict[str, str], stdin: bool) -> Child | None:
    """The command made of a shell that waits, if one does and can; nothing is started here, so any thread may."""
    waiting = spare.take(lambda group: [*_tied(group), *argv], cwd, env, _limiting)
    _spawner.submit(_keep_spares)
    if waiting is None:
        return None
    if not stdin:
        waiting.close_stdin()
    return Child(waiting.popen, False, waiting.mark, waiting.group)


def _keep_spares() -> None:
    orphans.watch()
    spare.keep(_limiting)


def drop_spare() -> None:
    """When the server stops: end the shells that wait for a next command."""
    _spawner.submit(spare.drop).result()


def _popen(
    argv: list[str],
    cwd: Path,
    env: dict[str, str],
    stdin: bool,
    tty: int | None,
    passed: tuple[int, ...],
    is_leader: bool,
) -> subprocess.Popen[bytes]:
    source = tty if tty is not None else subprocess.PIPE if stdin else subprocess.DEVNULL
    sink = tty if tty is not None else subprocess.PIPE
    return subprocess.Popen(
        argv, cwd=cwd, env=env, stdin=source, stdout=sink, stderr=sink, close_fds=True, pass_fds=passed,
        start_new_session=is_leader, bufsize=0,
    )  # fmt: skip


def _terminal(tty: int | None) -> list[str]:
    """A prefix that makes the terminal the controlling one of a new session."""
    return [] if tty is None else [_tool("setsid") or "setsid", "--ctty", "--wait"]


def _child(
    begin: Callable[..., subprocess.Popen[bytes]],
    given: tuple[object, ...],
    sandboxed: bool,
    mark: str,
    group: cgroups.Group | None,
    egress: Egress | None = None,
) -> Child:
    """The started command; its group goes again when it does not start."""
    try:
        return Child(begin(*given), sandboxed, mark, group, egress)
    except OSError:
        if group is not None:
            group.end()
        raise


def _limiting(group: cgroups.Group | None) -> str:
    """What a shell runs to set the limits of each process; one program, because each costs as much as a small
    command.
    """
    wanted = config.current().limits
    script = [f"ulimit -n {_at_most(resource.RLIMIT_NOFILE, wanted.files)}", "ulimit -c 0"]
    script.append(f"ulimit -f {_at_most(resource.RLIMIT_FSIZE, FILE_BYTES) // BLOCK}")
    if group is None:
        script.append(f"ulimit -d {_at_most(resource.RLIMIT_DATA, wanted.memory << 20) // 1024}")
    return "; ".join(script)


def _directories(group: cgroups.Group | None) -> tuple[Path, ...]:
    return group.directories if group is not None else ()


def _tied(group: cgroups.Group | None) -> list[str]:
    """A prefix that ties the command to our own life, where no group does."""
    tool = _tool("setpriv") if group is None else None
    return [tool, "--pdeathsig", "KILL", "--"] if tool else []


def _joined(group: cgroups.Group | None) -> list[str]:
    return group.prefix if group is not None else []


def _limits(group: cgroups.Group | None) -> list[str]:
    """A prefix that sets the limits of each process in the sandbox. A group limits memory better, because it counts
    what is used; processes are counted by user, so only where the command is alone in its namespace.
    """
    tool, wanted = _tool("prlimit"), config.current().limits
    if not tool:
        return []
    words = [tool, f"--nofile={_at_most(resource.RLIMIT_NOFILE, wanted.files)}", "--core=0"]
    words.append(f"--fsize={_at_most(resource.RLIMIT_FSIZE, FILE_BYTES)}")
    if group is None:
        words.append(f"--data={_at_most(resource.RLIMIT_DATA, wanted.memory << 20)}")
    if counts_by_namespace():
        words.append(f"--nproc={_at_most(resource.RLIMIT_NPROC, wanted.processes)}")
    return [*words, "--"]


def has_prlimit() -> bool:
    """Whether the limits of single processes can be set."""
    return _tool("prlimit") is not None


def counts_by_namespace() -> bool:
    """Whether processes can be limited in the sandbox: Linux counts them per namespace since 5.14."""
    return has_prlimit() and _kernel() >= NPROC_PER_NAMESPACE


def _at_most(limit: int, wanted: int) -> int:
    hard = resource.getrlimit(limit)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


@cache
def _kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor)) or 0)


@cache
def _tool(name: str) -> str | None:
    """One of util-linux's tools, which lie in /usr and so are seen inside the sandbox too."""
    return shutil.which(name, path="/usr/bin:/usr/sbin:/bin") if sys.platform.startswith("linux") else None


def _new_spawner() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def _after_fork() -> None:
    global _spawner
    _spawner = _new_spawner()


# Linux sends the parent-death signal when the *thread* that forked ends: one that never ends forks all.
_spawner = _new_spawner()
os.register_at_fork(after_in_child=_after_fork)


def _on_spawner(work: Callable[[], Child]) -> Child:
    return _spawner.submit(work).result()
