"""Connecting a model from Home, what the composer offers to choose from, and commands that are typed into it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flask import Response, request, url_for

from app import live, slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import bp, events, instructions, modes, network, roomodes, service
from app.agent.providers import catalog, own_keys, trial, trying
from app.agent.providers.catalog import ProviderInfo
from app.agent.providers.known import KNOWN
from app.errors import Invalid
from app.processes.spawn import sandbox_state
from app.projects import service as projects
from app.sessions import service as sessions
from app.sessions.service import Session

KEPT = 600.0
OTHER = "other"
SHOWN_MODELS = 60


@dataclass(frozen=True)
class Tested:
    """What a test of a key showed, in a sentence."""

    ok: bool
    words: str


@dataclass(frozen=True)
class Choice:
    """A model to begin with; `note` says what it costs."""

    id: str
    name: str
    note: str = ""


@dataclass(frozen=True)
class Door:
    """The form that connects a key, as it stands; the key itself is never shown."""

    provider: str = "openai"
    base_url: str = ""
    model: str = ""
    key_kept: bool = False
    tested: Tested | None = None
    models: list[Choice] = field(default_factory=list)


@dataclass(frozen=True)
class _Pending:
    """A tested key between the test and the save, in this process's memory only."""

    door: Door
    key: str
    until: float


_pending: dict[str, _Pending] = {}


@bp.post("/providers/test")
def test_key() -> Response:
    """Try a key before it is kept."""
    actor = web.actor()
    door, key = _typed(actor)
    if not key and not door.base_url:
        door = replace(door, tested=Tested(False, "Type the key first."))
    else:
        door = _tested(actor, door, key)
    _keep(actor, door, key)
    if web.is_htmx():
        return web.fragment("system/home.html", "door_key", door=door, providers=_known())
    return web.back(url_for("system.home", connect=1))


@bp.post("/providers")
def save_key() -> Response:
    """Keep a key in the vault and begin with its model; a local server needs no key."""
    actor = web.actor()
    model = web.form("model")
    if web.form("provider") == catalog.OLLAMA and not web.form("key"):
        provider = catalog.OLLAMA
    else:
        door, key = _typed(actor)
        provider = door.provider
        if not key and not door.base_url:
            raise Invalid("Type the key first.", "key")
        catalog.connect(actor, provider, key, door.base_url)
        trial.forget(provider)
        _pending.pop(actor.user, None)
    return web.back(url_for("system.home", model=f"{provider}/{model}" if model else None))


@slots.fill("composer")
def fill_composer(actor: Actor, directory: str) -> dict[str, Any]:
    """The modes and models to choose from, and those to begin with."""
    if not accounts.may(actor, "settings:read"):
        return {"mode": "build"}
    place = Path(directory) if directory else None
    found = service.list_providers(actor, place)
    provider, model = service.default_model(actor, place)
    models = [_option(one, info.id, info.name) for one in found for info in one.models[:SHOWN_MODELS]]
    if f"{provider}/{model}" not in {option["id"] for option in models}:
        models.insert(0, {"id": f"{provider}/{model}", "name": model, "provider": provider})
    known = service.list_modes(actor, place)
    return {
        "modes": [{"id": mode.name, "name": mode.name} for mode in known if mode.is_primary],
        "subagents": [mode.name for mode in known if mode.is_subagent and not mode.hidden],
        "models": models,
        "mode": service.default_mode(actor, place),
        "model": f"{provider}/{model}",
    }


@slots.fill("session.say")
def say(
    actor: Actor, session: Session, text: str, files: list[dict[str, Any]], chosen: dict[str, str]
) -> dict[str, Any]:
    """Do what somebody wrote that is no prompt: `!` runs a command of their own, `/name` sends one that there is."""
    mode, provider, model = (chosen.get(name, "") for name in ("mode", "provider", "model"))
    if text.startswith("!") and text[1:].strip():
        if files:
            raise Invalid("Files go with a prompt, not with a command.", "files")
        script = text[1:].strip().replace("\r\n", "\n")  # as forms write the ends of lines
        service.run_shell(actor, session.id, script, mode=mode, provider=provider, model=model)
        return {"is_done": True}
    command, arguments = service.find_command(actor, Path(session.directory), text)
    if command is None:
        return {}
    given = {
        "mode": "" if command.agent else mode,
        "model": "" if command.agent or command.model or not model else f"{provider}/{model}",
    }
    service.run_command(actor, session.id, command.name, arguments, **given, files=files)
    return {"is_done": True}


@bp.get("/commands")
def list_commands() -> Response:
    """The commands of the session or project in view, each as a link that writes it into a message."""
    actor = web.actor()
    at, project = request.args.get("at", ""), request.args.get("project", "")
    if at:
        directory = sessions.get(actor, at).directory
    else:
        directory = str(projects.resolve_project(actor, project).directory)
    found = service.list_commands(actor, Path(directory))
    shown: dict[str, Any] = {"commands": found, "session_id": at, "project": project}
    return web.page("agent/_commands.html" if web.is_htmx() else "agent/commands.html", **shown)


