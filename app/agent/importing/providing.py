"""Providers and profiles: what becomes of their keys, and of each profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from app.accounts import service as accounts
from app.agent import profiles
from app.agent.importing.items import Given, Item, lacking, sentence
from app.agent.importing.meant import OLLAMA, Meant
from app.agent.profiles import Profile
from app.agent.providers import catalog, trial
from app.agent.providers.known import KNOWN, Entry

TAKEN = "There is a key for it already: it stays, unless this takes its place."


def providers(given: Given, meant: Sequence[Meant], entries: Mapping[str, Entry]) -> Iterator[Item]:
    """What is to be connected or to get a key, once for each provider that the profiles mean."""
    good = [one for one in meant if not one.why]
    for provider in dict.fromkeys(one.provider for one in good):
        item = _provider(given, [one for one in good if one.provider == provider], entries.get(provider))
        if item is not None:
            yield item


def _provider(given: Given, those: list[Meant], entry: Entry | None) -> Item | None:
    first, key = those[0], next((one.key for one in those if one.key), "")
    others = [one.name for one in those if one.key not in ("", key)]
    item = Item(f"provider:{first.provider}", "provider", first.title, "taken", _what(first, key))
    why = f"The key of {', '.join(others)} is another: a provider has one." if others else ""
    here = entry if entry is not None and entry.trusted else None
    if not key and (here is not None or (first.provider == OLLAMA and not first.base_url)):
        return None
    if not key and not first.base_url:
        why = "The file has no key for it, and none is here: give it one under Providers."
        return replace(item, verdict="skipped", why=why)
    if not accounts.may(given.actor, "secrets:write"):
        return replace(item, verdict="skipped", why=lacking("secrets:write"))
    act = partial(_connect, given, first, key)
    if here is None:
        return replace(item, verdict="changed" if why else "taken", why=why, act=act)
    usual = KNOWN[first.provider].base_url if first.provider in KNOWN and not first.base_url else first.base_url
    if usual and here.base_url != usual:
        why = f"{here.name} is at another address here, to which this key is not sent."
        return replace(item, verdict="skipped", why=why)
    if here.key == key:
        return replace(item, verdict="same", why=why)
    return replace(item, verdict="skipped", why=TAKEN, act=act, optional=True)


def _what(first: Meant, key: str) -> str:
    """Where it is, and that its key goes into the vault; never a word of the key."""
    words = [first.base_url or "its usual address", "key into the vault" if key else "no key"]
    return ", ".join(words)


def _connect(given: Given, first: Meant, key: str) -> None:
    url = f"{catalog.OLLAMA_URL}/v1" if first.provider == OLLAMA and not first.base_url else first.base_url
    catalog.connect(given.actor, first.provider, key, url, "" if first.provider in KNOWN else first.title)
    trial.forget(first.provider)


def rows(given: Given, meant: Sequence[Meant]) -> Iterator[Item]:
    """What becomes of each profile: made, changed where it came from the same one before, or skipped."""
    own = profiles.own(given.actor)
    names = {one.name: one.id for one in own}
    known = {one.id: one for one in own}
    room = profiles.MOST - len(own)
    for one in meant:
        item = Item(f"profile:{one.name}", "profile", one.name, "taken", f"{one.provider}/{one.model}")
        before = known.get(one.id)
        if one.why or (before is None and room <= 0):
            full = f"There are {profiles.MOST} profiles already."
            yield replace(item, verdict="skipped", what="", why=one.why or full)
            continue
        room -= before is None
        name = _free(one, names)
        names[name] = one.id
        new = Profile(one.id, given.actor.user, name, one.provider, one.model, before.created if before else 0)
        notes = [*one.notes, *([f"it is called {name} here"] if name != one.name else [])]
        why = sentence(notes)
        if before == new:
            yield replace(item, verdict="same", why=why)
        else:
            why = why or ("It takes the place of what was imported before." if before else "")
            yield replace(
                item, verdict="changed" if why else "taken", why=why, act=partial(profiles.put, given.actor, new)
            )


def _free(one: Meant, names: Mapping[str, str]) -> str:
    """Its name, or another while that is somebody else's."""
    base = one.name[: profiles.LONGEST - 10]
    tries = (one.name, f"{base} (Roo)", *(f"{base} (Roo {number})" for number in range(2, profiles.MOST + 3)))
    return next(name for name in tries if name != profiles.DEFAULT and names.get(name, one.id) == one.id)
