"""The verbs of terminals: whose they are, who writes, and what ends them."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from app import config, db, ids, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid, Limited, NotFound
from app.processes import service as processes
from app.projects import service as projects
from app.projects.service import Place
from app.terminals import seats, service, tickets
from app.terminals.service import Size, Terminal, Viewer
from app.terminals.terminal import KEPT
from tests.conftest import member
from tests.terminals.conftest import ends, shows
from tests.visitor import until


def facts(*kinds: str) -> list[tuple[str, dict[str, object]]]:
    """The events of these kinds, in order."""
    with db.read() as connection:
        rows = connection.execute(record.events.select().order_by(record.events.c.seq)).all()
    return [(row.kind, row.data) for row in rows if row.kind in kinds]


def deeds(action: str) -> list[str]:
    """Whom the audit log names for an act, as targets."""
    with db.read() as connection:
        rows = connection.execute(record.audit_rows.select()).all()
    return [row.target for row in rows if row.action == action]


def sit(actor: Actor, terminal: Terminal, client: str = "") -> tuple[Viewer, list[str]]:
    """Somebody at a terminal, and what they are told."""
    told: list[str] = []
    viewer = service.join(
        actor,
        terminal.id,
        client=client,
        changed=lambda: told.append("changed"),
        replaced=lambda: told.append("replaced"),
    )
    return viewer, told


def test_a_shell_runs_in_the_directory_of_its_place(place: Place, alice: Actor) -> None:
    made = service.create(alice, place, cwd="src", size=Size(100, 30))
    service.write(alice, made.id, "pwd; stty size; exit 3\n")
    ends(made)
    shows(made, f"{place.root}/src\r\n30 100")
    assert made.ended is not None
    assert made.ended.exit_code == 3
    assert [one.id for one in service.list_all(alice)] == [made.id]


def test_its_life_is_told_in_events_and_written_down(place: Place, alice: Actor) -> None:
    made = service.create(alice, place, command=["/bin/sh", "-c", "read x; exit 7"], title="build")
    service.rename(alice, made.id, "  watch\n\x1b[31m it ")
    service.write(alice, made.id, "\n")
    kinds = ("terminals.created", "terminals.updated", "terminals.exited", "terminals.deleted")
    until(lambda: len(facts(*kinds)) == 3)
    service.end(alice, made.id)
    (_, created), (_, updated), (_, exited), (_, deleted) = facts(*kinds)
    assert (created["terminal"]["title"], updated["terminal"]["title"]) == ("build", "watch [31m it")  # type: ignore[index]
    assert (exited["exit_code"], exited["terminal_id"]) == (7, made.id)
    assert (deleted["terminal_id"], deleted["directory"]) == (made.id, str(place.directory))
    assert len(deeds("terminal.start")) == 1
    assert deeds("terminal.end") == [made.id]
    with pytest.raises(NotFound):
        service.get(alice, made.id)


def test_the_team_watches_and_a_stranger_finds_nothing(terminal: Terminal, bob: Actor, charlie: Actor) -> None:
    assert service.get(bob, terminal.id) is terminal
    with pytest.raises(Denied):
        service.write(bob, terminal.id, "x")
    with pytest.raises(Denied):
        service.end(bob, terminal.id)
    for act in (service.get, service.end, service.ticket, service.is_busy):
        with pytest.raises(NotFound):
            act(charlie, terminal.id)
    with pytest.raises(NotFound):
        service.rename(charlie, terminal.id, "mine")


def test_an_agent_opens_no_terminal(place: Place, alice: Actor) -> None:
    with pytest.raises(Denied):
        service.create(dataclasses.replace(alice, kind="agent"), place)


@pytest.mark.parametrize("cwd", ["/etc", "../..", "no-such", "/nowhere/at/all"])
def test_a_directory_outside_is_refused_and_breaks_nothing(place: Place, alice: Actor, cwd: str) -> None:
    with pytest.raises(Invalid):
        service.create(alice, *[place], cwd=service.find_place(alice, str(place.directory), cwd)[1])
    assert service.list_all(alice) == []
    service.create(alice, place)


def test_a_person_has_so_many_at_once(place: Place, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(processes.MOST, "terminal", 2)
    first = service.create(alice, place)
    service.create(alice, place)
    with pytest.raises(Limited):
        service.create(alice, place)
    service.end(alice, first.id)
    ends(first)
    service.create(alice, place)


def test_the_first_who_may_write_has_the_keyboard(terminal: Terminal, alice: Actor, bob: Actor) -> None:
    watcher, told = sit(bob, terminal)
    assert terminal.seats.writer is None
    first, _ = sit(alice, terminal)
    second, _ = sit(alice, terminal)
    assert terminal.seats.writer is first
    assert told
    with pytest.raises(Denied):
        service.take_keyboard(bob, terminal, watcher)
    with pytest.raises(Denied):
        service.type_in(bob, terminal, watcher, b"rm -rf\n")
    service.take_keyboard(alice, terminal, second)
    assert terminal.seats.writer is second
    service.leave(second)
    assert terminal.seats.writer is first


def test_who_has_the_keyboard_keeps_it_from_others(terminal: Terminal, alice: Actor) -> None:
    mallory = member(alice, "Mallory", "admin")
    mine, _ = sit(alice, terminal)
    theirs, _ = sit(mallory, terminal)
    service.take_keyboard(mallory, terminal, theirs)
    assert deeds("terminal.take") == [terminal.id]
    with pytest.raises(Conflict, match="Mallory has the keyboard"):
        service.type_in(alice, terminal, mine, b"x")
    with pytest.raises(Conflict):
        service.write(alice, terminal.id, "x")
    with pytest.raises(Conflict):
        service.resize(alice, terminal.id, Size(10, 10))
    service.leave(theirs)
    service.type_in(alice, terminal, mine, b"mine again\n")
    shows(terminal, "mine again")


def test_typing_takes_the_keyboard_from_oneself(terminal: Terminal, alice: Actor) -> None:
    sit(alice, terminal)
    second, _ = sit(alice, terminal)
    service.type_in(alice, terminal, second, b"hello\n")
    assert terminal.seats.writer is second
    shows(terminal, "hello")


def test_a_page_that_comes_back_takes_its_old_seat(terminal: Terminal, alice: Actor) -> None:
    _, told = sit(alice, terminal, "tab")
    new, _ = sit(alice, terminal, "tab")
    assert told[-1] == "replaced"
    assert terminal.seats.viewers == [new]
    assert terminal.seats.writer is new


def test_so_many_watch_at_once(terminal: Terminal, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats, "MOST", 1)
    service.check_room(alice, terminal.id)
    sit(alice, terminal)
    with pytest.raises(Limited):
        service.check_room(alice, terminal.id)
    with pytest.raises(Limited):
        sit(alice, terminal)


def test_only_who_has_the_keyboard_gives_the_size(terminal: Terminal, alice: Actor) -> None:
    writer, _ = sit(alice, terminal)
    watcher, told = sit(alice, terminal)
    told.clear()
    service.resize(alice, terminal.id, Size(40, 10), viewer=watcher)
    assert terminal.size == Size(80, 24)
    service.resize(alice, terminal.id, Size(40, 10), viewer=writer)
    assert terminal.size == Size(40, 10)
    assert told == ["changed"]


def test_an_ended_one_is_kept_to_be_read_and_then_goes(
    terminal: Terminal, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.write(alice, terminal.id, "last words\n\x04")
    ends(terminal)
    service.sweep()
    assert service.get(alice, terminal.id).lines(2)[0] == "last words"
    later = ids.now() + KEPT + 1
    monkeypatch.setattr(ids, "now", lambda: later)
    service.sweep()
    with pytest.raises(NotFound):
        service.get(alice, terminal.id)
    assert len(facts("terminals.deleted")) == 1


def test_one_that_is_left_alone_is_ended_after_the_hours_of_the_setting(
    terminal: Terminal, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = config.current().terminal_hours
    later = ids.now() + hours * 3_600_000 + 60_000
    viewer, _ = sit(alice, terminal)
    with monkeypatch.context() as patched:
        patched.setattr(ids, "now", lambda: later)
        service.sweep()
        assert terminal.ended is None
    service.leave(viewer)
    monkeypatch.setattr(ids, "now", lambda: later)
    service.sweep()
    ends(terminal)
    assert deeds("terminal.idle") == [terminal.id]


def test_a_revoked_person_takes_their_terminals_along(place: Place, alice: Actor) -> None:
    mallory = member(alice, "Mallory")
    made = service.create(mallory, place)
    given = service.ticket(mallory, made.id)
    accounts.revoke_user(alice, mallory.user)
    ends(made)
    until(lambda: service.redeem(given.secret, made.id) is None)


def test_a_ticket_is_for_one_use_one_terminal_and_a_while(
    terminal: Terminal, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service.redeem(service.ticket(alice, terminal.id).secret, "pty_other") is None
    given = service.ticket(alice, terminal.id)
    assert service.redeem(given.secret, terminal.id) == alice
    assert service.redeem(given.secret, terminal.id) is None
    late = service.ticket(alice, terminal.id)
    later = time.monotonic() + tickets.SECONDS + 1
    monkeypatch.setattr(tickets.time, "monotonic", lambda: later)
    assert service.redeem(late.secret, terminal.id) is None


def test_what_runs_in_front_is_seen_with_its_directory(place: Place, alice: Actor) -> None:
    made = service.create(alice, place)
    shows(made, "$")
    assert not service.is_busy(alice, made.id)
    assert (made.look().words, made.look().cwd) == ("bash", "shop")
    service.write(alice, made.id, "cd src; sleep 1000\n")
    # A command is a copy of the shell, by the shell's name, until it becomes the program that it runs.
    until(lambda: (made.look().words, made.look().cwd) == ("sleep 1000", "shop/src"))
    assert service.is_busy(alice, made.id)
    service.write(alice, made.id, "\x03")
    until(lambda: not service.is_busy(alice, made.id))


def test_the_last_lines_are_plain_text(place: Place, alice: Actor) -> None:
    words = r"\033[31mred\033[0m \033]8;;javascript:alert(1)\033\\link\033]8;;\033\\ a\bb 1%%\r50%% \342\200\256evil\n"
    made = service.create(
        alice, place, command=["/bin/sh", "-c", f"printf '{words}'; printf '\\033]52;c;aGk=\\007end'"]
    )
    ends(made)
    assert made.lines(10)[-2:] == ["50% evil", "end"]
    made = service.create(alice, place, command=["/bin/sh", "-c", "printf '\\033[31mred\\033[0m \\033[2Jab\\bc\\n'"])
    ends(made)
    assert made.lines(10)[0] == "red ac"


def test_shells_are_those_of_this_machine(alice: Actor, charlie: Actor) -> None:
    assert service.shell() in service.list_shells(alice)
    assert all(Path(path).exists() for path in service.list_shells(alice))
    with pytest.raises(Denied):
        service.list_shells(charlie)


def test_one_in_a_sandbox_is_its_owners_alone(alice: Actor, place: Place) -> None:
    scratch = projects.open_scratch(alice.user, "i0")
    made = service.create(alice, Place(scratch, scratch.path, scratch.path), command=("sleep", "60"))
    bob = member(alice, "Bob")
    in_shop = service.create(alice, place, command=("sleep", "60"))
    assert service.list_all(bob) == [in_shop]
    with pytest.raises(NotFound):
        service.get(bob, made.id)
    assert service.list_all(alice) == [made, in_shop]
