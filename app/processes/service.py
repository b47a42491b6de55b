"""The verbs of running commands: start them for people, list them, speak to them, end them.

They live in the server process and end with it; who started one owns it, and to everybody else there is none.
"""

from __future__ import annotations

import itertools
import signal as signals
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from app import config, db, ids, record, redact
from app.accounts import service as accounts
from app.accounts.events import PrincipalRevoked, RightsChanged
from app.actor import Actor, Scope
from app.errors import Conflict, Denied, Invalid, Limited, NotFound, Unavailable
from app.events import service as events
from app.processes import homes, sandbox, spare, standin, where
from app.processes import live as lives
from app.processes.egress import Egress
from app.processes.live import Dropped, Ended, Live, Output, Size, Spec, Tap, Word
from app.processes.sandbox import sandbox_state
from app.processes.spec import Kind
from app.processes.timing import at_time
from app.projects import service as projects
from app.projects.service import Place

__all__ = [
    "Dropped",
    "Ended",
    "Live",
    "Output",
    "Place",
    "Size",
    "Tap",
    "Word",
    "at_time",
    "attach",
    "check_typed",
    "check_walls",
    "close_stdin",
    "end",
    "end_within",
    "environment_at_home",
    "feed",
    "find_within",
    "get",
    "list_all",
    "list_within",
    "place_of",
    "resize",
    "signal",
    "signal_number",
    "start",
    "start_background",
    "stop",
    "way_out",
    "write",
]
MOST: dict[Kind, int] = {"process": 20, "terminal": 10}
RETRY = 5
REMEMBERED = 600.0
MOST_FINISHED, MOST_FINISHED_BYTES = 50, 8 << 20
FEED_WAIT = 60.0
WORDS, WORD = 100, 1000
GONE = 5.0  # seconds after which a killed command has ended
Selector = int | str

_lock = threading.Lock()
_by_owner: dict[str, list[Live]] = {}
_starting: Counter[tuple[str, Kind]] = Counter()
_fed: set[str] = set()
_numbers = itertools.count(1)
_is_stopping = False


def place_of(actor: Actor, cwd: str | None) -> Place:
    """The place in which a command with this working directory runs: the default one, or the project that holds it.

    Raises Denied for a directory of no project.
    """
    accounts.require(actor, "projects:read")
    if cwd and where.is_elsewhere(cwd, [project.path for project in projects.list_all(actor)]):
        return projects.resolve(actor, cwd)
    return projects.resolve(actor, None)


def start(
    actor: Actor,
    place: Place,
    command: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    pty: Size | None = None,
    tag: str | None = None,
    stdin: bool = True,
    kind: Kind = "process",
    at_home: bool = False,
    reach: bool = True,
) -> Live:
    """Start a command in a place: an exact argument vector, no shell between.

    `cwd` is a directory of the place as its commands name it. With `pty` it has a terminal. Without a tag it gets
    `proc-N`. A command that isn't there ends with 127. `at_home` shows it the workspace as its HOME; without `reach` it
    has no network at all. Raises Invalid for a directory outside, Limited at the owner's limit, Unavailable
    SANDBOX_UNAVAILABLE.
    """
    accounts.require(actor, f"{_noun(kind)}:write", Scope(actor.user, place.project.id, "private"))
    has_team = accounts.has_team()
    _check(actor, has_team)
    if not reach and not sandbox_state().on:
        raise Unavailable("Without a sandbox nothing keeps a command from the network.", code="SANDBOX_UNAVAILABLE")
    beside, private = projects.beside(str(place.directory)), projects.private_of(place.project)
    walls = sandbox.Place(place.directory, private, beside.also, beside.keep)
    directory = where.directory(walls, place.directory, cwd)
    spec = Spec(
        argv=tuple(command),
        cwd=homes.seen(walls, directory) if at_home else directory,
        workspace=place.directory,
        private=private,
        env={**(homes.environment(walls) if at_home else {}), **(env or {})},
        also=beside.also,
        keep=beside.keep,
        egress=_way(has_team) if reach else None,
        stdin=stdin,
        size=pty,
        kind=kind,
        tag=tag or f"{'term' if kind == 'terminal' else 'proc'}-{next(_numbers)}",
        owner=actor.user,
        project=place.project.id,
        principals=_principals(actor),
    )
    with _counted(actor.user, kind) as enter:
        _audit(actor, spec)
        live = lives.launch(spec)
        enter(live)
    if _is_stopping:  # since it was asked about: the stop may not have seen this one
        live.kill()
    return live


