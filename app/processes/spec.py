"""What is to run: the command, its place, its owner, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.processes.egress import Egress
from app.processes.tty import Size

KEPT = 1 << 20
Kind = Literal["process", "terminal"]


@dataclass(frozen=True)
class Spec:
    """What is run, where and for whom; `env` is what was given on top of the environment of all commands."""

    argv: tuple[str, ...]
    cwd: Path
    workspace: Path
    private: Path
    env: Mapping[str, str] = field(default_factory=dict)
    also: tuple[Path, ...] = ()
    keep: tuple[Path, ...] = ()
    network: bool = False
    sandbox: bool | None = None
    egress: Egress | None = None
    stdin: bool = True
    size: Size | None = None
    kept: int = KEPT
    kind: Kind = "process"
    tag: str = ""
    owner: str = ""
    project: str = ""
    principals: tuple[str | None, ...] = ()
