"""What an import speaks of: the items of a file, each with what becomes of it here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import orjson

from app.actor import Actor
from app.agent.importing.document import Export
from app.projects.service import Place

Kind = Literal["provider", "profile", "mode", "switches", "instructions", "current", "server", "setting"]
Verdict = Literal["taken", "changed", "same", "skipped"]


@dataclass(frozen=True)
class Item:
    """Something of the file: taken as it is, taken with a change, there already, or skipped; `why` says of the last and
    of changes what they are. `what` is what it comes to here, without secrets.

    `act` does it, in the open transaction. One that is optional takes the place of what people set: it is done only
    where somebody asked for it by name. `asks` are variables whose values it wants of a person.
    """

    key: str
    kind: Kind
    name: str
    verdict: Verdict
    what: str = ""
    why: str = ""
    act: Callable[[], object] | None = field(default=None, repr=False, compare=False)
    optional: bool = False
    asks: tuple[str, ...] = ()

    def do(self) -> None:
        """Do it, if there is something to do."""
        if self.act is not None:
            self.act()

    @property
    def is_done_by_itself(self) -> bool:
        """Whether it is done unless somebody leaves it out."""
        return self.act is not None and not self.optional


@dataclass(frozen=True)
class Plan:
    """All items of a file, in the order in which they are done."""

    items: tuple[Item, ...]

    @property
    def stamp(self) -> str:
        """A mark of exactly this plan: another one if anything of it would become otherwise."""
        told = [[one.key, one.verdict, one.what, one.why] for one in self.items]
        return hashlib.sha256(orjson.dumps(told)).hexdigest()[:32]

    @property
    def usual(self) -> tuple[str, ...]:
        """The keys of what is done unless somebody leaves it out."""
        return tuple(one.key for one in self.items if one.is_done_by_itself)

    def count(self, *verdicts: Verdict) -> int:
        """How many items have one of these verdicts."""
        return sum(one.verdict in verdicts for one in self.items)

    def todo(self, keys: Collection[str]) -> tuple[Item, ...]:
        """Those of these keys that can be done."""
        return tuple(one for one in self.items if one.act is not None and one.key in keys)


@dataclass(frozen=True)
class Given:
    """What an import goes by: who takes over which file for which workspace, and values that they gave by hand."""

    actor: Actor
    place: Place
    export: Export = field(repr=False)
    values: Mapping[str, str] = field(default_factory=dict, repr=False)


def lacking(key: str) -> str:
    """Why somebody's import leaves something out that they may not do."""
    return f"It needs the grant {key}."


def sentence(notes: Sequence[str]) -> str:
    """What is to be said of an item, in one sentence; "" for nothing."""
    return f"{notes[0][0].upper()}{'; '.join(notes)[1:]}." if notes else ""
