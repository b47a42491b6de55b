"""Prompts of a project's MCP servers, as slash commands: a server writes the words, a person says that they be sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from app.accounts import service as accounts
from app.actor import Actor
from app.agent import commands
from app.agent.commands import Command
from app.errors import Denied, NotFound
from app.mcp import service as mcp
from app.mcp.service import Prompt
from app.projects import service as projects
from app.projects.service import Place

_CALL = re.compile(r"/(?P<name>[\w-]+:[\w-]+)(?:\s+(?P<arguments>.*))?$", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class PromptCommand(Command):
    """A prompt with the words that its server gave; nothing in them is filled in, attached or run by us."""

    words: str = ""

    def filled(self, _arguments: str) -> str:
        """The words."""
        return self.words


def of(actor: Actor, directory: Path) -> list[Command]:
    """The prompts that the connected servers of a directory's project keep, as commands."""
    place = _place(actor, directory)
    return [_command(prompt) for prompt in mcp.prompts(actor, place)] if place else []


def called(actor: Actor, directory: Path, text: str) -> tuple[Command | None, str]:
    """The prompt that a text calls as `/SERVER:PROMPT` and its arguments; None where it is no call of one there is."""
    call = _CALL.match(text)
    found = [one for one in of(actor, directory) if one.name == call["name"]] if call else []
    return (found[0], call["arguments"] or "") if call and found else (None, "")


def find(actor: Actor, directory: Path, name: str, arguments: str) -> Command | None:
    """The prompt of this name with its words; what is given goes to its arguments in their order, the rest to the last.

    Raises Unavailable if the server gives none, Invalid without an argument that it must have.
    """
    place = _place(actor, directory) if ":" in name else None
    prompt = next((one for one in mcp.prompts(actor, place) if one.id == name), None) if place else None
    if place is None or prompt is None:
        return None
    given = commands.split(arguments, len(prompt.arguments))
    words = mcp.fill_prompt(actor, place, prompt, dict(zip(prompt.arguments, given, strict=False)))
    return PromptCommand(prompt.id, "", prompt.description, source="mcp", words=words)


def _place(actor: Actor, directory: Path) -> Place | None:
    try:
        place = projects.resolve(actor, str(directory))
    except (NotFound, Denied):
        return None
    return place if accounts.may(actor, "mcp:read", place.project) else None


def _command(prompt: Prompt) -> Command:
    places = "\n".join(f"{name}: ${number}" for number, name in enumerate(prompt.arguments[:9], 1))
    return Command(prompt.id, places or prompt.description or prompt.name, prompt.description, source="mcp")
