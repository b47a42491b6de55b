"""Who may do everything, but in another project alone, reaches no thing of this one by any route (THREATS 4.2)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app import dispatch
from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from tests.matrix.asking import ask, routes
from tests.matrix.test_matrix import prefixed
from tests.matrix.world import World

# What lies in a project; the rest of what paths name is of people, or of the server.
WITHIN = re.compile(
    r"<(\w+:)?(session|task|message|part|permission|question|ask|checkpoint|sandbox|terminal|worktree|project)_id>"
)
LEAST = 80


@pytest.fixture
def world(app: Cabin, alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Everything is Alice's, in the default project; her token is of another one."""
    made = World(app, alice, tmp_path)
    made.mia = alice
    elsewhere = made.project()
    made._secrets["elsewhere"] = accounts.mint_token(alice, "elsewhere", project=elsewhere)[1]
    monkeypatch.setattr(dispatch, "wake", made.wake)
    return made


def test_a_token_of_another_project_reaches_nothing_of_this_one(world: World) -> None:
    asked = {
        route.key: ask(world, route, ("elsewhere",), prefixed(route.dialect))["elsewhere"]
        for route in routes(world.app)
        if WITHIN.search(route.path)
    }
    assert len(asked) >= LEAST
    assert {key: answer for key, answer in asked.items() if answer not in ("403", "404")} == {}
