"""Identical reads answered in one act, and what is no identical read left alone, on both engines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app import db, dispatch
from app.actor import Actor
from app.approvals import service as approvals
from app.errors import Denied, Invalid
from app.sessions import service as sessions
from app.sessions.service import Hold
from tests.approvals.asking import asked, hold_of, reads, runs
from tests.conftest import member


@pytest.fixture(autouse=True)
def database(either_database: db.Database) -> db.Database:
    """Both engines in turn."""
    return either_database


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that would be woken: no engine runs here."""
    found: list[str] = []
    monkeypatch.setattr(dispatch, "wake", lambda _name, run_id: found.append(run_id))
    return found


@pytest.fixture
def hold(alice: Actor, tmp_path: Path, woken: list[str]) -> Hold:
    """A run of Alice's."""
    return hold_of(alice, tmp_path)


def states(actor: Actor, *asks: approvals.Ask) -> list[tuple[str, str]]:
    """State and reply of each."""
    return [(now.state, now.reply) for now in (approvals.get(actor, ask.id) for ask in asks)]


def test_identical_reads_are_answered_in_one_act(hold: Hold, alice: Actor) -> None:
    one, two = reads(hold, "/etc/hosts"), reads(hold, "/etc/fstab")
    outcome = approvals.answer_reads(alice, [one.id, two.id], "once")
    assert {ask.id for ask in outcome.answered} == {one.id, two.id}
    assert (outcome.late, outcome.left) == ([], [])
    assert states(alice, one, two) == [("answered", "once")] * 2


def test_commands_that_only_read_are_reads_too(hold: Hold, alice: Actor) -> None:
    one, two = runs(hold, "cat /etc/hosts | sort"), runs(hold, "cat /etc/fstab | sort")
    assert len(approvals.answer_reads(alice, [one.id, two.id], "once").answered) == 2


@pytest.mark.parametrize(
    "command",
    ["head /etc/hosts", "cat .env", "cat /etc/hosts > x", "cat /etc/hosts && rm x", "cat $(ls)", "X=1 cat /etc/hosts"],
)
def test_a_command_that_is_not_like_it_is_answered_alone(hold: Hold, alice: Actor, command: str) -> None:
    one, other = runs(hold, "cat /etc/fstab"), runs(hold, command)
    with pytest.raises(Invalid):
        approvals.answer_reads(alice, [one.id, other.id], "once")
    assert states(alice, one, other) == [("waiting", "")] * 2


def test_they_can_be_rejected_with_a_word(hold: Hold, alice: Actor) -> None:
    one = reads(hold, "/etc/hosts")
    approvals.answer_reads(alice, [one.id], "reject", "not yours")
    assert approvals.get(alice, one.id).word == "not yours"
    assert states(alice, one) == [("answered", "reject")]


def test_who_was_faster_is_told_and_the_rest_is_answered(hold: Hold, alice: Actor) -> None:
    mei = member(alice, "Mei", "admin")
    one, two, three = (reads(hold, f"/etc/{name}") for name in ("hosts", "fstab", "motd"))
    approvals.answer(mei, two.id, "reject")
    outcome = approvals.answer_reads(alice, [one.id, two.id, three.id], "once")
    assert [ask.id for ask in outcome.answered] == [one.id, three.id]
    assert [(ask.id, ask.answered_name) for ask in outcome.late] == [(two.id, "Mei")]
    assert states(alice, two) == [("answered", "reject")]


