"""Commands that people type into a session: run as their own, and told to the model with the next turn.

A person's command needs nobody's word. It runs where the agent's commands run, within the same walls and limits, and
is a run of the session: it can be stopped, and one that was begun is never begun again.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from app import config, db, ids, redact
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import endings, space
from app.agent.conversation import INTERRUPTED
from app.agent.endings import Drained, Failed
from app.agent.tools import ToolContext, bash
from app.agent.tools.bash import Ran
from app.checkpoints import service as checkpoints
from app.errors import Denied, Invalid, Problem
from app.files.paths import Root
from app.processes import service as processes
from app.projects import service as projects
from app.secrets import service as secrets
from app.sessions import service as sessions
from app.sessions.service import Aborted, Hold, Message, Part, Session

# No terminal is there to ask, so programs colour what they print only when they are told to; 16 colours have a class.
COLOURS = {"TERM": "xterm", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}
LONGEST = 100_000  # bytes of a command with its arguments: one word of a command has at most 128 KiB on Linux
MOST_ARGUMENTS = 1_000
LONGEST_TITLE = 200
STOPPED = "The command was stopped."
LOST = endings.unknown("The server stopped while a command ran, and nobody knows what it did.")


def send(
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
    """Run a person's command in a session; the message that it became and the id of its run.

    A command line for the shell, several lines are one script; with `args` a program and its arguments as they are.
    `directory` lies inside the session's. Raises Busy while the session is busy, Invalid for what cannot be run.
    """
    session = sessions.get(actor, session_id)
    accounts.require(actor, "sessions:run", session)
    processes.check_typed(actor, session.project)
    _check(command, args)
    place = _directory(session, directory)
    told: dict[str, Any] = {"command": command, **({"args": list(args)} if args else {}), "workingDirectory": place}
    shown = {"command": shlex.join([command, *args]) if args else command, **({"workdir": place} if directory else {})}
    typed = {"command": command, "args": list(args), "directory": directory}
    chosen = {"mode": mode, "provider": provider, "model": model}
    return sessions.send_typed(
        actor, session_id, typed, redact.data(shown), redact.data(told), **chosen, message_id=message_id
    )


def is_asked(prompt: Message) -> bool:
    """Whether a run's prompt is a command that a person typed."""
    return "typed" in prompt.data


def others(messages: Iterable[Message]) -> list[Message]:
    """The messages that are no command of a person's, and do not answer one."""
    messages = list(messages)
    asked = {message.id for message in messages if is_asked(message)}
    return [one for one in messages if one.id not in asked and one.data.get("parentID") not in asked]


def answer(hold: Hold, prompt: Message, transcript: Sequence[Message]) -> None:
    """Run it and end the run; one that was begun before this process took the run is told to be of unknown outcome."""
    message = next(one for one in transcript if one.data.get("parentID") == prompt.id)
    part = next(one for one in message.parts if one.type == "tool")
    if part.data["state"]["status"] == "running":
        _tell_lost(hold, message, part)
    elif part.data["state"]["status"] == "pending":
        hold.raise_if_cancelled()
        if hold.draining.is_set():
            raise Drained
        _run(hold, prompt.data["typed"], message, part)
    else:
        _end(hold, message, part)


def _check(command: str, args: Sequence[str]) -> None:
    if not command.strip():
        raise Invalid("Type a command.", "command")
    if len(args) > MOST_ARGUMENTS or sum(len(word.encode()) for word in (command, *args)) > LONGEST:
        raise Invalid(f"A command has at most {MOST_ARGUMENTS} arguments and {LONGEST} bytes.", "command")
    if any("\0" in word for word in (command, *args)):
        raise Invalid("A command holds no NUL.", "command")


def _directory(session: Session, named: str) -> str:
    """The directory of that name, an absolute path; Invalid for one that is outside of the session's, or is none."""
    try:
        found = Root(session.directory).absolute(named or ".")
    except Denied:
        raise Invalid(f"{named[:200]} is outside of {session.directory}.", "directory") from None
    if not Path(found).is_dir():
        raise Invalid(f"There is no directory {named[:200]}.", "directory")
    return found