def list_all(actor: Actor, kind: Kind | None = "process") -> list[Live]:
    """The actor's own commands of a kind (None: of all), oldest first, ended ones for 10 minutes."""
    accounts.require(actor, f"{_noun(kind or 'process')}:read")
    with _lock:
        _forget()
        found = list(_by_owner.get(actor.user, []))
    wanted = [live for live in found if kind in (None, live.kind)]
    return [live for live in wanted if accounts.may(actor, f"{_noun(live.kind)}:read", live)]


def get(actor: Actor, selector: Selector, kind: Kind | None = "process") -> Live:
    """One of the actor's commands by its pid, tag or id; of several the newest. Raises NotFound for anybody else's."""
    accounts.require(actor, f"{_noun(kind or 'process')}:read")
    for live in reversed(list_all(actor, kind)):
        if selector in (live.pid, live.tag, live.id):
            return live
    raise NotFound(kind or "process", str(selector))


def write(actor: Actor, live: Live, data: bytes, wait: float = lives.WRITE_WAIT) -> None:
    """Give it something to read; waits up to `wait` seconds for room (see Live.write)."""
    _require(actor, live, "write")
    live.write(data, wait)


def feed(actor: Actor, live: Live, pieces: Iterable[bytes]) -> None:
    """Give it a stream to read as it comes. Raises Conflict for a second one at once, and when it reads nothing for
    a minute.
    """
    _require(actor, live, "write")
    with _lock:
        if live.id in _fed:
            raise Conflict("Somebody already streams to this command.")
        _fed.add(live.id)
    try:
        for piece in pieces:
            live.write(piece, FEED_WAIT)
    finally:
        with _lock:
            _fed.discard(live.id)


def close_stdin(actor: Actor, live: Live) -> None:
    """End its input; Invalid for a terminal."""
    _require(actor, live, "write")
    live.close_stdin()


def signal(actor: Actor, live: Live, number: int) -> None:
    """Send a signal to it and all it has started; NotFound when it has ended."""
    _require(actor, live, "write")
    live.signal(number)


def signal_number(named: int | str) -> int:
    """The number of a signal that is named by its number or its name; Invalid for none."""
    found = (
        signals.Signals.__members__.get(f"SIG{named.upper().removeprefix('SIG')}") if isinstance(named, str) else named
    )
    if found is None:
        raise Invalid(f"There is no signal {str(named)[:40]}.", "signal")
    return int(found)


def resize(actor: Actor, live: Live, cols: int, rows: int) -> None:
    """Give its terminal another size."""
    _require(actor, live, "write")
    live.resize(cols, rows)


def end(actor: Actor, live: Live, *, forget: bool = False) -> None:
    """End it and all it has started; does not wait for that. `forget` takes it off the list at once."""
    _require(actor, live, "write")
    live.end()
    if forget:
        with _lock:
            _remove(live)


def attach(
    actor: Actor, live: Live, after: int | None = None, *, window: int = lives.WINDOW, is_acked: bool = False
) -> Tap:
    """Read what it prints (see Live.attach); ends when the actor is revoked."""
    _require(actor, live, "read")
    return live.attach(after, window=window, is_acked=is_acked, principals=_principals(actor))


def environment_at_home(place: Place) -> dict[str, str]:
    """What `start` puts into the environment of a command at home."""
    return homes.environment(sandbox.Place(place.directory, projects.private_of(place.project)))


def list_within(actor: Actor, place: Place) -> list[Live]:
    """The actor's own processes that run in a place, oldest first."""
    return [live for live in list_all(actor) if live.ended is None and live.spec.workspace == place.directory]


def find_within(actor: Actor, place: Place, pid: int | None, tag: str | None) -> Live:
    """One of those by its pid or its tag; of several the newest. Raises NotFound."""
    for live in reversed(list_within(actor, place)):
        if live.pid == pid or (tag is not None and live.tag == tag):
            return live
    raise NotFound("process", str(pid if pid is not None else tag)[:100])


def end_within(workspace: Path) -> None:
    """Kill all that runs in a workspace that is going away, whoever's it is, and wait for that."""
    with _lock:
        found = [live for owned in _by_owner.values() for live in owned if live.spec.workspace == workspace]
    for live in found:
        live.kill()
    for live in found:
        live.wait(GONE)


def start_background() -> None:
    """At start: take commands, and hear who is revoked."""
    global _is_stopping
    _is_stopping = False
    spare.sweep()
    standin.sweep()
    events.listen(PrincipalRevoked, _on_revoked)
    events.listen(RightsChanged, _on_changed)


def stop() -> None:
    """End every command of this process and all they have started; none is taken any more."""
    global _is_stopping
    _is_stopping = True
    lives.stop()
    standin.stop()
    with _lock:
        _by_owner.clear()


def check_typed(actor: Actor, project: str) -> None:
    """Raise unless the actor is a person who may run commands of their own in a project, and can here and now."""
    accounts.require(actor, "processes:write", Scope(actor.user, project, "private"))
    _check(actor, accounts.has_team())


