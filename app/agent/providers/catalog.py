"""Which providers and models there are: environment, vault, opencode.json, and what is built in."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import orjson

from app import config, once, outbound, redact
from app.accounts import service as accounts
from app.actor import SYSTEM, Actor
from app.agent.providers import Provider, ProviderFailed, Usage, circuit, opencode_config, own_keys, prices
from app.agent.providers.anthropic_wire import Anthropic
from app.agent.providers.demo import ID as DEMO
from app.agent.providers.demo import MODEL as WALKTHROUGH
from app.agent.providers.demo import Demo
from app.agent.providers.google_wire import Google
from app.agent.providers.known import KNOWN, Entry, ModelInfo, Source, WireName, based, from_environ
from app.agent.providers.openai_wire import OpenAICompatible
from app.agent.providers.own_keys import Payer
from app.agent.providers.wire import Wire
from app.errors import Invalid, NotFound
from app.secrets import service as secrets
from app.settings import service as settings
from app.settings.service import Layer

__all__ = [
    "Integration",
    "ModelInfo",
    "ProviderInfo",
    "connect",
    "cost",
    "default_model",
    "disconnect",
    "entries",
    "entry_of",
    "find_ollama",
    "first_model",
    "is_disabled",
    "is_of_repository",
    "keep_login",
    "limits",
    "list_integrations",
    "list_providers",
    "models_of",
    "named_default",
    "resolve",
    "resolve_paid",
    "small_model",
    "usable",
    "wire_of",
]
OLLAMA = "ollama"
OLLAMA_URL = "http://127.0.0.1:11434"
KEPT_FOR = 60.0
PROBE = outbound.Bounds(connect=0.3, first_byte=1.0, between_bytes=1.0, total=None, size=None)
DEMO_MODEL = ModelInfo(WALKTHROUGH, "Walkthrough of the sample project", price_in=0.0, price_out=0.0, images=False)
WIRES: dict[WireName, type[Wire]] = {"openai": OpenAICompatible, "anthropic": Anthropic, "google": Google}
Written = tuple[dict[str, Entry], dict[str, Entry], set[str], dict[str, Any]]
DefaultFrom = Literal["project", "files", "server", "setting", "data", "home", "first"]
_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_fetched: dict[tuple[str, str | None], tuple[float, tuple[ModelInfo, ...]]] = {}


@dataclass(frozen=True)
class ProviderInfo:
    """A provider that can be used, and its models."""

    id: str
    name: str
    source: Source
    models: tuple[ModelInfo, ...]


@dataclass(frozen=True)
class Integration:
    """A provider that a key opens: variables its key may be in, those `found` set, and whether the vault keeps one."""

    id: str
    name: str
    variables: tuple[str, ...]
    found: tuple[str, ...]
    is_kept: bool


def resolve(actor: Actor | None, provider: str, model: str, directory: Path | None = None, user: str = "") -> Provider:
    """The provider to ask for a model in a session of this person's (see resolve_paid)."""
    return resolve_paid(actor, provider, model, directory, user)[0]


def resolve_paid(
    actor: Actor | None, provider: str, model: str, directory: Path | None = None, user: str = ""
) -> tuple[Provider, Payer]:
    """The provider to ask for a model in a session of this person's, and who pays: their own key, if they keep one.

    Raises ProviderFailed if it is not configured, or the person needs a key of their own.
    """
    accounts.require(actor, "sessions:run")
    if provider == DEMO:
        return Demo(), ""
    entry = entry_of(provider, directory, user=user)
    if entry is None:
        if is_disabled(provider, directory):
            raise ProviderFailed(f"{provider} is switched off in the configuration.")
        known = KNOWN.get(provider)
        hint = f"Set {known.keys[0]} or connect a key." if known else "Connect it, or name it in opencode.json."
        raise ProviderFailed(f"There is no provider {provider}. {hint}", auth=known is not None)
    if not own_keys.may_use(entry, user):
        raise ProviderFailed(f"{entry.name} wants a key of your own here: add it under Account, Model keys.", auth=True)
    ours = config.current()
    breaker = circuit.of(entry.id, entry.base_url, circuit.OPEN_FOR * ours.model_pause)
    payer = own_keys.payer_of(entry)
    if payer == "own":
        own_keys.note_use(user, provider)
    return wire_of(entry, model, _bounds(ours.model_waits), breaker), payer


