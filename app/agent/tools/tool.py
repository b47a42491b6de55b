"""What a tool is: a name and words for the model, a typed input, what it would do, and the doing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from app.files import service as files
from app.files.paths import Root
from app.files.service import Found
from app.processes.spawn import Permit

SCRATCH = files.SCRATCH
LINE_LIMIT = 2_000
# Rules of approvals speak of paths: a search from above must not open what would have to be asked for.
NEVER_SEARCHED = ("--iglob", "!.env*", "--iglob", "!.git")
NUL = b"\0"
Metadata = dict[str, Any]


class ToolError(Exception):
    """The tool could not do it; the message is for the model and for people."""


class Given(BaseModel):
    """The input of a tool; names in camel case as OpenCode's, in snake case too."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


@dataclass(frozen=True)
class Prepared:
    """What a call would do, shown before it is decided; `questions` are for a person to answer first."""

    title: str
    metadata: Metadata = field(default_factory=dict)
    questions: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Result:
    """What a call gave; files are absolute paths, attachments are {mime, url}."""

    output: str
    title: str
    metadata: Metadata = field(default_factory=dict)
    files_changed: tuple[str, ...] = ()
    attachments: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class Polished:
    """A text as it is written, and a sentence about what became of it on the way, if anything did."""

    text: str
    note: str = ""


@dataclass
class ToolContext:
    """Where a call runs and whom it tells.

    `directory` is the session's, in `root`; `private` holds HOME and the scratch directory of commands;
    `stamps` say which content of a file was last seen, by path relative to the root (see `stamps_of`);
    `also` are directories outside that commands may write, `keep` what in those they may not;
    `mode` is the name of the mode it runs in; `answers` are those to the tool's questions, a list of chosen labels for
    each; `permit` is asked about each host that a command wants to reach, None for no network; `more` are tools beside
    the built-in ones, by name; `polish` gives the text that is to be written to a file, by its absolute path, as its
    formatter has it; `check_walls` raises Unavailable where no command may run, because nothing keeps it from other
    people's things; `hides` tells of paths relative to the directory that no search may show; `lent` gives the secrets
    that a command finds in its environment, by name.
    """

    root: Root
    directory: Path
    private: Path
    cancel: threading.Event = field(default_factory=threading.Event)
    progress: Callable[[Metadata], None] = lambda _metadata: None
    stamps: dict[str, str] = field(default_factory=dict)
    todos: list[dict[str, Any]] = field(default_factory=list)
    set_todos: Callable[[list[dict[str, Any]]], None] = lambda _todos: None
    answers: list[list[str]] | None = None
    mode: str = ""
    also: tuple[Path, ...] = ()
    keep: tuple[Path, ...] = ()
    network: bool = False
    permit: Permit | None = None
    sandbox: bool | None = None
    more: Mapping[str, Tool[Any]] = field(default_factory=dict)
    polish: Callable[[str, str], Polished] = lambda _path, text: Polished(text)
    check_walls: Callable[[], None] = lambda: None
    lent: Callable[[], Mapping[str, str]] = dict
    hides: Callable[[str], bool] = lambda _path: False

    @property
    def scratch(self) -> Root:
        """The workspace's scratch directory, which agents and their commands know as /tmp."""
        return files.scratch_of(Path(self.root.path), self.private, self.also)

    def make_scratch(self) -> Root:
        """The scratch directory, made if no command has run yet."""
        return files.make(self.scratch)

    def name(self, path: str) -> str:
        """A path as the root takes it: relative ones start in the session's directory."""
        if path.startswith(("/", "~")):
            return path
        below = self.root.relative(str(self.directory))
        return f"{below}/{path}" if below else path

    def relative(self, path: str) -> str:
        """A path relative to the root; Denied if it leads out."""
        return self.root.relative(self.name(path))

    def locate(self, path: str) -> tuple[Root, str]:
        """The root in which a path to read lies, and the path as it is shown: in /tmp it stays absolute."""
        name = self.name(path)
        if files.is_scratch(name, self.root):
            below = self.scratch.relative(name)
            return self.scratch, f"{SCRATCH}/{below}" if below else SCRATCH
        return self.root, self.root.relative(name)

    def search(self, arguments: Sequence[str], cwd: Path, limit: int, separator: bytes = b"\n") -> Found:
        """Run ripgrep until it has given so many records; ToolError once the run is stopped, or Invalid."""
        found = files.search(arguments, cwd, limit, cancel=self.cancel, separator=separator)
        if found.is_stopped:
            raise ToolError("The search was stopped.")
        return found

    def shown(self, records: Iterable[bytes], start: str = "") -> list[bytes]:
        """Of what a search in a folder of the root gave, each a path before a NUL or its end, what is not hidden."""
        below = self.root.relative(str(self.directory))
        paths = ((one, os.path.normpath(f"{start}/{os.fsdecode(one.partition(NUL)[0])}")) for one in records)
        return [one for one, path in paths if not self.hides(path.lstrip("/").removeprefix(f"{below}/"))]

    def absolute(self, path: str) -> str:
        """A path as an absolute one of this machine; Denied if it leads out."""
        return self.root.absolute(self.name(path))


I = TypeVar("I", bound=Given)  # noqa: E741 - the input


@dataclass(frozen=True)
class Tool(Generic[I]):
    """A tool; `prepare` says what `run` would do, and both raise `ToolError` or a Problem.

    `also_called` are names under which models know it too; `reads_scratch`: its paths may lie in /tmp.
    """

    name: str
    description: str
    input: type[I]
    prepare: Callable[[ToolContext, I], Prepared]
    run: Callable[[ToolContext, I], Result]
    also_called: tuple[str, ...] = ()
    reads_scratch: bool = False

    def parse(self, given: Mapping[str, Any]) -> I:
        """The typed input; ToolError names what is wrong with it."""
        try:
            return self.input.model_validate(given)
        except ValidationError as wrong:
            told = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'input'}: {one['msg']}" for one in wrong.errors())
            raise ToolError(f"The input of {self.name} is not right: {told}") from None

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the input, without the titles nobody reads."""
        schema: dict[str, Any] = _untitled(self.input.model_json_schema(by_alias=True))
        schema.pop("description", None)
        return schema


stamp_of = files.stamp_of


def stamps_of(states: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The stamps that a transcript's tool states hold, the latest of each file."""
    stamps: dict[str, str] = {}
    for state in states:
        if state.get("status") == "completed":
            stamps.update((state.get("metadata") or {}).get("stamps") or {})
    return stamps


def _untitled(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_untitled(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _untitled(one) for name, one in value.items()} if key == "properties" else _untitled(value)
        for key, value in schema.items()
        if key != "title" or not isinstance(value, str)
    }