def way_out() -> Egress | None:
    """The way out of the sandbox of a person's own command (see Egress); None where commands have no network."""
    return _way(accounts.has_team())


def check_walls() -> None:
    """Raise Unavailable SANDBOX_UNAVAILABLE where there is a team, and nothing keeps one's commands from the others."""
    _check_walls(accounts.has_team())


def _check_walls(has_team: bool) -> None:
    if has_team and not sandbox_state().on:
        why = sandbox_state().why
        raise Unavailable(f"Without a sandbox a team's server runs no commands: {why}", code="SANDBOX_UNAVAILABLE")


def _require(actor: Actor, live: Live, verb: str) -> None:
    """Let the owner pass; to everybody else there is no such command."""
    if live.owner != actor.user:
        raise NotFound(live.kind, str(live.pid))
    accounts.require(actor, f"{_noun(live.kind)}:{verb}", live)


def _check(actor: Actor, has_team: bool) -> None:
    if actor.kind == "agent":
        raise Denied("An agent runs commands by its tools, which ask.")
    if _is_stopping:
        raise Unavailable("The server is shutting down.")
    _check_walls(has_team)


@contextmanager
def _counted(owner: str, kind: Kind) -> Iterator[Callable[[Live], None]]:
    """A place among the owner's running commands, held while one starts; gives what enters it into the list."""
    with _lock:
        _forget()
        running = sum(live.kind == kind and live.ended is None for live in _by_owner.get(owner, ()))
        if running + _starting[owner, kind] >= MOST[kind]:
            raise Limited(f"At most {MOST[kind]} {_noun(kind)} run at once.", RETRY)
        _starting[owner, kind] += 1

    def enter(live: Live) -> None:
        with _lock:
            _by_owner.setdefault(owner, []).append(live)

    try:
        yield enter
    finally:
        with _lock:
            _starting[owner, kind] -= 1


def _audit(actor: Actor, spec: Spec) -> None:
    """Write down who runs what where, before it runs; the values of the environment stay out."""
    detail = {
        "argv": [redact.text(word)[:WORD] for word in spec.argv[:WORDS]],
        "cwd": redact.text(str(spec.cwd)),
        "env": sorted(spec.env)[:WORDS],
        "project": spec.project,
        "tag": redact.text(spec.tag),
    }
    with db.transaction() as connection:
        record.audit(connection, actor, f"{spec.kind}.start", redact.text(spec.argv[0]), detail)


def _way(has_team: bool) -> Egress | None:
    """The way out of the sandbox of a person's own command: any public host without being asked, as far as commands
    have a network here at all.
    """
    setting = config.current().egress
    is_on = setting == "ask" or (not setting and not has_team)
    return Egress(lambda _target: "") if is_on and sandbox_state().on else None


def _on_revoked(fact: PrincipalRevoked) -> None:
    """End what a revoked user or token runs and reads; somebody who signed out one browser only reads anew.

    Called in the hub's thread, which has no time to look for what a command has started.
    """
    with _lock:
        found = [live for owned in _by_owner.values() for live in owned]
    for live in found:
        live.end_taps(fact.principal)
        if fact.what != "device" and fact.principal in live.spec.principals:
            live.pump.aside(live.end)


def _on_changed(fact: RightsChanged) -> None:
    """Whoever reads a command reads anew; those that its owner may no longer run end."""
    person = accounts.acting_for(fact.user_id, "system")
    with _lock:
        found = [live for owned in _by_owner.values() for live in owned]
    for live in found:
        live.end_taps(fact.user_id)
        is_theirs = live.owner == fact.user_id and live.ended is None
        if is_theirs and not accounts.may(person, f"{_noun(live.kind)}:write", live):
            live.pump.aside(live.end)


def _forget() -> None:
    """Drop those that ended long ago, or are too many or too large to be kept; with the lock held."""
    latest = ids.now() - REMEMBERED * 1000
    for owner, owned in list(_by_owner.items()):
        finished = [live for live in owned if live.ended is not None]
        kept = room = 0
        for live in reversed(finished):
            kept, room = kept + 1, room + live.ring.end - live.ring.start
            is_old = live.ended is not None and live.ended.at < latest
            if is_old or kept > MOST_FINISHED or room > MOST_FINISHED_BYTES:
                owned.remove(live)
        if not owned:
            del _by_owner[owner]


def _remove(live: Live) -> None:
    owned = _by_owner.get(live.owner, [])
    if live in owned:
        owned.remove(live)


def _principals(actor: Actor) -> tuple[str | None, ...]:
    return actor.id, actor.user, actor.token


def _noun(kind: Kind) -> str:
    return "terminals" if kind == "terminal" else "processes"
