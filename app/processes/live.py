"""A running or finished command that people read from and write to, with pipes or a terminal of its own.

What it prints goes through the pump's one thread into its ring and from there to its readers. It is read only while
its readers keep up, for `PATIENCE` seconds at most; without readers the last of it is kept.
"""

from __future__ import annotations

import errno
import functools
import os
import selectors
import signal
import threading
import time
from collections.abc import Sequence

from app import config, ids
from app.errors import Invalid, NotFound
from app.processes import cgroups, tty
from app.processes import child as children
from app.processes import pump as pumps
from app.processes.child import GRACE, Child
from app.processes.pump import Timer
from app.processes.ring import Cutter, Ring
from app.processes.spec import Spec
from app.processes.stdin import Stdin
from app.processes.tap import WINDOW, Dropped, Ended, Output, Stream, Tap, Word
from app.processes.tty import Size

__all__ = ["WINDOW", "Dropped", "Ended", "Live", "Output", "Size", "Spec", "Tap", "Word", "launch", "stop"]

READ = 64 * 1024
# What comes in large pieces is gathered: fewer frames, which is what costs a browser its time. A small one is an echo
# and goes out at once.
LARGE = 1024
GATHER, GATHER_SECONDS = 256 * 1024, 0.004
TURN = 16  # reads before others have theirs
PATIENCE = 2.0
# A reader that is behind and takes nothing at all for so long is let go; it may come back.
LET_GO = 60.0
DRAIN = 1.0
LOOK = 0.05
WRITE_WAIT = 10.0
STOP = 1.0


