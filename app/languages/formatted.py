"""A text as the project's formatter has it: by a command in the sandbox that reads it and gives it back."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from app.errors import Problem
from app.languages.formatters import FILE, Formatter
from app.processes import service as processes
from app.processes import spawn
from app.projects import service as projects
from app.projects.service import Place

WAIT = 10.0  # seconds that a formatter may take
LARGEST = 1 << 20  # characters of a text
MOST_KEPT = 32
LONGEST = 300
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Formatted:
    """A text and who formatted it; `why` is a sentence if that failed, and the text is as it was."""

    text: str
    formatter: str
    why: str = ""


def run(place: Place, one: Formatter, command: Path, path: Path, text: str, cancel: threading.Event) -> Formatted:
    """Format a text. What was just formatted is remembered: what a person is asked about is what is written then."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    key = str(place.directory), one.name, str(path), digest
    with _lock:
        known = _known.get(key)
    if known is not None:
        return known
    found = _run(place, one, command, path, text, cancel)
    if not cancel.is_set():
        with _lock:
            _known[key] = found
            if len(_known) > MOST_KEPT:
                _known.popitem(last=False)
    return found


def _run(place: Place, one: Formatter, command: Path, path: Path, text: str, cancel: threading.Event) -> Formatted:
    given: list[str] = []
    beside = projects.beside(str(place.directory))
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return Formatted(text, one.name, "it is no Unicode text.")
    try:
        processes.check_walls()
        ended = spawn.spawn(
            [str(command), *(str(path) if word == FILE else word for word in one.command[1:])],
            cwd=place.directory,
            workspace=place.directory,
            private=projects.private_of(place.project),
            also=beside.also,
            keep=beside.keep,
            timeout=WAIT,
            stdin=data,
            on_output=lambda piece, stream: given.append(piece) if stream == "stdout" else None,
            cancel=cancel,
        )
    except Problem as problem:
        return Formatted(text, one.name, problem.message)
    if ended.timed_out:
        return Formatted(text, one.name, f"it was ended after {WAIT:g} s.")
    if ended.cancelled or ended.exit_code:
        said = " ".join(ended.stderr.split())[:LONGEST]
        return Formatted(text, one.name, said or f"it ended with exit code {ended.exit_code}.")
    formatted = "".join(given)
    if text.strip() and not formatted.strip():
        return Formatted(text, one.name, "it gave nothing back.")
    return Formatted(formatted, one.name)


_lock = threading.Lock()
_known: OrderedDict[Key, Formatted] = OrderedDict()
