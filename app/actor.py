"""Who acts, and on what: plain data, so that rooms, doors and dialects can speak of it without importing each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class Actor:
    """Somebody or something that acts: a person, a token, an agent inside a run, the server itself, or a visitor.

    A visitor came by a public link: `session` is the one session that it may read, and nothing else is there for it.
    `device` is the browser or client that a person signed in with, "" if they act without one. `until` is when what
    they were known by ends by itself (unix ms), None for what does not. `closed` are the projects that are not open to
    the person, by id: nothing in them is there for the actor either. `lent` are the keys that the person was lent, each
    with the id of the project, or of the person, over whose things. `is_due`: their browser gets a new secret with its
    next page.
    """

    id: str
    kind: Literal["user", "token", "agent", "system", "visitor"]
    user: str
    name: str
    grants: tuple[str, ...]
    token: str | None = None
    project: str | None = None
    via: str = ""
    address: str = ""
    session: str | None = None
    device: str = ""
    closed: frozenset[str] = frozenset()
    lent: frozenset[tuple[str, str]] = frozenset()
    until: int | None = None
    is_due: bool = False


class Thing(Protocol):
    """Anything that rights are asked about."""

    @property
    def owner(self) -> str:
        """The id of the user it belongs to."""
        ...

    @property
    def project(self) -> str:
        """The id of its project, or ""."""
        ...

    @property
    def visibility(self) -> str:
        """Who else sees it: private, team, shared, or of a project members, which its id says more of."""
        ...


@dataclass(frozen=True)
class Scope:
    """The rights-bearing part of a thing: its owner, its project, and who else may see it."""

    owner: str
    project: str
    visibility: str = "team"


@dataclass(frozen=True)
class Signed:
    """An address that carries its own leave: a signature over all of this but itself; expires in unix seconds."""

    path: str
    operation: Literal["read", "write"]
    user: str
    expires: int | None
    signature: str


@dataclass(frozen=True)
class Credentials:
    """What a request brought to say who it is; every field may be None."""

    bearer: str | None = None
    basic_user: str | None = None
    basic_password: str | None = None
    cookie: str | None = None
    port_token: str | None = None
    signed: Signed | None = None


SYSTEM = Actor(id="system", kind="system", user="system", name="Signalcabin", grants=("*",))
