"""A token that an agent holds, before the things of the very person it works for: it answers, configures, mints and lets in
nobody (THREATS 4.4).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from app import dispatch
from app.actor import Actor
from app.dialects.mount import Cabin
from tests.matrix.asking import ask, routes
from tests.matrix.test_matrix import CONTROL, DIALECTS, OPEN_TO_AGENTS, prefixed, read
from tests.matrix.world import World
from tests.test_routes import public_routes

# What a person does with their own sign-in, of which a token has none; and what is at nobody's hands any more.
NOT_THERE = {
    "codebuddy POST /api/v1/process/update": "the process has no terminal whose size could be set",
    "pages POST /account/confirm": "a token has no sign-in to prove",
    "pages POST /account/devices/<device_id>/revoke": "the device is another person's",
    "pages POST /account/devices/revoke-others": "a token is no device",
    "pages POST /account/look": "a token looks at nothing",
    "pages POST /account/password": "a token is no person",
    "pages POST /account/profile": "a token is no person",
    "pages POST /account/visibility": "a token is no person",
    "pages POST /settings/profiles/use": "the profile is another person's",
    "roo POST /api/profiles/switch": "the profile is none",
}
OPEN = {*OPEN_TO_AGENTS, "codebuddy POST /api/v1/process/connect"}  # which only watches
ANSWERS = ("permission", "question", "inbox", "share")


@pytest.fixture
def world(app: Cabin, alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Everything is Alice's, and so is the agent."""
    made = World(app, alice, tmp_path)
    made.mia = alice
    monkeypatch.setattr(dispatch, "wake", made.wake)
    return made


def test_it_is_refused_on_more_than_forty_control_routes(world: World) -> None:
    refused, others = list[str](), dict[str, str]()
    for route in routes(world.app):
        words = " ".join(route.key)
        if route.method == "GET" or not CONTROL.search(route.path) or words in public_routes():
            continue
        answer = ask(world, route, ("agent",), prefixed(route.dialect))["agent"]
        if answer == "403":
            refused.append(words)
        else:
            others[words] = answer
    assert len(refused) >= 100
    assert {words for words, answer in others.items() if answer in ("2xx", "3xx")} <= OPEN
    assert set(others) - OPEN == set(NOT_THERE), others
    assert len([words for words in refused if any(noun in words for noun in ANSWERS)]) >= 10


def test_all_dialects_are_asked() -> None:
    asked = {key[0] for key in read() if key[1] != "GET" and CONTROL.search(key[2])}
    assert asked >= set(DIALECTS) - {"e2b"}
