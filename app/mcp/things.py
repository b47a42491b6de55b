"""What the room speaks of: a server as it was added, how it stands, its tools, and what a call gave."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from app.processes.spawn import Child

Kind = Literal["local", "remote"]
State = Literal["connected", "connecting", "disabled", "failed", "needs_auth", "needs_consent"]
LONGEST_NAME = 64  # what providers take as a tool's name
STEPS = 20  # answers that a sign-in may bring before the last one
_MARK = 8


@dataclass(frozen=True)
class OAuth:
    """How a server is signed in to: by a client that was registered beforehand, else one that registers itself.

    `is_off` for a server at which nobody signs in.
    """

    client_id: str = ""
    client_secret: str = ""
    scope: str = ""
    is_off: bool = False


@dataclass(frozen=True)
class Terms:
    """What a file of Roo's says of a server beside how it is reached, all of it "" or empty for one that has no such.

    `always` are the tools that run unasked where their person's switches let MCP tools run ("*": all of them), each as
    it was described when it was first offered (`seen`); `without` are tools that are not offered; `mark` is of that
    entry of the project's own file which somebody said yes to.
    """

    always: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    seen: Mapping[str, str] = field(default_factory=dict)
    mark: str = ""

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Terms:
        """As they are kept."""
        return cls(tuple(kept["always"]), tuple(kept["without"]), kept["seen"], kept["mark"])


@dataclass(frozen=True)
class Wanted:
    """A server to add: `target` is the exact argv of a local one, the URL alone of a remote one; timeout in ms.

    `secret` is a local one's environment, a remote one's headers; `cwd` where in the project a local one runs.
    """

    kind: Kind
    target: tuple[str, ...]
    secret: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True
    timeout: int = 5_000
    cwd: str = ""
    oauth: OAuth = field(default_factory=OAuth)
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True)
class Server:
    """A server of a project as it is stored; created in unix ms, timeout in ms."""

    id: str
    project: str
    name: str
    kind: Kind
    target: list[str]
    timeout: int
    enabled: bool
    by: str
    created: int
    cwd: str = ""
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True)
class Status:
    """How a server stands; `error` is for people, `log` the last lines of its standard error."""

    state: State
    error: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class RemoteTool:
    """A tool as its server describes it; `definition` changes with anything of it that a model is shown."""

    server_id: str
    server: str
    name: str
    description: str
    schema: dict[str, Any]

    @property
    def id(self) -> str:
        """The name under which models and rules know it."""
        whole = f"{_clean(self.server)}_{_clean(self.name)}"
        if len(whole) <= LONGEST_NAME:
            return whole
        mark = hashlib.sha256(whole.encode()).hexdigest()[:_MARK]
        return f"{whole[: LONGEST_NAME - _MARK - 1]}_{mark}"

    @property
    def definition(self) -> str:
        """A hash of name, description and schema: what somebody said yes to."""
        exact = orjson.dumps([self.name, self.description, self.schema], option=orjson.OPT_SORT_KEYS)
        return f"definition:{hashlib.sha256(exact).hexdigest()[:32]}"


@dataclass(frozen=True)
class Resource:
    """Something that a server lets read; `mime` may be ""."""

    server: str
    name: str
    uri: str
    description: str
    mime: str


@dataclass(frozen=True)
class Prompt:
    """Words that a server keeps under a name; `arguments` are the names it fills in, `required` those it must have."""

    server_id: str
    server: str
    name: str
    description: str
    arguments: tuple[str, ...]
    required: tuple[str, ...]

    @property
    def id(self) -> str:
        """The name under which people call it as a command."""
        return f"{_clean(self.server)}:{_clean(self.name)}"


@dataclass(frozen=True)
class Offer:
    """What a server offers now."""

    tools: tuple[RemoteTool, ...] = ()
    resources: tuple[Resource, ...] = ()
    prompts: tuple[Prompt, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A server as people see it: what of its environment or headers is set, by name, never the values."""

    server: Server
    status: Status
    offer: Offer
    held: tuple[str, ...]
    is_signed_in: bool = False


@dataclass(frozen=True)
class Tested:
    """What a test came to, and how many seconds it took."""

    status: Status
    offer: Offer
    seconds: float


@dataclass(frozen=True)
class Means:
    """How to reach a server: what starts a local one's command, a remote one's headers, whom to tell of a change.

    `auth` gives what signs calls to a remote one, None before anybody signed in; it waits for the database.
    """

    begin: Callable[[], Child] | None
    headers: Mapping[str, str]
    changed: Callable[[], None]
    auth: Callable[[], Any]


@dataclass(frozen=True)
class Answer:
    """What a call gave; attachments are {mime, url}."""

    text: str
    attachments: tuple[Mapping[str, str], ...] = ()
    is_error: bool = False


def _clean(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)
