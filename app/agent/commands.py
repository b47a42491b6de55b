"""Slash commands: prompts kept under a name, built in or written by who runs the server or with a project.

A command is words for the agent and nothing more: what it says to run, the agent runs by its tools, which ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from app import record
from app.actor import Actor
from app.agent import front_matter, markdown_files, modes
from app.agent.events import CommandExecuted
from app.agent.providers import catalog
from app.errors import Invalid
from app.files.paths import Root
from app.projects import service as projects
from app.sessions import service as sessions
from app.sessions.service import Hold, Message

FOLDERS = ("command", "commands")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9_.-]{0,63}){0,7}")
_CALL = re.compile(rf"/(?P<name>{NAME.pattern})(?:\s+(?P<arguments>.*))?$", re.DOTALL)
INIT = "init"
MOST, DEPTH = 200, 7
LONGEST_ARGUMENTS = 32 * 1024
# What a template is filled in with; a line of a shell may have such places itself.
_PLACE = re.compile(r"!`(?P<shell>[^`\n]+)`|\$(?:ARGUMENTS\b|(?P<number>[1-9])(?!\d))")
_ARGUMENT = re.compile(r"\$(?:ARGUMENTS\b|[1-9](?!\d))")
_WORD = re.compile(r""""[^"]*"|'[^']*'|[^\s"']+""")
RUN_FIRST = "First run what stands in square brackets; what it prints belongs in its place."


@dataclass(frozen=True)
class Command:
    """A prompt under a name; `agent` is the mode it is for, `model` (provider, model), `subtask` for a subagent."""

    name: str
    template: str
    description: str = ""
    agent: str = ""
    model: str = ""
    subtask: bool = False
    source: Literal["builtin", "user", "project", "mcp"] = "builtin"

    @property
    def hints(self) -> list[str]:
        """The places that its arguments go to, as they are written."""
        return sorted(set(_ARGUMENT.findall(self.template)))

    def filled(self, arguments: str) -> str:
        """The prompt with these arguments; what its template wants run is named to the agent, whose tools ask."""
        words = split(arguments)
        last = max((int(number) for number in re.findall(r"\$([1-9])(?!\d)", self.template)), default=0)

        def fill(place: re.Match[str]) -> str:
            if place["shell"]:
                return f"[{_PLACE.sub(fill, place['shell'])}]"
            if place["number"] is None:
                return arguments
            number = int(place["number"])
            return " ".join(words[number - 1 :]) if number == last else "".join(words[number - 1 : number])

        text = _PLACE.sub(fill, self.template)
        if arguments.strip() and not self.hints:
            text = f"{text}\n\n{arguments}"
        has_shell = any(place["shell"] for place in _PLACE.finditer(self.template))
        return f"{text}\n\n{RUN_FIRST}" if has_shell else text


BUILT_IN = (
    Command(
        INIT,
        "Get to know this repository and write what an agent has to know of it into AGENTS.md at its top: how to set "
        "it up, run it, run all tests and a single one, lint and format it; where what lies; the conventions that the "
        "code keeps and that a newcomer would break. Read what tells it: README and contributing notes, build and "
        "configuration files, rules written for other agents, a few typical sources and tests. Write only what you "
        "have seen, in about a page. If there is an AGENTS.md already, set it right and keep what still holds."
        "\n\n$ARGUMENTS",
        "Learn this repository and write AGENTS.md",
    ),
    Command(
        "review",
        "Review the changes of this repository and change nothing. Without further words these are the changes that "
        "are not committed; they may also name a commit, a branch or a pull request. Read the diff, then the code "
        "around it. Report what is wrong and can be shown to be wrong, the gravest first, each with its file and "
        "line, what happens and how to mend it; say so when you find nothing.\n\n$ARGUMENTS",
        "Review changes: those not committed, a commit or a branch",
    ),
)


