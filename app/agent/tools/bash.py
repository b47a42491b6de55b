"""The bash tool: run a command line in the workspace, with what it prints shown while it runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from app import config
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
    """Show the command as it is."""
    ctx.relative(given.workdir or ".")
    return Prepared(_title(given), {"description": given.description, "output": ""})


def run(ctx: ToolContext, given: Input) -> Result:
    """Run it to its end; a bad exit code is a result, not an error."""
    egress = Egress(ctx.permit) if ctx.permit else None
    seconds = min((given.timeout or SECONDS * 1000) / 1000, MOST_SECONDS, config.current().limits.seconds)
    ended = spawn(
        [_shell(), "-c", given.command],
        cwd=Path(ctx.absolute(given.workdir or ".")),
        workspace=Path(ctx.root.path),
        private=ctx.private,
        also=ctx.also,
        keep=ctx.keep,
        network=ctx.network,
        sandbox=ctx.sandbox,
        timeout=seconds,
        output_limit=OUTPUT_BYTES,
        on_output=_shown(ctx, given, egress),
        cancel=ctx.cancel,
        egress=egress,
    )
    hosts = egress.hosts() if egress else []
    if ended.cancelled:
        raise ToolError(f"The command was stopped.\n\n{ended.output}".strip())
    output = ended.output + "".join(f"\n({note})" for note in [*_notes(ended, seconds), *_missed(hosts)])
    metadata = {
        "output": ended.output,
        "exit": ended.exit_code,
        "description": given.description,
        "truncated": ended.truncated,
        "duration": round(ended.duration, 3),
        **({"outputPath": f"{SCRATCH}/{ended.spilled.name}"} if ended.spilled else {}),
        **_told(hosts),
    }
    return Result(output.strip("\n") or "(no output)", _title(given), metadata)


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


def _shown(ctx: ToolContext, given: Input, egress: Egress | None) -> Callable[[str, str], None]:
    """Tell the progress, ten times a second at most, as OpenCode does: all that was printed so far."""
    printed: list[str] = []
    told = [0.0]

    def show(text: str, _stream: str) -> None:
        printed.append(text)
        now = time.monotonic()
        if now - told[0] >= SHOW_EVERY:
            told[0] = now
            ctx.progress({**_progress(printed, given), **_told(egress.hosts() if egress else [])})

    return show


def _progress(printed: list[str], given: Input) -> dict[str, Any]:
    printed[:] = ["".join(printed)[-OUTPUT_BYTES:]]
    return {"output": printed[0], "description": given.description}


def _title(given: Input) -> str:
    return given.description or given.command


@cache
def _shell() -> str:
    return shutil.which("bash", path="/usr/bin:/bin") or "/bin/sh"


TOOL = Tool("bash", DESCRIPTION, Input, prepare, run)