class Live:
    """One command; safe to use from any thread. `changed` guards it and tells of every change."""

    visibility = "private"

    def __init__(self, spec: Spec, child: Child, master: int | None) -> None:
        self.id = ids.random("term" if spec.kind == "terminal" else "proc")
        self.spec = spec
        self.pid = child.pid
        self.argv, self.cwd, self.env, self.kind, self.tag = spec.argv, spec.cwd, spec.env, spec.kind, spec.tag
        self.owner, self.project = spec.owner, spec.project
        self.sandboxed = child.sandboxed
        self.started = ids.now()
        self.size = spec.size
        self.ended: Ended | None = None
        self.changed = threading.Condition()
        self.ring = Ring(spec.kept)
        self.pump = pumps.running()
        self._child = child
        self._master = master
        self._taps: list[Tap] = []
        self._stdin = self._input(child)
        self._outputs: dict[Stream, int] = _outputs(child, master)
        self._cutters = {stream: Cutter() for stream in self._outputs}
        self._gathered: dict[Stream, bytearray] = {stream: bytearray() for stream in self._outputs}
        self._gathering: Timer | None = None
        self._patience: Timer | None = None
        self._exit_fd: int | None = None
        self._status: tuple[int, str | None] | None = None
        self._is_reaped = False
        self._drained: Timer | None = None
        self._is_reading = False
        self._at_once = min(READ, spec.kept // 4)
        self._gather_most = min(GATHER, spec.kept // 4)
        for fd in self._outputs.values():
            os.set_blocking(fd, False)
        with _lock:
            _living.add(self)
        self.pump.ask(self._begin)

    @property
    def takes_input(self) -> bool:
        """Whether it runs and its input is open."""
        return self.ended is None and self._stdin is not None and self._stdin.is_open

    def attach(
        self,
        after: int | None = None,
        *,
        window: int = WINDOW,
        is_acked: bool = False,
        principals: tuple[str | None, ...] = (),
    ) -> Tap:
        """A new reader: of all that is kept, or of what came after an offset (`live.ring.end`: only what comes)."""
        with self.changed:
            at = max(0, after or 0)
            if at >= self.ring.start:
                at = self.ring.settle(at)
            tap = Tap(self, at, window, is_acked, principals)
            self._taps.append(tap)
        return tap

    def leave(self, tap: Tap) -> None:
        """Forget a reader."""
        with self.changed:
            if tap not in self._taps:
                return
            self._taps.remove(tap)
        self.pump.ask(self.look)

    def end_taps(self, principal: str) -> int:
        """End the readers of a revoked principal; returns how many."""
        with self.changed:
            found = [tap for tap in self._taps if principal in tap.principals]
        for tap in found:
            tap.end()
        return len(found)

    def write(self, data: bytes, wait: float = WRITE_WAIT) -> None:
        """Give it something to read; waits up to `wait` seconds for room.

        Raises NotFound when it has ended or its input is closed, Conflict when it reads nothing meanwhile.
        """
        if self._stdin is None or self.ended is not None or not self._stdin.write(data, wait):
            raise NotFound(self.kind, str(self.pid))

    def close_stdin(self) -> None:
        """End its input after what was written. Raises Invalid for a terminal, NotFound if it is closed already."""
        if self.size is not None:
            raise Invalid("A terminal's input cannot be closed.", "pid")
        if self._stdin is None or not self.takes_input:
            raise NotFound(self.kind, str(self.pid))
        self._stdin.finish()

    def resize(self, cols: int, rows: int) -> None:
        """Give its terminal another size. Raises Invalid without one, NotFound when it has ended."""
        size = Size(cols, rows)
        with self.changed:
            if self.size is None:
                raise Invalid("This command has no terminal.", "pty")
            if self._master is None:
                raise NotFound(self.kind, str(self.pid))
            tty.set_size(self._master, size)
            self.size = size

    def signal(self, number: int) -> None:
        """Send a signal to it and all it has started. Raises Invalid for no signal, NotFound when it has ended."""
        if number not in signal.valid_signals():
            raise Invalid(f"There is no signal {number}.", "signal")
        if self.ended is not None:
            raise NotFound(self.kind, str(self.pid))
        self._child.signal(number)

    def end(self, grace: float = GRACE) -> None:
        """Ask it to end, and kill it and all it has started after `grace` seconds; does not wait for that."""
        if self.ended is not None:
            return
        self._child.signal(signal.SIGHUP if self._master is not None else signal.SIGTERM)
        if self._master is not None:
            self._child.signal(signal.SIGCONT)
        self.pump.ask(lambda: self._kill_in(grace))

    def kill(self) -> None:
        """Kill it and all it has started, and wait for that."""
        self._child.kill()

    def wait(self, timeout: float | None = None) -> Ended | None:
        """Wait for its end, at most so many seconds; None if it still runs."""
        with self.changed:
            self.changed.wait_for(lambda: self.ended is not None, timeout)
            return self.ended

    # What follows is called in the pump's thread.

    def look(self) -> None:
        """Read on, or stop reading, by how far the readers are."""
        waits_for = self._slow()
        if not waits_for and self._patience is not None:
            self._patience.cancel()
            self._patience = None
        elif waits_for and self._patience is None:
            self._patience = self.pump.later(PATIENCE, self._lose_patience)
        if self._is_reading != (not waits_for):
            self._is_reading = not waits_for
            for stream, fd in self._outputs.items():
                mask = selectors.EVENT_READ if self._is_reading else 0
                self.pump.watch(fd, mask, functools.partial(self._read, stream))

    def _begin(self) -> None:
        self.look()
        self._exit_fd = self._child.exit_descriptor()
        if self._exit_fd is not None:
            self.pump.watch(self._exit_fd, selectors.EVENT_READ, self._on_exit)
        else:
            self._on_exit()

    def _slow(self) -> list[Tap]:
        """The readers that have no room for more, apart from those that it waits for no more."""
        found = []
        with self.changed:
            for tap in self._taps:
                if tap.is_lagging and tap.behind <= self.ring.size // 2:
                    tap.is_lagging = False
                if not tap.is_lagging and tap.behind + self._at_once + self._gather_most > self.ring.size:
                    found.append(tap)
        return found

    def _lose_patience(self) -> None:
        self._patience = None
        for tap in self._slow():
            tap.is_lagging = True
            self._let_go_later(tap)
        self.look()

    def _let_go_later(self, tap: Tap) -> None:
        taken = tap.taken_in_all

        def look() -> None:
            if tap.is_lagging and tap.taken_in_all == taken:
                tap.end()
            elif tap.is_lagging:
                self._let_go_later(tap)

        self.pump.later(LET_GO, look)

    def _read(self, stream: Stream) -> None:
        """Read what there is, a turn of it at most; gather what comes in large pieces."""
        gathered = self._gathered[stream]
        is_large = False
        for _ in range(TURN):
            data = self._take(stream)
            if data is None:
                break
            if not data:
                self._close_output(stream)
                return
            gathered += data
            is_large = is_large or len(data) >= LARGE
            if len(data) < LARGE or len(gathered) >= self._gather_most:
                break
        if len(gathered) >= self._gather_most or (not is_large and self._gathering is None):
            self._tell()
        elif self._gathering is None:
            self._gathering = self.pump.later(GATHER_SECONDS, self._tell)

    def _take(self, stream: Stream) -> bytes | None:
        """One read: None when nothing is there, b"" at the end."""
        fd = self._outputs.get(stream)
        if fd is None:
            return None
        try:
            return os.read(fd, self._at_once)
        except BlockingIOError:
            return None
        except OSError:  # EIO: nobody holds the terminal any more
            return b""

    def _tell(self) -> None:
        """Put what was gathered into the ring and hand it on."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        with self.changed:
            for stream, gathered in self._gathered.items():
                for piece, inside in self._cutters[stream].feed(bytes(gathered)):
                    self.ring.add(stream, piece, inside)
                gathered.clear()
        self._hand_on()

    def _hand_on(self) -> None:
        with self.changed:
            self.changed.notify_all()
            taps = list(self._taps)
        for tap in taps:
            tap.push()
        if self.ended is None:
            self.look()

    def _close_output(self, stream: Stream) -> None:
        self.pump.watch(self._outputs.pop(stream), 0, _nothing)
        self._tell()
        with self.changed:
            if rest := self._cutters[stream].flush():
                self.ring.add(stream, rest)
        self._hand_on()
        self._finish_if_done()

    def _on_exit(self) -> None:
        status = self._child.status()
        if status is None:
            if self._exit_fd is None:
                self.pump.later(LOOK, self._on_exit)  # no pidfd on this system
            return
        self._status = status
        if self._exit_fd is not None:
            self.pump.watch(self._exit_fd, 0, _nothing)
            os.close(self._exit_fd)
            self._exit_fd = None
        self.pump.aside(self._reap)
        self._finish_if_done()

    def _reap(self) -> None:
        """Aside: end what the command has left, and collect it."""
        self._child.kill()
        self.pump.ask(self._on_reaped)

    def _on_reaped(self) -> None:
        self._is_reaped = True
        self._drained = self.pump.later(DRAIN + (PATIENCE if self._patience is not None else 0.0), self._give_up)
        self._finish_if_done()

    def _give_up(self) -> None:
        """Whoever still holds its output is none of what it started."""
        for stream in list(self._outputs):
            self._close_output(stream)

    def _finish_if_done(self) -> None:
        if self._status is None or self._outputs or self.ended is not None:
            return
        code, name = self._status
        if name == "SIGKILL" and not self._is_reaped:
            return  # only then it is known why
        if self._drained is not None:
            self._drained.cancel()
        if self._patience is not None:
            self._patience.cancel()
        why = f"a command may use {config.current().limits.memory} MiB of memory" if self._child.ran_out else ""
        self._close()
        with self.changed:
            self.ended = Ended(code, name, ids.now(), why)
        with _lock:
            _living.discard(self)
        self._hand_on()

    def _close(self) -> None:
        if self._stdin is not None:
            self._stdin.close()
        with self.changed:
            if self._master is not None:
                os.close(self._master)
                self._master = None
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()

    def _kill_in(self, grace: float) -> None:
        self.pump.later(grace, lambda: self.pump.aside(self.kill) if self.ended is None else None)

    def _input(self, child: Child) -> Stdin | None:
        """What is written to; of a terminal a second descriptor, so that both can be watched."""
        if self._master is not None:
            fd = os.dup(self._master)
            return Stdin(fd, self.pump, self.changed, functools.partial(os.close, fd))
        if child.stdin is None:
            return None
        return Stdin(child.stdin.fileno(), self.pump, self.changed, child.stdin.close)


def launch(spec: Spec) -> Live:
    """Start a command. Raises as `child.start` does, but a command that isn't there is one that ends with 127."""
    if spec.size is None:
        return Live(spec, _start(spec, None), None)
    master, slave = tty.make(spec.size)
    try:
        return Live(spec, _start(spec, slave), master)
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)


def stop() -> None:
    """Ask every living command of this process to end, kill what is left after `STOP` seconds, and end the pump."""
    with _lock:
        found = list(_living)
    deadline = time.monotonic() + STOP
    for live in found:
        live.end(STOP)
    for live in found:
        live.wait(max(0.0, deadline - time.monotonic()))
    left = [live for live in found if live.ended is None]
    for live in left:
        live.kill()
    for live in left:
        live.wait(DRAIN)
    pumps.stop()
    children.drop_spare()
    cgroups.finish()


def _start(spec: Spec, slave: int | None) -> Child:
    env = dict(spec.env) if slave is None else {"TERM": tty.TERM, **spec.env}

    def start(argv: Sequence[str]) -> Child:
        return children.start(
            argv, cwd=spec.cwd, workspace=spec.workspace, private=spec.private, env=env, network=spec.network,
            sandbox=spec.sandbox, also=spec.also, keep=spec.keep, stdin=spec.stdin, tty=slave, egress=spec.egress,
        )  # fmt: skip

    try:
        return start(spec.argv)
    except OSError as failure:
        if failure.errno == errno.E2BIG:
            raise Invalid("The command line and its environment are too long.", "command") from None
        if not isinstance(failure, FileNotFoundError | PermissionError):
            raise
        code = "127" if isinstance(failure, FileNotFoundError) else "126"
        told = f"{spec.argv[0]}: {failure.strerror}"
        return start(["/bin/sh", "-c", 'printf "%s\\n" "$1" >&2; exit "$2"', "sh", told, code])


def _outputs(child: Child, master: int | None) -> dict[Stream, int]:
    if master is not None:
        return {"pty": master}
    found: dict[Stream, int] = {}
    if child.stdout is not None:
        found["stdout"] = child.stdout.fileno()
    if child.stderr is not None:
        found["stderr"] = child.stderr.fileno()
    return found


def _nothing() -> None:
    """What is done for a descriptor that is watched no more."""


_lock = threading.Lock()
_living: set[Live] = set()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _living.clear()


os.register_at_fork(after_in_child=_after_fork)