def _run(hold: Hold, typed: Mapping[str, Any], message: Message, part: Part) -> None:
    """Store that it begins, then run it to its end."""
    space.begin(hold)
    context = _context(hold)
    title = part.data["state"]["input"]["command"].strip().splitlines()[0][:LONGEST_TITLE]
    try:
        checkpoints.before(hold, message.id, part.id)
        start = {"title": title, "metadata": {"output": "", "description": ""}, "time": {"start": ids.now()}}
        part = _with(part, status="running", **start)
        part = sessions.save_part(hold, replace(part, data=_bare(part.data)), act=f"bash {title}")
        ran = _carry_out(hold, context, typed, part)
    except Problem as problem:
        _fail(hold, message, part, problem.message)
        return
    _close(hold, context, message, part, ran)


def _carry_out(hold: Hold, context: ToolContext, typed: Mapping[str, Any], part: Part) -> Ran:
    def show(metadata: dict[str, Any]) -> None:
        sessions.save_part(hold, _with(part, metadata=redact.data(metadata)))

    processes.check_walls()
    context = replace(context, progress=show)
    argv = [typed["command"], *typed["args"]] if typed["args"] else bash.line(typed["command"])
    cwd = Path(context.root.absolute(typed["directory"] or "."))
    return bash.carry_out(context, argv, cwd, config.current().limits.seconds, egress=processes.way_out(), env=COLOURS)


def _close(hold: Hold, context: ToolContext, message: Message, part: Part, ran: Ran) -> None:
    """Write what it came to, and what it changed in the files."""
    ended = ran.ended
    metadata = {
        **ran.metadata(),
        "stderr": ended.stderr,
        "notes": [STOPPED] if ended.cancelled else ran.notes(),
        "workingDirectory": message.data["workingDirectory"],
    }
    now = ids.now()
    state: dict[str, Any] = {
        "status": "error" if ended.cancelled else "completed",
        **({"error": STOPPED} if ended.cancelled else {"output": redact.text(ended.output)}),
        "metadata": redact.data(metadata),
        "time": {**part.data["state"]["time"], "end": now},
    }
    figures: dict[str, Any] = {"exitCode": ended.exit_code, "duration": round(ended.duration * 1000)}
    too_much = space.excess(hold, context.private)
    with db.transaction():
        part = sessions.save_part(hold, _with(part, **state))
        message = sessions.save_message(hold, message, **figures)
    if ended.cancelled:
        raise Aborted(hold.run_id)
    if too_much:
        raise Failed(endings.unknown(too_much))
    _end(hold, message, part)


def _end(hold: Hold, message: Message, part: Part) -> None:
    """Close the answer and end the run, with a checkpoint if it changed something."""
    changed = checkpoints.after(hold, message.id, "") if part.data["state"]["status"] == "completed" else None
    with db.transaction():
        if changed:
            files = [str(Path(hold.session.directory) / one["path"]) for one in changed.files]
            sessions.add_part(hold, message.id, "patch", {"hash": changed.tree, "files": files})
        sessions.save_message(hold, message, completed=True)
        sessions.finish(hold, "completed")


def _fail(hold: Hold, message: Message, part: Part, why: str) -> None:
    """It could not be run: the call says why."""
    _end(hold, message, sessions.save_part(hold, _failed(part, redact.text(why))))


def _tell_lost(hold: Hold, message: Message, part: Part) -> None:
    with db.transaction():
        sessions.save_part(hold, _failed(part, INTERRUPTED))
        sessions.save_message(hold, message, completed=True)
        sessions.finish(hold, "interrupted", LOST)


def _failed(part: Part, why: str) -> Part:
    now = ids.now()
    state = part.data["state"]
    time = {"start": state.get("time", {}).get("start", now), "end": now}
    return _with(part, status="error", error=why, metadata=state.get("metadata", {}), time=time)


def _with(part: Part, **state: Any) -> Part:
    return replace(part, data={**part.data, "state": {**part.data["state"], **state}})


def _bare(data: dict[str, Any]) -> dict[str, Any]:
    """Without what only a pending call has."""
    return {**data, "state": {name: value for name, value in data["state"].items() if name != "raw"}}


def _context(hold: Hold) -> ToolContext:
    directory = Path(hold.session.directory)
    beside = projects.beside(hold.session.directory)
    private = config.current().data_dir / "private" / hold.session.project
    return ToolContext(
        root=Root(directory),
        directory=directory,
        private=private,
        cancel=hold.cancelled,
        also=beside.also,
        keep=beside.keep,
        lent=lambda: secrets.lend(hold.session.project, hold.actor, hold.run_id),
    )
