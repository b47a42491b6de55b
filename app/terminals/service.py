"""The verbs of terminals: open one, sit down at it, write, resize, take the keyboard, end it.

They live in this process and end with it. Who opened one owns it; the team may watch, and write with the right to.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from app import config, db, dispatch, ids, record
from app.accounts import service as accounts
from app.accounts.events import PrincipalRevoked, RightsChanged
from app.actor import SYSTEM, Actor, Scope
from app.errors import Conflict, Denied, Invalid, NotFound
from app.events import service as events
from app.processes import service as processes
from app.processes.service import Dropped, Ended, Output, Size, Tap, Word
from app.projects import service as projects
from app.projects.service import Place
from app.terminals import tickets
from app.terminals.events import TerminalCreated, TerminalDeleted, TerminalExited, TerminalUpdated
from app.terminals.seats import Viewer
from app.terminals.terminal import KEPT, Look, Terminal, cleaned
from app.terminals.tickets import Ticket, redeem
from app.terminals.watching import Watching

__all__ = [
    "NOT_READ",
    "Dropped",
    "Ended",
    "Look",
    "Output",
    "Size",
    "Tap",
    "Terminal",
    "Ticket",
    "Viewer",
    "Watching",
    "Word",
    "attach",
    "check_room",
    "create",
    "end",
    "find_place",
    "get",
    "is_busy",
    "join",
    "leave",
    "list_all",
    "list_shells",
    "most",
    "redeem",
    "rename",
    "resize",
    "shell",
    "start",
    "stop",
    "take_keyboard",
    "ticket",
    "type_in",
    "watch",
    "write",
]

SHELLS = ("/bin/bash", "/bin/zsh", "/usr/bin/zsh", "/usr/bin/fish", "/bin/sh")
# What a shell finds, unless it is given more; its own files in HOME may say otherwise.
ENVIRONMENT = {
    "COLORTERM": "truecolor",
    "PS1": r"\[\e[36m\]\W\[\e[0m\] \[\e[90m\]\$\[\e[0m\] ",
}
# Names that commands have for directories of their own place.
ALIASES = ("/tmp/", "/home/user/")  # noqa: S108
SWEEP = 60.0
NOT_READ = "INPUT_NOT_READ"
_lock = threading.Lock()
_terminals: dict[str, Terminal] = {}
_enders: ThreadPoolExecutor | None = None


def shell() -> str:
    """The shell of a terminal that names none."""
    return next((path for path in SHELLS if os.access(path, os.X_OK)), "sh")


def most() -> int:
    """How many a person may have running."""
    return processes.MOST["terminal"]


def list_shells(actor: Actor) -> list[str]:
    """The shells of this machine that a terminal can have."""
    accounts.require(actor, "terminals:read")
    return [path for path in SHELLS if os.access(path, os.X_OK)]


def find_place(actor: Actor, directory: str | None, cwd: str | None) -> tuple[Place, str | None]:
    """The place of a new terminal and the directory in it: a registered one by its own path, else one of the place that
    the request means. Raises Invalid for a path of none of them.
    """
    place = projects.resolve(actor, directory)
    if not cwd or not cwd.startswith("/"):
        return place, cwd
    if not _is_registered(actor, cwd) and f"{cwd}/".startswith(ALIASES):
        return place, cwd
    try:
        return projects.resolve(actor, cwd), cwd
    except Denied as problem:
        raise Invalid(problem.message, "cwd") from None


def _is_registered(actor: Actor, path: str) -> bool:
    found = [str(root) for one in projects.list_all(actor) for root in (one.root, projects.worktrees_of(one))]
    return any(f"{os.path.realpath(path)}/".startswith(f"{root}/") for root in found)


def create(
    actor: Actor,
    place: Place,
    *,
    command: Sequence[str] = (),
    cwd: str | None = None,
    size: Size | None = None,
    title: str = "",
    env: Mapping[str, str] | None = None,
) -> Terminal:
    """Open a terminal in a place, with a shell unless a command is given. Raises Invalid for a directory that is none
    of the place's, Limited at the owner's limit, Unavailable where nothing may run.
    """
    accounts.require(actor, "terminals:write", Scope(actor.user, place.project.id))
    given = {**ENVIRONMENT, **(env or {})}
    try:
        live = processes.start(
            actor, place, command or (shell(),), cwd=cwd, env=given, pty=size or Size(80, 24), kind="terminal"
        )
    except Denied as problem:
        if problem.key or not cwd:
            raise
        raise Invalid(problem.message, "cwd") from None
    terminal = Terminal(live, place, cleaned(title), actor.name)
    with _lock:
        _terminals[terminal.id] = terminal
    _say(TerminalCreated(terminal.shape(), terminal.directory), terminal)
    _follow(terminal)
    return terminal


def list_all(actor: Actor) -> list[Terminal]:
    """Every terminal that the actor may watch, oldest first; ended ones for 10 minutes."""
    accounts.require(actor, "terminals:read")
    with _lock:
        found = list(_terminals.values())
    return [one for one in found if accounts.may(actor, "terminals:read", one)]


def get(actor: Actor, terminal_id: str) -> Terminal:
    """One of them. Raises NotFound."""
    with _lock:
        found = _terminals.get(terminal_id)
    if found is None:
        raise NotFound("terminal", terminal_id)
    accounts.require(actor, "terminals:read", found)
    return found


def rename(actor: Actor, terminal_id: str, title: str) -> Terminal:
    """Give it another title; an empty one is what runs in it."""
    terminal = get(actor, terminal_id)
    accounts.require(actor, "terminals:write", terminal)
    terminal.title = cleaned(title)
    _say(TerminalUpdated(terminal.shape(), terminal.directory), terminal)
    return terminal


def resize(
    actor: Actor, terminal_id: str, size: Size, *, viewer: Viewer | None = None, is_told: bool = False
) -> Terminal:
    """Give it another size: whoever may write, unless somebody else has the keyboard (Conflict). `is_told`: to all
    streams too, not only to those who sit at it. NotFound when it has ended.
    """
    terminal = get(actor, terminal_id)
    accounts.require(actor, "terminals:write", terminal)
    terminal.seats.check_writer(actor.user)
    if viewer is not None and terminal.seats.writer is not viewer:
        return terminal
    if terminal.size != size:
        terminal.live.resize(size.cols, size.rows)
        for one in terminal.seats.viewers:
            one.changed()
    if is_told:
        _say(TerminalUpdated(terminal.shape(), terminal.directory), terminal)
    return terminal


def write(actor: Actor, terminal_id: str, data: str) -> None:
    """Write as if typed; waits for room. Raises NotFound when it has ended, Conflict while another has the keyboard."""
    terminal = get(actor, terminal_id)
    accounts.require(actor, "terminals:write", terminal)
    terminal.seats.check_writer(actor.user)
    _put(terminal, data.encode("utf-8", "replace"))


def type_in(actor: Actor, terminal: Terminal, viewer: Viewer, data: bytes, wait: float = 0) -> None:
    """What a viewer types. Raises Denied for one who only watches, Conflict while another person has the keyboard or
    what runs in it reads nothing for so many seconds.
    """
    accounts.require(actor, "terminals:write", terminal)
    terminal.seats.check_writer(actor.user, viewer)
    _put(terminal, data, wait)


def end(actor: Actor, terminal_id: str) -> None:
    """End what runs in it, and take it off the list at once."""
    terminal = get(actor, terminal_id)
    accounts.require(actor, "terminals:write", terminal)
    with db.transaction() as connection:
        record.audit(connection, actor, "terminal.end", terminal.id)
        _forget(connection, terminal)
    terminal.live.end()


def is_busy(actor: Actor, terminal_id: str) -> bool:
    """Whether something runs in it beside its shell."""
    terminal = get(actor, terminal_id)
    return terminal.ended is None and not terminal.front().is_shell


def check_room(actor: Actor, terminal_id: str) -> Terminal:
    """The terminal, if one more may sit down at it; raises NotFound, Limited."""
    terminal = get(actor, terminal_id)
    terminal.seats.check_room()
    return terminal


def join(
    actor: Actor, terminal_id: str, *, client: str, changed: Callable[[], None], replaced: Callable[[], None]
) -> Viewer:
    """Sit down at it; see `Viewer`. Raises NotFound, Limited."""
    terminal = get(actor, terminal_id)
    viewer = Viewer(actor, terminal, accounts.may(actor, "terminals:write", terminal), client, changed, replaced)
    terminal.seats.join(viewer)
    return viewer


def leave(viewer: Viewer) -> None:
    """Stand up."""
    viewer.terminal.seats.leave(viewer)
    viewer.terminal.active = ids.now()


def watch(actor: Actor, terminal_id: str, after: int | None = None) -> Watching:
    """Sit down only to read, from the beginning of what is kept or after an offset. Raises NotFound, Limited."""
    terminal = get(actor, terminal_id)
    viewer = Viewer(actor, terminal, may_write=False)
    terminal.seats.join(viewer)
    return Watching(attach(actor, terminal, after), lambda: leave(viewer))


def take_keyboard(actor: Actor, terminal: Terminal, viewer: Viewer) -> None:
    """Take the keyboard from whoever has it; raises Denied for one who only watches."""
    accounts.require(actor, "terminals:write", terminal)
    before = terminal.seats.writer
    terminal.seats.take(viewer)
    if before is not None and before.user != actor.user:
        with db.transaction() as connection:
            record.audit(connection, actor, "terminal.take", terminal.id, {"from": before.user})


def attach(
    actor: Actor, terminal: Terminal, after: int | None = None, *, window: int | None = None, is_acked: bool = False
) -> Tap:
    """Read what it shows, from the beginning of what is kept or after an offset; ends when the actor is revoked."""
    accounts.require(actor, "terminals:read", terminal)
    more = {} if window is None else {"window": window}
    tap = terminal.live.attach(after, is_acked=is_acked, principals=(actor.id, actor.user, actor.token), **more)
    if not accounts.is_current(actor):
        terminal.live.leave(tap)
        raise NotFound("terminal", terminal.id)
    return tap


def ticket(actor: Actor, terminal_id: str) -> Ticket:
    """A secret that opens one connection to this terminal, soon, for a client that cannot send credentials with it."""
    terminal = get(actor, terminal_id)
    accounts.require(actor, "terminals:read", terminal)
    return tickets.give(actor, terminal.id)


def start() -> None:
    """At start: hear who is revoked, and write down what ends."""
    global _enders
    _enders = ThreadPoolExecutor(1, thread_name_prefix="terminal-ends")
    events.listen(PrincipalRevoked, _on_revoked)
    events.listen(RightsChanged, _on_changed)


def stop() -> None:
    """Write down what has ended, and forget everything; what ran in them has been ended by then."""
    global _enders
    pool, _enders = _enders, None
    if pool is not None:
        pool.shutdown(wait=True)
    with _lock:
        _terminals.clear()


@dispatch.every(SWEEP)
def sweep() -> None:
    """Forget those that ended long ago, and end those that nobody sits at and nothing moves in."""
    now, hours = ids.now(), config.current().terminal_hours
    with _lock:
        found = list(_terminals.values())
    for terminal in found:
        if terminal.ended is not None and terminal.ended.at + KEPT < now:
            with db.transaction() as connection:
                _forget(connection, terminal)
        elif hours and _is_left_alone(terminal, now - hours * 3_600_000):
            with db.transaction() as connection:
                record.audit(connection, SYSTEM, "terminal.idle", terminal.id, {"hours": hours})
            terminal.live.end()


def _is_left_alone(terminal: Terminal, since: int) -> bool:
    """Whether it runs, and nobody sat at it and nothing moved in it since."""
    return terminal.ended is None and not terminal.seats.viewers and terminal.active < since


def _put(terminal: Terminal, data: bytes, wait: float | None = None) -> None:
    terminal.active = ids.now()
    try:
        terminal.live.write(data, *([] if wait is None else [wait]))
    except Conflict as problem:
        raise Conflict(problem.message, code=NOT_READ) from None


def _follow(terminal: Terminal) -> None:
    """Remember when it last showed something, and hear of its end."""
    tap = terminal.live.attach(terminal.live.ring.end)

    def see(words: Sequence[Word]) -> None:
        for word in words:
            if isinstance(word, Output):
                terminal.active = ids.now()
                tap.taken(len(word.data))
            elif isinstance(word, Ended) and _enders is not None:
                _enders.submit(_on_end, terminal, word)

    tap.pour(see, lambda: None)


def _on_end(terminal: Terminal, word: Ended) -> None:
    if not terminal.is_deleted:
        _say(TerminalExited(terminal.id, word.exit_code, word.signal, terminal.directory), terminal)
    for one in terminal.seats.viewers:
        one.changed()


def _on_revoked(fact: PrincipalRevoked) -> None:
    """A revoked person's terminals end with them; the processes room does the same with what a token has started."""
    tickets.withdraw(fact.principal)
    if fact.what == "user":
        _end_all(fact.principal)


def _on_changed(fact: RightsChanged) -> None:
    """Terminals end with the right to open them there; the processes room lets go of who only watches."""
    tickets.withdraw(fact.user_id)
    person = accounts.acting_for(fact.user_id, "system")
    _end_all(fact.user_id, lambda terminal: not accounts.may(person, "terminals:write", terminal))


def _end_all(owner: str, ends: Callable[[Terminal], bool] = lambda _terminal: True) -> None:
    with _lock:
        found = [one for one in _terminals.values() if one.owner == owner]
    for terminal in found:
        if ends(terminal):
            terminal.live.end()


def _forget(connection: sa.Connection, terminal: Terminal) -> None:
    """Take it off the list and say so, once."""
    with _lock:
        if _terminals.pop(terminal.id, None) is None:
            return
    terminal.is_deleted = True
    record.event(connection, TerminalDeleted(terminal.id, terminal.directory), terminal)


def _say(event: record.Event, terminal: Terminal) -> None:
    with db.transaction() as connection:
        record.event(connection, event, terminal)
