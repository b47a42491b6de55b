"""Running the tool calls of one step: each is decided, perhaps asked about, checkpointed, and run once.

A call's part says where it stands: pending (not begun), running (begun: its start is stored before its effect),
completed or error. A call found running by whoever takes the run over has an unknown outcome and is not repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from app import config, db, ids, record, redact
from app.agent import (
    auto_approve,
    diagnosing,
    endings,
    loops,
    mode_tools,
    modes,
    network,
    polishing,
    space,
    subagents,
    switching,
    tools,
    unasked,
)
from app.agent.conversation import INTERRUPTED
from app.agent.endings import Failed
from app.agent.events import FileEdited
from app.agent.switching import Frame
from app.agent.tools import Prepared, Result, ToolContext, ToolError, mcp, switch_mode
from app.approvals import service as approvals
from app.approvals.service import Call, Doubt
from app.checkpoints import service as checkpoints
from app.checkpoints.service import Checkpoint
from app.files.paths import Root
from app.processes import service as processes
from app.projects import service as projects
from app.secrets import service as secrets
from app.sessions import service as sessions
from app.sessions.service import Aborted, Fenced, Hold, Message, Part

CHANGING = frozenset({"write", "edit", "bash", "multiedit", "patch", *subagents.TOOLS})
REJECTED = "The person rejected this call."
STALE = "Not run: the files changed after this was approved, and it would do something else now. Look at them again."
OTHERS = "Not run: what that mode may do has changed since this was approved. Call it again to be asked again."
CHANGED = "Not run: its server has changed what this tool is since this was approved. Call it again to be asked again."
_logger = logging.getLogger(__name__)


class Waiting(Exception):
    """A person must answer first, or a subagent must end."""


@dataclass
class Outcome:
    """What the calls of a step came to; `stopped`: a person rejected one without a word, so the turn ends."""

    stopped: bool = False
    may_have_changed: bool = False


def run_all(hold: Hold, message: Message, transcript: list[Message]) -> Outcome:
    """Run the step's calls in order, subagents at the same time; `transcript` says what was read before."""
    outcome = Outcome()
    pending = [part for part in message.parts if part.type == "tool"]
    if not pending:
        return outcome
    # A step's calls are judged by the mode that it was asked in, whatever they change it to.
    mode = str(message.data.get("mode") or hold.run.mode)
    context = _context(hold, [*transcript, message], mode)
    frame = _frame(hold, mode, transcript, message, context.more)
    looping = loops.found(hold.run.message_id, [*transcript, message])
    space.begin(hold)
    goes_on = False
    for part in pending:
        hold.raise_if_cancelled()
        status = part.data["state"]["status"]
        if status == "pending":
            goes_on |= _decide_and_run(hold, context, frame, part, outcome, is_loop=part.id in looping)
        else:
            outcome.may_have_changed |= tools.named(part.data["tool"]) in CHANGING
            # A step that is gone on with after its last rejection must not forget that it stops the turn.
            outcome.stopped |= part.data["state"].get("error") == REJECTED
        if status == "running" and subagents.is_begun(part):
            goes_on |= not subagents.collect(hold, context, part)
        elif status == "running":
            _interrupt(hold, part)
    if goes_on:
        raise Waiting
    return outcome


def checkpoint(hold: Hold, message: Message) -> Checkpoint | None:
    """What the step's calls changed in the files, None if nothing."""
    return checkpoints.after(hold, message.id, "")


def close_step(hold: Hold, message: Message, changed: Checkpoint | None) -> None:
    """Write the step's end: its figures, the files it changed, and the message's completion."""
    data = message.data
    sessions.add_part(
        hold,
        message.id,
        "step-finish",
        {
            "reason": data["finish"],
            "cost": data["cost"],
            "tokens": data["tokens"],
            **({"snapshot": changed.tree} if changed else {}),
        },
    )
    if changed:
        files = [str(Path(hold.session.directory) / one["path"]) for one in changed.files]
        sessions.add_part(hold, message.id, "patch", {"hash": changed.tree, "files": files})
    sessions.save_message(hold, message, completed=True)


