"""How each provider stands, for people: by what it is connected, who connected it, and what it may be asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from app.accounts import service as accounts
from app.actor import SYSTEM, Actor
from app.agent.providers import catalog
from app.agent.providers.catalog import DefaultFrom
from app.agent.providers.demo import ID as DEMO
from app.agent.providers.known import KNOWN, Entry, ModelInfo
from app.errors import NotFound
from app.secrets import service as secrets
from app.secrets.service import Secret

# By a key of the person's own, one in the vault, a variable, opencode.json, without any key, not at all, switched off.
State = Literal["own", "vault", "env", "config", "builtin", "off", "disabled"]


@dataclass(frozen=True)
class Standing:
    """A provider; `kept` is what the vault tells of its key, `found` the variables that hold one.

    `address` is its host and path, without anything that may be a secret; `first` the model to begin with.
    """

    id: str
    name: str
    state: State
    address: str
    variables: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    kept: Secret | None = None
    models: tuple[ModelInfo, ...] = ()
    first: str = ""

    @property
    def is_connected(self) -> bool:
        """Whether a session can use it now."""
        return self.state not in ("off", "disabled")


@dataclass(frozen=True)
class Default:
    """The model of a session that names none, and where that comes from."""

    provider: str
    model: str
    source: DefaultFrom


def list_standings(actor: Actor | None, directory: Path | None = None, *, mine: bool = False) -> list[Standing]:
    """Every provider we know or was told of: those in use first, by name, then the others; the demo last of those.

    `mine`: as the actor's own sessions may ask them, with the actor's own keys.
    """
    actor = accounts.require(actor, "settings:read")
    entries = catalog.usable(actor.user, directory) if mine else catalog.entries(directory)
    kept = {one.name: one for one in secrets.describe(SYSTEM, secrets.PROVIDER)}
    names = dict.fromkeys([*entries, *kept, *KNOWN])
    found = [_standing(name, entries.get(name), kept.get(name), directory) for name in names]
    return sorted([*found, _demo()], key=lambda one: (not one.is_connected, one.id == DEMO, one.name.lower()))


def get_standing(actor: Actor | None, provider: str, directory: Path | None = None) -> Standing:
    """One of them; raises NotFound."""
    for one in list_standings(actor, directory):
        if one.id == provider:
            return one
    raise NotFound("provider", provider)


def default_of(actor: Actor | None, directory: Path | None = None) -> Default:
    """The model of a session that names none, and where that is said."""
    actor = accounts.require(actor, "settings:read")
    return Default(*catalog.named_default(directory, actor.user))


def _standing(name: str, entry: Entry | None, kept: Secret | None, directory: Path | None) -> Standing:
    known = KNOWN.get(name)
    variables = known.keys if known else ()
    return Standing(
        id=name,
        name=entry.name if entry else known.name if known else name,
        state=_state(name, entry, directory),
        address=shown_address(entry.base_url if entry else known.base_url if known else ""),
        variables=variables,
        found=tuple(one for one in variables if os.environ.get(one, "").strip()),
        kept=kept,
        models=catalog.models_of(entry) if entry else (),
        first=catalog.first_model(entry) if entry else "",
    )


def _state(name: str, entry: Entry | None, directory: Path | None) -> State:
    if entry is not None:
        return entry.source
    return "disabled" if catalog.is_disabled(name, directory) else "off"


def _demo() -> Standing:
    return Standing(DEMO, "Demo", "builtin", "", models=(catalog.DEMO_MODEL,), first=catalog.DEMO_MODEL.id)


def shown_address(base_url: str) -> str:
    """Where it is: a base URL may bear a name and a password, or a key in its query, and those are not shown."""
    parts = urlsplit(base_url)
    return parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")