def send(
    actor: Actor,
    session_id: str,
    command: Command,
    arguments: str,
    *,
    mode: str = "",
    model: str = "",
    message_id: str | None = None,
    files: Sequence[dict[str, Any]] = (),
) -> tuple[Message, str | None]:
    """Put the filled prompt into the session, the files that it names with it; the message and its run's id."""
    session = sessions.get(actor, session_id)
    mode = mode or command.agent
    told = {"command": {"name": command.name, "arguments": arguments}}
    parts: list[dict[str, Any]] = [{"type": "text", "text": command.filled(arguments), "metadata": told}, *files]
    found = modes.find(mode, session.directory) if mode else None
    if mode and (command.subtask or (found is not None and not found.is_primary)):
        parts.append({"type": "agent", "name": mode})
        mode = ""
    provider, _slash, name = (model or command.model).partition("/")
    return sessions.send(
        actor, session_id, parts, mode=mode, provider=provider, model=name, message_id=message_id,
        # What somebody else's server writes attaches no file of ours.
        mentions=command.source != "mcp",
    )  # fmt: skip


def split(arguments: str, most: int = 0) -> list[str]:
    """The words of arguments, those in quotes together; if they are more than `most`, the last takes the rest."""
    if len(arguments) > LONGEST_ARGUMENTS:
        raise Invalid(f"Arguments have at most {LONGEST_ARGUMENTS} characters.", "arguments")
    words = [word[1:-1] if word[0] in "\"'" else word for word in _WORD.findall(arguments)]
    return [*words[: most - 1], " ".join(words[most - 1 :])] if 0 < most < len(words) else words


def tell_end(connection: sa.Connection, hold: Hold, prompt: Message, answer: Message) -> None:
    """In the transaction that ends a run: announce the command that it was; the first one notes that the project is
    known now.
    """
    metadata = prompt.parts[0].data.get("metadata") if prompt.parts else None
    told = metadata.get("command") if isinstance(metadata, dict) else None
    if not isinstance(told, dict):
        return
    done = CommandExecuted(hold.session.id, told["name"], told["arguments"], answer.id)
    record.event(connection, done, hold.session)
    if done.name == INIT:
        projects.set_initialized(hold.actor, hold.session.project)


def of(directory: Path | None) -> dict[str, Command]:
    """The commands of a directory by name; who runs the server writes over the built-in ones, a project over both."""
    found = {command.name: command for command in BUILT_IN}
    for command in _written(directory):
        found[command.name] = command
    return {name: found[name] for name in sorted(found)}


def get(name: str, directory: Path | None) -> Command:
    """The command of this name; Invalid names those there are."""
    found = of(directory)
    if name not in found:
        raise Invalid(f"There is no command {name[:100]!r}; there are {', '.join(list(found)[:30])}.", "command")
    return found[name]


def called(text: str, directory: Path | None) -> tuple[Command | None, str]:
    """The command that a text calls as `/name` and its arguments; None where it is no call of one there is."""
    call = _CALL.match(text)
    return (of(directory).get(call["name"]), call["arguments"] or "") if call else (None, "")


def _written(directory: Path | None) -> Iterator[Command]:
    for layer in catalog.configs(directory):
        yield from _configured(layer.data, "user" if layer.is_trusted else "project")
        if (place := layer.folder) is None:
            continue
        for folder in FOLDERS:
            # The folders of who runs the server may be links; a project's must not lead out of it.
            if not layer.is_trusted:
                yield from _in_folder(Root(place), f".opencode/{folder}", "project")
            elif (place / folder).is_dir():
                yield from _in_folder(Root((place / folder).resolve()), "", "user")


def _configured(given: Mapping[str, Any], source: Literal["user", "project"]) -> Iterator[Command]:
    written = given.get("command")
    for name, one in list(written.items())[:MOST] if isinstance(written, dict) else ():
        if isinstance(one, dict) and (found := _command(str(name), one, one.get("template"), source)):
            yield found


def _in_folder(root: Root, folder: str, source: Literal["user", "project"]) -> Iterator[Command]:
    for name, head, body in markdown_files.in_folder(root, folder, MOST, DEPTH):
        if found := _command(name, head, body, source):
            yield found


def _command(
    name: str, head: Mapping[str, Any], template: object, source: Literal["user", "project"]
) -> Command | None:
    if not NAME.fullmatch(name) or not isinstance(template, str) or not template.strip():
        return None
    text = {key: front_matter.text_of(dict(head), key) for key in ("description", "agent", "model")}
    return Command(
        name,
        template[: markdown_files.LARGEST],
        " ".join(text["description"].split())[:1000],
        text["agent"],
        text["model"],
        head.get("subtask") is True,
        source,
    )
