"""What other rooms put onto a page or into its stream, without the page's room knowing them.

A page has slots; a room above fills them. `fill("session")` gives the session page more to show; `draws(Kind)` says
which fragments of open pages change when an event commits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from app.actor import Actor
from app.record import Event

Filler = Callable[..., dict[str, Any]]
Drawer = Callable[[Actor, Any], list[str]]
_fillers: dict[str, list[Filler]] = defaultdict(list)
_drawers: dict[type[Event], list[Drawer]] = defaultdict(list)


def fill(slot: str) -> Callable[[Filler], Filler]:
    """Register a function that gives a page further context: a dict of names."""

    def register(filler: Filler) -> Filler:
        if filler not in _fillers[slot]:
            _fillers[slot].append(filler)
        return filler

    return register


def gather(slot: str, *given: Any) -> dict[str, Any]:
    """All that the rooms put into a slot, for these arguments."""
    found: dict[str, Any] = {}
    for filler in _fillers[slot]:
        found |= filler(*given)
    return found


def draws(*kinds: type[Event]) -> Callable[[Drawer], Drawer]:
    """Register what an event changes on open pages: a list of whole `<hx-partial>` elements for this viewer."""

    def register(drawer: Drawer) -> Drawer:
        for kind in kinds:
            if drawer not in _drawers[kind]:
                _drawers[kind].append(drawer)
        return drawer

    return register


def drawn(actor: Actor, fact: Any) -> list[str]:
    """The partials that a fact draws for a viewer."""
    return [partial for drawer in _drawers[type(fact.event)] for partial in drawer(actor, fact)]


def is_drawn(kind: type[Event]) -> bool:
    """Whether any page changes with this kind of event."""
    return bool(_drawers[kind])