def wire_of(entry: Entry, model: str, bounds: outbound.Bounds, breaker: circuit.Circuit) -> Wire:
    """What speaks with a provider for one of its models."""
    if entry.key:
        redact.watch(entry.id, entry.key)  # the vault's are watched anyhow, those of the environment are not
    info = next((one for one in entry.models if one.id == model), ModelInfo(model, model))
    return WIRES[entry.wire](
        entry.id,
        entry.base_url,
        entry.key,
        entry.headers,
        entry.trusted,
        bounds=bounds,
        options=info.options,
        pictures=info.images,
        circuit=breaker,
    )


def list_providers(actor: Actor | None, directory: Path | None = None) -> list[ProviderInfo]:
    """All that the actor's sessions can use now, the built-in demo last; asks local servers for their models, for a
    second at most.
    """
    actor = accounts.require(actor, "settings:read")
    found = [
        ProviderInfo(entry.id, entry.name, entry.source, models_of(entry))
        for entry in usable(actor.user, directory).values()
    ]
    return [*found, ProviderInfo(DEMO, "Demo", "builtin", (DEMO_MODEL,))]


def list_integrations(actor: Actor | None) -> list[Integration]:
    """The providers we know that ask for a key, by id; no key is told."""
    accounts.require(actor, "settings:read")
    kept = {secret.name for secret in secrets.describe(SYSTEM, secrets.PROVIDER)}
    found: list[Integration] = []
    for known in sorted(KNOWN.values(), key=lambda one: one.id):
        set_now = tuple(name for name in known.keys if os.environ.get(name, "").strip())
        found.append(Integration(known.id, known.name, known.keys, set_now, known.id in kept))
    return found


def default_model(directory: Path | None = None, user: str = "") -> tuple[str, str]:
    """The provider and model that a new session of this person's starts with."""
    return named_default(directory, user)[:2]


def named_default(directory: Path | None = None, user: str = "") -> tuple[str, str, DefaultFrom]:
    """The same, and where it is said: in a place of the configuration, in our own setting, or nowhere (`first`)."""
    names = {layer.origin: opencode_config.default_model(layer.data) for layer in configs(directory)}
    if is_of_repository(names.get("files", "").partition("/")[0], directory):
        names["files"] = ""
    said: tuple[tuple[DefaultFrom, str], ...] = (
        *((origin, names.get(origin, "")) for origin in ("project", "files", "server")),
        ("setting", config.current().model or ""),
        ("data", names["data"]),
        ("home", names["home"]),
    )
    for source, name in said:
        provider, slash, model = name.partition("/")
        if slash and (provider == DEMO or entry_of(provider, directory, user=user)):
            return provider, model, source
    # Where none may be asked without a key of one's own, the refusal says so: the demo would only hide it.
    every = entries(directory, user)
    for entry in [*filter(lambda one: _is_usable(one, user), every.values()), *every.values()]:
        if entry.trusted and (model := first_model(entry)):
            return entry.id, model, "first"
    return DEMO, WALKTHROUGH, "first"


def cost(provider: str, model: str, usage: Usage, directory: Path | None = None, user: str = "") -> float | None:
    """The dollars of one call; None where nobody knows the price."""
    if provider == DEMO:
        return 0.0
    entry = entry_of(provider, directory, user=user)
    if entry is None:
        return None
    info = next((one for one in entry.models if one.id == model), None)
    written = prices.model_cost(info, usage) if info else None
    if written is not None or entry.known is None:
        return written
    return prices.cost(entry.known.prices, model, usage)


def window(provider: str, model: str, directory: Path | None = None, user: str = "") -> int | None:
    """How many tokens a model can hold; None where nobody knows."""
    return limits(provider, model, directory, user)[0]


def small_model(directory: Path | None) -> tuple[str, str] | None:
    """The provider and model that titles are asked of, if a configuration names one."""
    for layer in reversed(configs(directory)):
        provider, slash, model = opencode_config.small_model(layer.data).partition("/")
        if slash and (layer.is_trusted or not is_of_repository(provider, directory)):
            return provider, model
    return None


def is_of_repository(provider: str, directory: Path | None) -> bool:
    """Whether it is a project's files that say where a provider is. They may choose among those that people here
    have; that a conversation goes to one of theirs is for a person to choose.
    """
    entry = entry_of(provider, directory) if provider and directory else None
    return entry is not None and not entry.trusted


