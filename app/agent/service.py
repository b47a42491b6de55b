"""Driving runs in this process: taking them, keeping their leases, and stopping them at once."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app import dispatch
from app.accounts import service as accounts
from app.actor import Actor, Scope
from app.agent import commands, engine, followups, mcp_prompts, model_keys, modes, network, skills, tools, typed
from app.agent.commands import Command
from app.agent.modes import Mode
from app.agent.providers import ToolSpec, catalog, standing, trial
from app.agent.providers.catalog import Integration, ProviderInfo
from app.agent.providers.standing import Default, Standing
from app.agent.providers.trial import Trial
from app.agent.skills import Skill
from app.agent.ticks import ticks
from app.agent.tools import mcp
from app.approvals import service as approvals
from app.errors import Invalid, NotFound
from app.events import service as events
from app.projects.service import Place
from app.sessions import service as sessions
from app.sessions.events import AbortAsked, SessionUpdated
from app.sessions.service import Hold, Message
from app.settings import service as settings

BEAT = 2.0
_SERVER = Scope(owner="", project="")
_held: dict[str, Hold] = {}
_lock = threading.Lock()
_draining = threading.Event()
_logger = logging.getLogger(__name__)


@dispatch.actor("agent.advance")
def advance(run_id: str) -> None:
    """Take a run if it is its turn and drive it until it ends or waits."""
    if _draining.is_set():
        return
    hold = sessions.take(run_id)
    if hold is None:
        return
    with _lock:
        lost = _held.get(run_id)
        _held[run_id] = hold
        if _draining.is_set():
            hold.draining.set()
    if lost is not None:
        lost.cancel()
    ticks.after(BEAT, lambda: _beat(hold))
    try:
        engine.drive(hold)
    finally:
        with _lock:
            # A run that was lost may be held by a second engine of this process already.
            if _held.get(run_id) is hold:
                del _held[run_id]


@dispatch.actor("agent.go_on")
def go_on(run_id: str) -> None:
    """A subagent ended: the run that waits for it goes on."""
    sessions.go_on(run_id)


@dispatch.every(2.0)
def sweep() -> None:
    """Find what a lost message or a dead process left behind."""
    sessions.end_lost_leases()
    sessions.requeue_left(approvals.asked_runs)
    for run_id in sessions.queued():
        dispatch.wake("agent.advance", run_id)


def start(*, hears_of_work: bool = False) -> None:
    """At start: listen for stops, take back dead leases, go on with what is queued.

    A process without a web hears of queued runs through the log; a serving one queued them itself.
    """
    _draining.clear()
    sessions.register_modes(modes.model_of)
    sessions.register_default_mode(modes.default)
    sessions.register_default_model(lambda directory, owner: catalog.default_model(Path(directory), owner))
    events.listen(AbortAsked, _on_abort)
    settings.start()
    network.start()
    followups.start()
    if hears_of_work:
        events.listen(SessionUpdated, _on_queued)
    sessions.end_dead_leases()
    for run_id in sessions.queued():
        dispatch.wake("agent.advance", run_id)


def drain() -> None:
    """At TERM: every engine stops at its next step boundary, its run queued for the next start."""
    _draining.set()
    with _lock:
        holds = list(_held.values())
    for hold in holds:
        hold.drain()
    network.drain()


def default_mode(actor: Actor, directory: Path | None = None) -> str:
    """The mode that sessions of a directory begin in."""
    accounts.require(actor, "settings:read")
    return modes.default(directory)


def small_model(actor: Actor, directory: Path | None = None) -> tuple[str, str] | None:
    """The provider and model that titles are asked of, if one is named."""
    accounts.require(actor, "settings:read")
    return catalog.small_model(directory)


def list_modes(actor: Actor, directory: Path | None = None) -> list[Mode]:
    """The modes that sessions and subagents of a directory can work in; without one those of no project."""
    accounts.require(actor, "settings:read")
    return modes.of(directory)


def list_tools(actor: Actor, directory: Path) -> tuple[ToolSpec, ...]:
    """The tools that agents have in a directory, those of its project's MCP servers last."""
    accounts.require(actor, "settings:read")
    return tools.specs(directory=directory, more=mcp.of(actor, str(directory)))


def list_providers(actor: Actor, directory: Path | None = None) -> list[ProviderInfo]:
    """The providers that can be used in a directory, with their models."""
    return catalog.list_providers(actor, directory)


def list_commands(actor: Actor, directory: Path | None = None) -> list[Command]:
    """The slash commands of a directory by name, prompts of MCP servers last; without one those of no project."""
    accounts.require(actor, "settings:read")
    prompts = mcp_prompts.of(actor, directory) if directory is not None else []
    return [*commands.of(directory).values(), *prompts]


def find_command(actor: Actor, directory: Path, text: str) -> tuple[Command | None, str]:
    """The command that a text names at its start, as `/name`, and what it is given; None if there is no such one."""
    accounts.require(actor, "settings:read")
    command, arguments = commands.called(text, directory)
    return (command, arguments) if command is not None else mcp_prompts.called(actor, directory, text)


def run_command(
    actor: Actor,
    session_id: str,
    name: str,
    arguments: str = "",
    *,
    mode: str = "",
    model: str = "",
    message_id: str | None = None,
    files: Sequence[dict[str, Any]] = (),
) -> tuple[Message, str | None]:
    """Put a slash command into a session; the message that it became and the id of its run.

    `model` is provider/model. Raises Invalid for a command that is none, with those there are.
    """
    session = sessions.get(actor, session_id)
    accounts.require(actor, "sessions:run", session)
    name, directory = name.removeprefix("/"), Path(session.directory)
    command = mcp_prompts.find(actor, directory, name, arguments) or commands.get(name, directory)
    return commands.send(
        actor, session_id, command, arguments, mode=mode, model=model, message_id=message_id, files=files
    )