def _frame(
    hold: Hold, name: str, transcript: list[Message], message: Message, more: Mapping[str, tools.Tool[Any]]
) -> Frame:
    """What this turn permits at most: a call of a tool that the model was not offered is denied too."""
    known = modes.of(hold.session.directory)
    mode, above = modes.named(known, name), subagents.modes_above(hold, known)
    prompt = next(message for message in transcript if message.id == hold.run.message_id)
    switches = prompt.data.get("tools")
    offered = mode_tools.offered(mode, switches, above=above, more=more)
    every = (mode.limits, *(one.limits for one in above))
    limits = approvals.limits_of(*every, tools=[spec.name for spec in offered])
    # What is allowed to a mode is not allowed to the subagents it calls; what it is denied, they are too.
    narrowing = (rule for one in above for rule in one.rules if rule.action != "allow")
    given = auto_approve.of(hold.session.owner, hold.session.directory)
    over = partial(unasked.limit, hold, given, [*transcript, message])
    remote = mcp.always_allowed(hold.actor, hold.session.directory) if given.always_allow_mcp else ()
    rules = (*narrowing, *mode.rules, *auto_approve.rules(given, remote))
    return Frame(mode, above, limits, rules, switches, over)


def _decide_and_run(
    hold: Hold, context: ToolContext, frame: Frame, part: Part, outcome: Outcome, *, is_loop: bool
) -> bool:
    """One pending call: refused, waited for, or run; True if a subagent goes on with it."""
    if outcome.stopped:
        _fail(hold, part, "Not run: an earlier call of this step was rejected.")
        return False
    name, given = tools.named(part.data["tool"]), part.data["state"]["input"]
    if tools.find(name, context.more) is None:
        _tell_invalid(hold, part, frame.limits.tools or ())
        return False
    try:
        prepared = tools.prepare(name, context, given)
        prepared, doubt = _doubted(name, frame, context, prepared)
    except ToolError as wrong:
        _fail(hold, part, str(wrong))
        return False
    call = approvals.Call(name, given, part.data["callID"], part.message_id, part.id, prepared.metadata)
    asked = approvals.verdict(hold, call)
    if asked is None:
        asked = _ask_if_needed(hold, frame, part, call, prepared, doubt, is_loop=is_loop)
        if asked == "denied":
            return False
    if asked is not None:
        if asked.state == "waiting":
            raise Waiting
        if not asked.is_allowed:
            outcome.stopped = _refuse(hold, part, asked)
            return False
        if stale := _stale(asked.metadata, prepared.metadata):
            _fail(hold, part, stale)
            return False
        context = replace(context, answers=asked.answers or None)
    outcome.may_have_changed |= name in CHANGING
    if name in subagents.TOOLS:
        return _hand_over(hold, context, part, prepared, frame)
    if name == switch_mode.NAME:
        switching.switch(hold, part, prepared)
        return False
    _run(hold, context, part, prepared)
    return False


def _doubted(name: str, frame: Frame, context: ToolContext, prepared: Prepared) -> tuple[Prepared, Doubt]:
    """What speaks against a call that hands work to another mode; people see what that one may do more."""
    if name not in tools.OF_ROO:
        return prepared, Doubt()
    doubt = switching.doubt(name, frame, context, prepared)
    return replace(prepared, metadata={**prepared.metadata, "gains": doubt.gains}), doubt


