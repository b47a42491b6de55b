"""Keys that a person keeps for model providers: theirs alone, used by the sessions that they own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.accounts import service as accounts
from app.actor import Actor
from app.agent.providers import catalog, own_keys, standing, trial
from app.agent.providers.demo import ID as DEMO
from app.agent.providers.known import KNOWN, Entry, ModelInfo
from app.agent.providers.trial import Trial
from app.errors import Invalid, NotFound
from app.secrets import service as secrets
from app.secrets.service import Secret

LONGEST_KEY = 8_000
_KEY = re.compile(r"[\x21-\x7e]+")
SHORTEST_KEY = 16
_UNMISTAKABLE = re.compile(rf"(?=.*[A-Za-z])(?=.*[0-9]).{{{SHORTEST_KEY},}}", re.DOTALL)


@dataclass(frozen=True)
class ModelKey:
    """How one person stands with one provider: `kept` is what the vault tells of their own key, None without one.

    `fits` is whether that key is for the address that the provider has now, `address` is that, without what may be
    secret; `server` whether their sessions may ask it with the server's key; `models` what they can use, `trial` what
    the last test of their key showed in this process.
    """

    id: str
    name: str
    address: str
    kept: Secret | None = None
    fits: bool = False
    server: bool = False
    models: tuple[ModelInfo, ...] = ()
    trial: Trial | None = None


def list_mine(actor: Actor | None) -> list[ModelKey]:
    """Every provider that a key of the actor's own can be for, those that they keep one for first."""
    actor = accounts.require(actor, "keys:read")
    kept = {one.name: one for one in secrets.list_own(actor)}
    plain, mine = catalog.entries(), catalog.usable(actor.user)
    found = [_standing(name, actor.user, kept.get(name), plain.get(name), mine) for name in {**plain, **KNOWN, **kept}]
    return sorted(
        (one for one in found if one.address or one.kept), key=lambda one: (one.kept is None, one.name.lower())
    )


def holders(actor: Actor | None) -> dict[str, list[str]]:
    """The names of the people who keep a key of their own, by provider; that there is one is all that is told."""
    found = secrets.holders(actor)
    if not found:
        return {}
    names = {person.id: person.name for person in accounts.list_users(accounts.require(actor, "users:write"))}
    return {provider: [names[user] for user in users if user in names] for provider, users in found.items()}


def keep(actor: Actor | None, provider: str, login: Mapping[str, Any]) -> None:
    """Keep a key or login of the actor's own in place of an earlier one; used from the next call of a model on.

    Raises Invalid for a provider whose address nobody here has set: there it could go anywhere; and for a word that
    others may write, since a key is cut out of all that is read here.
    """
    actor = accounts.require(actor, "keys:write")
    url = own_keys.address_of(provider, catalog.entry_of(provider)) if provider != DEMO else ""
    if not url:
        raise Invalid(f"Nobody here has said where {provider[:64]} is, so it takes no key of yours.", "provider")
    secrets.keep_own(actor, provider, own_keys.packed(_unmistakable(login), url))
    trial.forget(_trial(actor, provider))


def keep_key(actor: Actor | None, provider: str, key: str) -> None:
    """Keep a key (see keep)."""
    keep(actor, provider, {"type": "api", "key": checked(key)})


def forget(actor: Actor | None, provider: str) -> bool:
    """Forget a key of the actor's own; False if there was none."""
    actor = accounts.require(actor, "keys:write")
    trial.forget(_trial(actor, provider))
    try:
        secrets.forget_own(actor, provider)
    except NotFound:
        return False
    return True


def try_key(actor: Actor | None, provider: str, model: str = "") -> Trial:
    """Ask a model for one word with the actor's own key; raises NotFound without one for it, Invalid, Limited."""
    actor = accounts.require(actor, "keys:write")
    entry = catalog.entry_of(provider, user=actor.user) if provider != DEMO else None
    if entry is None or own_keys.payer_of(entry) != "own":
        raise NotFound("key", provider)
    return trial.keep(_trial(actor, provider), trial.ask(entry, trial.model_of(entry, model)))


def checked(key: str) -> str:
    """A key as it can be sent; raises Invalid."""
    if len(key) > LONGEST_KEY or not _KEY.fullmatch(key):
        raise Invalid("A key is one word without spaces, up to 8,000 characters.", "key")
    return key


def _unmistakable(login: Mapping[str, Any]) -> dict[str, Any]:
    """A login whose words nobody writes by chance, without the name of a variable; raises Invalid."""
    of_use = {name: value for name, value in login.items() if login.get("type") != "wellknown" or name != "key"}
    for name, word in of_use.items():
        if name != "type" and isinstance(word, str) and not _UNMISTAKABLE.fullmatch(word):
            raise Invalid(f"A key of your own has {SHORTEST_KEY} characters or more, letters and digits.", "key")
    return of_use


def _standing(name: str, user: str, kept: Secret | None, plain: Entry | None, mine: Mapping[str, Entry]) -> ModelKey:
    known, entry = KNOWN.get(name), mine.get(name)
    title = plain.name if plain else known.name if known else name
    return ModelKey(
        id=name,
        name=title,
        address=standing.shown_address(own_keys.address_of(name, plain)),
        kept=kept,
        fits=kept is not None and own_keys.payer_of(entry) == "own",
        server=own_keys.payer_of(plain) == "server" and plain is not None and own_keys.may_use(plain, user),
        models=catalog.models_of(entry) if entry else (),
        trial=trial.last(f"own:{user}:{name}"),
    )


def _trial(actor: Actor, provider: str) -> str:
    return f"own:{actor.user}:{provider}"
