"""The profiles of a file in our terms: which provider each means here, at which address, with which key and model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from app import outbound
from app.agent import profiles
from app.agent.importing.document import Profiles, shown, text_of
from app.agent.importing.kinds import KINDS, LEFT_OUT, NONE_HERE, ZAI_LINES, Kind
from app.agent.providers.known import KNOWN, Entry, based
from app.errors import Invalid, Problem

OLLAMA = "ollama"
LONGEST_KEY, LONGEST_MODEL = 8_000, 128
_LOCAL = ("localhost", "127.0.0.1", "::1")
_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Meant:
    """A profile: `provider` is our id, `base_url` its address, "" where that is the usual one; `title` what people call
    it. Where it cannot be taken, `why` says so; `notes` are what is otherwise here.
    """

    id: str
    theirs: str
    name: str
    provider: str = ""
    base_url: str = ""
    title: str = ""
    key: str = field(default="", repr=False)
    model: str = ""
    notes: tuple[str, ...] = ()
    why: str = ""


class Reader:
    """Reads the profiles of one file, of which the current one has the first word on its provider."""

    def __init__(self, owner: str, given: Profiles, entries: Mapping[str, Entry]) -> None:
        self._owner = owner
        self._given = given
        self._entries = {name: entry for name, entry in entries.items() if entry.trusted}
        # Where the file's own providers are, by their ids here.
        self._placed: dict[str, str] = {}

    def read(self) -> list[Meant]:
        """All profiles, the current one first, then in the order of the file."""
        first = self._given.current
        names = sorted(self._given.configs, key=lambda name: name != first)
        found: list[Meant] = []
        for name in names:
            one = self._one(name, self._given.configs[name])
            twice = any(other.id == one.id for other in found)
            found.append(replace(one, why="Its id is used twice.") if twice else one)
        return found

    def _one(self, said: str, config: Mapping[str, Any]) -> Meant:
        theirs = text_of(dict(config), "id") or said
        name = " ".join(said.split())
        mark = hashlib.sha256(f"{self._owner}/{theirs}".encode()).hexdigest()
        one = Meant(f"prf_{mark[:24]}", theirs, shown(name))
        try:
            return self._meant(one, name, dict(config))
        except Problem as wrong:
            return replace(one, why=wrong.message)

    def _meant(self, one: Meant, name: str, config: dict[str, Any]) -> Meant:
        if not 0 < len(name) <= profiles.LONGEST or not name.isprintable():
            raise Invalid(f"A profile's name has 1 to {profiles.LONGEST} characters, all of them printable.")
        said = text_of(config, "apiProvider")
        kind = KINDS.get(said)
        if kind is None:
            raise Invalid(
                NONE_HERE.get(said)
                or (f"There is no provider {shown(said)!r} here." if said else "It names no provider.")
            )
        _refuse(said, config)
        provider, url, title = self._address(kind, said, config)
        if url:
            outbound.check(url)
        key = text_of(config, kind.key) if kind.key else ""
        if key and (len(key) > LONGEST_KEY or not _KEY.fullmatch(key)):
            raise Invalid("Its key is no key: one word of printable ASCII.")
        model = text_of(config, kind.model).removesuffix(":thinking")
        notes = list(_notes(config, kind))
        if not model and (known := KNOWN.get(provider)) and known.defaults:
            model = known.defaults[0]
            notes.append(f"it names no model, so {model} is taken")
        if not 0 < len(model) <= LONGEST_MODEL or not model.isprintable():
            raise Invalid("It names no model." if not model else "Its model's name is none.")
        self._placed.setdefault(provider, url)
        return replace(
            one, name=name, provider=provider, base_url=url, title=title, key=key, model=model, notes=tuple(notes)
        )

    def _address(self, kind: Kind, said: str, config: dict[str, Any]) -> tuple[str, str, str]:
        """Our id, the address and the title of what a profile's fields lead to."""
        known = KNOWN.get(kind.provider)
        url = text_of(config, kind.url) if kind.url else ""
        if said == "zai":
            url = ZAI_LINES.get(text_of(config, "zaiApiLine"), "")
        if not url and known:
            return known.id, "", known.name
        url = url or kind.usual
        if kind.provider == OLLAMA and _is_usual_ollama(url):
            return OLLAMA, "", kind.name
        wire = known.wire if known else "openai"
        url = based(url, wire)
        url = f"{url}/v1" if kind.is_bare and not url.endswith("/v1") else url
        for other in KNOWN.values():
            if _is_at(url, other.base_url):
                return other.id, "", other.name
        for entry in self._entries.values():
            if entry.base_url == url and entry.wire == wire:
                return entry.id, url, entry.name
        title = (known.name if known else kind.name) or urlsplit(url).netloc
        if kind.provider and self._is_free(kind.provider, url):
            return kind.provider, url, title
        if wire != "openai":
            raise Invalid(f"{title} is at another address here, and there can be only one of it.")
        return self._named(url), url, urlsplit(url).netloc[:64]

    def _named(self, url: str) -> str:
        """An id for a server that is known by its address alone."""
        parts = urlsplit(url)
        path = parts.path.removesuffix("/v1")
        name = re.sub(r"[^a-z0-9.]+", "-", f"{parts.netloc}{path}".lower()).strip("-.")[:60] or "server"
        tries = (name, *(f"{name}-{number}" for number in range(2, 100)))
        return next(one for one in tries if self._is_free(one, url))

    def _is_free(self, provider: str, url: str) -> bool:
        """Whether nothing of this id is at another address, here or in the file."""
        entry = self._entries.get(provider)
        here = entry.base_url if entry else url
        return here == url and self._placed.get(provider, url) == url


def _refuse(said: str, config: dict[str, Any]) -> None:
    """Raise Invalid for what is reached in a way that nothing here speaks."""
    host = (_parts(text_of(config, "openAiBaseUrl")).hostname or "") if said == "openai" else ""
    if said == "openai" and (config.get("openAiUseAzure") is True or host.endswith((".azure.com", ".azure.us"))):
        raise Invalid("Azure's form of OpenAI is not spoken here.")
    if said == "anthropic" and config.get("anthropicUseAuthToken") is True:
        raise Invalid("It sends its key as a bearer token, which is not how Anthropic is spoken to here.")


def _notes(config: dict[str, Any], kind: Kind) -> Iterator[str]:
    if text_of(config, kind.model).endswith(":thinking"):
        yield "whether a model thinks is not part of its name here"
    left = [name for name in LEFT_OUT if config.get(name)]
    if left:
        yield f"left out: {', '.join(left)}"


def _is_usual_ollama(url: str) -> bool:
    parts = _parts(url)
    return parts.hostname in _LOCAL and parts.port == 11434 and parts.scheme == "http"


def _is_at(url: str, usual: str) -> bool:
    """Whether this is a provider's own address, with its version or without."""
    ours, theirs = _parts(url), _parts(usual)
    return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc) and ours.path in ("", "/", theirs.path)


def _parts(url: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise Invalid("Its address is none.") from None
    return parts