def test_the_run_goes_on_once_all_are_answered(hold: Hold, alice: Actor, woken: list[str]) -> None:
    one, two = reads(hold, "/etc/hosts"), reads(hold, "/etc/fstab")
    sessions.wait(hold, lambda connection: approvals.is_waiting(connection, hold.run_id))
    woken.clear()
    approvals.answer_reads(alice, [one.id, two.id], "once")
    assert woken == [hold.run_id]


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("bash", {"command": "git push"}),
        ("bash", {"command": "cat /etc/hosts"}),
        ("edit", {"filePath": "x.py", "oldString": "a", "newString": "b"}),
        ("webfetch", {"url": "https://example.com"}),
        ("read", {"filePath": ".env"}),
        ("read", {"filePath": "/etc/" + "x" * 120}),
        ("read", {"filePath": "/etc/ho\u202ests"}),
        ("grep", {"pattern": "x", "path": "/etc"}),
        ("hubspot_update", {"id": 1}),
    ],
    ids=[
        "command",
        "reading command",
        "edit",
        "page",
        "secret",
        "longer than a row",
        "turned around",
        "another reader",
        "unknown tool",
    ],
)
def test_what_is_no_identical_read_is_answered_alone(
    hold: Hold, alice: Actor, tool: str, given: dict[str, object]
) -> None:
    one, other = reads(hold, "/etc/hosts"), asked(hold, tool, given)
    with pytest.raises(Invalid):
        approvals.answer_reads(alice, [one.id, other.id], "once")
    assert states(alice, one, other) == [("waiting", "")] * 2


@pytest.mark.parametrize("reply", ["always", "answer", ""])
def test_only_once_or_a_rejection_is_given_to_many(hold: Hold, alice: Actor, reply: str) -> None:
    one = reads(hold, "/etc/hosts")
    with pytest.raises(Invalid):
        approvals.answer_reads(alice, [one.id], reply)
    assert states(alice, one) == [("waiting", "")]


def test_none_and_too_many_are_told(alice: Actor) -> None:
    for wanted in ([], [f"per_{n}" for n in range(51)]):
        with pytest.raises(Invalid):
            approvals.answer_reads(alice, wanted, "once")


def test_what_is_somebody_elses_stays(hold: Hold, alice: Actor, tmp_path: Path, bob: Actor) -> None:
    theirs = reads(hold, "/etc/hosts")
    mine = reads(hold_of(bob, tmp_path), "/etc/hosts")
    outcome = approvals.answer_reads(bob, [theirs.id, mine.id], "once")
    assert ([ask.id for ask in outcome.answered], outcome.left) == ([mine.id], [theirs.id])
    assert states(alice, theirs) == [("waiting", "")]


def test_what_is_private_and_what_never_was_look_alike(alice: Actor, tmp_path: Path, bob: Actor, woken: None) -> None:
    hidden = reads(hold_of(alice, tmp_path, visibility="private"), "/etc/hosts")
    assert approvals.answer_reads(bob, [hidden.id, "per_nothing"], "once").left == [hidden.id, "per_nothing"]
    assert states(alice, hidden) == [("waiting", "")]


def test_an_agent_answers_nothing(hold: Hold, alice: Actor) -> None:
    one = reads(hold, "/etc/hosts")
    with pytest.raises(Denied):
        approvals.answer_reads(replace(alice, kind="agent"), [one.id], "once")
    assert states(alice, one) == [("waiting", "")]


def test_what_waits_is_counted_as_it_is_listed(alice: Actor, bob: Actor, tmp_path: Path, woken: None) -> None:
    shared, private = hold_of(alice, tmp_path), hold_of(alice, tmp_path, visibility="private")
    own = hold_of(bob, tmp_path)
    asks = [reads(hold, "/etc/hosts") for hold in (shared, private, own)]
    for actor in (alice, bob):
        mine, others = approvals.waiting_ids(actor)
        assert sorted(mine + others) == sorted(ask.id for ask in approvals.waiting(actor))
        assert approvals.count_waiting(actor) == len(mine)
    assert approvals.waiting_ids(bob) == ([asks[2].id], [asks[0].id])
    assert approvals.waiting_ids(alice)[0] == [ask.id for ask in asks]
    found = approvals.waiting_in(bob, [hold.session.id for hold in (shared, private)])
    assert [ask.id for ask in found] == [asks[0].id]
    assert runs(own, "git push").id in approvals.waiting_ids(bob)[0]
