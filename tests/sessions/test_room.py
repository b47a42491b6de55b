"""Runs beyond what a person, or all together, may have at work wait their turn and are woken when a place is free."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from app import config, db, dispatch
from app.actor import Actor
from app.config import Limits
from app.sessions import service
from app.sessions.service import Hold, runs
from tests.conftest import member

pytestmark = pytest.mark.usefixtures("database")
PER_USER, IN_ALL = 2, 3


@pytest.fixture
def database(either_database: db.Database) -> db.Database:
    """Both engines in turn, with room for few runs."""
    config.use(replace(config.current(), limits=Limits(runs_per_user=PER_USER, runs=IN_ALL)))
    runs._crowded.clear()
    return either_database


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that would be woken: no engine runs here."""
    found: list[str] = []
    monkeypatch.setattr(dispatch, "wake", lambda _name, run_id: found.append(run_id))
    return found


def prompts(actor: Actor, count: int) -> list[str]:
    """Queued runs, each of a session of its own."""
    thing = SimpleNamespace(id="prj_shop", owner=actor.user, project="prj_shop", visibility="team")
    made = []
    for _ in range(count):
        session = service.create(actor, SimpleNamespace(project=thing, directory=Path("/nowhere/shop")))
        _, run_id = service.send(actor, session.id, [{"type": "text", "text": "go"}], provider="demo", model="x")
        assert run_id is not None
        made.append(run_id)
    return made


def taken(run_ids: list[str]) -> list[Hold]:
    """Those that could be taken."""
    return [hold for hold in map(service.take, run_ids) if hold is not None]


def test_a_person_has_so_many_runs_at_work(alice: Actor, woken: list[str]) -> None:
    queued = prompts(alice, 4)
    assert service.queued() == queued[:PER_USER]
    holds = taken(queued)
    assert [hold.run_id for hold in holds] == queued[:PER_USER]
    assert service.queued() == []
    woken.clear()
    service.finish(holds[0], "completed")
    assert woken == [queued[2]]
    assert [hold.run_id for hold in taken(queued[2:])] == [queued[2]]


def test_all_together_have_so_many(alice: Actor, bob: Actor, woken: list[str]) -> None:
    hers, his = prompts(alice, 3), prompts(bob, 3)
    assert service.queued() == [*hers[:2], his[0]]
    assert len(taken([*hers, *his])) == IN_ALL
    assert service.queued() == []


def test_nobody_starves_beside_who_has_many(alice: Actor, bob: Actor) -> None:
    hers, his = prompts(alice, 5), prompts(bob, 1)
    assert [hold.run_id for hold in taken([*hers, *his])] == [*hers[:PER_USER], *his]


@pytest.mark.parametrize(
    "leave", [service.release, lambda hold: service.wait(hold, lambda _: True)], ids=["released", "waits"]
)
def test_a_run_that_waits_gives_its_place_away(alice: Actor, woken: list[str], leave: Callable[[Hold], None]) -> None:
    queued = prompts(alice, 3)
    [first, _] = taken(queued)
    woken.clear()
    leave(first)
    assert queued[2] in woken or queued[0] in woken
    assert service.take(queued[2]) is not None


def test_a_lost_run_gives_its_place_away(alice: Actor, woken: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    queued = prompts(alice, 3)
    monkeypatch.setattr(runs, "LEASE", -1)
    taken(queued)
    assert service.end_lost_leases() == PER_USER
    assert service.take(queued[2]) is not None


def test_takes_at_the_same_moment_are_counted_one_after_the_other(alice: Actor, bob: Actor) -> None:
    queued = [run_id for pair in zip(prompts(alice, 6), prompts(bob, 6), strict=True) for run_id in pair]
    with ThreadPoolExecutor(6) as pool:
        holds = [hold for hold in pool.map(service.take, queued) if hold is not None]
    assert len(holds) == IN_ALL
    for actor in (alice, bob):
        assert sum(hold.session.owner == actor.user for hold in holds) <= PER_USER


def test_a_person_of_the_team_is_not_the_owner(alice: Actor) -> None:
    carla = member(alice, "Carla")
    assert len(taken(prompts(alice, 2))) == PER_USER
    assert len(taken(prompts(carla, 1))) == 1
