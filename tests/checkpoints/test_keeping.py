"""How long checkpoints are kept: what goes, what stays, and that the space comes back."""

from __future__ import annotations

import dataclasses
import os

import pytest
import sqlalchemy as sa

from app import config, db, ids
from app.checkpoints import keeping, taking
from app.checkpoints import service as checkpoints
from app.checkpoints.models import checkpoint as table
from app.errors import Invalid
from app.projects import service as projects
from app.sessions import service as sessions
from tests.checkpoints.conftest import Agent, write

DAY = keeping.DAY


@pytest.fixture
def agent(either_agent: Agent) -> Agent:
    """Four turns, each of which writes a file anew: #0 before, #1 to #4 after."""
    for number in range(1, 5):
        either_agent.turn(f"{number}", either_agent.writes("a.txt", f"{number}\n"))
    keep(days=30, newest=0)
    return either_agent


def keep(*, days: int, newest: int) -> None:
    config.use(dataclasses.replace(config.current(), checkpoint_days=days, checkpoint_keep=newest))


def age(agent: Agent, *numbers: int, days: int = 31) -> None:
    """Make these checkpoints older."""
    mine = sa.and_(table.c.session_id == agent.session.id, table.c.number.in_(numbers))
    with db.transaction() as conn:
        conn.execute(table.update().where(mine).values(created=ids.now() - days * DAY))


def numbers(agent: Agent) -> list[int]:
    return [one.number for one in checkpoints.of_session(agent.actor, agent.session.id)]


def test_what_is_too_old_goes_and_the_rest_still_works(agent: Agent) -> None:
    age(agent, 0, 1, 2)
    keeping.tidy()
    assert numbers(agent) == [3, 4]
    (file,) = checkpoints.diff(agent.actor, agent.session.id)
    assert (file.before, file.after) == ("2\n", "4\n")
    target = checkpoints.of_session(agent.actor, agent.session.id)[0]
    (file,) = checkpoints.diff_of(agent.actor, target.id)
    assert (file.before, file.after) == ("2\n", "3\n")
    checkpoints.restore(agent.actor, target.id)
    assert agent.content("a.txt") == "3\n"


def test_it_can_be_done_again_and_again(agent: Agent) -> None:
    age(agent, 0, 1)
    keeping.tidy()
    age(agent, 2, 3)
    keeping.tidy()
    keeping.tidy()
    assert numbers(agent) == [4]
    (file,) = checkpoints.diff(agent.actor, agent.session.id)
    assert (file.before, file.after) == ("3\n", "4\n")
    names = taking.shadow_of(agent.session).kept()
    assert len([name for name in names if name.startswith("chk_")]) == 2


def test_young_ones_and_all_of_a_server_that_keeps_them_stay(agent: Agent) -> None:
    age(agent, 0, 1, days=29)
    keeping.tidy()
    assert numbers(agent) == [0, 1, 2, 3, 4]
    age(agent, *range(5), days=9000)
    keep(days=0, newest=0)
    keeping.tidy()
    assert numbers(agent) == [0, 1, 2, 3, 4]


def test_the_newest_of_a_session_stay_whatever_their_age(agent: Agent) -> None:
    age(agent, *range(5), days=400)
    keep(days=30, newest=2)
    keeping.tidy()
    assert numbers(agent) == [3, 4]
    keep(days=30, newest=0)
    keeping.tidy()
    assert numbers(agent) == []
    assert checkpoints.diff(agent.actor, agent.session.id) == []


def test_a_new_step_counts_on_after_all_were_dropped(agent: Agent) -> None:
    age(agent, *range(5))
    keeping.tidy()
    agent.turn("5", agent.writes("a.txt", "5\n"))
    first, last = checkpoints.of_session(agent.actor, agent.session.id)
    assert (first.kind, last.kind) == ("before", "after")
    (file,) = checkpoints.diff(agent.actor, agent.session.id)
    assert (file.before, file.after) == ("4\n", "5\n")


def test_what_a_live_revert_needs_stays(agent: Agent) -> None:
    steps = [one for one in checkpoints.of_session(agent.actor, agent.session.id) if one.kind == "after"]
    checkpoints.revert(agent.actor, agent.session.id, steps[1].message_id)
    assert agent.content("a.txt") == "1\n"
    age(agent, *range(6))
    keeping.tidy()
    assert numbers(agent) == [2, 3, 4, 5]
    checkpoints.unrevert(agent.actor, agent.session.id)
    assert agent.content("a.txt") == "4\n"
    keeping.tidy()
    assert numbers(agent) == [6]


def test_the_space_comes_back(agent: Agent) -> None:
    shadow = taking.shadow_of(agent.session)
    write(agent.place, "big.bin", os.urandom(3_000_000))
    agent.turn("5", agent.writes("a.txt", "5\n"))
    (agent.place / "big.bin").unlink()
    agent.turn("6", agent.writes("a.txt", "6\n"))
    full = checkpoints.size_of(agent.actor, agent.session.project)
    assert full > 3_000_000
    age(agent, *range(len(numbers(agent)) - 1))
    keeping.tidy()
    assert checkpoints.size_of(agent.actor, agent.session.project) < full - 2_500_000
    assert shadow.lost() == []
    assert checkpoints.held(agent.actor, agent.session.project).number == 1


def test_other_sessions_keep_theirs(agent: Agent) -> None:
    other = Agent(agent.actor, sessions.create(agent.actor, projects.resolve(agent.actor, str(agent.place))))
    other.turn("b", other.writes("b.txt", "b\n"))
    age(agent, *range(5))
    keeping.tidy()
    assert numbers(agent) == []
    assert numbers(other) == [0, 1]
    target = checkpoints.of_session(other.actor, other.session.id)[0]
    checkpoints.restore(other.actor, target.id)
    assert other.content("b.txt") is None


def test_the_settings_are_days_and_a_number() -> None:
    given = config.Config.from_environ({"SIGNALCABIN_CHECKPOINT_DAYS": "7", "SIGNALCABIN_CHECKPOINT_KEEP": "3"})
    assert (given.checkpoint_days, given.checkpoint_keep) == (7, 3)
    with pytest.raises(Invalid, match="CHECKPOINT_DAYS"):
        config.Config.from_environ({"SIGNALCABIN_CHECKPOINT_DAYS": "a week"})
