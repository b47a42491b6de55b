"""What a rule would have let through, told before it is added, on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import db, dispatch, ids
from app.actor import Actor
from app.approvals import models
from app.approvals import service as approvals
from app.approvals.service import Ask, Rule, foresee, replay
from app.projects.service import Project
from app.sessions.service import Hold
from tests.approvals.asking import asked, hold_of, reads, runs

DAY = 86_400_000


@pytest.fixture(autouse=True)
def database(either_database: db.Database) -> db.Database:
    """Both engines in turn."""
    return either_database


@pytest.fixture
def hold(alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hold:
    """A run of Alice's; no engine runs here."""
    monkeypatch.setattr(dispatch, "wake", lambda *_: None)
    return hold_of(alice, tmp_path)


def answered(actor: Actor, ask: Ask, reply: str = "once") -> Ask:
    """The ask, answered."""
    return approvals.answer(actor, ask.id, reply)


def titles(actor: Actor, ask: Ask) -> list[str]:
    """What the rules of an ask would have let through."""
    return [past.title for past in replay(actor, ask).shown]


def test_it_finds_the_calls_that_the_rule_covers(hold: Hold, alice: Actor) -> None:
    for command in ("git push -u origin a", "git push", "git pushy", "gitpush", "make"):
        answered(alice, runs(hold, command))
    found = replay(alice, runs(hold, "git push --tags"))
    assert (found.through, found.rejected, found.looked_at, found.cut) == (2, 0, 5, False)
    assert titles(alice, runs(hold, "git push --all"))[0] == "git push --tags"


def test_a_rejected_one_comes_first(hold: Hold, alice: Actor) -> None:
    for number in range(12):
        answered(alice, runs(hold, f"git push origin {number}"))
    answered(alice, runs(hold, "git push --force"), "reject")
    for number in range(3):
        answered(alice, runs(hold, f"git push fork {number}"))
    found = replay(alice, runs(hold, "git push"))
    assert (found.through, found.rejected) == (16, 1)
    assert (found.shown[0].title, found.shown[0].reply) == ("git push --force", "reject")
    assert len(found.shown) == 8


def test_a_line_passes_only_with_all_that_asked_in_it(hold: Hold, alice: Actor) -> None:
    answered(alice, runs(hold, "git push && rm -r build"))
    answered(alice, runs(hold, "git push && make deploy"))
    assert titles(alice, runs(hold, "git push")) == []
    assert titles(alice, runs(hold, "git push; make deploy --now")) == ["git push", "git push && make deploy"]


def test_what_asks_whatever_the_rules_say_is_not_let_through(hold: Hold, alice: Actor) -> None:
    answered(alice, reads(hold, ".env"))
    answered(alice, reads(hold, "/etc/hosts"))
    answered(alice, reads(hold, "/etc/ssh/x"))
    assert titles(alice, reads(hold, "/etc/fstab")) == ["Read /etc/hosts"]


def test_words_in_quotes_are_seen_through(hold: Hold, alice: Actor) -> None:
    answered(alice, runs(hold, "g'i't push origin x"))
    assert titles(alice, runs(hold, "git push")) == ["g'i't push origin x"]


def test_another_project_and_what_is_long_ago_do_not_count(hold: Hold, alice: Actor, tmp_path: Path) -> None:
    answered(alice, runs(hold_of(alice, tmp_path, "prj_other"), "git push"))
    old = answered(alice, runs(hold, "git push origin old"))
    with db.transaction() as connection:
        this = models.asks.c.id == old.id
        connection.execute(models.asks.update().where(this).values(created=ids.now() - 31 * DAY))
    assert replay(alice, runs(hold, "git push")).looked_at == 0


def test_nobody_learns_of_what_they_may_not_read(hold: Hold, alice: Actor, bob: Actor, tmp_path: Path) -> None:
    answered(alice, runs(hold_of(alice, tmp_path, visibility="private"), "git push origin secret-plan"))
    answered(alice, runs(hold, "git push origin open"))
    ask = runs(hold, "git push")
    assert titles(bob, ask) == ["git push origin open"]
    assert replay(bob, ask).looked_at == 1
    assert len(titles(alice, ask)) == 2


def test_it_looks_at_a_hundred_at_most(hold: Hold, alice: Actor) -> None:
    for number in range(101):
        runs(hold, f"git push origin {number}")
    found = replay(alice, runs(hold, "git push"))
    assert (found.looked_at, found.cut, found.through) == (100, True, 100)


def test_every_kind_of_call_can_be_held_against_its_rule(hold: Hold, alice: Actor) -> None:
    for tool, given in (
        ("edit", {"filePath": "x.py", "oldString": "a", "newString": "b"}),
        ("webfetch", {"url": "https://example.com/a"}),
        ("hubspot_update", {"id": 1}),
    ):
        answered(alice, asked(hold, tool, given))
        assert replay(alice, asked(hold, tool, given)).through == 1


MAKE = [Rule("bash", "make *", "allow", "user"), Rule("bash", "make deploy *", "deny", "user")]


def project_of(hold: Hold) -> Project:
    session = hold.session
    where = (session.directory, session.directory, False, "", "ready", {})
    return Project(session.project, "shop", *where, session.owner, "team", ids.now(), None)


def test_rules_that_nobody_added_yet_are_held_against_ones_own_last_calls(hold: Hold, alice: Actor) -> None:
    for command, reply in (("make", "once"), ("make x", "reject"), ("make deploy", "once"), ("pytest", "once")):
        answered(alice, runs(hold, command), reply)
    runs(hold, "make && pytest")
    found = foresee(alice, project_of(hold), MAKE)
    assert (found.looked_at, found.asking) == (5, 2)
    assert [past.title for past in found.rejected] == ["make x"]
    assert [past.title for past in found.unopposed] == ["make"]
    assert [past.title for past in found.denied] == ["make deploy"]
    assert foresee(alice, project_of(hold), []).asking == 5


def test_rules_in_force_make_no_difference_to_what_is_foreseen(hold: Hold, alice: Actor) -> None:
    answered(alice, runs(hold, "make"))
    approvals.add_rule(alice, Rule("bash", "make *", "deny", "user"), alice.user)
    assert len(foresee(alice, project_of(hold), MAKE).through) == 1


def test_only_the_last_fifty_calls_of_ones_own_sessions_are_foreseen(
    hold: Hold, alice: Actor, bob: Actor, tmp_path: Path
) -> None:
    for number in range(51):
        runs(hold, f"make {number}")
    runs(hold_of(bob, tmp_path), "make bobs")
    titles = [past.title for past in foresee(alice, project_of(hold), MAKE).through]
    assert (len(titles), titles[0], titles[-1]) == (50, "make 50", "make 1")
    assert [past.title for past in foresee(bob, project_of(hold), MAKE).through] == ["make bobs"]