@slots.fill("session")
def fill_session(actor: Actor, session: Session) -> dict[str, Any]:
    """The model's window in tokens, the instruction files in force, and what commands run in and may reach."""
    state = sandbox_state()
    shown: dict[str, Any] = {"sandbox": "on" if state.on else f"off: {state.why}"}
    shown["network"] = network.word(session.preset)
    shown["instructions"] = _instructions(actor, session)
    if not accounts.may(actor, "settings:read"):
        return shown
    directory = Path(session.directory)
    window = catalog.window(session.provider, session.model, directory, session.owner)
    return {**shown, "window": window, "payer": _payer(actor, session, directory)}


def _payer(actor: Actor, session: Session, directory: Path) -> str:
    """Whose key the session's next step is paid with, in words; "" where none is needed."""
    entry = catalog.entry_of(session.provider, directory, user=session.owner) if session.provider else None
    payer = own_keys.payer_of(entry)
    if payer == "own":
        return "yours" if session.owner == actor.user else "its owner's"
    return "the server's" if payer == "server" else ""


def _instructions(actor: Actor, session: Session) -> list[tuple[str, str]]:
    """What the session's agent is told beside its role, and what is wrong with the project's own modes."""
    mode = modes.find(session.mode, session.directory)
    found = instructions.of(actor, session, session.mode, mode.instructions if mode else "")
    told = [(one.path, one.note) for one in found]
    fault = roomodes.of(Path(session.directory)).fault
    return [*told, (roomodes.NAME, f"its modes are left out: {fault}")] if fault else told


@slots.fill("home")
def fill_home(actor: Actor) -> dict[str, Any]:
    """The three ways to connect a model, as they stand."""
    connected = [one for one in catalog.list_providers(actor) if one.source != "builtin"]
    pending = _pending_of(actor)
    return {
        "door": pending.door if pending else Door(),
        "providers": _known(),
        "local": _local(),
        "demo": True,
        "connected": [one.name for one in connected],
    }


def _typed(actor: Actor) -> tuple[Door, str]:
    """The form as it was sent; a key that was tested before need not be typed again."""
    door = Door(web.form("provider"), web.form("base_url"), web.form("model"))
    pending = _pending_of(actor)
    kept = ""
    if pending and (pending.door.provider, pending.door.base_url) == (door.provider, door.base_url):
        kept = pending.key
    return door, web.form("key") or kept


def _tested(actor: Actor, door: Door, key: str) -> Door:
    try:
        found = trying.test_key(actor, door.provider, door.base_url, key)
    except Invalid as problem:
        return replace(door, tested=Tested(False, problem.message))
    models = [Choice(name, name) for name in _sorted(door.provider, found.models)[:SHOWN_MODELS]]
    tested = Tested(found.ok, found.message)
    return replace(door, key_kept=bool(key) and found.ok, tested=tested, models=models)


def _sorted(provider: str, names: tuple[str, ...]) -> list[str]:
    """Those that are good to begin with first."""
    first = [name for name in (KNOWN[provider].defaults if provider in KNOWN else ()) if name in names]
    return [*first, *sorted(name for name in names if name not in first)]


def _keep(actor: Actor, door: Door, key: str) -> None:
    now = time.monotonic()
    for user in [user for user, pending in _pending.items() if pending.until < now]:
        _pending.pop(user, None)
    kept = key if door.tested and door.tested.ok else ""
    _pending[actor.user] = _Pending(door, kept, now + KEPT)


def _pending_of(actor: Actor) -> _Pending | None:
    pending = _pending.get(actor.user)
    return pending if pending and pending.until > time.monotonic() else None


def _known() -> list[dict[str, str]]:
    found = [{"id": known.id, "name": known.name, "base_url": known.base_url} for known in KNOWN.values()]
    return [*found, {"id": OTHER, "name": "Other, by base URL", "base_url": "https://…/v1"}]


def _local() -> dict[str, Any]:
    models = catalog.find_ollama()
    shown = [{"id": one.id, "size": None, "tools": one.tools} for one in models or ()]
    words = "" if shown or models is None else "It has no model yet. Pull one that calls tools."
    return {"found": models is not None, "address": catalog.OLLAMA_URL, "models": shown, "words": words}


def _option(provider: ProviderInfo, model_id: str, name: str) -> dict[str, str]:
    return {"id": f"{provider.id}/{model_id}", "name": name, "provider": provider.name}


@slots.draws(events.FileEdited)
def draw_file_news(_actor: Actor, fact: Any) -> list[str]:
    """A page that shows the file which the agent wrote is told so."""
    return live.file_news(fact.event.file)