def limits(provider: str, model: str, directory: Path | None = None, user: str = "") -> tuple[int | None, int | None]:
    """How many tokens a model can hold, and how many of them its answer may take; None where nobody knows."""
    entry = entry_of(provider, directory, user=user) if provider and provider != DEMO else None
    if entry is None:
        return None, None
    written = next((one for one in entry.models if one.id == model), None)
    known = written.context if written else None
    known = known or (prices.window(entry.known.prices, model) if entry.known else None)
    return known, written.output if written else None


def configs(directory: Path | None) -> list[Layer]:
    """All that is written of OpenCode's configuration for a directory, the project's last."""
    return settings.of_directory(directory)


def merged(directory: Path | None) -> dict[str, Any]:
    """The same as one, as plain data."""
    return settings.merged(configs(directory))


def connect(actor: Actor | None, provider: str, key: str, base_url: str = "", name: str = "") -> None:
    """Keep a provider's key in the vault; one we do not know needs its base URL."""
    if not _ID.fullmatch(provider) or provider == DEMO:
        raise Invalid("A provider's id has lower-case letters, digits and . _ -", "provider")
    if not base_url and provider not in KNOWN:
        raise Invalid(f"The base URL of {provider} is not known; give it.", "base_url")
    if base_url:
        outbound.check(base_url)
    value = {"key": key.strip(), "baseURL": base_url.rstrip("/"), "name": name}
    secrets.put(actor, secrets.PROVIDER, provider, orjson.dumps(value).decode())


def keep_login(actor: Actor | None, provider: str, login: Mapping[str, Any]) -> None:
    """Keep what an OpenCode client knows of a provider: `{"type": "api", "key"}`, an `oauth` login (`access`,
    `refresh`, `expires` in unix ms), or a `wellknown` token; it is used from the next call on, an expired login never.

    Address and name that were given with a key before stay. One we do not know needs its address from a configuration.
    """
    if not _ID.fullmatch(provider) or provider == DEMO:
        raise Invalid("A provider's id has lower-case letters, digits and . _ -", "id")
    accounts.require(actor, "secrets:write")
    before = _kept(provider) or {}
    value = {name: before[name] for name in ("baseURL", "name") if before.get(name)} | dict(login)
    secrets.put(actor, secrets.PROVIDER, provider, orjson.dumps(value).decode())


def disconnect(actor: Actor | None, provider: str) -> None:
    """Forget a provider's key; raises NotFound."""
    secrets.delete(actor, secrets.PROVIDER, provider)


def find_ollama() -> tuple[ModelInfo, ...] | None:
    """The models of an Ollama on this machine; None if there is none."""
    try:
        with outbound.trusted(bounds=PROBE) as client:
            answer = orjson.loads(client.get(f"{OLLAMA_URL}/api/tags").content)
        return tuple(ModelInfo(one["name"], one["name"]) for one in answer["models"])
    except (outbound.Failed, orjson.JSONDecodeError, KeyError, TypeError):
        return None


def _bounds(waits: tuple[float, float, float]) -> outbound.Bounds:
    connect, first_byte, between_bytes = waits
    return replace(outbound.MODEL, connect=connect, first_byte=first_byte, between_bytes=between_bytes)


def entry_of(
    provider: str, directory: Path | None = None, written: Written | None = None, *, user: str = ""
) -> Entry | None:
    """One provider as it is configured, None if it is not: what an admin connected goes before the server's
    configuration, environment and a project. `written` is what the configurations say, if that has been read.

    With a user it is as their sessions ask it: with a key of their own, where they keep one.
    """
    if written is None:
        key = ("provider", provider, directory, user)
        return once.read(key, lambda: entry_of(provider, directory, _written(directory), user=user))
    if user and not opencode_config.is_off(written[3], provider):
        return own_keys.keyed(_server_s(provider, written), provider, user)
    return _server_s(provider, written)


def _server_s(provider: str, written: Written) -> Entry | None:
    trusted, loose, addressed, whole = written
    if opencode_config.is_off(whole, provider):
        return None
    if provider in addressed:
        return trusted.get(provider)
    entry = trusted.get(provider) or from_environ(os.environ).get(provider)
    kept = _kept(provider)
    if kept is not None:
        entry = _with_vault(provider, kept, entry)
    if entry is None and provider == OLLAMA:
        return Entry(OLLAMA, "Ollama", "builtin", f"{OLLAMA_URL}/v1")
    return _keyed(entry) or loose.get(provider)


def entries(directory: Path | None = None, user: str = "") -> dict[str, Entry]:
    """All providers that are configured, and an Ollama on this machine; with a user as entry_of says."""
    return once.read(("providers", directory, user), lambda: _entries(directory, user))


