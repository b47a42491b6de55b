"""Run a command to its end: time-out, cancellation, output limit, and nothing left behind."""

from __future__ import annotations

import codecs
import os
import selectors
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

from app import config, ids, redact
from app.processes.child import GRACE, Child, environment, start
from app.processes.egress import Egress, Permit, Reach, Target
from app.processes.sandbox import Place, SandboxState, explain, sandbox_state, search_path, visible_path

__all__ = [
    "OUTPUT_BYTES",
    "SPILL_BYTES",
    "Child",
    "Egress",
    "Finished",
    "Permit",
    "Place",
    "Reach",
    "SandboxState",
    "Target",
    "environment_in",
    "sandbox_state",
    "search_path",
    "spawn",
    "start",
]

Stream = Literal["stdout", "stderr"]
OnOutput = Callable[[str, Stream], None]
OUTPUT_BYTES = 256 * 1024
SPILL_BYTES = 64 * 1024 * 1024
CHUNK = 64 * 1024
CANCEL_POLL = 0.1
EXIT_POLL = 0.05
DRAIN = 1.0
STREAMS = ("stdout", "stderr")
PIPE_BYTES = 1 << 20  # what a command may have a pipe hold
NOT_FOUND = 127
MESSAGE = 500


@dataclass(frozen=True)
class Finished:
    """How a command ended. Text is UTF-8 with replacement characters; duration in seconds.

    `exit_code` is 128 + n after signal n, 127 for a command that isn't there. `output` is stdout and stderr
    as they came, `stderr` the latter alone; when `truncated`, their middle is left out and `spilled` names
    the file on this machine that holds the first 64 MiB (commands see it in /tmp).
    """

    exit_code: int
    output: str
    stderr: str
    duration: float
    truncated: bool
    timed_out: bool
    cancelled: bool
    spilled: Path | None


def spawn(
    argv: Sequence[str],
    *,
    cwd: Path,
    workspace: Path,
    private: Path,
    env: Mapping[str, str] | None = None,
    network: bool = False,
    timeout: float | None = None,
    output_limit: int = OUTPUT_BYTES,
    on_output: OnOutput | None = None,
    cancel: threading.Event | None = None,
    stdin: bytes | None = None,
    sandbox: bool | None = None,
    also: Sequence[Path] = (),
    keep: Sequence[Path] = (),
    grace: float = GRACE,
    egress: Egress | None = None,
) -> Finished:
    """Run a command in a workspace and wait for it and all it started; timeout and grace in seconds.

    `private` is the project's own directory for HOME and /tmp, `also` further directories it may write (a
    worktree's repository), `keep` what in those it may not. `sandbox` and `egress` as in `start`. Raises Invalid for
    a cwd outside, Unavailable SANDBOX_UNAVAILABLE; a command that isn't there is exit code 127. No timeout is longer
    than the limit.
    """
    began = time.monotonic()
    most = config.current().limits.seconds
    timeout = most if timeout is None else min(timeout, most)
    try:
        child = start(argv, cwd=cwd, workspace=workspace, private=private, env=env, network=network,
                      sandbox=sandbox, also=also, keep=keep, stdin=stdin is not None, egress=egress)  # fmt: skip
    except (FileNotFoundError, PermissionError) as failure:
        code = 127 if isinstance(failure, FileNotFoundError) else 126
        text = f"{argv[0]}: {failure.strerror}\n"
        return Finished(code, text, text, time.monotonic() - began, False, False, False, None)
    place = Place(workspace, private, tuple(also), tuple(keep))
    spill = place.scratch / f"{ids.random('output')}.txt"
    done = _Run(child, _Capture(output_limit, spill), _Capture(output_limit, None), on_output).finish(
        began, stdin or b"", timeout, cancel, grace)  # fmt: skip
    why = ""
    if child.ran_out:
        why = f"Something was killed: a command may use {config.current().limits.memory} MiB of memory."
    elif child.sandboxed and done.exit_code == NOT_FOUND:
        why = explain(place, done.stderr[-MESSAGE:])
    return _explained(done, why, on_output)


def environment_in(workspace: Path, private: Path) -> dict[str, str]:
    """What a command in this workspace finds in its environment, unless it is given more."""
    place = Place(workspace, private)
    return environment(place.home, visible_path(place) if sandbox_state().on else search_path())


def _explained(done: Finished, why: str, on_output: OnOutput | None) -> Finished:
    """Say what the command itself can't know: that the sandbox hides something, or that its memory was used up."""
    if not why:
        return done
    if on_output is not None:
        on_output(f"{why}\n", "stderr")
    return replace(done, output=f"{done.output}{why}\n", stderr=f"{done.stderr}{why}\n")