def run_shell(
    actor: Actor,
    session_id: str,
    command: str,
    args: Sequence[str] = (),
    *,
    directory: str = "",
    mode: str = "",
    provider: str = "",
    model: str = "",
    message_id: str | None = None,
) -> tuple[Message, str]:
    """Run a command of the actor's own in a session (see typed.send); its message and the id of its run."""
    chosen = {"mode": mode, "provider": provider, "model": model}
    return typed.send(actor, session_id, command, args, directory=directory, **chosen, message_id=message_id)


def list_integrations(actor: Actor) -> list[Integration]:
    """The providers that a key opens."""
    return catalog.list_integrations(actor)


def list_skills(actor: Actor, directory: Path) -> list[Skill]:
    """The skills that the model can load in a directory, by name."""
    accounts.require(actor, "settings:read")
    return skills.found(directory)


def default_model(actor: Actor, directory: Path | None = None) -> tuple[str, str]:
    """The provider and model that a prompt gets which names none."""
    accounts.require(actor, "settings:read")
    return catalog.default_model(directory, actor.user)


def keep_login(actor: Actor, provider: str, login: Mapping[str, Any]) -> None:
    """Keep a provider's key or login (see catalog.keep_login)."""
    catalog.keep_login(actor, provider, login)
    trial.forget(provider)


def keep_any_login(actor: Actor, provider: str, login: Mapping[str, Any]) -> None:
    """Keep a login for the server, of who may set its secrets; anybody else's is their own."""
    if accounts.may(actor, "secrets:write"):
        keep_login(actor, provider, login)
    else:
        model_keys.keep(actor, provider, login)


def forget_any_login(actor: Actor, provider: str) -> bool:
    """Forget what keep_any_login keeps; False if there was none."""
    if accounts.may(actor, "secrets:write"):
        return forget_login(actor, provider)
    return model_keys.forget(actor, provider)


def forget_login(actor: Actor, provider: str) -> bool:
    """Forget a provider's key or login; False if there was none."""
    accounts.require(actor, "secrets:write")
    try:
        catalog.disconnect(actor, provider)
    except NotFound:
        return False
    trial.forget(provider)
    return True


def list_standings(actor: Actor, directory: Path | None = None, *, mine: bool = False) -> list[Standing]:
    """Every provider we know or was told of, and how each stands (see standing.list_standings)."""
    return standing.list_standings(actor, directory, mine=mine)


def get_standing(actor: Actor, provider: str) -> Standing:
    """One of them; raises NotFound."""
    return standing.get_standing(actor, provider)


def default_of(actor: Actor, directory: Path | None = None) -> Default:
    """The model of a session that names none, and where that comes from."""
    return standing.default_of(actor, directory)


def may_set_default(actor: Actor, place: Place | None) -> bool:
    """Whether the actor may set the model of sessions that name none."""
    return accounts.may(actor, "settings:write", place.project if place else _SERVER)


def set_default_model(actor: Actor, place: Place | None, name: str) -> None:
    """Set the model (provider/model) of sessions that name none, for a project or the server; "" takes that back."""
    accounts.require(actor, "settings:write", place.project if place else _SERVER)
    provider, slash, model = name.partition("/")
    if name and not (slash and model):
        raise Invalid("A model is named provider/model.", "model")
    if name and not standing.get_standing(actor, provider, place.directory if place else None).is_connected:
        raise Invalid(f"{provider} is not connected.", "model")
    settings.set_values(actor, place, settings.Config.model_validate({"model": name or None}))


def keep_key(actor: Actor, provider: str, key: str) -> None:
    """Keep the key of a provider that is in the list; raises NotFound, Invalid."""
    accounts.require(actor, "secrets:write")
    standing.get_standing(actor, provider)
    keep_login(actor, provider, {"type": "api", "key": model_keys.checked(key)})


def add_provider(actor: Actor, name: str, base_url: str, key: str = "") -> str:
    """Connect a server that speaks OpenAI's chat completions, by its address; the id that its name makes.

    It is asked for its models itself. Raises Invalid for a name that is taken, and for an address that is none.
    """
    accounts.require(actor, "secrets:write")
    provider = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not provider or len(name) > 64:
        raise Invalid("A provider's name has up to 64 characters, letters or digits among them.", "name")
    if provider in {one.id for one in standing.list_standings(actor)}:
        raise Invalid(f"There is a provider {provider} already.", "name")
    if not base_url:
        raise Invalid("Give the address under which it answers.", "base_url")
    catalog.connect(actor, provider, model_keys.checked(key) if key else "", base_url, name)
    return provider


def try_provider(actor: Actor, provider: str, model: str = "") -> Trial:
    """Ask a connected provider for one word (see trial.run)."""
    return trial.run(actor, provider, model)


def last_trial(actor: Actor, provider: str) -> Trial | None:
    """What the last test of a provider showed, None since the server started or its key changed."""
    accounts.require(actor, "settings:read")
    return trial.last(provider)


def _on_queued(fact: SessionUpdated) -> None:
    if fact.session["state"] == "queued":
        for run_id in sessions.queued():
            dispatch.wake("agent.advance", run_id)


def _on_abort(fact: AbortAsked) -> None:
    with _lock:
        hold = _held.get(fact.run_id)
    if hold is not None:
        hold.cancel()


def _beat(hold: Hold) -> None:
    with _lock:
        if _held.get(hold.run_id) is not hold:
            return
    try:
        goes_on = sessions.beat(hold)
    except SQLAlchemyError:
        _logger.exception("the lease of run %s could not be prolonged; trying again", hold.run_id)
        goes_on = True
    if goes_on:
        ticks.after(BEAT, lambda: _beat(hold))