def _entries(directory: Path | None, user: str) -> dict[str, Entry]:
    trusted, loose, _addressed, whole = written = _written(directory)
    kept = [secret.name for secret in secrets.describe(SYSTEM, secrets.PROVIDER)]
    names = dict.fromkeys([*kept, *trusted, *from_environ(os.environ), *loose, *own_keys.names(user)])
    found = {name: entry for name in names if (entry := entry_of(name, directory, written, user=user))}
    if OLLAMA not in found and not opencode_config.is_off(whole, OLLAMA) and (models := find_ollama()) is not None:
        found[OLLAMA] = Entry(OLLAMA, "Ollama", "builtin", f"{OLLAMA_URL}/v1", models=models)
    return found


def usable(user: str, directory: Path | None = None) -> dict[str, Entry]:
    """Of all providers those that this person's sessions may ask."""
    return {name: entry for name, entry in entries(directory, user).items() if _is_usable(entry, user)}


def _is_usable(entry: Entry | None, user: str) -> bool:
    return entry is not None and (not user or own_keys.may_use(entry, user))


def _keyed(entry: Entry | None) -> Entry | None:
    """A provider written without a key takes the environment's, but only to its own address."""
    if entry and entry.key is None and (known := entry.known):
        key = known.key_in(os.environ)
        return replace(entry, key=key) if key else None
    return entry


def _kept(provider: str) -> dict[str, Any] | None:
    """What the vault holds: an object, or a key alone."""
    try:
        value = secrets.reveal(SYSTEM, secrets.PROVIDER, provider)
    except NotFound:
        return None
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError:
        data = None
    return data if isinstance(data, dict) else {"key": value}


def _with_vault(provider: str, kept: Mapping[str, Any], below: Entry | None) -> Entry | None:
    known = KNOWN.get(provider)
    base_url = kept.get("baseURL") or (below.base_url if below else "") or (known.base_url if known else "")
    if not base_url:
        return below
    name = kept.get("name") or (below.name if below else "") or (known.name if known else provider)
    empty = Entry(provider, name, "vault", base_url, wire=known.wire if known else "openai")
    entry = below or empty
    url = based(base_url, entry.wire)
    return replace(entry, name=name, source="vault", base_url=url, key=own_keys.key_of(kept))


def _written(directory: Path | None) -> Written:
    """The providers of trusted configurations, and those of the project's files; those whose address was set, and
    the configuration in force.
    """
    layers = configs(directory)
    trusted = settings.merged([layer for layer in layers if layer.is_trusted])
    loose = next((layer.data for layer in layers if not layer.is_trusted), {})
    addressed = {provider for layer in layers for provider in settings.addressed(layer)}
    return (
        opencode_config.entries(trusted, trusted=True),
        opencode_config.entries(loose, trusted=False),
        addressed,
        settings.merged(layers),
    )


def is_disabled(provider: str, directory: Path | None = None) -> bool:
    """Whether the configuration switches a provider off, by its `disabled_providers` or `enabled_providers`."""
    return opencode_config.is_off(merged(directory), provider)


def models_of(entry: Entry) -> tuple[ModelInfo, ...]:
    """The models of a provider: those written for it, those of the price list, or those that it names itself."""
    if entry.models:
        return entry.models
    if entry.known:
        return prices.models(entry.known.prices)
    return _asked(entry) if entry.trusted else ()


def first_model(entry: Entry) -> str:
    """The model to begin with at a provider; nothing where none is known."""
    if entry.known and entry.known.defaults:
        return entry.known.defaults[0]
    models = models_of(entry)
    return models[0].id if models else ""


def _asked(entry: Entry) -> tuple[ModelInfo, ...]:
    """The models that a server names itself, kept for a minute."""
    at = (entry.base_url, entry.key)
    when, models = _fetched.get(at, (0.0, ()))
    if not when or time.monotonic() - when > KEPT_FOR:
        try:
            with outbound.trusted(bounds=PROBE) as client:
                response = client.get(f"{entry.base_url}/models", headers=WIRES[entry.wire].authorization(entry.key))
            models = tuple(ModelInfo(name, name) for name in names_in(response, entry.wire))
        except outbound.Failed:
            models = ()
        _fetched[at] = time.monotonic(), models
    return models


def names_in(response: outbound.Response, wire: WireName) -> Iterator[str]:
    """The models that a server named."""
    return WIRES[wire].model_names(decoded(response))


def decoded(response: outbound.Response) -> Any:
    """What a server answered; None where that is no JSON."""
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None
