"""The bash tool: run a command line in the workspace, with what it prints shown while it runs."""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from app import config, redact
from app.agent.tools.spill import HOW
from app.agent.tools.tool import SCRATCH, Given, Prepared, Result, Tool, ToolContext, ToolError
from app.processes.spawn import Egress, Finished, Reach, spawn

SECONDS = 120
MOST_SECONDS = 600
OUTPUT_BYTES = 30_000
SHOW_EVERY = 0.1
MISSED_SHOWN = 5
DESCRIPTION = """\
Run a shell command in the project directory and give what it prints and its exit code. A command ends \
after `timeout` milliseconds (default 120,000, at most 600,000), and everything it started ends with it: no \
servers in the background. Nobody can answer prompts. Use read, grep, glob and list rather than cat, grep, \
find and ls. There is no network but the HTTP proxy that the environment names, if it names one; people \
decide about each host."""


class Input(Given):
    """The command line and how it runs."""

    command: str = Field(min_length=1, description="The command line")
    timeout: int | None = Field(default=None, ge=1, description="Milliseconds, at most 600000")
    description: str = Field(default="", description="What it does, in 5 to 10 words")
    workdir: str | None = Field(default=None, description="The directory to run in; default the project's")


def prepare(ctx: ToolContext, given: Input) -> Prepared:
    """Show the command as it is; refused where nothing keeps it from other people's things."""
    ctx.check_walls()
    ctx.relative(given.workdir or ".")
    return Prepared(_title(given), {"description": given.description, "output": ""})


def run(ctx: ToolContext, given: Input) -> Result:
    """Run it to its end; a bad exit code is a result, not an error."""
    egress = Egress(ctx.permit) if ctx.permit else None
    seconds = min((given.timeout or SECONDS * 1000) / 1000, MOST_SECONDS)
    cwd = Path(ctx.absolute(given.workdir or "."))
    ran = carry_out(ctx, line(given.command), cwd, seconds, egress=egress, description=given.description)
    if ran.ended.cancelled:
        raise ToolError(f"The command was stopped.\n\n{ran.ended.output}".strip())
    output = ran.ended.output + "".join(f"\n({note})" for note in ran.notes())
    return Result(output.strip("\n") or "(no output)", _title(given), ran.metadata())


@dataclass(frozen=True)
class Ran:
    """How a command ended, in at most how many seconds, which hosts it wanted to reach, and what it was said to do."""

    ended: Finished
    seconds: float
    hosts: list[Reach]
    description: str

    def notes(self) -> list[str]:
        """What a model should know beside what was printed."""
        return [*_notes(self.ended, self.seconds), *_missed(self.hosts)]

    def metadata(self) -> dict[str, Any]:
        """What people and clients see beside the output; `duration` in seconds."""
        spilled = self.ended.spilled
        return {
            "output": self.ended.output,
            "exit": self.ended.exit_code,
            "description": self.description,
            "truncated": self.ended.truncated,
            "duration": round(self.ended.duration, 3),
            **({"outputPath": f"{SCRATCH}/{spilled.name}"} if spilled else {}),
            **_told(self.hosts),
        }


def carry_out(
    ctx: ToolContext,
    argv: Sequence[str],
    cwd: Path,
    seconds: float,
    *,
    egress: Egress | None,
    description: str = "",
    env: Mapping[str, str] | None = None,
) -> Ran:
    """Run an argument vector where the context says, telling what it prints as it comes."""
    seconds = min(seconds, config.current().limits.seconds)
    with _Shown(ctx, description, egress) as shown:
        ended = spawn(
            argv,
            cwd=cwd,
            workspace=Path(ctx.root.path),
            private=ctx.private,
            env={**ctx.lent(), **(env or {})},
            also=ctx.also,
            keep=ctx.keep,
            network=ctx.network,
            sandbox=ctx.sandbox,
            timeout=seconds,
            output_limit=OUTPUT_BYTES,
            on_output=shown.take,
            cancel=ctx.cancel,
            egress=egress,
        )
    return Ran(ended, seconds, egress.hosts() if egress else [], description)


class _Shown:
    """Tells the progress as OpenCode does, all that was printed so far: at once, then ten times a second at most.

    What is printed within that time is told at its end, so that a command which falls silent leaves nothing untold.
    """

    def __init__(self, ctx: ToolContext, description: str, egress: Egress | None) -> None:
        self._ctx = ctx
        self._description = description
        self._egress = egress
        self._lock = threading.Lock()
        self._printed = ""
        self._redacted = redact.stream()
        self._timer: threading.Timer | None = None
        self._told = 0.0
        self._failed: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Tell nothing any more: what comes now is told as the result."""
        with self._lock:
            self._told = math.inf
            if self._timer is not None:
                self._timer.cancel()

    def take(self, text: str, _stream: str) -> None:
        """Something was printed; raises what telling of it has failed with meanwhile."""
        with self._lock:
            if self._failed is not None:
                raise self._failed
            # Secrets go before the cut, and what may become one is not shown yet.
            self._printed = (self._printed + self._redacted.feed(text))[-OUTPUT_BYTES:]
            rest = self._told + SHOW_EVERY - time.monotonic()
            if rest <= 0:
                self._tell()
            elif self._timer is None:
                self._timer = threading.Timer(rest, self._late)
                self._timer.daemon = True
                self._timer.start()

    def _late(self) -> None:
        with self._lock:
            self._timer = None
            if self._told == math.inf:
                return
            self._printed = (self._printed + self._redacted.pause())[-OUTPUT_BYTES:]
            try:
                self._tell()
            except Exception as failed:  # noqa: BLE001 - it is for the thread that runs the command, which raises it
                self._failed = failed

    def _tell(self) -> None:
        self._told = time.monotonic()
        hosts = _told(self._egress.hosts() if self._egress else [])
        self._ctx.progress({"output": self._printed, "description": self._description, **hosts})


def line(command: str) -> list[str]:
    """The argument vector that runs a command line, or several lines as one script."""
    return [_shell(), "-c", command]


def _notes(ended: Finished, seconds: float) -> list[str]:
    notes = []
    if ended.timed_out:
        notes.append(f"The command was ended after {seconds:g} s.")
    elif ended.exit_code:
        notes.append(f"Exit code {ended.exit_code}")
    if ended.spilled is not None:
        notes.append(f"The whole output is in {SCRATCH}/{ended.spilled.name}: {HOW}")
    return notes


def _missed(hosts: list[Reach]) -> list[str]:
    """What the model should know about hosts that were not reached, the first few of them."""
    missed = [reach for reach in hosts if reach.state != "reached"]
    notes = [f"{reach.host}: {reach.why or 'nobody has answered whether it may be reached'}" for reach in missed]
    more = len(notes) - MISSED_SHOWN
    return [*notes[:MISSED_SHOWN], *([f"and {more} more hosts were not reached"] if more > 0 else [])]


def _told(hosts: list[Reach]) -> dict[str, Any]:
    """The hosts for people to see: [{host, state, why}]; nothing without any."""
    return {"hosts": [asdict(reach) for reach in hosts]} if hosts else {}


def _title(given: Input) -> str:
    return given.description or given.command


@cache
def _shell() -> str:
    return shutil.which("bash", path="/usr/bin:/bin") or "/bin/sh"


TOOL = Tool("bash", DESCRIPTION, Input, prepare, run)