def _stale(approved: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What to say if the call would do something else than what was approved; "" if it would not."""
    if approved.get("diff") != now.get("diff"):
        return STALE
    if approved.get("gains") != now.get("gains"):
        return OTHERS
    return CHANGED if approved.get("definition") != now.get("definition") else ""


def _hand_over(hold: Hold, context: ToolContext, part: Part, prepared: Prepared, frame: Frame) -> bool:
    """Begin a call's subagent; False if it cannot be, which the model is told."""
    checkpoints.before(hold, part.message_id, part.id)
    try:
        subagents.begin(hold, context, part, prepared, frame.switches)
    except ToolError as wrong:
        _fail(hold, part, str(wrong))
        return False
    return True


def _ask_if_needed(
    hold: Hold, frame: Frame, part: Part, call: Any, prepared: Prepared, doubt: Doubt, *, is_loop: bool
) -> Any:
    """None if the call may run, "denied" if a rule forbids it, else the ask that now waits."""
    decision = approvals.decide(
        hold, call, given=frame.rules, limits=frame.limits, roots=tools.roots(call.tool), doubt=doubt
    )
    if decision.action == "deny":
        _fail(hold, part, f"Not allowed here: {decision.why}")
        return "denied"
    if prepared.questions:
        return approvals.question(hold, call, [dict(question) for question in prepared.questions])
    if decision.action == "allow" and is_loop:
        # Nobody would see this call before it is made, as nobody saw the same ones before it.
        again = approvals.repeated(call)
        if asked := approvals.verdict(hold, again):
            return asked
        return _ask_if_needed(
            hold, replace(frame, limits=approvals.limits_of("")), part, again, prepared, doubt, is_loop=False
        )
    if decision.action == "allow":
        return _ask_if_over(hold, frame, part, call, prepared)
    _show_pending(hold, part, prepared)
    return approvals.ask(hold, call, decision)


def _ask_if_over(hold: Hold, frame: Frame, part: Part, call: Call, prepared: Prepared) -> Any:
    """None unless too much ran unasked; else what was answered to that, or the ask that now waits."""
    over = frame.over(call)
    if over is None:
        return None
    if asked := approvals.verdict(hold, over):
        return asked
    _show_pending(hold, part, prepared)
    return approvals.ask(hold, over, approvals.decide(hold, over, limits=approvals.limits_of("")))


def _show_pending(hold: Hold, part: Part, prepared: Prepared) -> None:
    """While it waits, the transcript shows what the call would do."""
    state = {**part.data["state"], "title": prepared.title, "metadata": prepared.metadata}
    sessions.save_part(hold, replace(part, data={**part.data, "state": state}), act=f"waits: {prepared.title}")


def _refuse(hold: Hold, part: Part, asked: Any) -> bool:
    """Tell the model what the person said; True if they said nothing, or that it shall not go on: it ends the turn."""
    if asked.kind == "question":
        _fail(hold, part, "The person left the question unanswered.")
        return False
    stops = not asked.word or asked.tool == approvals.LIMIT
    _fail(hold, part, REJECTED if stops else f"{REJECTED} They say: {asked.word}")
    return stops


def _run(hold: Hold, context: ToolContext, part: Part, prepared: Prepared) -> None:
    name, given = tools.named(part.data["tool"]), part.data["state"]["input"]
    if name in CHANGING:
        checkpoints.before(hold, part.message_id, part.id)
    started = ids.now()
    running: dict[str, Any] = {
        "status": "running",
        "input": given,
        "title": prepared.title,
        "metadata": prepared.metadata,
        "time": {"start": started},
    }
    began, act = replace(part, data={**part.data, "state": running}), f"{name} {prepared.title}"
    with db.transaction() as connection:
        part = sessions.save_part(hold, began, act=act)
        if name in CHANGING or name in context.more:
            told = {"session": hold.session.id, "project": hold.session.project, "call": part.data["callID"]}
            record.audit(connection, hold.actor, "tool.run", redact.text(act), {"tool": name, **told})

    def show(metadata: dict[str, Any]) -> None:
        state = {**running, "metadata": redact.data({**prepared.metadata, **metadata})}
        sessions.save_part(hold, replace(part, data={**part.data, "state": state}))

    asker = network.Asker(hold, part) if name == "bash" and network.is_on() else None
    context = replace(context, progress=show, permit=asker.permit if asker else None)
    try:
        result = tools.run(name, context, given)
    except ToolError as wrong:
        _fail(hold, part, redact.text(str(wrong)))
        if hold.cancelled.is_set():
            raise Aborted(hold.run_id) from None
        return
    except (Aborted, Fenced):
        raise
    except Exception:
        _logger.exception("the tool %s broke", name)
        _fail(hold, part, "The tool broke on the server; its outcome is unknown.")
        return
    finally:
        if asker is not None:
            asker.close()
    if name in CHANGING and (why := space.excess(hold, context.private)):
        _complete(hold, part, replace(result, output=f"{result.output}\n\n({why})"), started)
        raise Failed(endings.unknown(why))
    _complete(hold, part, diagnosing.with_errors(hold, context, name, result), started)


def _complete(hold: Hold, part: Part, result: Result, started: int) -> None:
    state: dict[str, Any] = {
        "status": "completed",
        "input": part.data["state"]["input"],
        "output": redact.text(result.output),
        "title": result.title,
        "metadata": redact.data(result.metadata),
        "time": {"start": started, "end": ids.now()},
    }
    if result.attachments:
        state["attachments"] = [dict(attachment) for attachment in result.attachments]
    sessions.save_part(hold, replace(part, data={**part.data, "state": state}))
    if result.files_changed:
        with db.transaction() as connection:
            hold.check(connection)
            for file in result.files_changed:
                fact = FileEdited(hold.session.id, file, _became(file, result))
                record.event(connection, fact, hold.session)


def _became(file: str, result: Result) -> str:
    """What a call did to a file, in a watcher's words."""
    if not Path(file).exists():
        return "unlink"
    return "add" if result.metadata.get("exists") is False else "change"


def _tell_invalid(hold: Hold, part: Part, offered: Collection[str]) -> None:
    """A tool that does not exist: as in OpenCode, the part becomes a call of `invalid` that tells what there is."""
    now = ids.now()
    wrong = f"There is no tool {part.data['tool']!r}; there are {', '.join(sorted(offered)) or 'none'}."
    state = {
        "status": "completed",
        "input": {"tool": part.data["tool"], "error": wrong},
        "output": wrong,
        "title": "Invalid Tool",
        "metadata": {},
        "time": {"start": now, "end": now},
    }
    sessions.save_part(hold, replace(part, data={**part.data, "tool": "invalid", "state": state}))


def _interrupt(hold: Hold, part: Part) -> None:
    """A call that ran when its process died: what it asked meanwhile goes first, and nobody knows what it did."""
    with db.transaction() as connection:
        hold.check(connection)
        approvals.withdraw(connection, part_id=part.id)
    _fail(hold, part, INTERRUPTED)


def _fail(hold: Hold, part: Part, why: str) -> None:
    state = part.data["state"]
    now = ids.now()
    start = (state.get("time") or {}).get("start", now)
    known = {
        "input": state.get("input", {}),
        "metadata": state.get("metadata", {}),
        "time": {"start": start, "end": now},
    }
    error = {"status": "error", "error": why, **({"title": state["title"]} if "title" in state else {}), **known}
    sessions.save_part(hold, replace(part, data={**part.data, "state": error}))


def _state_of(part: Part) -> dict[str, Any] | None:
    """The state of a call; a file that went with a prompt is as good as read."""
    if part.type == "file" and part.data.get("stamps"):
        return {"status": "completed", "metadata": {"stamps": part.data["stamps"]}}
    return part.data["state"] if part.type == "tool" else None


def _context(hold: Hold, transcript: list[Message], mode: str) -> ToolContext:
    session = sessions.get(hold.actor, hold.session.id)
    directory = Path(session.directory)
    read = [state for message in transcript for part in message.parts if (state := _state_of(part))]
    known = list(session.todos)

    beside = projects.beside(session.directory)

    def set_todos(todos: list[dict[str, Any]]) -> None:
        sessions.set_todos(hold, todos)
        known[:] = todos

    return ToolContext(
        root=Root(directory),
        directory=directory,
        private=config.current().data_dir / "private" / session.project,
        cancel=hold.cancelled,
        stamps=tools.stamps_of(read),
        todos=known,
        set_todos=set_todos,
        mode=mode,
        also=beside.also,
        keep=beside.keep,
        more=mcp.of(hold.actor, session.directory),
        polish=polishing.of(hold),
        check_walls=processes.check_walls,
        lent=lambda: secrets.lend(session.project, hold.actor, hold.run_id),
        hides=approvals.hides_in(directory),
    )