class _Capture:
    """Keeps the beginning and the end of what comes, and all of it in a file once it is too much to keep."""

    def __init__(self, limit: int, spill: Path | None) -> None:
        self._half = max(1, limit // 2)
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._path = spill
        self._file: IO[bytes] | None = None
        self._room = SPILL_BYTES
        self._redacted = redact.stream()
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode

    @property
    def total(self) -> int:
        return self._total

    @property
    def truncated(self) -> bool:
        return self._total > 2 * self._half

    @property
    def spilled(self) -> Path | None:
        return self._path if self._file is not None else None

    def add(self, data: bytes) -> None:
        self._total += len(data)
        if self.truncated and self._path is not None:
            self._spill(data)
        room = self._half - len(self._head)
        self._head += data[: max(0, room)]
        self._tail += data[max(0, room) :]
        if len(self._tail) > 4 * self._half + CHUNK:
            del self._tail[: -self._half]

    def text(self) -> str:
        """What is kept, with a line that says how much isn't."""
        if not self.truncated:
            return (self._head + self._tail).decode("utf-8", "replace")
        end = self._tail[-self._half :]
        left_out = self._total - len(self._head) - len(end)
        # Half a secret at a cut would be found by nobody.
        head = redact.inside(self._head.decode("utf-8", "replace"), ends_cut=True)
        tail = redact.inside(end.decode("utf-8", "replace"), begins_cut=True)
        return f"{head}\n[... {left_out} bytes left out ...]\n{tail}"

    def close(self) -> None:
        if self._file is not None:
            self._write(self._redacted.feed(self._decode(b"", final=True)) + self._redacted.flush())
            self._file.close()

    def _spill(self, data: bytes) -> None:
        if self._file is None and self._path is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.fdopen(os.open(self._path, flags, 0o600), "wb")
            data = bytes(self._head + self._tail) + data
        if self._room > 0:
            self._write(self._redacted.feed(self._decode(data)))

    def _write(self, text: str) -> None:
        """Put into the file what fits, without the secrets; bytes that are no text stay as they are."""
        if self._file is not None:
            self._room -= self._file.write(text.encode("utf-8", "surrogateescape")[: max(0, self._room)])


class _Run:
    """The loop around one child: what it prints, when it must end, and why it did."""

    def __init__(self, child: Child, output: _Capture, errors: _Capture, on_output: OnOutput | None) -> None:
        self._child = child
        self._output = output
        self._errors = errors
        self._on_output = on_output
        self._selector = selectors.DefaultSelector()
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {name: decoder("replace") for name in STREAMS}
        self._input = memoryview(b"")
        self._exit_fd = child.exit_descriptor()
        self._kill_at: float | None = None
        self.timed_out = self.cancelled = False

    def finish(
        self, began: float, stdin: bytes, timeout: float | None, cancel: threading.Event | None, grace: float
    ) -> Finished:
        """Run to the end whatever happens; the child and our descriptors are gone afterwards."""
        try:
            self._register(stdin)
            deadline = None if timeout is None else began + timeout
            while not self._child.exited():
                self._step(self._pause(deadline, cancel))
                self._check_time(deadline, cancel, grace)
            code = self._child.kill()
            self._drain()
        finally:
            self._child.close()
            self._selector.close()
            self._output.close()
            if self._exit_fd is not None:
                os.close(self._exit_fd)
        text, duration = self._output.text(), time.monotonic() - began
        cut, file = self._output.truncated, self._output.spilled
        return Finished(code, text, self._errors.text(), duration, cut, self.timed_out, self.cancelled, file)

    def _register(self, stdin: bytes) -> None:
        for name, pipe in (("stdout", self._child.stdout), ("stderr", self._child.stderr)):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._selector.register(pipe, selectors.EVENT_READ, name)
        if self._child.stdin is not None:
            self._input = memoryview(stdin)
            os.set_blocking(self._child.stdin.fileno(), False)
            self._selector.register(self._child.stdin, selectors.EVENT_WRITE, "stdin")
        if self._exit_fd is not None:
            self._selector.register(self._exit_fd, selectors.EVENT_READ, "exit")

    def _pause(self, deadline: float | None, cancel: threading.Event | None) -> float | None:
        now = time.monotonic()
        waits = [when - now for when in (self._kill_at or deadline,) if when is not None]
        waits += [CANCEL_POLL] if cancel is not None and not self.cancelled else []
        waits += [EXIT_POLL] if self._exit_fd is None else []
        return max(0.0, min(waits)) if waits else None

    def _step(self, pause: float | None) -> bool:
        """Move what can be moved; False when nothing came within the pause."""
        ready = [key for key, _ in self._selector.select(pause) if key.data != "exit"]
        for key in ready:
            if key.data == "stdin":
                self._write()
            else:
                self._read(key)
        return bool(ready)

    def _read(self, key: selectors.SelectorKey) -> None:
        name: Stream = "stderr" if key.data == "stderr" else "stdout"
        try:
            data = os.read(key.fd, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(key.fileobj)
        self._output.add(data)
        if name == "stderr":
            self._errors.add(data)
        if self._on_output is not None and (text := self._decoders[name].decode(data, final=not data)):
            self._on_output(text, name)

    def _write(self) -> None:
        pipe = self._child.stdin
        if pipe is None:
            return
        try:
            if self._input:
                self._input = self._input[os.write(pipe.fileno(), self._input[:CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._input = self._input[:0]  # it doesn't want the rest
        if not self._input:
            self._selector.unregister(pipe)
            pipe.close()

    def _check_time(self, deadline: float | None, cancel: threading.Event | None, grace: float) -> None:
        now = time.monotonic()
        if self._kill_at is not None:
            if now >= self._kill_at:
                self._child.kill()
            return
        self.cancelled = cancel is not None and cancel.is_set()
        self.timed_out = not self.cancelled and deadline is not None and now >= deadline
        if self.cancelled or self.timed_out:
            self._child.signal(signal.SIGTERM)
            self._kill_at = now + grace

    def _drain(self) -> None:
        """Read what is still in the pipes: their other ends close as what was started dies.

        A command can have given them to another that lives on and writes: no more is read then than a pipe holds.
        """
        until, enough = time.monotonic() + DRAIN, self._output.total + len(STREAMS) * PIPE_BYTES
        if self._exit_fd is not None:
            self._selector.unregister(self._exit_fd)
        while any(key.data in STREAMS for key in self._selector.get_map().values()):
            if not self._step(max(0.0, until - time.monotonic())) or self._output.total > enough:
                return
